//! `cargo xtask conformance`: which rows of the module's own tests hold here.
//!
//! `tests/conformance.tsv` lists the rows; a test whose name begins with the number of a row, such
//! as `req_11_echo_of_100_kb`, holds it. What passes is counted from a run, never written down.

mod outcome;
mod report;
mod table;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    build::Build,
    test,
    workspace::{Profile, Workspace},
};

/// What to run and how much to tell.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also list the rows that do not apply, with reasons, and the tests that failed
    #[arg(long, short)]
    verbose: bool,
}

/// Runs the tests that carry numbers and counts the rows; fails when a test failed.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let rows = table::load(&workspace.root.join(table::FILE))?;
    let build = Build::run(workspace, Profile::Debug)?;
    let groups = rows.groups().collect::<Vec<_>>();
    let mut outcomes = outcome::Outcomes::default();
    let is_success = test::run_each(workspace, &build, &outcome::filter(&groups), |line| {
        if let Some((name, is_pass)) = outcome::of_line(line) {
            outcomes.add(name, is_pass);
        } else if !outcome::is_noise(line) {
            println!("{line}");
        }
    })?;
    let held = rows.hold(&outcomes)?;
    print!("{}", report::render(&rows, &held, arguments.verbose));
    Ok(if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
