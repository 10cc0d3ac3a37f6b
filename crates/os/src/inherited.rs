//! Descriptors that the parent process left open for this one.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::check;

/// Takes over descriptor `number`, which the parent mapped into this process.
///
/// Everything that Rust or this crate opens is closed on exec, so a descriptor that is *not* can
/// only be inherited and has no owner yet. Taking it marks it, and it cannot be taken twice.
///
/// # Errors
///
/// The number is not open, or it belongs to somebody in this process.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks for flags of a number; a number that is not open is an error.
    let flags = check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    if number <= 2 || flags & libc::FD_CLOEXEC != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("descriptor {number} was not inherited"),
        ));
    }
    // SAFETY: sets a flag of a descriptor that was just seen to be open.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open and came through exec (it lacked the flag that everything
    // opened in this process has), so nobody here owns it; the flag just set refuses a second owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_this_process_opened_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = take(file.as_raw_fd()).unwrap_err();
        assert!(error.to_string().contains("was not inherited"));
        assert!(take(9999).is_err());
    }

    #[test]
    fn what_was_inherited_is_taken_once() {
        let file = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: duplicates an open descriptor without the flag, as a parent's mapping does.
        let number = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 100) };
        let taken = take(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert!(take(number).is_err());
    }
}
