//! The load: one run of wrk against a loopback address, and what it printed.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::scenario::{Load, Script};

/// More than any answer should take, so that a slow server shows in the latency and not as errors.
const TIMEOUT: &str = "15s";

/// What one run of wrk says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Answered requests.
    pub(super) requests: u64,
    /// Answered requests per second.
    pub(super) per_second: f64,
    /// The median latency in microseconds.
    pub(super) p50_us: f64,
    /// The 99th percentile of the latency in microseconds.
    pub(super) p99_us: f64,
    /// Answers that were neither 2xx nor 3xx.
    pub(super) refused: u64,
    /// Failed connects, reads and writes, and requests without an answer in time.
    pub(super) socket_errors: u64,
}

impl Outcome {
    /// Everything that should not have happened.
    pub(super) fn errors(&self) -> u64 {
        self.refused + self.socket_errors
    }
}

/// Starts wrk; it ends by itself after `seconds`.
pub(super) fn start(
    address: SocketAddr,
    load: &Load,
    seconds: u32,
    scripts: &Path,
) -> Result<Child> {
    ensure!(address.ip().is_loopback(), "{address} is not a loopback address");
    command(address, load, seconds, scripts)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start wrk")
}

/// Waits for a wrk that was started, and reads what it printed.
pub(super) fn finish(child: Child) -> Result<Outcome> {
    let output = child.wait_with_output().context("cannot wait for wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "wrk ended with {}: {text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    parse(&text).with_context(|| format!("cannot read what wrk printed:\n{text}"))
}

/// The command line, which the report shows as well.
pub(super) fn command(address: SocketAddr, load: &Load, seconds: u32, scripts: &Path) -> Command {
    let mut command = Command::new("wrk");
    command.args(["--latency", "--timeout", TIMEOUT]);
    command.arg(format!("-t{}", load.connections.min(2)));
    command.arg(format!("-c{}", load.connections)).arg(format!("-d{seconds}s"));
    if load.close {
        command.args(["-H", "Connection: close"]);
    }
    let script = load.script.map(|script| match script {
        Script::Post { bytes } => ("post.lua", bytes),
        Script::Pipeline { depth } => ("pipeline.lua", depth),
    });
    if let Some((file, _)) = script {
        command.arg("-s").arg(scripts.join(file));
    }
    command.arg(format!("http://{address}{}", load.path));
    if let Some((_, argument)) = script {
        command.arg("--").arg(argument.to_string());
    }
    command
}

fn parse(text: &str) -> Option<Outcome> {
    let mut outcome = Outcome::default();
    let mut has_rate = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["50%", value] => outcome.p50_us = microseconds(value)?,
            ["99%", value] => outcome.p99_us = microseconds(value)?,
            [count, "requests", "in", ..] => outcome.requests = count.parse().ok()?,
            ["Requests/sec:", value] => {
                outcome.per_second = value.parse().ok()?;
                has_rate = true;
            }
            ["Non-2xx", .., count] => outcome.refused = count.parse().ok()?,
            ["Socket", "errors:", ref counts @ ..] => {
                let numbers =
                    counts.iter().filter_map(|word| word.trim_end_matches(',').parse::<u64>().ok());
                outcome.socket_errors = numbers.sum();
            }
            _ => {}
        }
    }
    has_rate.then_some(outcome)
}

/// `1.23ms`, `456.00us`, `2.00s`, `1.10m`.
fn microseconds(text: &str) -> Option<f64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
Running 3s test @ http://127.0.0.1:5000/plaintext
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.03ms    1.11ms  23.95ms   95.21%
    Req/Sec    35.66k     3.04k   41.25k    73.33%
  Latency Distribution
     50%  810.00us
     75%    1.10ms
     90%    1.58ms
     99%    5.33ms
  213204 requests in 3.01s, 27.86MB read
Requests/sec:  70858.37
Transfer/sec:      9.26MB
";

    #[test]
    fn a_run_without_errors_is_read() {
        let expected = Outcome {
            requests: 213_204,
            per_second: 70_858.37,
            p50_us: 810.0,
            p99_us: 5330.0,
            ..Outcome::default()
        };
        assert_eq!(parse(GOOD), Some(expected));
    }

    #[test]
    fn refusals_and_socket_errors_are_counted() {
        let text = format!(
            "{GOOD}  Socket errors: connect 1, read 2, write 3, timeout 4\n  \
             Non-2xx or 3xx responses: 20\n"
        );
        assert_eq!(parse(&text).unwrap().errors(), 30);
    }

    #[test]
    fn text_without_a_rate_is_no_outcome() {
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
    }

    #[test]
    fn latencies_have_units() {
        for (text, expected) in
            [("12.00us", Some(12.0)), ("1.50ms", Some(1500.0)), ("2.00s", Some(2e6)), ("7", None)]
        {
            assert_eq!(microseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn an_address_that_is_not_loopback_is_refused() {
        let address = "192.0.2.1:80".parse().unwrap();
        assert!(start(address, &Load::get("/", 1), 1, Path::new(".")).is_err());
    }
}
