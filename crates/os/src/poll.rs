//! Waiting for a handful of descriptors at once, for loops that are not hot.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use crate::check;

/// What a descriptor is watched for, and what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read, or the other side is gone.
    pub readable: bool,
    /// A write of up to 4 KiB would not block, or would fail.
    pub writable: bool,
}

impl Readiness {
    /// Interest in reading only.
    pub const READ: Self = Self { readable: true, writable: false };
    /// Interest in writing only.
    pub const WRITE: Self = Self { readable: false, writable: true };
    /// Interest in both.
    pub const BOTH: Self = Self { readable: true, writable: true };

    /// Whether there is anything at all.
    pub const fn any(self) -> bool {
        self.readable || self.writable
    }
}

/// Waits until one of `watched` is ready or `timeout` has passed; `None` waits for ever.
/// The answers come in the order of the questions. An interrupted wait answers "nothing".
///
/// # Errors
///
/// What the system says.
pub fn poll(
    watched: &[(BorrowedFd<'_>, Readiness)],
    timeout: Option<Duration>,
) -> io::Result<Vec<Readiness>> {
    let mut entries: Vec<libc::pollfd> = watched
        .iter()
        .map(|(fd, interest)| libc::pollfd {
            // Negative ones are passed over. Of others the kernel tells that their other side is gone
            // whether anybody wants to know or not, again and again.
            fd: if interest.any() { fd.as_raw_fd() } else { -1 },
            events: if interest.readable { libc::POLLIN } else { 0 }
                | if interest.writable { libc::POLLOUT } else { 0 },
            revents: 0,
        })
        .collect();
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = entries.len() as libc::nfds_t;
    // SAFETY: `entries` holds `count` records for the length of the call; the borrows in `watched`
    // keep the descriptors open; `timeout` is null or points at the local above.
    let found = unsafe { libc::ppoll(entries.as_mut_ptr(), count, timeout, std::ptr::null()) };
    match check(found) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            return Ok(vec![Readiness::default(); watched.len()]);
        }
        Err(error) => return Err(error),
    }
    const GONE: libc::c_short = libc::POLLHUP | libc::POLLERR | libc::POLLNVAL;
    let readiness = |(entry, (_, interest)): (&libc::pollfd, &(_, Readiness))| Readiness {
        readable: interest.readable && entry.revents & (libc::POLLIN | GONE) != 0,
        writable: interest.writable && entry.revents & (libc::POLLOUT | GONE) != 0,
    };
    Ok(entries.iter().zip(watched).map(readiness).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_end_of_one_that_nobody_asks_about_wakes_nobody() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let (begun, limit) = (Instant::now(), Duration::from_millis(20));
        let found = poll(&[(near.as_fd(), Readiness::default())], Some(limit)).unwrap();
        assert_eq!(found, [Readiness::default()]);
        assert!(begun.elapsed() >= limit);
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let watched = [(near.as_fd(), Readiness::BOTH), (far.as_fd(), Readiness::READ)];
        let found = poll(&watched, Some(Duration::ZERO)).unwrap();
        assert_eq!(found, [Readiness::WRITE, Readiness::default()]);

        near.write_all(b"x").unwrap();
        let watched = [(near.as_fd(), Readiness::READ), (far.as_fd(), Readiness::READ)];
        let found = poll(&watched, None).unwrap();
        assert_eq!(found, [Readiness::default(), Readiness::READ]);
    }

    #[test]
    fn a_peer_that_is_gone_is_readable() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let found = poll(&[(near.as_fd(), Readiness::READ)], None).unwrap();
        assert_eq!(found, [Readiness::READ]);
    }
}
