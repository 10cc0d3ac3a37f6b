//! The programs of others that a campaign needs: found, or installed from Debian.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::contender::{Contender, is_root};
use crate::step::{run, step};

/// Makes sure that the load generator and the contenders' programs are there.
pub(super) fn ensure(contenders: &[Contender]) -> Result<()> {
    install(&programs(contenders.iter()))?;
    // Without it there is a column less.
    if let Err(error) = install(&["perf"]) {
        println!("system calls are not counted: {error:#}");
    }
    Ok(())
}

/// The load generator and what the contenders take.
pub(super) fn programs<'a>(contenders: impl Iterator<Item = &'a Contender>) -> Vec<&'static str> {
    let mut programs = vec!["wrk"];
    for program in contenders.flat_map(Contender::programs) {
        if !programs.contains(program) {
            programs.push(program);
        }
    }
    programs
}

/// Installs those of these programs that are not there; from Debian.
pub(crate) fn install(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted
        .iter()
        .copied()
        .filter(|program| version(program).is_none())
        .map(package_of)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    let has_apt = Command::new("apt-get").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !is_root() || !has_apt {
        bail!(
            "not installed: {packages}; install them, on Debian with `apt-get install {packages}`"
        );
    }
    step(&format!("apt-get install {packages}"), || {
        // The environment keeps Debian's scripts from starting the servers as services.
        let apt = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
            run(&mut command).map(|_| ())
        };
        apt(&["update"])?;
        apt(&[&["install", "--yes", "--no-install-recommends"], &missing[..]].concat())
            .context("cannot install what is needed")
    })
}

/// The package of Debian that has the program.
fn package_of(program: &str) -> &str {
    match program {
        "perf" => "linux-perf",
        "node" => "nodejs",
        _ => program,
    }
}

/// What a program says of its version, with its name.
pub(super) fn described(program: &str) -> Option<String> {
    let version = version(program)?;
    Some(if program == "node" { format!("Node.js {version}") } else { version })
}

/// What a program says of its version; nothing if it is not there.
pub(crate) fn version(program: &str) -> Option<String> {
    let output = Command::new(program)
        .arg(if program == "valgrind" { "--version" } else { "-v" })
        .output()
        .ok()?;
    // Some say it on the one stream and some on the other.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next()?;
    // `wrk debian/4.1.0-3 [epoll] Copyright (C) 2012 ...`, `HAProxy version 2.6.12 ... - https://`.
    let end = [" Copyright", " - http"].iter().filter_map(|mark| line.find(mark)).min();
    Some(line[..end.unwrap_or(line.len())].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_has_no_version() {
        assert_eq!(version("no-such-program-anywhere"), None);
    }
}
