//! Limits of the process.

use std::io;

use crate::check;

/// Raises the number of descriptors that the process may have to what it is allowed to take,
/// and returns that number. Systems start processes with few for the sake of `select`, which
/// nobody here uses; children inherit the change.
///
/// # Errors
///
/// The limit can be neither read nor set.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is initialised.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}

/// A brand is a limit that nobody will reach, of a kind that hardly anybody sets: for how long a thread
/// with real-time priority may run at once, in microseconds.
const BRANDS: libc::rlim_t = 1 << 62;

/// The limit that is the brand of this number.
pub(crate) const fn brand(number: u32) -> libc::rlim_t {
    BRANDS | number as libc::rlim_t
}

/// The number of the brand in `limits`, as `/proc` shows those of a process.
pub(crate) fn branded(limits: &str) -> Option<u32> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    let limit: libc::rlim_t = line.split_ascii_whitespace().next()?.parse().ok()?;
    let number = limit.checked_sub(BRANDS)?;
    u32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brand_is_read_as_it_was_written() {
        let limits =
            |value: &str| format!("Max processes 1 2 x\nMax realtime timeout  {value}  us\n");
        for number in [0, 7, u32::MAX] {
            assert_eq!(branded(&limits(&format!("{} unlimited", brand(number)))), Some(number));
        }
        for other in ["unlimited unlimited", "95000 95000", ""] {
            assert_eq!(branded(&limits(other)), None, "{other}");
        }
    }

    #[test]
    fn raising_twice_changes_nothing_more() {
        let first = raise_open_files().unwrap();
        assert!(first > 0);
        assert_eq!(raise_open_files().unwrap(), first);
    }
}
