//! Pipes and plain transfers on descriptors. Whether a transfer may wait is the descriptor's flag.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::check;

/// A pipe: the end to read, the end to write. Both are closed on exec.
///
/// # Errors
///
/// What the system says, for instance when no descriptor is left.
pub fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the array has room for the two numbers that are written.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both were opened by the call above and have no other owner.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Reads what is there; zero means that nobody can write any more.
///
/// # Errors
///
/// What the system says; `WouldBlock` when nothing is there and the descriptor does not wait.
pub fn read(from: impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    let from = from.as_fd().as_raw_fd();
    // SAFETY: the buffer is ours for the length that is named.
    let count = unsafe { libc::read(from, into.as_mut_ptr().cast(), into.len()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Writes as much as fits.
///
/// # Errors
///
/// What the system says.
pub fn write(to: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let to = to.as_fd().as_raw_fd();
    // SAFETY: the bytes are readable for the length that is named.
    let count = unsafe { libc::write(to, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Makes transfers on this descriptor answer `WouldBlock` instead of waiting. The flag belongs to
/// the open file: never set it on one that is shared with others, such as standard output.
///
/// # Errors
///
/// What the system says.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: reads and sets flags of an open descriptor.
    unsafe {
        let flags = check(libc::fcntl(fd, libc::F_GETFL))?;
        check(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK))?;
    }
    Ok(())
}
