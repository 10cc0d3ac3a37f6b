//! What a campaign found: medians, spreads and ratios, as tables and as JSON.

use serde::Serialize;

use super::{
    campaign::Round,
    contender::{KESTRELS, NGINX},
    header::Header,
    idle::Idle,
    latency::Latency,
    recycle::Replaced,
    start::Starts,
    table::aligned,
    websocket::Messages,
};

/// A whole campaign.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) header: Header,
    pub(super) scenarios: Vec<ScenarioReport>,
    /// What silent connections took.
    pub(super) idle: Vec<Idle>,
    /// What messages over WebSockets took.
    pub(super) websocket: Vec<Messages>,
    /// How long starts took.
    pub(super) start: Vec<Starts>,
    /// What clients noticed of replacements of the application.
    pub(super) recycle: Vec<Replaced>,
}

/// One table.
#[derive(Serialize)]
pub(super) struct ScenarioReport {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The load generator's command line, without the address.
    pub(super) command: String,
    pub(super) results: Vec<ContenderResult>,
}

/// One line of a table.
#[derive(Serialize)]
pub(super) struct ContenderResult {
    pub(super) contender: &'static str,
    pub(super) median: Round,
    /// Half of the distance between the extremes, as a part of the median.
    pub(super) requests_spread: f64,
    pub(super) cpu_spread: f64,
    pub(super) disturbed_rounds: usize,
    pub(super) has_failed: bool,
    /// At half of what the slowest reaches, where the load generator can.
    pub(super) latency: Option<Latency>,
    /// Where perf may count them.
    pub(super) syscalls_per_request: Option<f64>,
    pub(super) rounds: Vec<Round>,
}

impl ContenderResult {
    pub(super) fn new(contender: &'static str, rounds: Vec<Round>) -> Self {
        let of = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
        let requests = of(|round| round.requests_per_second);
        let cpu = of(|round| round.cpu_us_per_request);
        let errors = rounds.iter().map(|round| round.errors).sum();
        ContenderResult {
            contender,
            median: Round {
                requests_per_second: median(&requests),
                cpu_us_per_request: median(&cpu),
                p50_us: median(&of(|round| round.p50_us)),
                p99_us: median(&of(|round| round.p99_us)),
                context_switches_per_request: median(&of(|r| r.context_switches_per_request)),
                resident_mib: median(&of(|round| round.resident_mib)),
                foreign_cores: median(&of(|round| round.foreign_cores)),
                errors,
            },
            requests_spread: spread(&requests),
            cpu_spread: spread(&cpu),
            disturbed_rounds: rounds.iter().filter(|round| round.is_disturbed()).count(),
            has_failed: errors > 0,
            latency: None,
            syscalls_per_request: None,
            rounds,
        }
    }
}

impl Report {
    /// Without what is measured beside the scenarios.
    pub(super) fn new(header: Header, scenarios: Vec<ScenarioReport>) -> Self {
        let (idle, websocket, start, recycle) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Report { header, scenarios, idle, websocket, start, recycle }
    }

    /// A line per scenario and a column per contender, for what matters most.
    pub(super) fn summary(&self) -> String {
        let latency = |result: &ContenderResult, of: fn(&Latency) -> f64| {
            optional(result.latency.as_ref(), |latency| format!("{:.2}", of(latency) / 1000.0))
        };
        let calls = |result: &ContenderResult| {
            optional(result.syscalls_per_request, |count| format!("{count:.2}"))
        };
        let parts = [
            (
                "CPU µs per request",
                self.matrix(|it| format!("{:.1}", it.median.cpu_us_per_request)),
            ),
            (
                "requests per second",
                self.matrix(|it| format!("{:.0}", it.median.requests_per_second)),
            ),
            ("median in ms at half rate", self.matrix(|it| latency(it, |latency| latency.p50_us))),
            (
                "99th percentile in ms at half rate",
                self.matrix(|it| latency(it, |latency| latency.p99_us)),
            ),
            ("system calls per request", self.matrix(calls)),
            ("resident MiB", self.matrix(|it| format!("{:.0}", it.median.resident_mib))),
        ];
        parts.map(|(title, table)| format!("{title}\n\n{table}")).join("\n")
    }

    fn matrix(&self, cell: impl Fn(&ContenderResult) -> String) -> String {
        let names = self.header.contenders.iter().map(|it| it.name.to_owned());
        let row = |first: &str, cells: Vec<String>| [vec![first.to_owned()], cells].concat();
        let mut rows = vec![row("", names.collect())];
        for scenario in &self.scenarios {
            let cells = self.header.contenders.iter().map(|contender| {
                // Not every contender serves every scenario.
                let mut results = scenario.results.iter();
                let result = results.find(|result| result.contender == contender.name);
                let Some(result) = result else { return String::new() };
                // An asterisk says that the table above has a remark.
                let mark = if result.has_failed { "*" } else { "" };
                cell(result) + mark
            });
            rows.push(row(scenario.name, cells.collect()));
        }
        aligned(&rows)
    }
}

impl ScenarioReport {
    /// The table as Markdown, which a terminal shows well enough.
    pub(super) fn to_text(&self) -> String {
        let mut rows = vec![
            [
                "",
                "req/s",
                "±%",
                "CPU µs/req",
                "±%",
                "CPU vs Kestrel",
                "req/s vs Kestrel",
                "CPU vs nginx",
                "req/s vs nginx",
                "calls/req",
                "switches/req",
                "MiB",
                "",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        // A Kestrel for each column: the best in that respect.
        let kestrels = || self.results.iter().filter(|r| KESTRELS.contains(&r.contender));
        let kestrel_cpu = kestrels().map(|r| r.median.cpu_us_per_request).reduce(f64::min);
        let kestrel_rate = kestrels().map(|r| r.median.requests_per_second).reduce(f64::max);
        let nginx = self.results.iter().find(|result| result.contender == NGINX);
        for result in &self.results {
            let median = &result.median;
            rows.push(vec![
                result.contender.to_owned(),
                format!("{:.0}", median.requests_per_second),
                format!("{:.0}", result.requests_spread * 100.0),
                format!("{:.1}", median.cpu_us_per_request),
                format!("{:.0}", result.cpu_spread * 100.0),
                ratio(median.cpu_us_per_request, kestrel_cpu),
                ratio(median.requests_per_second, kestrel_rate),
                ratio(median.cpu_us_per_request, nginx.map(|n| n.median.cpu_us_per_request)),
                ratio(median.requests_per_second, nginx.map(|n| n.median.requests_per_second)),
                optional(result.syscalls_per_request, |count| format!("{count:.2}")),
                format!("{:.2}", median.context_switches_per_request),
                format!("{:.0}", median.resident_mib),
                result.remark(),
            ]);
        }
        let latencies = self.latencies().unwrap_or_default();
        let (name, about, command) = (self.name, self.about, &self.command);
        format!("{name}: {about}\n  {command}\n\n{}{latencies}", aligned(&rows))
    }

    /// A table of them, if there are any.
    fn latencies(&self) -> Option<String> {
        let found = self.results.iter().filter_map(|it| Some((it.contender, it.latency.as_ref()?)));
        let found: Vec<(&str, &Latency)> = found.collect();
        let rate = found.first()?.1.rate;
        let least = |of: fn(&Latency) -> f64| {
            let kestrels = found.iter().filter(|(name, _)| KESTRELS.contains(name));
            kestrels.map(|(_, latency)| of(latency)).reduce(f64::min)
        };
        let nginx = |of: fn(&Latency) -> f64| {
            found.iter().find(|(name, _)| *name == NGINX).map(|(_, latency)| of(latency))
        };
        let (p50, p99) = (|it: &Latency| it.p50_us, |it: &Latency| it.p99_us);
        let heads = ["", "p50 ms", "±%", "vs Kestrel", "vs nginx"].into_iter();
        let heads = heads.chain(["p99 ms", "±%", "vs Kestrel", "vs nginx", "longest ms", ""]);
        let mut rows = vec![heads.map(str::to_owned).collect::<Vec<_>>()];
        for (name, latency) in &found {
            let mut row = vec![(*name).to_owned()];
            for (of, spread) in
                [(p50 as fn(&Latency) -> f64, latency.p50_spread), (p99, latency.p99_spread)]
            {
                row.push(format!("{:.2}", of(latency) / 1000.0));
                row.push(format!("{:.0}", spread * 100.0));
                row.push(ratio(of(latency), least(of)));
                row.push(ratio(of(latency), nginx(of)));
            }
            row.push(format!("{:.1}", latency.longest_us() / 1000.0));
            row.push(latency.remark());
            rows.push(row);
        }
        Some(format!("\nat {rate:.0} requests/s:\n\n{}", aligned(&rows)))
    }
}

impl ContenderResult {
    fn remark(&self) -> String {
        let mut remarks = Vec::new();
        if self.has_failed {
            remarks.push(format!("FAILED: {} errors", self.median.errors));
        }
        if self.disturbed_rounds > 0 {
            let (disturbed, all) = (self.disturbed_rounds, self.rounds.len());
            let foreign = self.median.foreign_cores;
            remarks.push(format!("disturbed {disturbed}/{all}, {foreign:.2} cores"));
        }
        remarks.join("; ")
    }
}

fn optional<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

fn ratio(value: f64, base: Option<f64>) -> String {
    match base {
        Some(base) if base > 0.0 => format!("{:.2}", value / base),
        _ => "-".to_owned(),
    }
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

pub(super) fn spread(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(0.0, f64::max);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    match median(values) {
        middle if middle > 0.0 => (most - least) / 2.0 / middle,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(rate: f64, cpu: f64) -> Round {
        Round { requests_per_second: rate, cpu_us_per_request: cpu, ..Round::default() }
    }

    fn report(results: Vec<ContenderResult>) -> String {
        let command = "wrk".to_owned();
        ScenarioReport { name: "plaintext", about: "about", command, results }.to_text()
    }

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(spread(&[90.0, 100.0, 110.0]), 0.1);
        assert_eq!(spread(&[]), 0.0);
    }

    #[test]
    fn ratios_are_to_the_best_kestrel_in_each_respect() {
        let text = report(vec![
            ContenderResult::new("ancm-in", vec![round(300.0, 10.0)]),
            ContenderResult::new("kestrel", vec![round(150.0, 25.0)]),
            ContenderResult::new("kestrel-tuned", vec![round(100.0, 20.0)]),
        ]);
        let line = text.lines().find(|line| line.starts_with("| ancm-in")).unwrap();
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(cells[6..10], ["0.50", "2.00", "-", "-"]);
    }

    #[test]
    fn errors_and_disturbances_are_remarked() {
        let bad = Round { errors: 2, foreign_cores: 0.5, ..round(1.0, 1.0) };
        let text = report(vec![ContenderResult::new("kestrel", vec![bad.clone(), bad])]);
        assert!(text.contains("FAILED: 4 errors; disturbed 2/2, 0.50 cores"), "{text}");
    }
}
