//! What the engine serves: the seam between protocol and handlers.
//!
//! An [`Application`] gets an [`Exchange`] whose head is complete and says how it goes on. It is
//! called on the lane's own thread. It may block there: the lane then continues on another
//! thread, and only this exchange waits (see `handoff`).

use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use abi::{event, progress, request};

use crate::exchange::SlotRef;
use crate::http1;

/// Something that answers requests.
pub trait Application: Send + Sync + 'static {
    /// Begins one exchange. Called once per request, and again after [`Outcome::Hold`].
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome;

    /// Delivers bits of [`abi::event`] for an exchange whose dispatch said [`Outcome::Pending`].
    /// Runs on the lane and must not block, unless [`event::YIELDED`] says that it may as
    /// [`Self::dispatch`] may.
    ///
    /// The pointer is valid; `id` tells whether it still names the same exchange. Only
    /// [`event::CLOSED`] comes with a null pointer, and the id of a connection, and [`event::QUIET`],
    /// with neither.
    fn signal(&self, exchange: *mut abi::Exchange, id: u64, events: u32) {
        let _ = (exchange, id, events);
    }
}

/// How an exchange goes on after [`Application::dispatch`].
#[derive(Clone)]
pub enum Outcome {
    /// The answer is complete.
    Done,
    /// Proxy the exchange to a backend.
    Forward(Arc<Upstream>),
    /// Keep the request and ask again after [`crate::Waker::wake`], or within a second.
    Hold,
    /// The application goes on by itself and notifies through the exchange.
    Pending,
}

/// A backend that speaks HTTP/1.1.
pub struct Upstream {
    /// Names this incarnation of the backend: connections are only reused within one id.
    pub id: u64,
    /// Where it listens.
    pub address: UpstreamAddress,
    /// Where it takes links, which carry many exchanges each; those that may change protocols go to
    /// the address all the same.
    pub link: Option<PathBuf>,
    /// What is sent to it and taken from it.
    pub rules: Arc<dyn Forward>,
}

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// The rules of a proxied exchange; the engine supplies transport and framing.
pub trait Forward: Send + Sync {
    /// Writes the request head, up to and including the empty line.
    fn request_head(&self, request: &Request<'_>, out: &mut Vec<u8>);

    /// Whether a field that came behind the request's body goes on to the backend. What must not
    /// be a trailer at all (RFC 9110 6.5.1) has been left out before.
    fn keep_request_trailer(&self, request: &Request<'_>, name: &[u8]) -> bool {
        let _ = (request, name);
        true
    }

    /// Whether a field of the backend's answer, of its interim answers or behind its body goes on
    /// to the client.
    fn keep_response_field(&self, name: &[u8], value: &[u8]) -> bool;

    /// Whether the backend was asked to switch protocols, and may.
    fn may_switch(&self, request: &Request<'_>) -> bool {
        request.is_upgrade()
    }

    /// The answer for an exchange that cannot be completed and of which nothing was sent yet.
    fn failed(&self, request: &Request<'_>, failure: &UpstreamFailure) -> Answer;

    /// An exchange cannot be completed of which the client has a part. It sees that its answer is
    /// not whole.
    fn broke_off(&self, request: &Request<'_>, failure: &UpstreamFailure) {
        let _ = (request, failure);
    }

    /// How long the backend may move no byte while it is its turn.
    fn silence_limit(&self) -> Duration {
        Duration::from_secs(120)
    }

    /// How many connections the backend may have at once; requests wait for one beyond that. What
    /// has changed protocols does not count. Lanes share the number evenly, and have one at least.
    fn connection_limit(&self) -> usize {
        usize::MAX
    }

    /// A connection to this backend was refused or broke; perhaps the process is gone. One that
    /// `was_new` had served nothing before; others a backend may end at any time.
    fn connection_lost(&self, was_new: bool) {
        let _ = was_new;
    }

    /// Whether others should have the requests, if there are any.
    fn is_doubtful(&self) -> bool {
        false
    }
}

/// Why a proxied exchange failed.
#[derive(Debug)]
pub struct UpstreamFailure {
    /// What was going on.
    pub phase: UpstreamPhase,
    /// What went wrong.
    pub error: io::Error,
    /// Since the exchange was sent on its way.
    pub elapsed: Duration,
}

/// Steps of a proxied exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamPhase {
    /// Connecting to the backend.
    Connect,
    /// Sending the request.
    Send,
    /// Waiting for, or reading, the head of the answer.
    Head,
    /// Reading the body of the answer.
    Body,
}

/// A complete answer of the host's own.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header fields; framing, `Date` and `Server` are added.
    pub fields: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer in plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        let fields = vec![("Content-Type".into(), "text/plain; charset=utf-8".into())];
        Self { status, fields, body: body.into().into_bytes() }
    }

    /// Writes the answer into an exchange, as a handler would.
    pub(crate) fn put(&self, slot: SlotRef) {
        let mut head = Vec::with_capacity(256);
        let fields = self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let length = Some(self.body.len() as u64);
        http1::response::encode_head(self.status, "", length, fields, &mut head);
        slot.put_head(&head);
        slot.put_body(&self.body);
        slot.add_progress(progress::HEAD | progress::ENDED);
    }
}

/// The exchange during [`Application::dispatch`].
pub struct Exchange<'a> {
    slot: SlotRef,
    responded: bool,
    dispatch: PhantomData<&'a mut ()>,
}

impl Exchange<'_> {
    pub(crate) fn new(slot: SlotRef) -> Self {
        Self { slot, responded: false, dispatch: PhantomData }
    }

    /// The request.
    pub fn request(&self) -> Request<'_> {
        self.slot.request()
    }

    /// The exchange as loadable handlers see it.
    pub fn as_abi(&mut self) -> *mut abi::Exchange {
        self.slot.as_abi()
    }

    /// For how long the exchange has been held.
    pub fn held_for(&self) -> Duration {
        self.slot.held_since().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether the backend with this [`Upstream::id`] is one of the last that have failed the exchange
    /// before it was offered again.
    pub fn was_failed_by(&self, id: u64) -> bool {
        self.slot.failed_by().contains(&Some(id))
    }

    /// Gives the whole answer. Return [`Outcome::Done`] afterwards. Only the first one counts.
    pub fn respond(&mut self, answer: &Answer) {
        if !self.responded {
            self.responded = true;
            answer.put(self.slot);
        }
    }

    /// The application has returned. Not before: it may look at the request after its answer,
    /// while a lane that was taken over has already sent that.
    pub(crate) fn release(self) {
        if self.responded {
            self.slot.add_progress(progress::RELEASED);
        }
    }
}

/// A read-only view of a request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    shared: &'a abi::Exchange,
}

impl<'a> Request<'a> {
    pub(crate) fn new(shared: &'a abi::Exchange) -> Self {
        Self { shared }
    }

    /// The method as received.
    pub fn method(&self) -> &'a [u8] {
        self.bytes(&self.shared.method_text)
    }

    /// A number of [`abi::method`], or 0.
    pub fn method_id(&self) -> u16 {
        self.shared.method
    }

    /// The request target as received.
    pub fn target(&self) -> &'a [u8] {
        self.bytes(&self.shared.target)
    }

    /// The decoded path below the path base.
    pub fn path(&self) -> &'a [u8] {
        self.bytes(&self.shared.path)
    }

    /// 0x0100 or 0x0101.
    pub fn version(&self) -> u16 {
        self.shared.version
    }

    /// Header fields in wire order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let request = *self;
        let count = request.shared.header_count as usize;
        // SAFETY: the engine points `headers` to `header_count` fields that live as long as
        // the exchange, whose lifetime `'a` is.
        let headers = unsafe { slice(request.shared.headers, count) };
        headers.iter().map(move |field| (request.bytes(&field.name), request.bytes(&field.value)))
    }

    /// Fields that came behind the body; none before its end.
    pub fn trailers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        use std::sync::atomic::Ordering::{Acquire, Relaxed};
        let request = *self;
        let count = request.shared.trailer_count.load(Acquire) as usize;
        // SAFETY: the engine has pointed `trailers` to so many fields, which live as long as the
        // exchange, before it stored the count.
        let trailers = unsafe { slice(request.shared.trailers.load(Relaxed).cast_const(), count) };
        trailers.iter().map(move |field| (request.bytes(&field.name), request.bytes(&field.value)))
    }

    /// Whether the client waits for `100 Continue` and has not begun to send its body.
    pub fn expects_continue(&self) -> bool {
        let flags = self.shared.flags & (request::EXPECT_CONTINUE | request::BODY_COMPLETE);
        flags == request::EXPECT_CONTINUE && self.shared.body.len == 0
    }

    /// The value of the first field of that name, in any letter case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers()
            .find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The declared length of the body.
    pub fn content_length(&self) -> Option<u64> {
        u64::try_from(self.shared.content_length).ok()
    }

    /// Whether a body follows the head.
    pub fn has_body(&self) -> bool {
        self.shared.flags & request::HAS_BODY != 0
    }

    /// Whether the body comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.shared.flags & request::CHUNKED != 0
    }

    /// Whether the client asks to switch protocols.
    pub fn is_upgrade(&self) -> bool {
        self.shared.flags & request::UPGRADE != 0
    }

    /// Whether the connection ends behind this request, whatever the answer says.
    pub fn is_last(&self) -> bool {
        self.shared.flags & request::LAST != 0
    }

    /// The client's certificate in DER, if it has shown one to a proxy that is trusted.
    pub fn client_certificate(&self) -> Option<&'a [u8]> {
        Some(self.bytes(&self.shared.client_certificate)).filter(|der| !der.is_empty())
    }

    /// The client's address; `None` over a Unix socket.
    pub fn remote(&self) -> Option<SocketAddr> {
        // SAFETY: the engine points `connection` to a copy inside the exchange.
        to_socket_address(unsafe { &(*self.shared.connection).remote })
    }

    /// Our address; `None` over a Unix socket.
    pub fn local(&self) -> Option<SocketAddr> {
        // SAFETY: the engine points `connection` to a copy inside the exchange.
        to_socket_address(unsafe { &(*self.shared.connection).local })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'a str {
        if self.shared.flags & request::TLS == 0 { "http" } else { "https" }
    }

    /// Whether the client is known to be gone.
    pub fn is_aborted(&self) -> bool {
        self.shared.happened.load(std::sync::atomic::Ordering::Acquire) & event::ABORTED != 0
    }

    fn bytes(&self, text: &'a abi::Str) -> &'a [u8] {
        // SAFETY: texts of a request point into memory of the exchange, as long as `'a`.
        unsafe { slice(text.ptr, text.len) }
    }
}

/// # Safety
/// `ptr` must be valid for `len` elements for `'a`, or `len` be 0.
unsafe fn slice<'a, T>(ptr: *const T, len: usize) -> &'a [T] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise; and a non-empty slice is never null.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}

fn to_socket_address(address: &abi::Address) -> Option<SocketAddr> {
    match address.family {
        4 => {
            let [a, b, c, d, ..] = address.ip;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), address.port))
        }
        6 => Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(address.ip)), address.port)),
        _ => None,
    }
}

/// The contract's form of an address; IPv4 clients of a dual-stack socket appear as IPv4.
pub(crate) fn to_abi_address(address: Option<SocketAddr>) -> abi::Address {
    let mut out = abi::Address { family: 0, port: 0, scope: 0, ip: [0; 16] };
    let Some(address) = address else { return out };
    out.port = address.port();
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => {
            out.family = 4;
            out.ip[..4].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out.family = 6;
            out.ip = v6.octets();
            if let SocketAddr::V6(full) = address {
                out.scope = full.scope_id();
            }
        }
    }
    out
}
