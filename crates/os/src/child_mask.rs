//! Programs that a hosted runtime starts do not have our signals blocked.
//!
//! What a process has blocked stays blocked through fork and exec, and .NET starts programs with the mask of
//! the thread that asks for it: those that an in-process application starts would never hear of the
//! signals that this process reads as data, and `timeout`, `kill` and Ctrl-C would do nothing to them. The
//! last thing that .NET does in the child, before it executes, is to put that mask back, by
//! `pthread_sigmask`. A program that has a function of this name is asked before the C library, so
//! this one takes our signals out, in children only (decision 0020).

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::signal::Signal;

/// The process that reads its signals as data; 0 before there is one.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// Which signals those are, as the kernel has them: one bit each.
static OURS: AtomicU64 = AtomicU64::new(0);

/// The two signals that the C library uses for itself, and leaves out of every mask.
const OF_THE_LIBRARY: u64 = 1 << 31 | 1 << 32;

/// These signals are blocked in this process and not in programs that are started from it. The
/// program has to contain [`own_pthread_sigmask!`](crate::own_pthread_sigmask).
pub fn keep_from_children(signals: &[Signal]) {
    let bits = signals.iter().fold(0, |bits, signal| bits | 1_u64 << (signal.number() - 1));
    OURS.store(bits, Ordering::Relaxed);
    // SAFETY: asks for our own id.
    OWNER.store(unsafe { libc::getpid() }, Ordering::Release);
}

/// What `pthread_sigmask` does, and what the module says. It may be called in the child of a
/// `vfork`: it writes to its own stack only.
///
/// # Safety
///
/// Both pointers are null or lead to a mask.
#[doc(hidden)]
pub unsafe fn set_mask(how: c_int, mask: *const u64, before: *mut u64) -> c_int {
    let mut wanted = 0;
    let mut new = std::ptr::null();
    if !mask.is_null() {
        // SAFETY: not null, so a mask, which is no smaller than what the kernel has of it.
        wanted = unsafe { mask.read() } & !OF_THE_LIBRARY;
        if how == libc::SIG_SETMASK && is_child() {
            wanted &= !OURS.load(Ordering::Relaxed);
        }
        new = &raw const wanted;
    }
    let size = size_of_val(&wanted);
    // SAFETY: `new` is null or a mask on this stack, `before` null or the caller's; the kernel
    // reads and writes as many bytes as it is told.
    let code = unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, before, size) };
    if code == 0 {
        return 0;
    }
    // SAFETY: reads this thread's errno, which the failed call has set.
    unsafe { *libc::__errno_location() }
}

fn is_child() -> bool {
    let owner = OWNER.load(Ordering::Acquire);
    // SAFETY: asks for our own id.
    owner != 0 && owner != unsafe { libc::getpid() }
}

/// The program's own `pthread_sigmask`. It has to be in the program, not in a library, to be asked first.
#[macro_export]
macro_rules! own_pthread_sigmask {
    () => {
        /// In place of the function of the C library.
        ///
        /// # Safety
        ///
        /// Both pointers are null or lead to a mask.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn pthread_sigmask(
            how: ::std::ffi::c_int,
            mask: *const u64,
            before: *mut u64,
        ) -> ::std::ffi::c_int {
            // SAFETY: what the caller promises.
            unsafe { $crate::child_mask::set_mask(how, mask, before) }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: u64 = 1 << (libc::SIGTERM - 1);

    fn set(how: c_int, mask: u64) -> u64 {
        let mut before = 0;
        // SAFETY: two masks.
        assert_eq!(unsafe { set_mask(how, &raw const mask, &raw mut before) }, 0);
        before
    }

    #[test]
    fn masks_are_set_as_ever_in_the_process_itself() {
        keep_from_children(&[Signal::TERM]);
        let first = set(libc::SIG_BLOCK, TERM);
        assert_eq!(set(libc::SIG_SETMASK, u64::MAX) & TERM, TERM);
        let everything = set(libc::SIG_SETMASK, first);
        assert_eq!(everything & OF_THE_LIBRARY, 0);
        assert_eq!(everything & TERM, TERM);
        // SAFETY: no mask is an order to tell what there is.
        let code = unsafe { set_mask(99, &raw const first, std::ptr::null_mut()) };
        assert_eq!(code, libc::EINVAL);
    }

    #[test]
    fn the_signals_of_another_process_are_not_blocked() {
        OURS.store(TERM, Ordering::Relaxed);
        // As a child sees it: there is an owner, and it is somebody else.
        OWNER.store(1, Ordering::Release);
        let first = set(libc::SIG_SETMASK, TERM | 1);
        assert_eq!(set(libc::SIG_SETMASK, first) & (TERM | 1), 1);
    }
}
