//! `cargo xtask instructions`: what a request costs the engine, counted instead of timed.
//!
//! A program of the engine (`examples/instructions.rs`) serves fixed streams under callgrind, which
//! counts the instructions of the lane: no clock, no other program and no load changes them. The
//! figures are compared with those in `bench/instructions.tsv`. System calls cost no instructions
//! here, so they are counted by name beside them, and so are allocations.

use std::{collections::HashMap, fmt::Write, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    bench::tools,
    build::colored,
    step::{run as run_command, step},
    workspace::{Profile, Workspace},
};

/// Where the figures are committed.
const FIGURES: &str = "bench/instructions.tsv";
/// What the program can send, and requests in a round of it.
const STREAMS: [(&str, u64); 4] = [("small", 1), ("browser", 1), ("form", 1), ("pipelined", 16)];
/// Rounds; start and end of the lane are a thousandth of them.
const ROUNDS: u64 = 2000;
/// How far instructions may be from the figure, in percent.
const TOLERANCE: f64 = 3.0;
/// The lane's loop, and all that it calls.
const COUNTED: &str = "*LaneRun*Runnable*run*";
/// The engine's doors to the kernel.
const SYSTEM_CALLS: [&str; 9] =
    ["recv", "send", "sendmsg", "epoll_wait", "epoll_ctl", "accept4", "read", "write", "close"];

/// What to do with the figures.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write what was counted to `bench/instructions.tsv`, as the figures from now on
    #[arg(long)]
    update: bool,
}

/// What one request of a stream costs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    instructions: f64,
    system_calls: f64,
    allocations: f64,
}

/// Counts, and compares or writes.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    tools::install(&["valgrind"])?;
    let counted = step("counting, under callgrind", || count_all(workspace))?;
    let path = workspace.root.join(FIGURES);
    if arguments.update {
        fs::write(&path, render(&counted))?;
        println!("{}", render(&counted));
        return Ok(());
    }
    println!("{}", compare(&path, &counted)?);
    Ok(())
}

/// The same as one of the checks.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    tools::install(&["valgrind"])?;
    let counted = count_all(workspace)?;
    compare(&workspace.root.join(FIGURES), &counted).map(|_| ())
}

/// The table of what was counted beside the figures; an error if they differ.
fn compare(path: &Path, counted: &[(&str, Cost)]) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {FIGURES}"))?;
    let figures = parse(&text)?;
    let good = counted
        .iter()
        .all(|(name, cost)| figures.get(*name).is_some_and(|figure| fits(*cost, *figure)));
    let table = table(counted, &figures);
    ensure!(
        good,
        "{table}The engine's cost per request is not that of {FIGURES}. If this is meant, in either \
         direction, run `cargo xtask instructions --update` and commit the file together with what \
         changed it and why."
    );
    Ok(table)
}

fn count_all(workspace: &Workspace) -> Result<Vec<(&'static str, Cost)>> {
    let build = ["build", "--release", "-p", "ancm-engine", "--example", "instructions", "-q"];
    run_command(colored(&mut workspace.cargo(&build)))?;
    STREAMS
        .into_iter()
        .map(|(name, requests)| Ok((name, count(workspace, name, requests * ROUNDS)?)))
        .collect()
}

fn count(workspace: &Workspace, stream: &str, requests: u64) -> Result<Cost> {
    let program = workspace.bin(Profile::Release).join("examples/instructions");
    let out = workspace.target.join(format!("instructions-{stream}.callgrind"));
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([stream, &ROUNDS.to_string()]);
    run_command(&mut command)?;
    let profile =
        fs::read_to_string(&out).with_context(|| format!("cannot read {}", out.display()))?;
    let total = total(&profile).context("callgrind's profile has no totals")?;
    ensure!(total > requests, "callgrind counted nothing: is the lane's loop still `{COUNTED}`?");
    let calls = calls(&profile);
    let sum = |names: &[&str]| -> f64 {
        names.iter().filter_map(|name| calls.get(*name)).sum::<u64>() as f64
    };
    let per_request = |count: f64| count / requests as f64;
    Ok(Cost {
        instructions: per_request(total as f64),
        system_calls: per_request(sum(&SYSTEM_CALLS)),
        allocations: per_request(sum(&["malloc", "calloc", "realloc", "posix_memalign"])),
    })
}

/// The instructions that a profile counts.
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals: "))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How often each function was called. A name is written in full once, `(12) recv`, and stands for
/// its number from then on.
fn calls(profile: &str) -> HashMap<&str, u64> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut counts: HashMap<&str, u64> = HashMap::new();
    let mut callee = "";
    for line in profile.lines() {
        if let Some(function) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            if !name.is_empty() {
                // Versions of the C library's symbols are no part of their names.
                names.insert(number, name.split('@').next().unwrap_or(name));
            }
            callee = number;
        } else if let Some(call) = line.strip_prefix("calls=") {
            let count = call.split_whitespace().next().and_then(|count| count.parse().ok());
            *counts.entry(callee).or_default() += count.unwrap_or(0);
        }
    }
    let mut by_name = HashMap::new();
    for (number, count) in counts {
        *by_name.entry(names.get(number).copied().unwrap_or(number)).or_default() += count;
    }
    by_name
}

fn fits(counted: Cost, figure: Cost) -> bool {
    let near = |counted: f64, figure: f64| (counted - figure).abs() <= 0.02;
    (counted.instructions / figure.instructions - 1.0).abs() * 100.0 <= TOLERANCE
        && near(counted.system_calls, figure.system_calls)
        && near(counted.allocations, figure.allocations)
}

fn render(counted: &[(&str, Cost)]) -> String {
    let mut text = String::from(
        "# Cost of a request in the engine alone; `cargo xtask instructions --update` writes this.\n\
         # stream\tinstructions\tsystem calls\tallocations\n",
    );
    for (name, cost) in counted {
        let Cost { instructions, system_calls, allocations } = cost;
        let _ = writeln!(text, "{name}\t{instructions:.0}\t{system_calls:.2}\t{allocations:.2}");
    }
    text
}

fn parse(text: &str) -> Result<HashMap<&str, Cost>> {
    let mut figures = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, instructions, system_calls, allocations] = fields[..] else {
            bail!("{FIGURES}: `{line}` should have four fields, separated by tabs");
        };
        let number = |field: &str| -> Result<f64> {
            field.parse().with_context(|| format!("{FIGURES}: `{field}` is not a number"))
        };
        let cost = Cost {
            instructions: number(instructions)?,
            system_calls: number(system_calls)?,
            allocations: number(allocations)?,
        };
        figures.insert(name, cost);
    }
    Ok(figures)
}

fn table(counted: &[(&str, Cost)], figures: &HashMap<&str, Cost>) -> String {
    let mut text = format!(
        "  {:<10} {:>12} {:>10} {:>8} {:>14} {:>14}\n",
        "stream", "instructions", "figure", "", "system calls", "allocations"
    );
    for (name, cost) in counted {
        let Some(figure) = figures.get(*name) else {
            let _ = writeln!(text, "  {name:<10} {:>12.0}  has no figure", cost.instructions);
            continue;
        };
        let change = (cost.instructions / figure.instructions - 1.0) * 100.0;
        let _ = writeln!(
            text,
            "  {name:<10} {:>12.0} {:>10.0} {change:>+7.1}% {:>5.2} of {:>5.2} {:>5.2} of {:>5.2}",
            cost.instructions,
            figure.instructions,
            cost.system_calls,
            figure.system_calls,
            cost.allocations,
            figure.allocations
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "events: Ir\n\
        fn=(1) lane\n12 300\ncfn=(2) recv\ncalls=3 0\n12 30\ncfn=(3) clock_gettime@@GLIBC_2.17\n\
        calls=1 0\n12 4\nfn=(4) other\ncfn=(2)\ncalls=4 0\n3 9\ntotals: 343\n";

    #[test]
    fn a_profile_tells_instructions_and_calls() {
        assert_eq!(total(PROFILE), Some(343));
        let calls = calls(PROFILE);
        assert_eq!((calls["recv"], calls["clock_gettime"]), (7, 1));
    }

    #[test]
    fn three_percent_in_either_direction_is_a_change() {
        let figure = Cost { instructions: 1000.0, system_calls: 3.0, allocations: 2.0 };
        assert!(fits(Cost { instructions: 1029.0, ..figure }, figure));
        assert!(!fits(Cost { instructions: 1031.0, ..figure }, figure));
        assert!(!fits(Cost { instructions: 969.0, ..figure }, figure));
        assert!(!fits(Cost { system_calls: 4.0, ..figure }, figure));
        assert!(!fits(Cost { allocations: 1.0, ..figure }, figure));
    }

    #[test]
    fn figures_are_read_as_they_are_written() {
        let cost = Cost { instructions: 4321.0, system_calls: 3.0, allocations: 0.25 };
        let text = render(&[("small", cost)]);
        assert_eq!(parse(&text).unwrap()["small"], cost);
        assert!(parse("small\t1\n").is_err());
    }
}
