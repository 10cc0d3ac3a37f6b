//! How far a backend is to be trusted that runs, and takes connections, and ends them at once.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many new connections in a row are lost before others are preferred.
const LOSSES: u32 = 3;
/// For how long, at first; twice as long after each further loss.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After so long without a loss all is forgotten.
const FORGET: Duration = Duration::from_secs(30);

/// Losses of one backend, counted from any lane.
#[derive(Debug)]
pub(crate) struct Doubt {
    began: Instant,
    losses: AtomicU32,
    /// When the last one was, in milliseconds since the beginning.
    last: AtomicU64,
    /// Until when others are preferred; 0 is never.
    until: AtomicU64,
}

impl Doubt {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            losses: AtomicU32::new(0),
            last: AtomicU64::new(0),
            until: AtomicU64::new(0),
        }
    }

    /// A new connection was refused, or has broken without an answer.
    pub(crate) fn on_loss(&self) {
        self.on_loss_at(self.now());
    }

    /// Whether others should have the requests now. One load while all is well.
    pub(crate) fn is_on(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until != 0 && self.now() < until
    }

    fn on_loss_at(&self, now: u64) {
        let before = self.last.swap(now, Ordering::Relaxed);
        if now.saturating_sub(before) > FORGET.as_millis() as u64 {
            self.losses.store(0, Ordering::Relaxed);
        }
        let losses = self.losses.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(further) = losses.checked_sub(LOSSES) {
            let pause = FIRST_PAUSE.saturating_mul(1 << further.min(16)).min(LONGEST_PAUSE);
            self.until.store(now + pause.as_millis() as u64, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_in_a_row_bring_pauses_that_grow_and_are_forgotten() {
        let doubt = Doubt::new();
        let until = |now| {
            doubt.on_loss_at(now);
            doubt.until.load(Ordering::Relaxed)
        };
        assert_eq!([until(10), until(20)], [0, 0]);
        assert_eq!([until(30), until(300), until(1000)], [230, 700, 1800]);
        assert_eq!(until(20_000), 21_600);
        assert_eq!(until(20_001), 23_201);
        assert_eq!([until(20_002), until(20_003)], [25_002, 25_003]);
        // Half a minute without one.
        assert_eq!(until(60_000), 25_003);
        assert!(!doubt.is_on() || doubt.now() < 25_003);
    }
}
