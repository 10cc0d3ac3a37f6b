//! When to start again: at once after a first accident, with growing pauses when it repeats.
//!
//! There is no point at which we give up: an application that came back by itself (its database is
//! up again) must not need a person.

use std::time::Duration;

/// A generation that served this long has proven itself; what happened before is forgotten.
const STABLE: Duration = Duration::from_secs(10);
/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Counts failures and answers with pauses.
#[derive(Clone, Debug)]
pub struct Restart {
    failures: u32,
    random: Random,
}

impl Restart {
    /// A history without failures. `seed` spreads the pauses of many sites.
    pub const fn new(seed: u64) -> Self {
        Self { failures: 0, random: Random::new(seed) }
    }

    /// The pause after a start that failed.
    pub fn after_failed_start(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.pause(self.failures)
    }

    /// The pause after a generation that had `served` for some time and ended unasked: none for
    /// the first accident.
    pub fn after_end(&mut self, served: Duration) -> Duration {
        if served >= STABLE {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.pause(self.failures - 1)
    }

    /// Something has changed: the next failure is the first.
    pub const fn forget(&mut self) {
        self.failures = 0;
    }

    /// Doubled per failure up to the longest, then up to a quarter shorter by chance, so that
    /// sites which failed together do not start together.
    fn pause(&mut self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let full = FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(LONGEST_PAUSE);
        full - full / 4 * (self.random.next() % 256) as u32 / 255
    }
}

/// `rapidFailsPerMinute`: beyond so many failures within a minute there is none until it is over.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    since: Duration,
    count: u32,
}

impl Breaker {
    /// Over which failures are counted.
    const WINDOW: Duration = Duration::from_secs(60);

    /// Counts a failure; says how long to wait if that was one too many.
    pub fn on_failure(&mut self, per_minute: u32, now: Duration) -> Option<Duration> {
        if self.count == 0 || now >= self.since + Self::WINDOW {
            *self = Self { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        (self.count > per_minute).then(|| (self.since + Self::WINDOW).saturating_sub(now))
    }

    /// Something has changed: the next failure is the first.
    pub const fn forget(&mut self) {
        self.count = 0;
    }
}

/// A small generator of numbers that only have to differ (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence; equal seeds give equal sequences.
    pub const fn new(seed: u64) -> Self {
        Self((seed ^ 0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_beyond_those_of_a_minute_wait_for_its_end() {
        let at = Duration::from_secs;
        let mut breaker = Breaker::default();
        assert_eq!(breaker.on_failure(2, at(100)), None);
        assert_eq!(breaker.on_failure(2, at(110)), None);
        assert_eq!(breaker.on_failure(2, at(120)), Some(at(40)));
        assert_eq!(breaker.on_failure(2, at(160)), None);
        assert_eq!(Breaker::default().on_failure(0, at(0)), Some(at(60)));
    }

    fn within(pause: Duration, seconds: u64) -> bool {
        let full = Duration::from_secs(seconds);
        full * 3 / 4 <= pause && pause <= full
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut restart = Restart::new(7);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let pause = restart.after_failed_start();
            assert!(within(pause, seconds), "{pause:?} for {seconds}");
        }
    }

    #[test]
    fn the_first_accident_is_repaired_at_once() {
        let mut restart = Restart::new(7);
        assert_eq!(restart.after_end(Duration::from_secs(3600)), Duration::ZERO);
        assert!(within(restart.after_end(Duration::from_secs(2)), 1));
        assert!(within(restart.after_end(Duration::from_secs(2)), 2));
        assert_eq!(restart.after_end(Duration::from_secs(10)), Duration::ZERO);
    }

    #[test]
    fn failed_starts_count_until_one_has_proven_itself() {
        let mut restart = Restart::new(7);
        restart.after_failed_start();
        restart.after_failed_start();
        assert!(within(restart.after_end(Duration::from_secs(1)), 2));
    }
}
