//! `cargo xtask bench`: ancm beside Kestrel, nginx and HAProxy, with the same application.
//!
//! The figure to trust is the processor time per request of all server-side processes: the load
//! generator shares the machine and flattens every ratio of requests per second.
//!
//! * `scenario`, `contender`: what is asked, and of whom. `tools`: what has to be installed.
//! * `server`: the processes of a contender. `wrk`: the load. `processes`: what `/proc` says.
//! * `campaign`: the rounds. `latency`: at a rate that all can serve. `syscalls`: counted apart.
//! * `idle`, `start`: memory of silent connections, time to the first answer. `websocket`: messages.
//! * `recycle`: what clients notice when the application is replaced.
//! * `report`, `table`, `chart`: what is printed and drawn.
//!
//! These are benchmarks and not tests: nothing fails because it is slow. Answers that are wrong
//! do fail, and so do requests that a recycle of ancm loses. Nothing but loopback is ever spoken to.

mod campaign;
mod chart;
mod contender;
mod idle;
mod latency;
mod processes;
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

use std::{
    fs,
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{
    campaign::Plan,
    contender::{Contender, Stage},
    report::{ContenderResult, Header, Report, ScenarioReport},
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
    /// Three scenarios, five contenders, short rounds; less than a minute
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

    let header = header(arguments, &build, plan, &contenders)?;
    println!("\n{}", header.to_text());
    let mut report =
        Report { header, scenarios: Vec::new(), others: Vec::new(), recycles: Vec::new() };
    for scenario in &scenarios {
        let result = measure(scenario, &contenders, &servers, plan, &stage)?;
        println!("{}", result.to_text());
        report.scenarios.push(result);
        // A run takes long, and what is measured stays measured.
        save(arguments, &report)?;
    }
    if arguments.wants("idle") {
        let text = idle::measure(&contenders, &servers, progress)?;
        keep(arguments, &mut report, text)?;
    }
    let dotnet = contenders.iter().take_while(|contender| !contender.is_node()).count();
    let (contenders, servers_of_dotnet) = (&contenders[..dotnet], &mut servers[..dotnet]);
    if arguments.wants("websocket") {
        let text = websocket::measure(contenders, servers_of_dotnet, progress)?;
        keep(arguments, &mut report, text)?;
    }
    if arguments.wants("recycle") {
        let (servers, times) = (servers_of_dotnet, arguments.recycles);
        report.recycles = recycle::measure(contenders, servers, &stage, times, progress)?;
        progress("");
        println!("{}", recycle::to_text(&report.recycles));
    }
    drop(servers);
    if arguments.wants("start") {
        let text = start::measure(&stage, contenders, progress)?;
        keep(arguments, &mut report, text)?;
    }
    if !report.scenarios.is_empty() {
        println!("{}", report.summary());
    }
    save(arguments, &report)?;
    let mut results = report.scenarios.iter().flat_map(|scenario| &scenario.results);
    let has_failed = results.any(|result| result.has_failed)
        || report.recycles.iter().any(recycle::Replaced::has_failed);
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints a table and keeps it for the files.
fn keep(arguments: &Arguments, report: &mut Report, text: String) -> Result<()> {
    progress("");
    println!("{text}");
    report.others.push(text);
    save(arguments, report)
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
) -> Result<ScenarioReport> {
    // Those behind Node.js answer a few of the questions only. They come last.
    let takes = contenders.iter().take_while(|contender| contender.takes(scenario.name)).count();
    let (contenders, servers) = (&contenders[..takes], &servers[..takes]);
    let rounds = campaign::run(scenario, servers, plan, &stage.templates, |what| {
        progress(&format!("  {}: {what}", scenario.name));
    })
    .with_context(|| format!("scenario {}", scenario.name))?;
    let mut results: Vec<ContenderResult> = contenders
        .iter()
        .zip(rounds)
        .map(|(each, rounds)| ContenderResult::new(each.name, rounds))
        .collect();
    add_counts(scenario, servers, stage, &mut results)?;
    add_latencies(scenario, servers, plan, &mut results)?;
    progress("");
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

/// The one line of a terminal that is written again and again.
fn progress(what: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        write!(stderr, "\r{what:<60}").and_then(|()| stderr.flush()).ok();
    }
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
    results: &mut [ContenderResult],
) -> Result<()> {
    let rates = results.iter().map(|result| result.median.requests_per_second);
    let slowest = rates.reduce(f64::min).unwrap_or_default();
    let is_possible = scenario.beside.is_none() && latency::can_make(&scenario.load);
    if !is_possible || slowest < 2.0 {
        return Ok(());
    }
    for (server, result) in servers.iter().zip(results).filter(|(_, each)| !each.has_failed) {
        let latency = latency::run(server.address, &scenario.load, slowest / 2.0, plan.seconds);
        result.latency =
            Some(latency.with_context(|| format!("{} at half rate", result.contender))?);
    }
    Ok(())
}

fn header(
    arguments: &Arguments,
    build: &Build,
    plan: Plan,
    contenders: &[Contender],
) -> Result<Header> {
    let mut command = "cargo xtask bench".to_owned();
    if arguments.quick {
        command += " --quick";
    }
    if let Some(rounds) = arguments.rounds {
        command += &format!(" --rounds {rounds}");
    }
    for name in &arguments.only {
        command += &format!(" --only {name}");
    }
    if arguments.wants("recycle") {
        command += &format!(" --recycles {}", arguments.recycles);
    }
    let mut programs: Vec<&str> = contenders.iter().filter_map(Contender::program).collect();
    programs.dedup();
    programs.push("wrk");
    let mut versions = vec![format!("ASP.NET Core {}", build.toolchain.framework_version)];
    versions.extend(programs.into_iter().filter_map(tools::version));
    let load_average = fs::read_to_string("/proc/loadavg")?;
    let load_average = load_average.split(' ').next().unwrap_or_default();
    Ok(Header {
        command,
        versions,
        kernel: sysctl("kernel/osrelease")?,
        congestion_control: sysctl("net/ipv4/tcp_congestion_control")?,
        cores: std::thread::available_parallelism()?.get(),
        load_average: load_average.parse().context("cannot read /proc/loadavg")?,
        plan,
        contenders: contenders.iter().map(|each| (each.name, each.about)).collect(),
    })
}

fn sysctl(name: &str) -> Result<String> {
    let path = PathBuf::from("/proc/sys").join(name);
    let text = fs::read_to_string(&path);
    Ok(text.with_context(|| format!("cannot read {}", path.display()))?.trim().to_owned())
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
