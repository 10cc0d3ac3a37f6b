//! One line per step, with its duration; the output of a command only when the command failed.
//!
//! The line appears when the step starts, so that a person sees what takes the time, and is
//! completed when it ends.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Runs `work` as the step `name`.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    step_with(name, || Ok((work()?, String::new())))
}

/// Runs `work` as the step `name`; the text that it returns completes the line.
pub(crate) fn step_with<T>(name: &str, work: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
    print!("  {name:<42} ");
    std::io::stdout().flush().ok();
    let start = Instant::now();
    match work() {
        Ok((value, note)) => {
            let separator = if note.is_empty() { "" } else { "  " };
            println!("{:>8}{separator}{note}", seconds(start.elapsed()));
            Ok(value)
        }
        Err(error) => {
            println!("{:>8}  FAILED", seconds(start.elapsed()));
            Err(error)
        }
    }
}

/// A duration as the step lines show it.
pub(crate) fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}

/// Runs a command with its output captured; a failure carries all that the command said.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stdout[..], &output.stderr[..]]
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).trim_end().to_owned())
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n");
    bail!("{said}\n{name} ended with {}", output.status)
}
