//! Waiting for something that can be observed.

use std::time::{Duration, Instant};

/// Seconds to wait for something that will surely happen; raise it on a slow machine.
const PATIENCE: &str = "ANCM_TEST_PATIENCE";
const DEFAULT: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a test waits for what should happen at once.
pub fn patience() -> Duration {
    let seconds = std::env::var(PATIENCE).ok().and_then(|text| text.parse().ok());
    seconds.map_or(DEFAULT, Duration::from_secs)
}

/// Waits until `found` finds something; `what` completes "waited for ...".
///
/// # Panics
///
/// It does not within [`patience`].
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < end, "waited for {what}, {:?} long", patience());
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_returned() {
        let mut looks = 0;
        let found = eventually("the third look", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, 3);
    }
}
