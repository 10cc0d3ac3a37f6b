//! `cargo xtask fuzz`: the fuzz targets, under libFuzzer where it can be had.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::{
    build::colored,
    step::{run as run_command, step},
    workspace::Workspace,
};

/// How long, and what.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds for each target
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Only this target
    #[arg(long, value_name = "TARGET")]
    only: Option<String>,
}

/// Runs each target for a while under cargo-fuzz, which is installed if it is missing; where that
/// fails, with mutations alone. What is found stays in `fuzz/artifacts`, or is printed.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let all = targets(&workspace.root)?;
    let chosen: Vec<&String> = all
        .iter()
        .filter(|name| arguments.only.as_ref().is_none_or(|only| only == *name))
        .collect();
    ensure!(!chosen.is_empty(), "there is no such target; there are {}", all.join(", "));
    let cargo_fuzz = cargo_fuzz(workspace)
        .inspect_err(|error| println!("  mutations without coverage instead: {error:#}"))
        .ok();
    for target in chosen {
        let seconds = arguments.seconds.to_string();
        step(&format!("{target}, {seconds} s"), || {
            let mut command = match &cargo_fuzz {
                Some(program) => with_libfuzzer(workspace, program, target, &seconds)?,
                None => {
                    let mut command = cargo(workspace, &["run", "--release", "--quiet", "--bin"]);
                    command.args([target, &seconds]);
                    command
                }
            };
            run_command(&mut command).map(|_| ())
        })?;
    }
    Ok(())
}

/// cargo-fuzz: the one that is installed, or one of our own.
fn cargo_fuzz(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target.join("tools");
    let own = tools.join("bin/cargo-fuzz");
    let found = [PathBuf::from("cargo-fuzz"), own.clone()];
    if let Some(program) = found.into_iter().find(|program| succeeds(program, &["--version"])) {
        return Ok(program);
    }
    step("cargo-fuzz (installed below target/)", || {
        let mut install = workspace.cargo(&["install", "--quiet", "--locked", "cargo-fuzz"]);
        run_command(install.arg("--root").arg(&tools)).map(|_| own)
    })
}

/// What `cargo xtask check` does: the targets compile, and hold for their corpora.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let lints = ["clippy", "--all-targets", "--quiet", "--", "-Dwarnings"];
    run_command(colored(&mut cargo(workspace, &lints)))?;
    run_command(colored(&mut cargo(workspace, &["fmt", "--check", "--", "-l"])))?;
    run_command(colored(&mut cargo(workspace, &["test", "--quiet"]))).map(|_| ())
}

fn with_libfuzzer(
    workspace: &Workspace,
    cargo_fuzz: &Path,
    target: &str,
    seconds: &str,
) -> Result<Command> {
    // What libFuzzer finds on its way is kept apart from what is committed.
    let found = workspace.target.join("fuzz/corpus").join(target);
    fs::create_dir_all(&found)?;
    let folder = if target == "request_head" { "connection" } else { target };
    let seeds = workspace.root.join("fuzz/corpus").join(folder);
    let mut command = Command::new(cargo_fuzz);
    command
        .args(["run", "--fuzz-dir"])
        .arg(workspace.root.join("fuzz"))
        .arg(target)
        .args([&found, &seeds])
        .args(["--", &format!("-max_total_time={seconds}"), "-max_len=20000"])
        .current_dir(&workspace.root)
        // Apart from what is built without sanitizers.
        .env("CARGO_TARGET_DIR", workspace.target.join("fuzz/sanitized"))
        // The sanitizers' flags, of the compiler that everything else is built with.
        .env("RUSTC_BOOTSTRAP", "1");
    Ok(command)
}

/// A cargo command in `fuzz/`, which is a workspace of its own.
fn cargo(workspace: &Workspace, args: &[&str]) -> Command {
    let mut command = workspace.cargo(args);
    command
        .current_dir(workspace.root.join("fuzz"))
        .env("CARGO_TARGET_DIR", workspace.target.join("fuzz"));
    command
}

/// The names of the targets: each is a program of that name.
fn targets(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn succeeds(program: &Path, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_corpus() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for target in targets(&root).unwrap() {
            let folder = if target == "request_head" { "connection" } else { &target };
            assert!(root.join("fuzz/corpus").join(folder).is_dir(), "{target}");
        }
    }
}
