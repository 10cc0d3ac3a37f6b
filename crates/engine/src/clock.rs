//! A lane's clock: read once per turn, used everywhere in it.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::http1::date;

/// Milliseconds since the lane began, and the `Date` of answers.
pub(crate) struct Clock {
    began: Instant,
    now: u64,
    second: u64,
    date: [u8; 29],
}

impl Clock {
    pub(crate) fn new() -> Self {
        let mut clock = Self { began: Instant::now(), now: 0, second: u64::MAX, date: [0; 29] };
        clock.tick();
        clock
    }

    /// Reads the time.
    pub(crate) fn tick(&mut self) {
        self.now = self.began.elapsed().as_millis() as u64;
        // Once a second at most matters; the wall clock is a vDSO call either way.
        let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        if second != self.second {
            self.second = second;
            date::format(second, &mut self.date);
        }
    }

    /// Milliseconds since the lane began, as of the last tick.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// The same scale for an instant; what lies before the beginning is 0.
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.began).as_millis() as u64
    }

    /// Value of the `Date` field.
    pub(crate) fn date(&self) -> &[u8; 29] {
        &self.date
    }
}

/// Milliseconds on a scale that all threads of the process share.
pub(crate) fn of_process() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed().as_millis() as u64
}
