//! Readiness of many descriptors. One [`Epoll`] per lane.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Something can be read, or a listener can accept.
pub const IN: u32 = libc::EPOLLIN as u32;
/// Something can be written.
pub const OUT: u32 = libc::EPOLLOUT as u32;
/// The peer will send nothing more.
pub const RDHUP: u32 = libc::EPOLLRDHUP as u32;
/// Both directions are closed.
pub const HUP: u32 = libc::EPOLLHUP as u32;
/// The socket failed.
pub const ERR: u32 = libc::EPOLLERR as u32;
/// Report changes, not states.
pub const EDGE: u32 = libc::EPOLLET as u32;

/// One reported descriptor: what was registered for it and which bits are set.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Event(libc::epoll_event);

impl Event {
    /// An event to fill.
    pub const EMPTY: Self = Self(libc::epoll_event { events: 0, u64: 0 });

    /// The value given at registration.
    pub fn token(&self) -> u64 {
        self.0.u64
    }

    /// Bits of this module.
    pub fn bits(&self) -> u32 {
        self.0.events
    }
}

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// Creates an instance.
    ///
    /// # Errors
    /// The process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the returned descriptor is ours alone.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches `fd` for `interest`; events carry `token`.
    ///
    /// # Errors
    /// The descriptor is already watched or cannot be, or memory is short.
    pub fn add(&self, fd: BorrowedFd<'_>, interest: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest, u64: token };
        self.control(libc::EPOLL_CTL_ADD, fd, &raw mut event)
    }

    /// Watches `fd`, which is watched already, for another `interest`. What is the case now is
    /// reported anew.
    ///
    /// # Errors
    /// The descriptor is not watched.
    pub fn change(&self, fd: BorrowedFd<'_>, interest: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest, u64: token };
        self.control(libc::EPOLL_CTL_MOD, fd, &raw mut event)
    }

    /// Stops watching `fd`.
    ///
    /// # Errors
    /// The descriptor is not watched.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut())
    }

    /// Waits for events; `None` waits without limit. An interruption counts as no event.
    ///
    /// # Errors
    /// Only for a broken instance.
    pub fn wait(&self, events: &mut [Event], timeout: Option<Duration>) -> io::Result<usize> {
        let timeout =
            timeout.map_or(-1, |limit| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
        let capacity = i32::try_from(events.len()).unwrap_or(i32::MAX);
        // SAFETY: `Event` is a transparent `epoll_event`, and the kernel fills at most `capacity`.
        let count = unsafe {
            libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr().cast(), capacity, timeout)
        };
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                error => Err(error),
            },
        }
    }

    fn control(
        &self,
        operation: i32,
        fd: BorrowedFd<'_>,
        event: *mut libc::epoll_event,
    ) -> io::Result<()> {
        // SAFETY: both descriptors are open; `event` is null or points to a local.
        match unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd.as_raw_fd(), event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
