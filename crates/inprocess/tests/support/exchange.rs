//! One exchange: the engine's half, as small as it can be.

use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use abi::{
    Address, Block, Connection, Exchange, Handler, Header, Str, event, head, method, outcome,
    progress, read, request, waiting,
};

use super::PATIENCE;

const BLOCK: usize = 4096;

/// A request to run.
#[derive(Default)]
pub struct Request {
    pub method: u16,
    pub method_text: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    /// Arrives with the head.
    pub body: Vec<u8>,
    /// Arrives later, one piece per wait.
    pub pieces: Vec<Vec<u8>>,
    /// The client leaves as soon as the app waits.
    pub leaves: bool,
    pub chunked: bool,
    pub upgrade: bool,
    pub slot: u32,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    pub outcome: u32,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub content_length: i64,
    pub body: Vec<u8>,
    pub progress: u32,
    pub notifications: u32,
}

impl Request {
    pub fn get(target: &str) -> Self {
        Self {
            method: method::GET,
            method_text: "GET",
            target: target.to_owned(),
            headers: vec![("Host", "localhost".to_owned())],
            ..Self::default()
        }
    }

    pub fn post(target: &str, body: &[u8]) -> Self {
        Self {
            method: method::POST,
            method_text: "POST",
            body: body.to_owned(),
            ..Self::get(target)
        }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The exchange first, so that its address is the slot's.
#[repr(C)]
struct Slot {
    exchange: Exchange,
    head: Vec<u8>,
    notified: Mutex<u32>,
    wake: Condvar,
    pieces: Mutex<VecDeque<Vec<u8>>>,
}

static GENERATION: AtomicU32 = AtomicU32::new(1);

/// Memory of a real engine lives as long as the worker; here it is leaked.
fn block(capacity: usize) -> *mut Block {
    let data: &'static mut [u8] = Box::leak(vec![0; capacity].into_boxed_slice());
    Box::leak(Box::new(Block {
        next: AtomicPtr::new(ptr::null_mut()),
        committed: AtomicU32::new(0),
        capacity: capacity.try_into().unwrap(),
        data: data.as_mut_ptr(),
    }))
}

fn str_of(text: &'static [u8]) -> Str {
    Str { ptr: text.as_ptr(), len: text.len() }
}

fn leak(text: &str) -> &'static [u8] {
    Box::leak(text.as_bytes().to_vec().into_boxed_slice())
}

fn slot_for(request: &Request) -> &'static mut Slot {
    let generation = u64::from(GENERATION.fetch_add(1, Ordering::Relaxed));
    let target = leak(&request.target);
    let query = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| Header { name: str_of(leak(name)), value: str_of(leak(value)) })
        .collect();
    let headers: &'static [Header] = Box::leak(headers.into_boxed_slice());
    let connection: &'static Connection = Box::leak(Box::new(Connection {
        size: size_of::<Connection>().try_into().unwrap(),
        flags: 0,
        id: 7,
        remote: Address { family: 4, port: 5555, scope: 0, ip: loopback() },
        local: Address { family: 4, port: 7100, scope: 0, ip: loopback() },
    }));
    let pending: usize = request.pieces.iter().map(Vec::len).sum();
    let length = request.body.len() + pending;
    let mut flags = 0;
    if length > 0 || request.leaves {
        flags |= abi::request::HAS_BODY;
    }
    if request.chunked {
        flags |= request::CHUNKED;
    }
    if request.pieces.is_empty() && !request.leaves {
        flags |= request::BODY_COMPLETE;
    }
    if request.upgrade {
        flags = abi::request::UPGRADE | abi::request::BODY_COMPLETE;
    }
    let mut head = vec![0; 256];
    let exchange = Exchange {
        size: size_of::<Exchange>().try_into().unwrap(),
        flags,
        id: generation << 32 | u64::from(request.slot),
        method: request.method,
        version: 0x0101,
        header_count: headers.len().try_into().unwrap(),
        method_text: str_of(request.method_text.as_bytes()),
        target: str_of(target),
        path: str_of(&target[..query]),
        path_base: str_of(b""),
        query: str_of(&target[query..]),
        scheme: str_of(b"http"),
        headers: headers.as_ptr(),
        content_length: if request.chunked || length == 0 {
            -1
        } else {
            length.try_into().unwrap()
        },
        body: str_of(Box::leak(request.body.clone().into_boxed_slice())),
        connection,
        request_number: generation,
        head: head.as_mut_ptr(),
        head_capacity: head.len().try_into().unwrap(),
        head_len: 0,
        block: block(BLOCK),
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
        client_certificate: str_of(b""),
    };
    Box::leak(Box::new(Slot {
        exchange,
        head,
        notified: Mutex::new(0),
        wake: Condvar::new(),
        pieces: Mutex::new(request.pieces.iter().cloned().collect()),
    }))
}

fn loopback() -> [u8; 16] {
    let mut ip = [0; 16];
    ip[..4].copy_from_slice(&[127, 0, 0, 1]);
    ip
}

pub fn run(handler: &Handler, request: Request) -> Answer {
    let leaves = request.leaves;
    let slot: *mut Slot = slot_for(&request);
    // SAFETY: leaked; the other side gets the same address and follows the protocol.
    let exchange = unsafe { &(*slot).exchange };
    let first = exchange.block;
    let id = exchange.id;
    // SAFETY: as the contract says.
    let outcome = unsafe { (handler.dispatch)(handler.context, slot.cast()) };
    let mut answer = Answer { outcome, ..Answer::default() };
    if outcome == outcome::DONE {
        assert_ne!(super::progress(exchange) & progress::RELEASED, 0, "done means released");
    }
    loop {
        let bits = super::progress(exchange);
        send(exchange, first, &mut answer);
        if bits & progress::RELEASED != 0 {
            break;
        }
        exchange.signal.store(0, Ordering::SeqCst);
        if super::progress(exchange) != bits {
            continue;
        }
        deliver(handler, slot, id, leaves);
        wait(slot, &mut answer);
    }
    answer.progress = super::progress(exchange);
    if answer.progress & progress::HEAD != 0 {
        decode_head(exchange, &mut answer);
    }
    answer
}

/// Takes what is committed, as a socket with room would.
fn send(exchange: &Exchange, first: *mut Block, answer: &mut Answer) {
    if super::progress(exchange) & progress::HEAD == 0 {
        return;
    }
    answer.body.clear();
    let mut block = first;
    while !block.is_null() {
        // SAFETY: blocks are leaked; bytes up to `committed` are ours.
        let bytes = unsafe {
            let committed = (*block).committed.load(Ordering::Acquire);
            std::slice::from_raw_parts((*block).data, committed.try_into().unwrap())
        };
        answer.body.extend_from_slice(bytes);
        // SAFETY: as above.
        block = unsafe { (*block).next.load(Ordering::Acquire) };
    }
    exchange.sent.store(answer.body.len().try_into().unwrap(), Ordering::SeqCst);
}

/// Sends the events that somebody waits for.
fn deliver(handler: &Handler, slot: *mut Slot, id: u64, leaves: bool) {
    // SAFETY: leaked.
    let exchange = unsafe { &(*slot).exchange };
    let waits = exchange.waiting.swap(0, Ordering::SeqCst);
    let mut events = 0;
    if waits & waiting::SPACE != 0 {
        events |= event::WRITABLE;
    }
    if waits & waiting::BODY != 0 {
        events |= event::READABLE;
    }
    if leaves {
        exchange.happened.fetch_or(event::ABORTED, Ordering::SeqCst);
        events |= event::ABORTED;
    }
    if events != 0 {
        // SAFETY: as the contract says.
        unsafe { (handler.signal)(handler.context, slot.cast(), id, events) };
    }
}

fn wait(slot: *mut Slot, answer: &mut Answer) {
    // SAFETY: leaked; these fields are never borrowed mutably.
    let (notified, wake) = unsafe { (&(*slot).notified, &(*slot).wake) };
    let guard = notified.lock().unwrap();
    let (mut count, timeout) =
        wake.wait_timeout_while(guard, PATIENCE, |count| *count == 0).unwrap();
    assert!(!timeout.timed_out(), "the app does not answer");
    answer.notifications += *count;
    *count = 0;
}

fn decode_head(exchange: &Exchange, answer: &mut Answer) {
    // SAFETY: the handler filled so many bytes.
    let bytes =
        unsafe { std::slice::from_raw_parts(exchange.head, exchange.head_len.try_into().unwrap()) };
    let number = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    answer.status = number(head::STATUS).try_into().unwrap();
    let length = &bytes[head::CONTENT_LENGTH..head::CONTENT_LENGTH + 8];
    answer.content_length = i64::from_le_bytes(length.try_into().unwrap());
    let mut at = head::SIZE + number(head::REASON);
    for _ in 0..number(head::COUNT) {
        let name_length = number(at);
        let value_length = number(at + 2) | number(at + 4) << 16;
        let name = at + head::FIELD_SIZE;
        let value = name + name_length;
        at = value + value_length;
        let text = |range: &[u8]| String::from_utf8(range.to_owned()).unwrap();
        answer.headers.push((text(&bytes[name..value]), text(&bytes[value..at])));
    }
    assert_eq!(at, bytes.len());
}

pub unsafe extern "C" fn notify(exchange: *mut Exchange) {
    let slot = exchange.cast::<Slot>();
    // SAFETY: every exchange of this test is the start of a leaked slot.
    let (notified, wake) = unsafe { (&(*slot).notified, &(*slot).wake) };
    *notified.lock().unwrap() += 1;
    wake.notify_one();
}

pub unsafe extern "C" fn grow(exchange: *mut Exchange, min: u32) -> *mut Block {
    let new = block(BLOCK.max(min.try_into().unwrap()));
    // SAFETY: the handler's thread is the only one that touches the current block.
    unsafe {
        (*(*exchange).block).next.store(new, Ordering::Release);
        (*exchange).block = new;
    }
    new
}

pub unsafe extern "C" fn grow_head(exchange: *mut Exchange, min: u32) -> *mut u8 {
    let slot = exchange.cast::<Slot>();
    // SAFETY: the handler's thread is the only one that touches the head now.
    unsafe {
        let head = &mut (*slot).head;
        head.resize(min.try_into().unwrap(), 0);
        (*exchange).head = head.as_mut_ptr();
        (*exchange).head_capacity = min;
        (*exchange).head
    }
}

pub unsafe extern "C" fn read(exchange: *mut Exchange, id: u64, into: *mut u8, len: u32) -> i64 {
    let slot = exchange.cast::<Slot>();
    // SAFETY: the id is written before dispatch and does not change.
    let exchange = unsafe { &*exchange };
    if exchange.id != id {
        return read::STALE;
    }
    if exchange.happened.load(Ordering::SeqCst) & event::ABORTED != 0 {
        return read::DISCONNECTED;
    }
    // SAFETY: leaked, and behind a lock.
    let pieces = unsafe { &(*slot).pieces };
    let mut pieces = pieces.lock().unwrap();
    // An empty piece stands for "not yet".
    match pieces.pop_front() {
        Some(piece) if piece.is_empty() => {
            exchange.waiting.fetch_or(waiting::BODY, Ordering::SeqCst);
            if exchange.signal.swap(1, Ordering::SeqCst) == 0 {
                // SAFETY: the exchange is one of ours.
                unsafe { notify(ptr::from_ref(exchange).cast_mut()) };
            }
            read::WOULD_BLOCK
        }
        Some(piece) => {
            assert!(piece.len() <= len.try_into().unwrap(), "test pieces are small");
            // SAFETY: `into` has room for `len` bytes.
            unsafe { ptr::copy_nonoverlapping(piece.as_ptr(), into, piece.len()) };
            piece.len().try_into().unwrap()
        }
        None => read::END,
    }
}

/// One exchange used again and again, as a kept connection does.
pub struct Kept<'a> {
    handler: &'a Handler,
    slot: *mut Slot,
    first: *mut Block,
}

impl<'a> Kept<'a> {
    pub fn new(handler: &'a Handler, request: Request) -> Self {
        let slot: *mut Slot = slot_for(&request);
        // SAFETY: leaked.
        let first = unsafe { (*slot).exchange.block };
        Self { handler, slot, first }
    }

    /// Runs the request once more; it must be answered at once.
    pub fn go(&mut self) {
        // SAFETY: the exchange is between two uses, so it is ours alone.
        let exchange = unsafe { &mut (*self.slot).exchange };
        exchange.id += 1 << 32;
        exchange.block = self.first;
        exchange.head_len = 0;
        *exchange.progress.get_mut() = 0;
        *exchange.signal.get_mut() = 1;
        // SAFETY: as above.
        unsafe { (*self.first).committed.store(0, Ordering::Relaxed) };
        // SAFETY: as the contract says.
        let outcome = unsafe { (self.handler.dispatch)(self.handler.context, self.slot.cast()) };
        assert_eq!(outcome, outcome::DONE);
    }

    /// What came of the last time.
    pub fn answer(&self) -> Answer {
        // SAFETY: the exchange is between two uses, so it is ours alone.
        let exchange = unsafe { &(*self.slot).exchange };
        let mut answer = Answer { progress: super::progress(exchange), ..Answer::default() };
        send(exchange, self.first, &mut answer);
        decode_head(exchange, &mut answer);
        answer
    }
}
