//! What a campaign found: medians, spreads and ratios, as tables and as JSON.

use serde::Serialize;

use super::{
    campaign::{Plan, Round},
    contender::{KESTRELS, NGINX},
    latency::Latency,
    recycle::Replaced,
    table::aligned,
};

/// A whole campaign.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) header: Header,
    pub(super) scenarios: Vec<ScenarioReport>,
    /// Start and idle connections, as they were printed.
    pub(super) others: Vec<String>,
    /// What clients noticed of replacements of the application.
    pub(super) recycles: Vec<Replaced>,
}

/// On what and how it was measured.
#[derive(Serialize)]
pub(super) struct Header {
    /// The command that repeats it.
    pub(super) command: String,
    pub(super) versions: Vec<String>,
    pub(super) kernel: String,
    /// How the kernel paces TCP, on loopback too.
    pub(super) congestion_control: String,
    pub(super) cores: usize,
    /// The machine's load average before the first round.
    pub(super) load_average: f64,
    pub(super) plan: Plan,
    /// Names and what they stand for.
    pub(super) contenders: Vec<(&'static str, &'static str)>,
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
    /// A line per scenario and a column per contender, for what matters most.
    pub(super) fn summary(&self) -> String {
        let cpu = self.matrix(|median| format!("{:.1}", median.cpu_us_per_request));
        let rate = self.matrix(|median| format!("{:.0}", median.requests_per_second));
        format!("CPU µs per request\n\n{cpu}\nrequests per second\n\n{rate}")
    }

    fn matrix(&self, cell: fn(&Round) -> String) -> String {
        let names = self.header.contenders.iter().map(|(name, _)| (*name).to_owned());
        let row = |first: &str, cells: Vec<String>| [vec![first.to_owned()], cells].concat();
        let mut rows = vec![row("", names.collect())];
        for scenario in &self.scenarios {
            let cells = self.header.contenders.iter().map(|(name, _)| {
                // Not every contender serves every scenario.
                let result = scenario.results.iter().find(|result| result.contender == *name);
                let Some(result) = result else { return String::new() };
                // An asterisk says that the table above has a remark.
                let mark = if result.has_failed { "*" } else { "" };
                cell(&result.median) + mark
            });
            rows.push(row(scenario.name, cells.collect()));
        }
        aligned(&rows)
    }
}

impl Header {
    pub(super) fn to_text(&self) -> String {
        let Plan { rounds, seconds, warm_up_seconds, .. } = self.plan;
        let mut text = format!(
            "command   {}\nversions  {}\nmachine   Linux {}, {}, {} cores, load average {:.1}\n\
             rounds    {rounds} of {seconds} s after {warm_up_seconds} s of warm-up, alternating\n",
            self.command,
            self.versions.join("; "),
            self.kernel,
            self.congestion_control,
            self.cores,
            self.load_average,
        );
        for (name, about) in &self.contenders {
            text += &format!("  {name:<16}{about}\n");
        }
        text
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
                "p50 ms",
                "p99 ms",
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
                optional(result.latency, |latency| format!("{:.2}", latency.p50_us / 1000.0)),
                optional(result.latency, |latency| format!("{:.2}", latency.p99_us / 1000.0)),
                optional(result.syscalls_per_request, |count| format!("{count:.2}")),
                format!("{:.2}", median.context_switches_per_request),
                format!("{:.0}", median.resident_mib),
                result.remark(),
            ]);
        }
        let rate = self.results.iter().filter_map(|result| result.latency).map(|it| it.rate).next();
        let rate = optional(rate, |rate| format!("; latencies at {rate:.0} requests/s"));
        let rate = if rate == "-" { "" } else { &rate };
        format!("{}: {}\n  {}{rate}\n\n{}", self.name, self.about, self.command, aligned(&rows))
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

fn spread(values: &[f64]) -> f64 {
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
