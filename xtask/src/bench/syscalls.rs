//! System calls per request, counted by perf in a round of its own: counting costs a little, and
//! must not be in the figures that matter.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::{scenario::Load, server::Server, wrk};

const EVENT: &str = "raw_syscalls:sys_enter";

/// Whether perf may count them; many kernels allow it to root only, containers often to nobody.
pub(super) fn can_count() -> bool {
    let mut command = Command::new("perf");
    command.args(["stat", "-x,", "-e", EVENT, "true"]);
    let output = command.output();
    output.is_ok_and(|output| {
        output.status.success() && count(&String::from_utf8_lossy(&output.stderr)).is_some()
    })
}

/// System calls of all the server's processes per answered request.
pub(super) fn per_request(
    server: &Server,
    load: &Load,
    seconds: u32,
    scripts: &Path,
) -> Result<Option<f64>> {
    let file = server.dir.join("perf");
    let processes: Vec<String> = server.processes().iter().map(u32::to_string).collect();
    let mut perf = Command::new("perf")
        .args(["stat", "-x,", "-e", EVENT, "-p", &processes.join(",")])
        .arg("-o")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start perf")?;
    let outcome = wrk::start(server.address, load, seconds, scripts).and_then(wrk::finish);
    // It writes what it has counted when it is interrupted.
    Command::new("kill").args(["-INT", &perf.id().to_string()]).status().ok();
    perf.wait()?;
    let requests = outcome?.requests.max(1) as f64;
    let text = fs::read_to_string(&file).unwrap_or_default();
    Ok(count(&text).map(|count| count as f64 / requests))
}

/// `2318,,raw_syscalls:sys_enter,…`, among lines of other kinds.
fn count(text: &str) -> Option<u64> {
    text.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_refusals_are_not_counts() {
        let text = "# started on Thu\n\n2318,,raw_syscalls:sys_enter,100,100.00,,\n";
        assert_eq!(count(text), Some(2318));
        assert_eq!(count("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
        assert_eq!(count(""), None);
    }
}
