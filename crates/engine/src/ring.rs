//! Request body bytes between a lane (producer) and a handler (consumer), without a lock.
//!
//! The buffer is allocated by the lane when a body needs it and given back at the end of the
//! exchange, so requests without bodies, and small ones that came with their head, cost nothing.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

use crate::clock;

/// Bytes that may lie between the client and a handler that reads slowly.
pub(crate) const CAPACITY: usize = 64 * 1024;

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// More may come.
    Open = 0,
    /// All of it is here.
    Complete = 1,
    /// The client left in the middle.
    Disconnected = 2,
    /// The framing is broken.
    Malformed = 3,
    /// It came too slowly.
    TooSlow = 4,
}

/// A ring of [`CAPACITY`] bytes. Positions only grow; their difference is what is inside.
pub(crate) struct Ring {
    buffer: AtomicPtr<u8>,
    read: AtomicUsize,
    written: AtomicUsize,
    end: AtomicU8,
    /// The lane stopped reading because the ring was full.
    paused: AtomicBool,
    /// When the consumer has begun to wait, in the milliseconds of the process.
    waits_since: AtomicU64,
}

impl Ring {
    pub(crate) fn new() -> Self {
        Self {
            buffer: AtomicPtr::new(ptr::null_mut()),
            read: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            end: AtomicU8::new(End::Open as u8),
            paused: AtomicBool::new(false),
            waits_since: AtomicU64::new(0),
        }
    }

    /// Producer: the free stretch that can be filled in one go; empty when full.
    ///
    /// # Safety
    /// One producer at a time, and no other result of this call may be in use.
    #[expect(clippy::mut_from_ref, reason = "the free stretch is the producer's alone")]
    pub(crate) unsafe fn space(&self) -> &mut [MaybeUninit<u8>] {
        let mut buffer = self.buffer.load(Ordering::Relaxed);
        if buffer.is_null() {
            buffer = Box::into_raw(Box::<[u8]>::new_uninit_slice(CAPACITY)).cast();
            self.buffer.store(buffer, Ordering::Release);
        }
        let written = self.written.load(Ordering::Relaxed);
        let free = CAPACITY - (written - self.read.load(Ordering::Acquire));
        let start = written % CAPACITY;
        let count = free.min(CAPACITY - start);
        // SAFETY: the stretch lies inside the buffer, and the consumer stays out of it until
        // `fill` has moved `written` over it.
        unsafe { std::slice::from_raw_parts_mut(buffer.add(start).cast(), count) }
    }

    /// Producer: free bytes in total.
    pub(crate) fn free(&self) -> usize {
        CAPACITY - (self.written.load(Ordering::Relaxed) - self.read.load(Ordering::Acquire))
    }

    /// Producer: publishes `count` bytes that were written to [`Self::space`].
    pub(crate) fn fill(&self, count: usize) {
        self.written.fetch_add(count, Ordering::Release);
    }

    /// Producer: copies bytes in. There must be room for them ([`Self::free`]).
    ///
    /// # Safety
    /// One producer at a time.
    pub(crate) unsafe fn push(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // SAFETY: the caller's promise; the result ends with this turn of the loop.
            let space = unsafe { self.space() };
            debug_assert!(!space.is_empty(), "pushed more than `free`");
            let count = space.len().min(bytes.len());
            space[..count].write_copy_of_slice(&bytes[..count]);
            self.fill(count);
            bytes = &bytes[count..];
        }
    }

    /// Producer: says how the body ended; the first word counts.
    pub(crate) fn finish(&self, end: End) {
        let _ = self.end.compare_exchange(
            End::Open as u8,
            end as u8,
            Ordering::Release,
            Ordering::Relaxed,
        );
    }

    /// Producer: remembers that reading stopped for lack of room. `false` when room has appeared
    /// in the meantime, and reading should go on.
    pub(crate) fn pause(&self) -> bool {
        self.paused.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.free() == 0 {
            return true;
        }
        !self.paused.swap(false, Ordering::SeqCst)
    }

    /// How the body ended, once everything before is read.
    pub(crate) fn end(&self) -> End {
        match self.end.load(Ordering::Acquire) {
            1 => End::Complete,
            2 => End::Disconnected,
            3 => End::Malformed,
            4 => End::TooSlow,
            _ => End::Open,
        }
    }

    /// Consumer: copies up to `len` bytes out. Returns the count, and whether the producer
    /// should be told to read on.
    ///
    /// # Safety
    /// `into` must be writable for `len` bytes, and there must be one consumer at a time.
    pub(crate) unsafe fn pop(&self, into: *mut u8, len: usize) -> (usize, bool) {
        let read = self.read.load(Ordering::Relaxed);
        let ready = self.written.load(Ordering::Acquire) - read;
        let count = ready.min(len);
        if count == 0 {
            return (0, false);
        }
        let buffer = self.buffer.load(Ordering::Acquire);
        let start = read % CAPACITY;
        let first = count.min(CAPACITY - start);
        // SAFETY: bytes between `read` and `written` are initialised, inside the buffer, and the
        // producer stays out of them; `into` is the caller's promise.
        unsafe {
            ptr::copy_nonoverlapping(buffer.add(start), into, first);
            ptr::copy_nonoverlapping(buffer, into.add(first), count - first);
        }
        self.read.store(read + count, Ordering::Release);
        fence(Ordering::SeqCst);
        (count, self.paused.swap(false, Ordering::SeqCst))
    }

    /// Consumer: it waits from now on. Say so before the wish is shown.
    pub(crate) fn begin_wait(&self) {
        self.waits_since.store(clock::of_process(), Ordering::Relaxed);
    }

    /// Producer: for how long a consumer waits that is known to, in milliseconds.
    pub(crate) fn waits_for(&self) -> u64 {
        clock::of_process().saturating_sub(self.waits_since.load(Ordering::Relaxed))
    }

    /// Empties the ring and gives its buffer back. Nobody may be using it.
    pub(crate) fn reset(&mut self) {
        let buffer = std::mem::replace(self.buffer.get_mut(), ptr::null_mut());
        if !buffer.is_null() {
            let bytes = ptr::slice_from_raw_parts_mut(buffer.cast::<MaybeUninit<u8>>(), CAPACITY);
            // SAFETY: the buffer came from `space`, with this length, and nobody uses it now.
            drop(unsafe { Box::from_raw(bytes) });
        }
        *self.read.get_mut() = 0;
        *self.written.get_mut() = 0;
        *self.end.get_mut() = End::Open as u8;
        *self.paused.get_mut() = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &Ring, bytes: &[u8]) {
        // SAFETY: the test is the only producer.
        unsafe { ring.push(bytes) };
    }

    fn pop(ring: &Ring, len: usize) -> (Vec<u8>, bool) {
        let mut into = vec![0; len];
        // SAFETY: `into` has `len` bytes, and the test is the only consumer.
        let (count, resume) = unsafe { ring.pop(into.as_mut_ptr(), len) };
        into.truncate(count);
        (into, resume)
    }

    #[test]
    fn bytes_come_out_in_order_across_the_seam() {
        let ring = Ring::new();
        let mut expected = 0_u8;
        let mut next = 0_u8;
        for round in 1..2000 {
            let count = (round * 37) % 501;
            let mut bytes = Vec::new();
            for _ in 0..count {
                bytes.push(next);
                next = next.wrapping_add(1);
            }
            push(&ring, &bytes);
            let (out, _) = pop(&ring, count + 10);
            assert_eq!(out.len(), count);
            for byte in out {
                assert_eq!(byte, expected);
                expected = expected.wrapping_add(1);
            }
        }
    }

    #[test]
    fn a_full_ring_pauses_and_the_reader_is_told_to_resume_it() {
        let ring = Ring::new();
        push(&ring, &[7; CAPACITY]);
        assert_eq!(ring.free(), 0);
        assert!(ring.pause());
        let (out, resume) = pop(&ring, 10);
        assert_eq!((out.len(), resume), (10, true));
        assert!(!ring.pause(), "there is room, so reading goes on");
    }

    #[test]
    fn the_first_word_about_the_end_counts() {
        let ring = Ring::new();
        ring.finish(End::Disconnected);
        ring.finish(End::Complete);
        assert_eq!(ring.end(), End::Disconnected);
    }
}
