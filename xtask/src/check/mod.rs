//! `cargo xtask check`: what can be said of the code without running the programs.
//!
//! Every check runs, whatever the others say: one run shows all that is to do.

mod files;
mod layers;
mod links;

use anyhow::{Result, bail};

use crate::{
    build::colored,
    fuzz, instructions,
    step::{run as run_command, step},
    workspace::Workspace,
};

/// Runs all checks.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut results = without_tests(workspace);
    results.push(step("unit tests", || {
        // What is in `tests/` needs the programs; `cargo xtask test` runs it.
        cargo(workspace, &["test", "--workspace", "--exclude=ancm-tests", "--lib", "--bins", "-q"])
    }));
    report(results)
}

/// All checks but the unit tests.
pub(crate) fn without_tests(workspace: &Workspace) -> Vec<Result<()>> {
    vec![
        step("format", || {
            // The names of the files are enough; `cargo fmt` does the rest.
            cargo(workspace, &["fmt", "--all", "--check", "--", "-l"])
        }),
        step("import direction", || layers::check(&workspace.packages)),
        step("file lengths", || files::check_lengths(&workspace.root)),
        step("links between documents", || links::check(&workspace.root)),
        step("lints", || {
            let lints = ["clippy", "--workspace", "--all-targets", "--keep-going", "--quiet"];
            cargo(workspace, &[&lints[..], &["--", "-Dwarnings"]].concat())
        }),
        step("fuzz targets on their corpora", || fuzz::check(workspace)),
        step("cost of a request in the engine", || instructions::check(workspace)),
        step("documentation", || {
            let doc = [
                "doc",
                "--workspace",
                "--no-deps",
                "--document-private-items",
                "--keep-going",
                "-q",
            ];
            let mut command = workspace.cargo(&doc);
            command.env("RUSTDOCFLAGS", "-Drustdoc::broken_intra_doc_links");
            run_command(colored(&mut command)).map(|_| ())
        }),
    ]
}

/// Shows what the failed checks said.
pub(crate) fn report(results: Vec<Result<()>>) -> Result<()> {
    let failures: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    for failure in &failures {
        eprintln!("\n{failure:#}");
    }
    match failures.len() {
        0 => Ok(()),
        1 => bail!("a check failed"),
        count => bail!("{count} checks failed"),
    }
}

fn cargo(workspace: &Workspace, args: &[&str]) -> Result<()> {
    run_command(colored(&mut workspace.cargo(args))).map(|_| ())
}
