//! Safe doors to Linux: the only home of `libc`.
//!
//! Every module is one kind of thing the kernel offers, wrapped so that the rest of the workspace
//! needs no `unsafe` for it. Nothing here decides anything, keeps global state or writes a log.

pub mod cgroup;
pub mod child_mask;
pub mod clock;
pub mod epoll;
pub mod eventfd;
pub mod exchange;
pub mod fd;
pub mod inherited;
pub mod inotify;
pub mod library;
pub mod limits;
pub mod listen;
pub mod memory;
pub mod mount;
pub mod pipe;
pub mod poll;
pub mod private;
pub mod process;
pub mod signal;
pub mod signal_stack;
pub mod socket;
pub mod uring;

/// The answer of a system call, or what the system says went wrong.
pub(crate) fn check(code: i32) -> std::io::Result<i32> {
    if code < 0 { Err(std::io::Error::last_os_error()) } else { Ok(code) }
}
