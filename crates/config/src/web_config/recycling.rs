//! The handler settings of [`Recycling`].

use std::time::Duration;

use crate::{HealthCheck, Page, Recycling};

use super::read::excerpt;
use super::written::Pair;
use super::{Report, number};

const YEAR_SECONDS: u64 = 365 * 86_400;
const DAY_SECONDS: u64 = 86_400;
/// More times of day than this are a mistake.
const MOST_TIMES: usize = 96;

/// Reads them; of equal names the first counts.
pub(super) fn read(settings: &[Pair], report: &mut Report<'_>) -> Recycling {
    let mut settings = Settings { settings, report };
    let time_span = "d.hh:mm:ss or hh:mm:ss, at most a year; 00:00:00 is off";
    let span = |text: &str| number::time_span(text, YEAR_SECONDS);
    let count = |text: &str| number::uint(text, 0, u64::MAX / 1024);
    let is_on = |span: &Duration| !span.is_zero();
    Recycling {
        health_check: health_check(&mut settings),
        idle_timeout: settings.read("idleTimeout", time_span, span).filter(is_on),
        overlap_memory_reserve: settings
            .read("overlapMemoryReserve", "kilobytes", count)
            .map_or(0, |kilobytes| kilobytes * 1024),
        private_memory: settings
            .read("periodicRestartPrivateMemory", "kilobytes; 0 is off", count)
            .filter(|kilobytes| *kilobytes > 0)
            .map(|kilobytes| kilobytes * 1024),
        requests: settings
            .read("periodicRestartRequests", "a number of requests; 0 is off", count)
            .filter(|requests| *requests > 0),
        schedule: settings
            .read("periodicRestartSchedule", "times of day such as 03:00:00, 15:30:00", times)
            .unwrap_or_default(),
        time: settings.read("periodicRestartTime", time_span, span).filter(is_on),
    }
}

fn health_check(settings: &mut Settings<'_, '_, '_>) -> Option<HealthCheck> {
    let span = |text: &str| {
        number::time_span(text, DAY_SECONDS).filter(|span| *span >= Duration::from_secs(1))
    };
    let interval = settings.read("healthCheckInterval", "hh:mm:ss, a second to a day", span);
    let failures = settings.read("healthCheckFailures", "a number from 1 to 100", |text| {
        number::uint(text, 1, 100).and_then(|number| u32::try_from(number).ok())
    });
    let host = settings.read("healthCheckHost", "a name such as example.com", |text| {
        Page::new("/", Some(text)).ok().map(|page| page.host)
    });
    let page = settings.read("healthCheckPath", "a path such as /healthz", |text| {
        Page::new(text, host.as_deref()).ok()
    });
    Some(HealthCheck {
        page: page?,
        interval: interval.unwrap_or(Duration::from_secs(10)),
        failures: failures.unwrap_or(3),
    })
}

/// Times of day between commas; none is none.
fn times(text: &str) -> Option<Vec<Duration>> {
    let written = text.split(',').map(str::trim).filter(|time| !time.is_empty());
    let time = |text| number::time_span(text, DAY_SECONDS - 1);
    let mut times: Vec<Duration> = written.map(time).collect::<Option<_>>()?;
    times.sort_unstable();
    times.dedup();
    (times.len() <= MOST_TIMES).then_some(times)
}

struct Settings<'a, 'r, 't> {
    settings: &'a [Pair],
    report: &'r mut Report<'t>,
}

impl Settings<'_, '_, '_> {
    fn read<T>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let pair = self.settings.iter().find(|pair| pair.value.0.eq_ignore_ascii_case(name))?;
        let value = pair.value.1.trim();
        let parsed = parse(value);
        if parsed.is_none() {
            let message = format!("{name} \"{}\" is not accepted", excerpt(value));
            let finding = self.report.error("handler-setting-value", pair.at, message);
            self.report.push(finding.expected(expected));
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_a_list() {
        let seconds =
            |text| times(text).map(|list| list.iter().map(Duration::as_secs).collect::<Vec<_>>());
        assert_eq!(seconds("15:30:00, 03:00:00,03:00:00,"), Some(vec![10_800, 55_800]));
        assert_eq!(seconds(""), Some(vec![]));
        for text in ["24:00:00", "3", "03:00", "03:00:00;04:00:00"] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(seconds(&"00:00:01,".repeat(1000)), Some(vec![1]));
    }
}
