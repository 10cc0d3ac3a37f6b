//! The time of day, where this process believes to be, and the time that all processes share.

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

/// `CLOCK_MONOTONIC`, which is the same for every process of the machine.
pub fn monotonic() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the call. It fails only for clocks that there are not.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_no_more_than_its_seconds() {
        assert!(time_of_day().unwrap() <= Duration::from_secs(86_400));
    }

    #[test]
    fn the_shared_time_is_that_of_the_kernel() {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
        let shared = monotonic().as_secs_f64();
        // Suspended machines count on in the one and not in the other.
        assert!(shared > 0.0 && shared < uptime + 1.0, "{shared} {uptime}");
    }
}
