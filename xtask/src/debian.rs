//! Programs of the system that a build or the tests need, installed where that is ours to do.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use anyhow::{Context, Result, bail};

use crate::step::{run, step};

/// Makes sure that `program` can be run, from the Debian package of that name if it is missing.
/// `otherwise` tells a person who has to install it what to do.
pub(crate) fn ensure(program: &str, package: &str, otherwise: &str) -> Result<()> {
    // Some do not know the option, but only what is there can say so.
    if Command::new(program).arg("--version").output().is_ok() {
        return Ok(());
    }
    // Who owns a process is who owns its folder under /proc; there is no std call for it.
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    let has_apt = Command::new("apt-get").arg("--version").output().is_ok();
    if !is_root || !has_apt {
        bail!("{program} is missing: {otherwise}");
    }
    step(&format!("{program} is missing: apt-get install {package}"), || {
        let apt = |args: &[&str]| {
            run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update", "-qq"])?;
        apt(&["install", "-y", "-qq", "--no-install-recommends", package])?;
        Ok(())
    })
    .with_context(|| format!("cannot install {package}; {otherwise}"))
}
