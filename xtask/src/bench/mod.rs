//! `cargo xtask bench`: ancm beside Kestrel, nginx and HAProxy, with the same application.
//!
//! The figure to trust is the processor time per request of all server-side processes: the load
//! generator shares the machine and flattens every ratio of requests per second.
//!
//! * `scenario`, `contender`: what is asked, and of whom. `tools`: what has to be installed.
//! * `server`: the processes of a contender. `wrk`: the load. `processes`: what `/proc` says.
//! * `campaign`: the rounds. `latency`, `answer`: at a rate that all can serve. `syscalls`: counted
//!   apart. `progress`: how long it takes.
//! * `idle`, `start`: memory of silent connections, time to the first answer. `websocket`: messages.
//! * `recycle`: what clients notice when the application is replaced.
//! * `header`, `report`, `table`, `chart`: what is printed and drawn.
//!
//! These are benchmarks and not tests: nothing fails because it is slow. Answers that are wrong
//! do fail, and so do requests that a recycle of ancm loses. Nothing but loopback is ever spoken to.

mod answer;
mod campaign;
mod chart;
mod contender;
mod header;
mod idle;
mod latency;
mod processes;
mod progress;
mod recycle;
mod report;
mod scenario;
mod server;
mod start;
mod syscalls;
mod table;
pub(crate) mod tools;
mod websocket;
mod wrk;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{
    campaign::Plan,
    contender::{Contender, Stage},
    header::header,
    latency::Latency,
    progress::Progress,
    report::{ContenderResult, Report, ScenarioReport},
    scenario::Scenario,
    server::Server,
};
use crate::{
    build::Build,
    step::step,
    workspace::{Profile, Workspace},
};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Three scenarios, five contenders, short rounds; about a minute
    #[arg(long)]
    quick: bool,
    /// Only this scenario or contender; may repeat
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds per scenario and contender
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// How often `recycle` replaces the application of each contender
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    recycles: u32,
    /// Where to write all rounds
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to draw the summary
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What is measured beside the scenarios.
const OTHERS: [&str; 4] = ["idle", "recycle", "start", "websocket"];

impl Arguments {
    /// Whether one of [`OTHERS`] is to be measured: always in a full run, else when it is named.
    fn wants(&self, other: &str) -> bool {
        let names = &self.only;
        let narrows = names.iter().any(|name| {
            OTHERS.contains(&&**name) || scenario::all().iter().any(|each| each.name == *name)
        });
        if narrows { names.iter().any(|name| name == other) } else { !self.quick }
    }
}

const FULL: Plan = Plan { rounds: 3, seconds: 2, warm_up_seconds: 1, repeats: 8 };
const QUICK: Plan = Plan { rounds: 2, seconds: 1, warm_up_seconds: 1, repeats: 0 };

/// Builds, starts everyone, measures, prints.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let (scenarios, contenders) = select(arguments)?;
    let plan = if arguments.quick { QUICK } else { FULL };
    let plan = Plan { rounds: arguments.rounds.unwrap_or(plan.rounds), ..plan };
    tools::ensure(&contenders)?;
    let build = Build::run(workspace, Profile::Release)?;
    idle::raise_limit();
    let stage = Stage::new(workspace, &build)?;
    let mut servers = contenders
        .iter()
        .map(|contender| step(contender.name, || stage.start(contender)))
        .collect::<Result<Vec<_>>>()?;

    let header = header(workspace, arguments, &build, plan, contenders.iter().zip(&servers))?;
    let mut report = Report::new(header, Vec::new());
    println!("\n{}", report.header.to_text());
    let dotnet = contenders.iter().take_while(|contender| !contender.is_node()).count();
    let progress = Progress::new(estimate(arguments, plan, &scenarios, &contenders, dotnet));
    println!("takes     {}\n", progress.estimate());
    let tell = |what: &str| progress.tell(what);
    for scenario in &scenarios {
        let result = measure(scenario, &contenders, &servers, plan, &stage, &progress)?;
        println!("{}", result.to_text());
        report.scenarios.push(result);
        // A run takes long, and what is measured stays measured.
        save(arguments, &report)?;
    }
    if arguments.wants("idle") {
        report.idle = idle::measure(&contenders, &servers, tell);
        progress.show(&idle::to_text(&report.idle));
        save(arguments, &report)?;
    }
    let (contenders, servers_of_dotnet) = (&contenders[..dotnet], &mut servers[..dotnet]);
    if arguments.wants("websocket") {
        report.websocket = websocket::measure(contenders, servers_of_dotnet, tell)?;
        progress.show(&websocket::to_text(&report.websocket));
        save(arguments, &report)?;
    }
    if arguments.wants("recycle") {
        let (servers, times) = (servers_of_dotnet, arguments.recycles);
        report.recycle = recycle::measure(contenders, servers, &stage, times, tell)?;
        progress.show(&recycle::to_text(&report.recycle));
        save(arguments, &report)?;
    }
    drop(servers);
    if arguments.wants("start") {
        report.start = start::measure(&stage, contenders, tell)?;
        progress.show(&start::to_text(&report.start));
    }
    if !report.scenarios.is_empty() {
        println!("{}", report.summary());
    }
    save(arguments, &report)?;
    let mut results = report.scenarios.iter().flat_map(|scenario| &scenario.results);
    let has_failed = results.any(|result| result.has_failed)
        || report.recycle.iter().any(recycle::Replaced::has_failed);
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Seconds that all of it takes; of the contenders so many host the application for .NET.
fn estimate(
    arguments: &Arguments,
    plan: Plan,
    scenarios: &[Scenario],
    contenders: &[Contender],
    dotnet: usize,
) -> f64 {
    let once = |scenario: &Scenario| {
        let takes = contenders.iter().filter(|contender| contender.takes(scenario.name)).count();
        takes as f64 * plan.seconds_per_contender()
    };
    let scenarios: f64 = scenarios.iter().map(once).sum();
    // As measured on two cores.
    let others = [
        ("idle", contenders.len() as f64 * 6.0),
        ("websocket", dotnet as f64 * 7.0),
        ("recycle", dotnet as f64 * (f64::from(arguments.recycles) * 2.0 + 2.0)),
        ("start", dotnet as f64 * 5.0),
    ];
    let others = others.into_iter().filter(|(name, _)| arguments.wants(name));
    scenarios + others.map(|(_, seconds)| seconds).sum::<f64>()
}

/// Writes the files that were asked for.
fn save(arguments: &Arguments, report: &Report) -> Result<()> {
    let write = |path: &PathBuf, bytes: Vec<u8>| {
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(path) = &arguments.json {
        write(path, serde_json::to_vec_pretty(report)?)?;
    }
    if let Some(path) = &arguments.svg {
        write(path, chart::svg(report).into_bytes())?;
    }
    Ok(())
}

/// What `--quick` and `--only` leave. Names narrow scenarios, contenders or both.
fn select(arguments: &Arguments) -> Result<(Vec<Scenario>, Vec<Contender>)> {
    let (mut scenarios, mut contenders) = (scenario::all(), contender::all());
    let is_named = |name: &str| arguments.only.iter().any(|only| only == name);
    for name in &arguments.only {
        let known = scenarios.iter().map(|each| each.name).chain(OTHERS);
        let mut known = known.chain(contenders.iter().map(|each| each.name));
        if !known.any(|known| known == name) {
            let scenarios: Vec<_> = scenarios.iter().map(|each| each.name).collect();
            let contenders: Vec<_> = contenders.iter().map(|each| each.name).collect();
            bail!(
                "nothing is named {name}; scenarios: {}, {}; contenders: {}",
                scenarios.join(", "),
                OTHERS.join(", "),
                contenders.join(", ")
            );
        }
    }
    let names_scenario = scenarios.iter().map(|each| each.name).chain(OTHERS).any(is_named);
    let names_contender = contenders.iter().any(|each| is_named(each.name));
    scenarios
        .retain(|s| if names_scenario { is_named(s.name) } else { s.quick || !arguments.quick });
    contenders
        .retain(|c| if names_contender { is_named(c.name) } else { c.quick || !arguments.quick });
    Ok((scenarios, contenders))
}

fn measure(
    scenario: &Scenario,
    contenders: &[Contender],
    servers: &[Server],
    plan: Plan,
    stage: &Stage<'_>,
    progress: &Progress,
) -> Result<ScenarioReport> {
    // Those behind Node.js answer a few of the questions only. They come last.
    let takes = contenders.iter().take_while(|contender| contender.takes(scenario.name)).count();
    let (contenders, servers) = (&contenders[..takes], &servers[..takes]);
    let rounds = campaign::run(scenario, servers, plan, &stage.templates, |what| {
        progress.tell(&format!("  {}: {what}", scenario.name));
    })
    .with_context(|| format!("scenario {}", scenario.name))?;
    let mut results: Vec<ContenderResult> = contenders
        .iter()
        .zip(rounds)
        .map(|(each, rounds)| ContenderResult::new(each.name, rounds))
        .collect();
    add_counts(scenario, servers, stage, &mut results)?;
    add_latencies(scenario, servers, plan, stage, &mut results, progress)?;
    progress.clear();
    let address = "127.0.0.1:0".parse().context("a constant address")?;
    let command = wrk::command(address, &scenario.load, plan.seconds, "bench".as_ref());
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    Ok(ScenarioReport {
        name: scenario.name,
        about: scenario.about,
        command: format!("wrk {}", words.join(" ")).replace("127.0.0.1:0", "$ADDRESS"),
        results,
    })
}

fn add_counts(
    scenario: &Scenario,
    servers: &[Server],
    stage: &Stage<'_>,
    results: &mut [ContenderResult],
) -> Result<()> {
    if scenario.beside.is_some() || !syscalls::can_count() {
        return Ok(());
    }
    for (server, result) in servers.iter().zip(results) {
        result.syscalls_per_request =
            syscalls::per_request(server, &scenario.load, 1, &stage.templates)?;
    }
    Ok(())
}

/// At half of what the slowest reaches; those that failed are not asked again.
fn add_latencies(
    scenario: &Scenario,
    servers: &[Server],
    plan: Plan,
    stage: &Stage<'_>,
    results: &mut [ContenderResult],
    progress: &Progress,
) -> Result<()> {
    let good = results.iter().filter(|result| !result.has_failed);
    let rates = good.map(|result| result.median.requests_per_second);
    let slowest = rates.reduce(f64::min).unwrap_or_default();
    if !latency::can_make(&scenario.load) || slowest < 2.0 {
        return Ok(());
    }
    let (load, rate) = (scenario.load, slowest / 2.0);
    let time = latency::length(rate, plan.seconds);
    let mut rounds = vec![Vec::new(); results.len()];
    for number in 1..=plan.rounds {
        let each = servers.iter().zip(&mut *results).zip(&mut rounds);
        for ((server, result), rounds) in each.filter(|((_, result), _)| !result.has_failed) {
            let (name, of) = (scenario.name, plan.rounds);
            progress.tell(&format!("  {name}: round {number} of {of} at half rate"));
            let start = |load| campaign::start_beside(server, load, plan.seconds, &stage.templates);
            let beside = scenario.beside.as_ref().map(start).transpose()?;
            match latency::run(server.address, &load, rate, time) {
                Ok(percentiles) => rounds.push(percentiles),
                Err(error) => {
                    progress.show(&format!("{name}: {} at half rate: {error:#}", result.contender));
                    result.has_failed = true;
                }
            }
            beside.map(wrk::finish).transpose()?;
        }
    }
    for (result, rounds) in results.iter_mut().zip(rounds).filter(|(_, rounds)| !rounds.is_empty())
    {
        result.latency = Some(Latency::new(rate, rounds));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(quick: bool, only: &[&str]) -> Result<(Vec<&'static str>, usize)> {
        let only = only.iter().map(|&name| name.to_owned()).collect();
        let (scenarios, contenders) =
            select(&Arguments { quick, only, rounds: None, recycles: 1, json: None, svg: None })?;
        Ok((scenarios.iter().map(|each| each.name).collect(), contenders.len()))
    }

    #[test]
    fn names_narrow_what_they_name() {
        assert_eq!(names(true, &[]).unwrap(), (vec!["plaintext", "json", "echo"], 5));
        assert_eq!(names(true, &["churn"]).unwrap(), (vec!["churn"], 5));
        assert_eq!(names(false, &["json", "kestrel", "ancm-in"]).unwrap(), (vec!["json"], 2));
        assert_eq!(names(false, &["idle", "kestrel"]).unwrap(), (vec![], 1));
        assert!(names(false, &["jason"]).unwrap_err().to_string().contains("json"));
    }
}
