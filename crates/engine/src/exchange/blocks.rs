//! The response between handler and lane: the encoded head, and the chain of body blocks.

use std::io::IoSlice;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};

use abi::{Block, waiting};

use super::{BLOCK, LOW_WATER, LaneSide, SlotRef};

impl SlotRef {
    /// The encoded response head. Only after `progress::HEAD`.
    pub(crate) fn head(&self) -> &[u8] {
        // SAFETY: slots are never freed, and the handler has published its head.
        let shared = unsafe { &*self.as_abi() };
        if shared.head_len == 0 {
            return &[];
        }
        let len = shared.head_len.min(shared.head_capacity) as usize;
        // SAFETY: `head` is the handler side's buffer, of which the handler has initialised
        // `head_len` bytes before it published `progress::HEAD`; the capacity bounds them.
        unsafe { std::slice::from_raw_parts(shared.head, len) }
    }

    /// Replaces the response head, on the handler's side.
    pub(crate) fn put_head(self, head: &[u8]) {
        let target = self.grow_head(head.len() as u32);
        // SAFETY: `grow_head` made room for as many bytes, and the ranges are distinct.
        unsafe { ptr::copy_nonoverlapping(head.as_ptr(), target, head.len()) };
        // SAFETY: the head is the handler's side's until it is published.
        unsafe { (*self.as_ptr()).shared.head_len = head.len() as u32 };
    }

    /// Appends to the response body, on the handler's side.
    pub(crate) fn put_body(self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // SAFETY: `block` always points to the last block of this slot, which is alive.
            let mut block = unsafe { &*(*self.as_ptr()).shared.block };
            let mut used = block.committed.load(Ordering::Relaxed);
            if used == block.capacity {
                // SAFETY: `grow` returns a live block.
                block = unsafe { &*self.grow(u32::try_from(bytes.len()).unwrap_or(BLOCK)) };
                used = 0;
            }
            let count = bytes.len().min((block.capacity - used) as usize);
            // SAFETY: `count` bytes from `used` on are inside the block and not yet committed,
            // so nobody else touches them.
            unsafe {
                ptr::copy_nonoverlapping(bytes.as_ptr(), block.data.add(used as usize), count);
            }
            block.committed.store(used + count as u32, Ordering::Release);
            bytes = &bytes[count..];
        }
    }

    /// Links a new block of at least `min` bytes behind the current one, on the handler's side.
    pub(crate) fn grow(self, min: u32) -> *mut Block {
        let capacity = min.max(BLOCK);
        let data = Box::into_raw(Box::<[u8]>::new_uninit_slice(capacity as usize));
        let block = Box::into_raw(Box::new(Block {
            next: AtomicPtr::new(ptr::null_mut()),
            committed: AtomicU32::new(0),
            capacity,
            data: data.cast(),
        }));
        // SAFETY: `shared.block` is the handler's side's; the block it names stays alive until
        // the lane has seen that it has a successor.
        unsafe {
            (*(*self.as_ptr()).shared.block).next.store(block, Ordering::Release);
            (*self.as_ptr()).shared.block = block;
        }
        block
    }

    /// Makes room for `min` bytes of head, keeping what is in use, on the handler's side.
    pub(crate) fn grow_head(self, min: u32) -> *mut u8 {
        // SAFETY: the buffer and these fields are the handler's side's until the head is
        // published; the lane reads none of them before.
        let (handler, shared) = unsafe { (&mut (*self.as_ptr()).handler, &mut *self.as_abi()) };
        if min > shared.head_capacity {
            let used = shared.head_len.min(shared.head_capacity) as usize;
            // SAFETY: the handler has initialised `used` bytes of its buffer.
            unsafe { handler.head.set_len(used) };
            handler.head.reserve(min as usize - used);
            shared.head = handler.head.as_mut_ptr();
            shared.head_capacity = handler.head.capacity() as u32;
        }
        shared.head
    }

    /// Takes `count` response bytes as sent.
    pub(crate) fn take_sent(self, count: usize) {
        // SAFETY: slots are never freed; `sent` is atomic, `first` only compared by address.
        let (sent, first) =
            unsafe { (&(*self.as_ptr()).shared.sent, &raw const (*self.as_ptr()).handler.first) };
        sent.fetch_add(count as u64, Ordering::SeqCst);
        self.lane().take(count, first);
    }

    /// Whether the handler waits for space and there is enough again; takes the wish.
    pub(crate) fn take_space_wish(self) -> bool {
        self.waits_for(waiting::SPACE)
            && self.lane().unsent() <= LOW_WATER
            && self.take_wish(waiting::SPACE)
    }

    /// Whether the handler waits for body bytes; takes the wish.
    pub(crate) fn take_body_wish(self) -> bool {
        // Bytes first, then the wish; `host::read` does it the other way round.
        fence(Ordering::SeqCst);
        self.waits_for(waiting::BODY) && self.take_wish(waiting::BODY)
    }

    /// Whether the handler waits for body bytes.
    pub(crate) fn waits_for_body(self) -> bool {
        self.waits_for(waiting::BODY)
    }

    fn waits_for(self, wish: u32) -> bool {
        // SAFETY: slots are never freed; the field is atomic.
        unsafe { (*self.as_ptr()).shared.waiting.load(Ordering::SeqCst) & wish != 0 }
    }

    fn take_wish(self, wish: u32) -> bool {
        // SAFETY: slots are never freed; the field is atomic.
        let waiting = unsafe { &(*self.as_ptr()).shared.waiting };
        waiting.fetch_and(!wish, Ordering::SeqCst) & wish != 0
    }
}

impl LaneSide {
    /// Committed response bytes that are not yet sent.
    pub(crate) fn unsent(&self) -> usize {
        let mut total = 0;
        let (mut block, mut offset) = (self.block, self.offset);
        while !block.is_null() {
            // SAFETY: blocks from the reading position on are alive; only the lane frees them.
            let current = unsafe { &*block };
            // The successor first: once it is there, `committed` is final.
            let next = current.next.load(Ordering::Acquire);
            total += (current.committed.load(Ordering::Acquire) - offset) as usize;
            offset = 0;
            block = next;
        }
        total
    }

    /// Up to `limit` unsent bytes, as pieces behind those in `out`.
    pub(crate) fn pieces<'a>(&self, limit: usize, out: &mut Vec<IoSlice<'a>>) {
        const MOST: usize = 64;
        let (mut block, mut offset, mut left) = (self.block, self.offset, limit);
        while !block.is_null() && left > 0 && out.len() < MOST {
            // SAFETY: blocks from the reading position on are alive; only the lane frees them.
            let current = unsafe { &*block };
            let next = current.next.load(Ordering::Acquire);
            let ready = (current.committed.load(Ordering::Acquire) - offset) as usize;
            let count = ready.min(left);
            if count > 0 {
                // SAFETY: committed bytes are initialised and not written to again; the block
                // is freed by `take` only, which callers do after sending.
                out.push(IoSlice::new(unsafe {
                    std::slice::from_raw_parts(current.data.add(offset as usize), count)
                }));
            }
            left -= count;
            offset = 0;
            block = next;
        }
    }

    /// Appends the first `count` unsent bytes to `out`; so many must be there.
    pub(crate) fn copy_to(&self, count: usize, out: &mut Vec<u8>) {
        let (mut block, mut offset, mut left) = (self.block, self.offset, count);
        while !block.is_null() && left > 0 {
            // SAFETY: blocks from the reading position on are alive; only the lane frees them.
            let current = unsafe { &*block };
            let next = current.next.load(Ordering::Acquire);
            let ready = (current.committed.load(Ordering::Acquire) - offset) as usize;
            let count = ready.min(left);
            if count > 0 {
                // SAFETY: committed bytes are initialised and not written to again.
                out.extend_from_slice(unsafe {
                    std::slice::from_raw_parts(current.data.add(offset as usize), count)
                });
            }
            left -= count;
            offset = 0;
            block = next;
        }
        debug_assert_eq!(left, 0, "more than was committed");
    }

    fn take(&mut self, mut count: usize, first: *const Block) {
        loop {
            // SAFETY: the block at the reading position is alive.
            let current = unsafe { &*self.block };
            let next = current.next.load(Ordering::Acquire);
            let ready = (current.committed.load(Ordering::Acquire) - self.offset) as usize;
            let taken = ready.min(count);
            self.offset += taken as u32;
            count -= taken;
            if next.is_null() || taken < ready {
                debug_assert_eq!(count, 0, "more sent than was committed");
                return;
            }
            // SAFETY: it has a successor, so the handler has left it, and so do we now.
            unsafe { free_block(self.block, first) };
            self.block = next;
            self.offset = 0;
        }
    }

    pub(super) fn free_blocks(&mut self, first: *const Block) {
        let mut block = self.block;
        while !block.is_null() {
            // SAFETY: the exchange is over; the lane alone has the chain.
            let next = unsafe { (*block).next.load(Ordering::Acquire) };
            // SAFETY: as above, and its successor is already read.
            unsafe { free_block(block, first) };
            block = next;
        }
        self.block = ptr::null_mut();
    }
}

/// # Safety
/// `block` must be `first`, or come from `grow` and be used by nobody.
unsafe fn free_block(block: *mut Block, first: *const Block) {
    if ptr::eq(block, first) {
        return;
    }
    // SAFETY: made by `grow` in just this way, and the caller's promise.
    unsafe {
        let block = Box::from_raw(block);
        let data = ptr::slice_from_raw_parts_mut(
            block.data.cast::<std::mem::MaybeUninit<u8>>(),
            block.capacity as usize,
        );
        drop(Box::from_raw(data));
    }
}
