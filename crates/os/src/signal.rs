//! Signals as data: blocked before the first thread, then read from a descriptor.
//!
//! No handler is installed here. A blocked signal stays blocked in every thread that is started
//! later, a hosted runtime's included, and waits for [`Signals::next`]. `SIGCHLD` must never be
//! blocked in a process that hosts a runtime: its own waiting for children would hang.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::check;

/// A signal by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

impl Signal {
    /// A child has ended.
    pub const CHLD: Self = Self(libc::SIGCHLD);
    /// The terminal is gone; to us: recycle.
    pub const HUP: Self = Self(libc::SIGHUP);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(libc::SIGINT);
    /// End that cannot be refused.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// A write to a pipe that nobody reads.
    pub const PIPE: Self = Self(libc::SIGPIPE);
    /// Quit from the keyboard, which .NET takes for a request to end.
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// Request to end.
    pub const TERM: Self = Self(libc::SIGTERM);

    /// The system's number.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            libc::SIGCHLD => f.write_str("SIGCHLD"),
            libc::SIGHUP => f.write_str("SIGHUP"),
            libc::SIGINT => f.write_str("SIGINT"),
            libc::SIGKILL => f.write_str("SIGKILL"),
            libc::SIGPIPE => f.write_str("SIGPIPE"),
            libc::SIGQUIT => f.write_str("SIGQUIT"),
            libc::SIGTERM => f.write_str("SIGTERM"),
            number => write!(f, "signal {number}"),
        }
    }
}

/// Blocks `signals` for this thread and every thread that it starts from now on.
///
/// # Errors
///
/// What the system says; only a number that is no signal is refused.
pub fn block(signals: &[Signal]) -> io::Result<()> {
    let set = set_of(signals);
    // SAFETY: `set` was initialised by `set_of`; no old mask is asked for.
    check_code(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) })
}

/// Ignores `SIGPIPE`, so that a write to a reader that is gone is an error instead of the end.
/// Rust programs begin that way; programs that are loaded into foreign processes cannot rely on it.
pub fn ignore_pipe() {
    // SAFETY: SIG_IGN is a disposition, not a function: no code of ours runs in signal context.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Blocked signals, delivered as data.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks `signals` and opens a descriptor that becomes readable when one of them arrives.
    ///
    /// # Errors
    ///
    /// What the system says, for instance when no descriptor is left.
    pub fn open(signals: &[Signal]) -> io::Result<Self> {
        block(signals)?;
        let set = set_of(signals);
        // SAFETY: `set` is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        check(fd)?;
        // SAFETY: the descriptor was opened by the call above and has no other owner.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The next signal that has arrived, if any; never waits.
    #[expect(clippy::should_implement_trait, reason = "`None` means not yet, not the end")]
    pub fn next(&mut self) -> Option<Signal> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has the size that is named, and the kernel writes whole records only.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if usize::try_from(read) != Ok(size) {
            return None;
        }
        // SAFETY: the kernel has just filled the whole record, which is plain numbers.
        let info = unsafe { info.assume_init() };
        i32::try_from(info.ssi_signo).ok().map(Signal)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn set_of(signals: &[Signal]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set, so it may be assumed initialised afterwards.
    let mut set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for signal in signals {
        // SAFETY: `set` is initialised; a number out of range is refused, not written.
        unsafe { libc::sigaddset(&mut set, signal.0) };
    }
    set
}

fn check_code(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read_as_data() {
        let mut signals = Signals::open(&[Signal::HUP]).unwrap();
        assert_eq!(signals.next(), None);
        // SAFETY: the signal is blocked in this thread, to which alone it is sent.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGHUP) };
        assert_eq!(signals.next(), Some(Signal::HUP));
        assert_eq!(signals.next(), None);
    }
}
