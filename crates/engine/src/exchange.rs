//! The memory of one exchange: what the contract shows of it and what each side keeps beside it.
//!
//! A [`Slot`] is allocated once, belongs to one lane for ever and is never freed, because a
//! handler may hold its address longer than it should. Its parts have owners, not locks:
//!
//! | part | who touches it |
//! |---|---|
//! | `shared` | as [`abi::Exchange`] says |
//! | `lane` | the thread that owns the lane |
//! | `handler` | the handler's side, through [`crate::host`] |
//! | `ring` | producer: the lane; consumer: the handler |
//! | `next_posted` | whoever changed `signal` from 0 to 1, until the lane takes it |
//!
//! INVARIANT: a slot is recycled only when the handler has set `RELEASED` (or never saw it), no
//! connection refers to it and it is not in the list of posted slots: a handler tells of its last
//! word after publishing it, so the lane may have seen the word before the telling arrives. The id
//! changes first, so late calls miss.

use std::io::IoSlice;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use std::time::Instant;

use abi::{Block, event, waiting};

use crate::application::Request;

use crate::inbox::LaneShared;
use crate::ring::Ring;

/// Body bytes that a small answer may have without asking for another block.
const FIRST_BLOCK: usize = 4096;
/// Size of further blocks, unless more is asked for at once.
const BLOCK: u32 = 32 * 1024;
/// Room for an encoded response head before it must grow.
const HEAD: usize = 1024;
/// Room for a request head, and what comes with it, before it must grow.
const INPUT: usize = 8 * 1024;
/// A waiting writer is woken when no more than this is unsent.
const LOW_WATER: usize = 128 * 1024;
/// A slot that grew beyond this is cut back when recycled.
const INPUT_KEPT: usize = 16 * 1024;

/// Name of a connection in its lane; never reused.
pub(crate) type ConnectionKey = u64;

/// One exchange's memory.
#[repr(C)]
pub(crate) struct Slot {
    /// Must be first: the handler's pointer is the slot's.
    pub(crate) shared: abi::Exchange,
    pub(crate) lane: LaneSide,
    pub(crate) handler: HandlerSide,
    pub(crate) ring: Ring,
    pub(crate) next_posted: AtomicPtr<Slot>,
    pub(crate) home: Arc<LaneShared>,
}

/// What only the lane touches.
pub(crate) struct LaneSide {
    /// Bytes as they came: request head, then what of the body came with it.
    pub(crate) input: Vec<u8>,
    /// Backing of `shared.headers`.
    pub(crate) headers: Vec<abi::Header>,
    /// Backing of a path that had to be decoded.
    pub(crate) decoded: Vec<u8>,
    /// Backing of `shared.connection`.
    pub(crate) connection: abi::Connection,
    /// The connection that waits for the answer; `None` once it is sent, or the client is gone.
    pub(crate) owner: Option<ConnectionKey>,
    /// Whether a handler knows the exchange and has not released it.
    pub(crate) in_use: bool,
    /// It waits for its turn in the application.
    pub(crate) queued: bool,
    /// `signal` has been set to 0 in this use: from then on a 1 in it means that the slot is, or
    /// is about to be, in the list of posted slots.
    listening: bool,
    /// The exchange is over, but the slot is still in the list of posted slots.
    pub(crate) spent: bool,
    /// How often it was given back to the application unsent.
    pub(crate) attempts: u32,
    /// It was sent to a backend, and is sent once more.
    pub(crate) repeated: bool,
    /// Since when the exchange waits for its application.
    pub(crate) held_since: Option<Instant>,
    /// Where sending of response blocks stands.
    block: *mut Block,
    offset: u32,
}

/// What only the handler's side touches while the exchange runs.
pub(crate) struct HandlerSide {
    head: Vec<u8>,
    first: Block,
    first_data: Box<[u8; FIRST_BLOCK]>,
}

/// A slot, as the lane that owns it sees it.
///
/// Copies are free; slots live for ever, so every copy stays valid. INVARIANT: values of this
/// type are used by the thread that owns the slot's lane, and by the handler's side only through
/// the parts that are its own. That is what the `unsafe` blocks below rely on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRef(NonNull<Slot>);

// SAFETY: a slot's parts are owned as the module text says, whichever thread runs the lane.
unsafe impl Send for SlotRef {}

impl SlotRef {
    /// Allocates a slot for a lane. `index` is unique in the worker.
    pub(crate) fn allocate(index: u32, home: Arc<LaneShared>) -> Self {
        let address = || abi::Address { family: 0, port: 0, scope: 0, ip: [0; 16] };
        let empty = || abi::Str { ptr: ptr::null(), len: 0 };
        let slot = Box::new(Slot {
            shared: abi::Exchange {
                size: size_of::<abi::Exchange>() as u32,
                flags: 0,
                id: u64::from(index) | (1 << 32),
                method: 0,
                version: 0,
                header_count: 0,
                method_text: empty(),
                target: empty(),
                path: empty(),
                path_base: empty(),
                query: empty(),
                scheme: abi::Str { ptr: b"http".as_ptr(), len: 4 },
                headers: ptr::null(),
                content_length: -1,
                body: empty(),
                connection: ptr::null(),
                request_number: 0,
                head: ptr::null_mut(),
                head_capacity: 0,
                head_len: 0,
                block: ptr::null_mut(),
                sent: AtomicU64::new(0),
                signal: AtomicU32::new(1),
                progress: AtomicU32::new(0),
                waiting: AtomicU32::new(0),
                happened: AtomicU32::new(0),
            },
            lane: LaneSide {
                input: Vec::with_capacity(INPUT),
                headers: Vec::with_capacity(32),
                decoded: Vec::new(),
                connection: abi::Connection {
                    size: size_of::<abi::Connection>() as u32,
                    flags: 0,
                    id: 0,
                    remote: address(),
                    local: address(),
                },
                owner: None,
                in_use: false,
                queued: false,
                listening: false,
                spent: false,
                attempts: 0,
                repeated: false,
                held_since: None,
                block: ptr::null_mut(),
                offset: 0,
            },
            handler: HandlerSide {
                head: Vec::with_capacity(HEAD),
                first: Block {
                    next: AtomicPtr::new(ptr::null_mut()),
                    committed: AtomicU32::new(0),
                    capacity: FIRST_BLOCK as u32,
                    data: ptr::null_mut(),
                },
                first_data: Box::new([0; FIRST_BLOCK]),
            },
            ring: Ring::new(),
            next_posted: AtomicPtr::new(ptr::null_mut()),
            home,
        });
        let this = Self(NonNull::from(Box::leak(slot)));
        // SAFETY: just allocated, and nobody else has it.
        let slot = unsafe { &mut *this.as_ptr() };
        slot.handler.first.data = slot.handler.first_data.as_mut_ptr();
        slot.shared.connection = &raw const slot.lane.connection;
        this.prepare_response();
        this
    }

    /// The slot of an exchange that was handed out.
    ///
    /// # Safety
    /// `exchange` must come from [`Self::as_abi`].
    pub(crate) unsafe fn from_abi(exchange: *mut abi::Exchange) -> Self {
        // SAFETY: the caller's promise: it is a slot, hence not null.
        Self(unsafe { NonNull::new_unchecked(exchange.cast()) })
    }

    /// The slot whose address this is.
    pub(crate) fn from_ptr(slot: *mut Slot) -> Option<Self> {
        NonNull::new(slot).map(Self)
    }

    pub(crate) fn as_ptr(self) -> *mut Slot {
        self.0.as_ptr()
    }

    /// The exchange as handlers see it.
    pub(crate) fn as_abi(self) -> *mut abi::Exchange {
        self.as_ptr().cast()
    }

    /// The lane's own part.
    #[expect(clippy::mut_from_ref, reason = "the lane has one thread, and borrows do not nest")]
    pub(crate) fn lane(&self) -> &mut LaneSide {
        // SAFETY: only the lane's thread touches this part.
        unsafe { &mut (*self.as_ptr()).lane }
    }

    pub(crate) fn ring(&self) -> &Ring {
        // SAFETY: slots are never freed; the ring is made for two threads.
        unsafe { &(*self.as_ptr()).ring }
    }

    /// The request, once it is filled in.
    pub(crate) fn request(&self) -> Request<'_> {
        // SAFETY: the request part does not change while the exchange is in use.
        Request::new(unsafe { &*self.as_abi() })
    }

    /// The request part, before a handler has seen it.
    #[expect(clippy::mut_from_ref, reason = "the lane has one thread, and borrows do not nest")]
    pub(crate) fn request_mut(&self) -> &mut abi::Exchange {
        debug_assert!(!self.lane().in_use, "the request is the handler's now");
        // SAFETY: no handler knows the exchange, so the lane alone has it.
        unsafe { &mut *self.as_abi() }
    }

    pub(crate) fn id(self) -> u64 {
        // SAFETY: only the lane changes the id, and this is the lane.
        unsafe { (*self.as_ptr()).shared.id }
    }

    /// Bits of [`abi::progress`]. Everything that was committed before them is visible after.
    pub(crate) fn progress(self) -> u32 {
        // SAFETY: slots are never freed; the field is atomic.
        unsafe { (*self.as_ptr()).shared.progress.load(Ordering::Acquire) }
    }

    pub(crate) fn add_progress(self, bits: u32) {
        // SAFETY: slots are never freed; the field is atomic.
        unsafe { (*self.as_ptr()).shared.progress.fetch_or(bits, Ordering::Release) };
    }

    /// From now on the handler's side must tell us of news. Look for them after this: what was
    /// published before is not told.
    pub(crate) fn listen(self) {
        if !std::mem::replace(&mut self.lane().listening, true) {
            self.swap_signal(0);
        }
    }

    /// The slot was taken from the list of posted slots. `true`: listening goes on. `false`: the
    /// exchange is over, and the slot can be recycled now.
    pub(crate) fn heard(self) -> bool {
        if self.lane().spent {
            self.lane().listening = false;
            return false;
        }
        self.swap_signal(0);
        true
    }

    /// Ends listening. `false`: the slot is, or is about to be, in the list of posted slots, and
    /// must not be used for another exchange before it was taken from there.
    fn stop_listening(self) -> bool {
        !self.lane().listening || self.swap_signal(1) == 0
    }

    /// Exchanges, and never stores: whoever exchanges second sees what the first has published.
    fn swap_signal(self, value: u32) -> u32 {
        // SAFETY: slots are never freed; the field is atomic.
        unsafe { (*self.as_ptr()).shared.signal.swap(value, Ordering::SeqCst) }
    }

    /// Posts the slot to its lane, from any thread, unless that is already known.
    pub(crate) fn tell_lane(self) {
        // SAFETY: slots are never freed; the field is atomic.
        let home = unsafe { &(*self.as_ptr()).home };
        if self.swap_signal(1) == 0 {
            home.post(self.as_ptr());
        }
    }

    /// Lane: the slot posted before this one.
    pub(crate) fn next_posted(self) -> Option<Self> {
        // SAFETY: slots are never freed; the field is atomic.
        Self::from_ptr(unsafe { (*self.as_ptr()).next_posted.load(Ordering::Relaxed) })
    }

    /// Since when the exchange waits for its application. Also for the application's own thread,
    /// which need not be the lane's any more: nothing writes it during dispatch.
    pub(crate) fn held_since(self) -> Option<Instant> {
        // SAFETY: slots are never freed; the lane writes the field between dispatches only.
        unsafe { (*self.as_ptr()).lane.held_since }
    }

    /// Records that the client is gone. `true` the first time.
    pub(crate) fn abort(self) -> bool {
        // SAFETY: slots are never freed; the field is atomic.
        let happened = unsafe { &(*self.as_ptr()).shared.happened };
        happened.fetch_or(event::ABORTED, Ordering::SeqCst) & event::ABORTED == 0
    }

    /// Makes the slot ready for another request, under another id. `false`: it is still posted;
    /// come again when it was taken from the list.
    pub(crate) fn recycle(self) -> bool {
        if !self.stop_listening() {
            self.lane().spent = true;
            return false;
        }
        // SAFETY: nobody uses the exchange any more (the invariant of recycling). A late `read`
        // looks at the id only, which is replaced in one store.
        let slot = unsafe { &mut *self.as_ptr() };
        let next = slot.shared.id.wrapping_add(1 << 32);
        // SAFETY: the id is an aligned u64; others only read it, atomically.
        unsafe { AtomicU64::from_ptr(&raw mut slot.shared.id) }.store(next, Ordering::Relaxed);
        slot.lane.free_blocks(&raw const slot.handler.first);
        slot.ring.reset();
        slot.lane.input.clear();
        if !(INPUT..=INPUT_KEPT).contains(&slot.lane.input.capacity()) {
            slot.lane.input = Vec::with_capacity(INPUT);
        }
        slot.lane.headers.clear();
        slot.lane.owner = None;
        slot.lane.in_use = false;
        slot.lane.listening = false;
        slot.lane.spent = false;
        slot.lane.attempts = 0;
        slot.lane.repeated = false;
        slot.lane.held_since = None;
        self.prepare_response();
        true
    }

    fn prepare_response(self) {
        // SAFETY: as in `recycle`, from where this is called.
        let slot = unsafe { &mut *self.as_ptr() };
        *slot.handler.first.committed.get_mut() = 0;
        *slot.handler.first.next.get_mut() = ptr::null_mut();
        let first = &raw mut slot.handler.first;
        slot.lane.block = first;
        slot.lane.offset = 0;
        let shared = &mut slot.shared;
        shared.block = first;
        shared.head = slot.handler.head.as_mut_ptr();
        shared.head_capacity = slot.handler.head.capacity() as u32;
        shared.head_len = 0;
        *shared.sent.get_mut() = 0;
        *shared.progress.get_mut() = 0;
        *shared.waiting.get_mut() = 0;
        *shared.happened.get_mut() = 0;
        // 1: nobody need tell the lane anything before the first dispatch has returned.
        shared.signal.store(1, Ordering::Relaxed);
    }

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

    fn free_blocks(&mut self, first: *const Block) {
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
