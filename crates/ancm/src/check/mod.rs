//! `ancm check`: what this host understands of a folder, and everything that is wrong with it.
//!
//! Nothing is started and no library is loaded. The findings are those that `ancm run` would report,
//! so that a deployment can be refused before it replaces one that works.

mod examine;
mod text;

use std::io;
use std::path::Path;

use config::{Env, Severity};

/// Nothing prevents a start.
const CLEAN: u8 = 0;
/// At least one finding prevents a start.
const PREVENTED: u8 = 1;
/// The command could not do its work: its output cannot be written.
const UNUSABLE: u8 = 2;

/// Examines the application in `dir`, writes the report to `out` and returns the exit code.
pub(crate) fn run(dir: &Path, json: bool, out: &mut dyn io::Write) -> u8 {
    let report = examine::report(dir, &Env::of_process());
    let is_prevented = report.findings.iter().any(|finding| finding.severity == Severity::Error);
    let written = if json {
        serde_json::to_writer_pretty(&mut *out, &report)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        text::write(&report, out)
    };
    match written.and_then(|()| out.flush()) {
        Err(_) => UNUSABLE,
        Ok(()) if is_prevented => PREVENTED,
        Ok(()) => CLEAN,
    }
}

#[cfg(test)]
mod tests;
