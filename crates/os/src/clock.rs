//! The time of day, where this process believes to be.

use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since midnight, by the clocks on the wall; `None` when the system cannot tell.
pub fn time_of_day() -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let seconds = libc::time_t::try_from(now.as_secs()).ok()?;
    let mut local = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call, which fills `local` unless it answers null.
    let filled = unsafe { libc::localtime_r(&raw const seconds, local.as_mut_ptr()) };
    if filled.is_null() {
        return None;
    }
    // SAFETY: filled by the call above.
    let local = unsafe { local.assume_init() };
    let seconds = (local.tm_hour * 60 + local.tm_min) * 60 + local.tm_sec;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_no_more_than_its_seconds() {
        assert!(time_of_day().unwrap() <= Duration::from_secs(86_400));
    }
}
