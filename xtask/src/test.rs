//! `cargo xtask test`: every check, then every test.

use std::{
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    build::{Build, colored, samples_dir, test_apps_dir},
    check, debian,
    step::{run as run_command, step},
    workspace::{Profile, Workspace},
};

/// What the tests run beside our own: programs that backends are written for, and a service manager; and
/// the package of Debian that has each.
const NEEDED: [(&str, &str); 3] =
    [("node", "nodejs"), ("python3", "python3"), ("systemctl", "systemd")];

/// Runs the checks and the tests of the whole workspace; the totals are the last line. With words
/// that select tests only those run, and the checks are left to a full run.
pub(crate) fn run(workspace: &Workspace, filter: &[String]) -> Result<ExitCode> {
    // The unit tests are among the tests below, so of the checks they alone are left out.
    let checks = match filter {
        [] => check::report(check::without_tests(workspace)),
        _ => Ok(()),
    };
    let build = Build::run(workspace, Profile::Debug)?;
    for (program, package) in NEEDED {
        debian::ensure(program, package, "the tests run it")?;
    }
    let runner = Runner::find();
    step("test programs", || {
        let mut command = workspace.cargo(runner.build);
        run_command(colored(&mut command)).map(|_| ())
    })?;

    let mut tests = workspace.cargo(runner.run);
    match filter {
        [] => tests.args(runner.second_try),
        _ => tests.args(filter),
    };
    provide(&mut tests, workspace, &build);
    let mut totals = Totals::default();
    totals.succeeded = watch(&mut tests, |line| {
        (runner.count)(line, &mut totals);
        println!("{line}");
    })?;
    if let Err(error) = &checks {
        eprintln!("error: {error}");
    }
    if totals.flaky > 0 {
        println!("{} passed only when run again: find out why, see above", totals.flaky);
    }
    println!("{} passed, {} failed", totals.passed, totals.failed);
    let good = checks.is_ok() && totals.succeeded;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests that the arguments of nextest select, or all when it is not installed; `on_line`
/// sees each line that the runner writes. Answers whether all passed.
pub(crate) fn run_each(
    workspace: &Workspace,
    build: &Build,
    filter: &[String],
    on_line: impl FnMut(&str),
) -> Result<bool> {
    let runner = Runner::find();
    let mut tests = workspace.cargo(runner.run_each);
    if runner.has_filters {
        tests.args(filter);
    }
    provide(&mut tests, workspace, build);
    watch(&mut tests, on_line)
}

/// What tests find their programs, applications and runtime by.
fn provide(tests: &mut Command, workspace: &Workspace, build: &Build) {
    tests
        .env("DOTNET_ROOT", &build.toolchain.root)
        .env("ANCM_TEST_BIN", &build.bin)
        .env("ANCM_TEST_APPS", test_apps_dir(workspace))
        .env("ANCM_TEST_SAMPLES", samples_dir(workspace))
        .env("ANCM_TEST_TFM", &build.toolchain.tfm)
        .env("ANCM_TEST_FX", &build.toolchain.framework_version);
}

/// What runs the tests: nextest if it is installed, else cargo's own.
struct Runner {
    build: &'static [&'static str],
    run: &'static [&'static str],
    /// What a run of everything adds: a test that fails is run again, and shown with its failure.
    /// 1,600 tests of real processes on a busy machine meet the odd moment; a selected test has to
    /// pass at once.
    second_try: &'static [&'static str],
    /// As `run`, with a line for each test.
    run_each: &'static [&'static str],
    /// Whether it takes nextest's filters.
    has_filters: bool,
    /// Adds what a line of the output says to the totals.
    count: fn(&str, &mut Totals),
}

/// What became of the tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: usize,
    /// How many of those that passed had failed before.
    flaky: usize,
    failed: usize,
    succeeded: bool,
}

const NEXTEST: Runner = Runner {
    build: &["nextest", "run", "--workspace", "--no-run", "--cargo-quiet"],
    run: &[
        "nextest",
        "run",
        "--workspace",
        "--cargo-quiet",
        "--no-fail-fast",
        // A word that selects nothing is misspelt.
        "--no-tests=fail",
        "--show-progress=none",
        "--status-level=retry",
        "--final-status-level=flaky",
    ],
    second_try: &["--retries=1"],
    run_each: &[
        "nextest",
        "run",
        "--workspace",
        "--cargo-quiet",
        "--no-fail-fast",
        "--no-tests=pass",
        "--show-progress=none",
        "--status-level=pass",
        "--final-status-level=fail",
        "--failure-output=never",
    ],
    has_filters: true,
    count: count_nextest,
};

const CARGO_TEST: Runner = Runner {
    build: &["test", "--workspace", "--no-run", "--quiet"],
    run: &["test", "--workspace", "--no-fail-fast", "--quiet"],
    second_try: &[],
    run_each: &["test", "--workspace", "--no-fail-fast"],
    has_filters: false,
    count: count_cargo_test,
};

impl Runner {
    fn find() -> Self {
        let nextest = Command::new("cargo-nextest").arg("--version").output();
        if nextest.is_ok_and(|output| output.status.success()) {
            return NEXTEST;
        }
        println!("  cargo-nextest is not installed: cargo test does, with less readable output");
        CARGO_TEST
    }
}

/// Runs the tests and gives away what the runner says as it says it.
fn watch(tests: &mut Command, mut on_line: impl FnMut(&str)) -> Result<bool> {
    // Both streams into one pipe, so that their lines keep their order.
    let (reader, writer) = std::io::pipe()?;
    let mut child = tests
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .context("cannot start the tests")?;
    // The command holds the writing end as well; the pipe ends when the last one is closed.
    tests.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(reader).lines() {
        on_line(&line?);
    }
    Ok(child.wait()?.success())
}

/// `Summary [   1.234s] 12 tests run: 11 passed (1 slow), 1 failed, 2 skipped`
fn count_nextest(line: &str, totals: &mut Totals) {
    let Some(rest) = line.trim_start().strip_prefix("Summary [") else { return };
    let (_, counts) = rest.split_once("run:").unwrap_or_default();
    totals.passed += number_before(counts, " passed");
    totals.flaky += number_before(counts, " flaky");
    // A test that runs out of time or breaks off has failed too.
    for word in [" failed", " timed out", " exec failed"] {
        totals.failed += number_before(counts, word);
    }
}

/// `test result: FAILED. 11 passed; 1 failed; 0 ignored; 0 measured; ...`
fn count_cargo_test(line: &str, totals: &mut Totals) {
    if line.starts_with("test result:") {
        totals.passed += number_before(line, " passed");
        totals.failed += number_before(line, " failed");
    }
}

fn number_before(text: &str, word: &str) -> usize {
    let before = text.find(word).map_or("", |at| &text[..at]);
    let digits = before.rsplit(|last: char| !last.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_summaries_are_counted() {
        let mut nextest = Totals::default();
        count_nextest(
            "     Summary [   1.234s] 13 tests run: 11 passed (1 slow, 3 flaky), 1 failed, 1 timed out, 2 skipped",
            &mut nextest,
        );
        count_nextest("        PASS [   0.010s] crate a::test_run: 7 passed", &mut nextest);
        assert_eq!((nextest.passed, nextest.flaky, nextest.failed), (11, 3, 2));

        let mut cargo = Totals::default();
        count_cargo_test("test result: ok. 4 passed; 0 failed; 1 ignored;", &mut cargo);
        count_cargo_test("test result: FAILED. 3 passed; 2 failed; 0 ignored;", &mut cargo);
        assert_eq!((cargo.passed, cargo.failed), (7, 2));
    }
}
