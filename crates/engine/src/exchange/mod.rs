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

mod blocks;
mod rates;
mod signal;

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use abi::{Block, event, progress};

pub(crate) use self::rates::{Rate, Rates};

use crate::application::Request;
use crate::http1::trailers::Trailers;
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

/// So many backends that have failed an exchange are remembered.
pub(crate) const FAILED_BY: usize = 3;

/// How an exchange that was sent to a backend has been repeated: once for a connection that had served
/// before, which the backend may just have closed, and once for one that had not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Repeats {
    pub(crate) reused: bool,
    pub(crate) fresh: bool,
}

impl Repeats {
    pub(crate) const fn any(self) -> bool {
        self.reused || self.fresh
    }
}

/// What only the lane touches.
pub(crate) struct LaneSide {
    /// Bytes as they came: request head, then what of the body came with it.
    pub(crate) input: Vec<u8>,
    /// Backing of `shared.headers`.
    pub(crate) headers: Vec<abi::Header>,
    /// Backing of `shared.trailers`.
    trailers: Trailers,
    trailer_fields: Vec<abi::Header>,
    /// Backing of a path that had to be decoded.
    pub(crate) decoded: Vec<u8>,
    /// Backing of `shared.client_certificate`.
    pub(crate) certificate: Vec<u8>,
    /// Backing of `shared.connection`.
    pub(crate) connection: abi::Connection,
    /// The connection that waits for the answer; `None` once it is sent, or the client is gone.
    pub(crate) owner: Option<ConnectionKey>,
    /// The connection that the request came from.
    pub(crate) key: ConnectionKey,
    /// Whether a handler knows the exchange and has not released it.
    pub(crate) in_use: bool,
    /// It waits for its turn in the application.
    pub(crate) queued: bool,
    /// `signal` has been set to 0 in this use: from then on a 1 in it means that the slot is, or
    /// is about to be, in the list of posted slots.
    listening: bool,
    /// The exchange is over, but the slot is still in the list of posted slots.
    pub(crate) spent: bool,
    /// When the request was there, in the lane's milliseconds.
    pub(crate) begun: u64,
    /// It counts among those that the application has at once.
    pub(crate) counted: bool,
    /// It is no request any more, but another protocol.
    pub(crate) upgraded: bool,
    /// How often it was given back to the application unsent.
    pub(crate) attempts: u32,
    /// It was sent to a backend, and is sent once more.
    pub(crate) repeats: Repeats,
    /// The backends that have failed it, from the first on; as many as are remembered.
    pub(crate) failed_by: [Option<u64>; FAILED_BY],
    /// Since when the exchange waits for its application.
    pub(crate) held_since: Option<Instant>,
    /// How slow clients may be unless the handler says otherwise.
    rates: Rates,
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
    pub(crate) fn allocate(index: u32, home: Arc<LaneShared>, rates: Rates) -> Self {
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
                trailers: AtomicPtr::new(ptr::null_mut()),
                trailer_count: AtomicU32::new(0),
                reserved: 0,
                body_rate: AtomicU32::new(0),
                body_grace: AtomicU32::new(0),
                answer_rate: AtomicU32::new(0),
                answer_grace: AtomicU32::new(0),
                client_certificate: empty(),
            },
            lane: LaneSide {
                input: Vec::with_capacity(INPUT),
                headers: Vec::with_capacity(32),
                trailers: Trailers::default(),
                trailer_fields: Vec::new(),
                decoded: Vec::new(),
                certificate: Vec::new(),
                connection: abi::Connection {
                    size: size_of::<abi::Connection>() as u32,
                    flags: 0,
                    id: 0,
                    remote: address(),
                    local: address(),
                },
                owner: None,
                key: 0,
                in_use: false,
                queued: false,
                listening: false,
                spent: false,
                begun: 0,
                counted: false,
                upgraded: false,
                attempts: 0,
                repeats: Repeats::default(),
                failed_by: [None; FAILED_BY],
                held_since: None,
                rates,
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
        slot.show_rates();
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

    /// Gives the handler the fields that came behind the body. Before the end of the body is said.
    pub(crate) fn put_trailers(self, trailers: Trailers) {
        // SAFETY: slots are never freed; what is written of `shared` is atomic.
        let shared = unsafe { &*self.as_abi() };
        self.lane().keep_trailers(trailers, shared);
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

    /// The backends that have failed the exchange. For the application's own thread, too, see
    /// [`Self::held_since`].
    pub(crate) fn failed_by(self) -> [Option<u64>; FAILED_BY] {
        // SAFETY: slots are never freed; the lane writes the field between dispatches only.
        unsafe { (*self.as_ptr()).lane.failed_by }
    }

    /// Remembers a backend that has failed the exchange.
    pub(crate) fn note_failure(self, upstream: u64) {
        let failed_by = &mut self.lane().failed_by;
        if !failed_by.contains(&Some(upstream)) {
            // The first ones are forgotten for the last.
            failed_by.rotate_right(1);
            failed_by[0] = Some(upstream);
        }
    }

    /// Since when the exchange waits for its application. Also for the application's own thread,
    /// which need not be the lane's any more: nothing writes it during dispatch.
    pub(crate) fn held_since(self) -> Option<Instant> {
        // SAFETY: slots are never freed; the lane writes the field between dispatches only.
        unsafe { (*self.as_ptr()).lane.held_since }
    }

    /// Records that the client is gone. `true` the first time.
    pub(crate) fn abort(self) -> bool {
        self.note(event::ABORTED)
    }

    /// Records that the handler, which wants to hear of it, hears of the end of the connection.
    /// `true` the first time.
    pub(crate) fn tell_closed(self) -> bool {
        self.progress() & progress::WATCHED != 0 && self.note(event::CLOSED)
    }

    fn note(self, event: u32) -> bool {
        // SAFETY: slots are never freed; the field is atomic.
        let happened = unsafe { &(*self.as_ptr()).shared.happened };
        happened.fetch_or(event, Ordering::SeqCst) & event == 0
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
        if !slot.lane.trailers.is_empty() {
            slot.lane.trailer_fields = Vec::new();
            slot.lane.trailers = Trailers::default();
            *slot.shared.trailer_count.get_mut() = 0;
            *slot.shared.trailers.get_mut() = ptr::null_mut();
        }
        slot.lane.owner = None;
        slot.lane.in_use = false;
        slot.lane.listening = false;
        slot.lane.spent = false;
        slot.lane.attempts = 0;
        slot.lane.repeats = Repeats::default();
        slot.lane.failed_by = [None; FAILED_BY];
        slot.lane.held_since = None;
        if *slot.shared.progress.get_mut() & progress::RATES != 0 {
            slot.show_rates();
        }
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
}

impl LaneSide {
    /// Keeps the fields that came behind the body, and shows them to the handler.
    pub(crate) fn keep_trailers(&mut self, trailers: Trailers, shared: &abi::Exchange) {
        debug_assert!(self.trailers.is_empty(), "a body ends once");
        self.trailers = trailers;
        let text = |bytes: &[u8]| abi::Str { ptr: bytes.as_ptr(), len: bytes.len() };
        let fields = self.trailers.fields();
        self.trailer_fields = fields
            .map(|(name, value)| abi::Header { name: text(name), value: text(value) })
            .collect();
        shared.trailers.store(self.trailer_fields.as_mut_ptr(), Ordering::Relaxed);
        // The one who reads the count finds the rest.
        shared.trailer_count.store(self.trailer_fields.len() as u32, Ordering::Release);
    }
}
