//! When a backend that is gone is started again.
//!
//! Pure: time is an argument. Two things limit restarts: pauses that grow while backends die young,
//! and the module's count of crashes per minute. What a reader would get wrong: beyond that count
//! the module waits for a request after the minute; we start by ourselves when it is over, so an
//! application comes back without anybody asking.

use std::time::{Duration, Instant};

use lifecycle::restart::{Pause, Restart};

/// Over which the module counts crashes.
const WINDOW: Duration = Duration::from_secs(60);

/// Requests wait for a restart that begins within this time. Beyond it an answer now is worth more
/// to a client than a better one later.
const WORTH_WAITING: Duration = Duration::from_secs(3);

/// The module's counter, one per application.
#[derive(Debug)]
pub(crate) struct CrashCount {
    per_minute: u32,
    since: Option<Instant>,
    count: u32,
}

impl CrashCount {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, since: None, count: 0 }
    }

    /// Counts one crash. When that was one too many, says how long until the minute is over.
    fn on_crash(&mut self, now: Instant) -> Option<Duration> {
        let since = match self.since {
            Some(since) if now.saturating_duration_since(since) < WINDOW => since,
            _ => {
                self.count = 0;
                *self.since.insert(now)
            }
        };
        self.count += 1;
        let left = WINDOW.saturating_sub(now.saturating_duration_since(since));
        (self.count > self.per_minute).then_some(left.max(Duration::from_secs(1)))
    }
}

/// What to do after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Too many crashes in a minute: requests are refused until the start after this pause succeeds.
    Break { pause: Pause },
    /// Backends keep dying young: requests are refused until the start after this pause succeeds.
    Refuse { pause: Pause },
    /// Start again after this pause; requests wait.
    Restart { pause: Pause },
}

/// How one backend's place has fared.
#[derive(Debug)]
pub(crate) struct Recovery {
    restart: Restart,
    /// Somebody has killed a start, and none has come to its end since.
    has_forgiven: bool,
}

impl Recovery {
    /// A place without history. `seed` spreads the pauses of many places.
    pub(crate) fn new(seed: u64) -> Self {
        Self { restart: Restart::new(seed), has_forgiven: false }
    }

    /// A backend ended unasked that had served for so long, and taken so much CPU time.
    pub(crate) fn on_crash(
        &mut self,
        served_for: Duration,
        cpu: Duration,
        now: Instant,
        crashes: &mut CrashCount,
    ) -> Next {
        let pause = self.restart.after_end(served_for, cpu);
        match crashes.on_crash(now) {
            left @ Some(_) => Next::Break { pause: pause.at_least(left) },
            None if pause.length > WORTH_WAITING => Next::Refuse { pause },
            None => Next::Restart { pause },
        }
    }

    /// Somebody has killed a backend, which is no failure of its own: no pause, but the module counts it.
    pub(crate) fn on_kill(now: Instant, crashes: &mut CrashCount) -> Next {
        match crashes.on_crash(now) {
            left @ Some(_) => Next::Break { pause: Pause::NONE.at_least(left) },
            None => Next::Restart { pause: Pause::NONE },
        }
    }

    /// The same while it was started, if that is the first time: no pause then, either.
    pub(crate) fn forgives_killed_start(&mut self, now: Instant, crashes: &mut CrashCount) -> bool {
        !std::mem::replace(&mut self.has_forgiven, true)
            && matches!(Self::on_kill(now, crashes), Next::Restart { .. })
    }

    /// A start has come to its end.
    pub(crate) fn on_started(&mut self) {
        self.has_forgiven = false;
    }

    /// All attempts of a start failed, which took so much CPU time. Says how long to pause; requests
    /// are refused meanwhile.
    pub(crate) fn on_start_failed(&mut self, cpu: Duration) -> Pause {
        self.restart.after_failed_start(cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(3600);

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_the_first_restart_after_long_service_is_at_once() {
        let (now, mut crashes) = (Instant::now(), CrashCount::new(100));
        let mut recovery = Recovery::new(1);
        let at_once = Next::Restart { pause: Pause::NONE };
        assert_eq!(recovery.on_crash(LONG, FREE, now, &mut crashes), at_once);
        assert_ne!(recovery.on_crash(secs(1), FREE, now, &mut crashes), at_once);
        assert_eq!(recovery.on_crash(LONG, FREE, now, &mut crashes), at_once);
    }

    #[test]
    fn requests_do_not_wait_for_backends_that_keep_dying() {
        let (now, mut crashes) = (Instant::now(), CrashCount::new(100));
        let mut recovery = Recovery::new(1);
        let waits: Vec<bool> = (0..6)
            .map(|_| recovery.on_crash(secs(1), FREE, now, &mut crashes))
            .map(|next| matches!(next, Next::Restart { .. }))
            .collect();
        // Pauses of about 0, 1, 2, 4, 8 and 16 seconds, some shorter by chance.
        assert_eq!((waits[..3].to_vec(), waits[4..].to_vec()), (vec![true; 3], vec![false; 2]));
    }

    fn until_the_end_of_the_minute(seconds: u64) -> Next {
        Next::Break { pause: Pause::NONE.at_least(Some(secs(seconds))) }
    }

    #[test]
    fn backends_that_burn_and_die_wait_until_their_cost_is_made_up_for() {
        let (now, mut crashes) = (Instant::now(), CrashCount::new(100));
        let mut recovery = Recovery::new(1);
        recovery.on_crash(secs(1), secs(10), now, &mut crashes);
        let next = recovery.on_crash(secs(1), secs(10), now, &mut crashes);
        assert!(matches!(next, Next::Refuse { pause } if pause.length > secs(300)), "{next:?}");
        assert!(recovery.on_start_failed(secs(10)).length > secs(100));
    }

    #[test]
    fn crashes_beyond_the_limit_break_until_the_minute_is_over() {
        let start = Instant::now();
        let mut crashes = CrashCount::new(2);
        let mut recovery = Recovery::new(1);
        let mut at = |seconds| recovery.on_crash(LONG, FREE, start + secs(seconds), &mut crashes);
        let restart = Next::Restart { pause: Pause::NONE };
        assert_eq!(at(0), restart);
        assert_eq!(at(20), restart);
        assert_eq!(at(45), until_the_end_of_the_minute(15));
        assert_eq!(at(59), until_the_end_of_the_minute(1));
        // The minute is over: the count begins anew.
        assert_eq!(at(60), restart);
        assert_eq!(at(61), restart);
        assert_eq!(at(62), until_the_end_of_the_minute(58));
    }

    #[test]
    fn what_somebody_kills_is_started_at_once_and_counted() {
        let (now, mut crashes) = (Instant::now(), CrashCount::new(2));
        let mut on_kill = || Recovery::on_kill(now, &mut crashes);
        assert_eq!(on_kill(), Next::Restart { pause: Pause::NONE });
        assert_eq!(on_kill(), Next::Restart { pause: Pause::NONE });
        assert_eq!(on_kill(), until_the_end_of_the_minute(60));
    }

    #[test]
    fn with_limit_zero_the_first_crash_breaks() {
        let next = Recovery::new(1).on_crash(LONG, FREE, Instant::now(), &mut CrashCount::new(0));
        assert_eq!(next, until_the_end_of_the_minute(60));
    }
}
