//! When to start again: at once after a first accident, with growing pauses when it repeats, and
//! never so often that starts which fail take more than a twentieth of a core.
//!
//! There is no point at which we give up: an application that came back by itself (its database is
//! up again) must not need a person.

use std::fmt;
use std::time::Duration;

/// A generation that served this long has proven itself; what happened before is forgotten.
const STABLE: Duration = Duration::from_secs(10);
/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, unless a start is expensive.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Failed starts may take one part in so many of a core, in the long run.
const SHARE: u32 = 20;
/// The CPU time that is theirs in advance: what a minute gives.
const ADVANCE: Duration = Duration::from_secs(3);
/// No more is counted of a generation that has served: it may have taken it for its clients.
const MOST_OF_SERVED: Duration = Duration::from_secs(30);

/// The longest that a start which nobody asks for waits for the end of a change.
pub const LONGEST_CHANGE: Duration = Duration::from_secs(30);

/// How long to wait before the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// From now.
    pub length: Duration,
    /// Why so long; of no meaning when it is zero.
    pub why: Wait,
}

/// What the length of a pause comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// What the application is started from is being changed.
    Change,
    /// The CPU time that starts have taken and that no pause has made up for.
    Cost(Duration),
    /// How often it has failed.
    Failures,
    /// `suppressRecycleOnStartupTimeout`: a start took too long, and is not made again by itself.
    LeftAlone,
    /// `rapidFailsPerMinute`.
    RapidFails,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change => f.write_str("its files, or its .NET, are being changed"),
            Self::Cost(cpu) => write!(
                f,
                "failed starts have taken {:.1} s of CPU time, and {} % of a core is theirs",
                cpu.as_secs_f32(),
                100 / SHARE
            ),
            Self::Failures => f.write_str("pauses grow from failure to failure"),
            Self::LeftAlone => f.write_str(
                "suppressRecycleOnStartupTimeout leaves a start that took too long alone until \
                 something changes",
            ),
            Self::RapidFails => f.write_str("rapidFailsPerMinute is passed"),
        }
    }
}

/// Length and reason.
impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s: {}", self.length.as_secs_f32(), self.why)
    }
}

impl Pause {
    /// None at all.
    pub const NONE: Self = Self { length: Duration::ZERO, why: Wait::Failures };

    /// Until what is being changed has come to rest.
    pub const CHANGE: Self = Self { length: LONGEST_CHANGE, why: Wait::Change };

    /// Whether the next start is now.
    pub fn is_none(self) -> bool {
        self.length.is_zero()
    }

    /// At least as long as `rapidFailsPerMinute` demands, if it does.
    #[must_use]
    pub fn at_least(self, rest_of_minute: Option<Duration>) -> Self {
        match rest_of_minute {
            Some(length) if length > self.length => Self { length, why: Wait::RapidFails },
            _ => self,
        }
    }
}

/// Counts failures and what they have cost, and answers with pauses.
#[derive(Clone, Debug)]
pub struct Restart {
    failures: u32,
    /// CPU time of failed starts that no pause has made up for.
    owed: Duration,
    random: Random,
}

impl Restart {
    /// A history without failures. `seed` spreads the pauses of many sites.
    pub const fn new(seed: u64) -> Self {
        Self { failures: 0, owed: Duration::ZERO, random: Random::new(seed) }
    }

    /// The pause after a start that failed, and took this CPU time.
    pub fn after_failed_start(&mut self, cpu: Duration) -> Pause {
        self.note_failed_start(cpu);
        self.failures = self.failures.saturating_add(1);
        self.pause(self.failures)
    }

    /// The pause after a generation that had `served` for some time and ended unasked: none for
    /// the first accident, whatever it cost.
    pub fn after_end(&mut self, served: Duration, cpu: Duration) -> Pause {
        if served >= STABLE {
            self.forget();
        }
        self.note_end(served, cpu);
        self.failures = self.failures.saturating_add(1);
        self.pause(self.failures - 1)
    }

    /// A start has failed that is not to be followed by a pause.
    pub fn note_failed_start(&mut self, cpu: Duration) {
        self.owed = self.owed.saturating_add(cpu);
    }

    /// The end of a generation for which the pause has begun by now.
    pub fn note_end(&mut self, served: Duration, cpu: Duration) {
        if served < STABLE {
            self.owed = self.owed.saturating_add(cpu.min(MOST_OF_SERVED));
        }
    }

    /// What the pause that has begun does not make up for, and is to follow it.
    pub fn rest(&mut self) -> Option<Pause> {
        (!self.debt().is_zero()).then(|| self.pay(Duration::ZERO))
    }

    /// Something has changed: the next failure is the first.
    pub const fn forget(&mut self) {
        (self.failures, self.owed) = (0, Duration::ZERO);
    }

    /// Doubled per failure up to the longest.
    fn pause(&mut self, failures: u32) -> Pause {
        let Some(doublings) = failures.checked_sub(1) else { return Pause::NONE };
        self.pay(FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(LONGEST_PAUSE))
    }

    /// The pause that makes up for what is owed, or `grown` if that is longer; up to a quarter of it
    /// is taken off or added by chance, so that sites which failed together do not start together.
    fn pay(&mut self, grown: Duration) -> Pause {
        let (owed, debt) = (self.owed, self.debt());
        let full = grown.max(debt.saturating_add(debt / 3));
        let length = full - full / 4 * (self.random.next() % 256) as u32 / 255;
        self.owed = owed.saturating_sub(length / SHARE);
        let why = if full > grown { Wait::Cost(owed) } else { Wait::Failures };
        Pause { length, why }
    }

    /// The time that makes up for what is owed beyond the advance.
    fn debt(&self) -> Duration {
        self.owed.saturating_sub(ADVANCE).saturating_mul(SHARE)
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

    const FREE: Duration = Duration::ZERO;

    fn within(pause: Pause, seconds: u64) -> bool {
        let full = Duration::from_secs(seconds);
        full * 3 / 4 <= pause.length && pause.length <= full
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut restart = Restart::new(7);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let pause = restart.after_failed_start(Duration::from_millis(200));
            assert!(within(pause, seconds), "{pause:?} for {seconds}");
            assert_eq!(pause.why, Wait::Failures);
        }
    }

    #[test]
    fn the_first_accident_is_repaired_at_once() {
        let mut restart = Restart::new(7);
        let costly = Duration::from_secs(1000);
        assert_eq!(restart.after_end(Duration::from_secs(3600), costly), Pause::NONE);
        assert!(within(restart.after_end(Duration::from_secs(2), FREE), 1));
        assert!(within(restart.after_end(Duration::from_secs(2), FREE), 2));
        assert_eq!(restart.after_end(Duration::from_secs(10), costly), Pause::NONE);
        assert!(within(restart.after_failed_start(FREE), 2));
    }

    #[test]
    fn failed_starts_count_until_one_has_proven_itself() {
        let mut restart = Restart::new(7);
        restart.after_failed_start(FREE);
        restart.after_failed_start(FREE);
        assert!(within(restart.after_end(Duration::from_secs(1), FREE), 2));
    }

    #[test]
    fn an_expensive_start_waits_until_its_cost_is_a_twentieth() {
        let mut restart = Restart::new(7);
        // The first is paid in advance.
        assert!(within(restart.after_failed_start(ADVANCE), 1));
        let cpu = 2 * ADVANCE;
        for _ in 0..100 {
            let pause = restart.after_failed_start(cpu);
            assert!((60..=200).contains(&pause.length.as_secs()), "{pause:?}");
            assert!(matches!(pause.why, Wait::Cost(owed) if owed > cpu), "{pause:?}");
        }
        restart.forget();
        assert!(within(restart.after_failed_start(ADVANCE), 1));
        let told = restart.after_failed_start(cpu).why.to_string();
        assert!(told.contains("s of CPU time, and 5 % of a core is theirs"), "{told}");
    }

    #[test]
    fn what_a_short_service_has_cost_counts_up_to_a_limit() {
        let mut restart = Restart::new(7);
        let (served, cpu) = (Duration::from_secs(9), Duration::from_secs(500));
        assert_eq!(restart.after_end(served, cpu), Pause::NONE);
        let pause = restart.after_end(served, cpu).length;
        assert!(pause >= (2 * MOST_OF_SERVED - ADVANCE) * SHARE && pause < cpu * 4, "{pause:?}");
    }

    #[test]
    fn whatever_fails_in_whatever_order_takes_a_twentieth_of_a_core_at_most() {
        let mut random = Random::new(5);
        for seed in 0..2000 {
            let mut restart = Restart::new(seed);
            let (mut spent, mut passed) = (Duration::ZERO, Duration::ZERO);
            let most = 1 + random.next() % 20_000;
            for _ in 0..random.next() % 100 {
                let cpu = Duration::from_millis(random.next() % most);
                let served = Duration::from_millis(random.next() % 10_000);
                let pause = match random.next() % 4 {
                    0 => restart.after_end(served, cpu),
                    1 => {
                        // Its cost is known when the pause has begun.
                        let mut pause = restart.after_end(served, FREE);
                        restart.note_end(served, cpu);
                        if !pause.is_none() {
                            pause.length += restart.rest().unwrap_or(Pause::NONE).length;
                        }
                        pause
                    }
                    _ => restart.after_failed_start(cpu),
                };
                (spent, passed) = (spent + cpu, passed + pause.length);
                let granted = passed / SHARE + ADVANCE + Duration::from_millis(1);
                assert!(pause.is_none() || spent <= granted, "{spent:?} {granted:?} seed {seed}");
            }
        }
    }
}
