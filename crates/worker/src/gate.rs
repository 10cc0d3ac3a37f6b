//! A gate for debuggers: nothing of the application is loaded before somebody opens it.
//!
//! `ASPNETCORE_STARTUP_SUSPEND_EVENT` names a FIFO. Whoever opens it for writing and closes it lets
//! the start go on. If there is a FIFO with `_suspended` behind the name, it is written to as soon
//! as the worker waits.

use std::fs::OpenOptions;
use std::io::{self, Write};

use config::Env;

const VARIABLE: &str = config::environment::SUSPEND_VARIABLE;

/// Waits until the gate is opened, without a limit of its own; at once when none is named.
///
/// # Errors
/// The gate cannot be waited at; the message names it.
pub(crate) fn wait(env: &Env) -> Result<(), String> {
    let Some(gate) = env.non_empty(VARIABLE) else { return Ok(()) };
    // Open until we go on: a FIFO forgets what was written when its last end is closed. Both ends,
    // since waiting for a reader is not what this is about.
    let mut sign = OpenOptions::new().read(true).write(true).open(format!("{gate}_suspended")).ok();
    if let Some(sign) = &mut sign {
        let _ = writeln!(sign, "{}", std::process::id());
    }
    let opened = OpenOptions::new().read(true).open(gate);
    let passed = opened.and_then(|mut gate| io::copy(&mut gate, &mut io::sink()));
    passed.map(drop).map_err(|error| {
        format!("{VARIABLE}: {gate}: {error}; the start goes on (expected: a FIFO, see mkfifo)")
    })
}
