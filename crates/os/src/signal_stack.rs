//! Where a thread handles the signals that its own code has caused.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::{io, ptr};

/// Bytes for a handler. The kernel's record of the registers takes 3 KiB of them with AVX-512 and
/// 11 KiB with AMX, and a runtime copies it.
const SIZE: usize = 64 << 10;

/// The least page there is; below the stack, so that too deep a handler ends the process.
const GUARD: usize = 4 << 10;

/// A signal stack for this thread that a hosted runtime has room on, as long as this lives.
///
/// An access through null in managed code is a signal first, then an exception. Its handler runs on
/// the stack that the thread has for that, and a thread of a Rust program has 8 KiB: too few for
/// .NET, which ends the process then. A thread without one gets its own from .NET.
#[derive(Debug)]
pub struct SignalStack {
    memory: NonNull<libc::c_void>,
    before: libc::stack_t,
    /// It belongs to the thread.
    _of_thread: PhantomData<*mut ()>,
}

impl SignalStack {
    /// Takes memory for it and tells the kernel.
    ///
    /// # Errors
    ///
    /// What the system says when it has no memory.
    pub fn begin() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: new memory at a place of the kernel's choice; no mapping of anybody is touched.
        let memory =
            unsafe { libc::mmap(ptr::null_mut(), GUARD + SIZE, libc::PROT_NONE, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory).ok_or(io::ErrorKind::OutOfMemory)?;
        // From here on dropping it gives the memory back.
        let own = Self { memory, before: exchange(None)?, _of_thread: PhantomData };
        // SAFETY: within the mapping, which is `GUARD + SIZE` long.
        let base = unsafe { memory.as_ptr().byte_add(GUARD) };
        // SAFETY: the range is the rest of the mapping, and nobody else knows it.
        crate::check(unsafe { libc::mprotect(base, SIZE, libc::PROT_READ | libc::PROT_WRITE) })?;
        exchange(Some(libc::stack_t { ss_sp: base, ss_flags: 0, ss_size: SIZE }))?;
        Ok(own)
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        // The type is not `Send`, so this is the thread, and what it had outlives its closure.
        if exchange(Some(self.before)).is_err() {
            return;
        }
        // SAFETY: the mapping is ours, and the thread has just let go of it.
        unsafe { libc::munmap(self.memory.as_ptr(), GUARD + SIZE) };
    }
}

/// The signal stack of this thread; another one from now on, if one is given.
fn exchange(new: Option<libc::stack_t>) -> io::Result<libc::stack_t> {
    let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut old = MaybeUninit::uninit();
    // SAFETY: a new stack is memory that stays until another one is set; a thread that is here
    // handles no signal at the moment. The old one is only written.
    crate::check(unsafe { libc::sigaltstack(new, old.as_mut_ptr()) })?;
    // SAFETY: a call that succeeds has written it.
    Ok(unsafe { old.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_it_while_it_lives_and_then_what_it_had() {
        let before = exchange(None).unwrap();
        let own = SignalStack::begin().unwrap();
        assert_eq!((exchange(None).unwrap().ss_size, exchange(None).unwrap().ss_flags), (SIZE, 0));
        assert_ne!(exchange(None).unwrap().ss_sp, before.ss_sp);
        drop(own);
        assert_eq!(
            (exchange(None).unwrap().ss_sp, exchange(None).unwrap().ss_flags),
            (before.ss_sp, before.ss_flags)
        );
    }
}
