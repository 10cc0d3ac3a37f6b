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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_twice_changes_nothing_more() {
        let first = raise_open_files().unwrap();
        assert!(first > 0);
        assert_eq!(raise_open_files().unwrap(), first);
    }
}
