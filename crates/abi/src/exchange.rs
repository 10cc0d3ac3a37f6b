//! One request and its response, as both sides see them.
//!
//! An exchange belongs to the engine. Its memory is never given back to the system while the
//! worker lives, so a late access reads a stale value at worst, and the id tells it is stale.
//! Who may touch what:
//!
//! | part | engine | handler |
//! |---|---|---|
//! | request | writes before dispatch | reads until it has set [`progress::RELEASED`] |
//! | response head, current block | prepares before dispatch | writes until [`progress::ENDED`] |
//! | committed bytes of blocks | reads | publishes with a release store, never takes back |
//! | atomics | both, as each says | both, as each says |
//!
//! Publishing needs no call: store, then exchange `signal` with 1; only when it was 0 call
//! [`crate::Host::notify`]. The engine keeps `signal` at 1 while the handler runs inside
//! `dispatch`, so a request that is answered synchronously costs no call back at all.

use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

use crate::declare::{abi_constants, abi_struct};

abi_struct! {
    /// Bytes that somebody else owns; UTF-8 unless said otherwise, never NUL-terminated.
    pub struct Str {
        /// First byte; may be null when `len` is 0.
        pub ptr: *const u8,
        /// Number of bytes.
        pub len: usize,
    }
}

abi_struct! {
    /// One request header field, in wire order. The value has no surrounding white space.
    pub struct Header {
        /// Field name as received; a token by RFC 9110.
        pub name: Str,
        /// Field value; no CR, LF or NUL.
        pub value: Str,
    }
}

abi_struct! {
    /// One end of a connection.
    pub struct Address {
        /// 4 or 6; 0 when there is no IP address (a Unix socket).
        pub family: u16,
        /// TCP port.
        pub port: u16,
        /// IPv6 scope, 0 if none.
        pub scope: u32,
        /// The address in network order; IPv4 uses the first four bytes.
        pub ip: [u8; 16],
    }
}

abi_struct! {
    /// The connection of an exchange. Valid until the exchange is released.
    pub struct Connection {
        /// `sizeof` this struct as the engine knows it.
        pub size: u32,
        /// Reserved, 0.
        pub flags: u32,
        /// Unique in this worker's life, never 0.
        pub id: u64,
        /// The client's end.
        pub remote: Address,
        /// Our end.
        pub local: Address,
    }
}

abi_struct! {
    /// A piece of response body in the engine's memory. The handler fills `data` from
    /// `committed` to `capacity`, then stores the new `committed` with release ordering.
    pub struct Block {
        /// The block after this one; set by `grow`, after the last commit to this block.
        pub next: AtomicPtr<Block>,
        /// Bytes that the engine may send.
        pub committed: AtomicU32,
        /// Bytes that `data` can hold.
        pub capacity: u32,
        /// The bytes.
        pub data: *mut u8,
    }
}

abi_struct! {
    /// One request and its response.
    pub struct Exchange {
        /// `sizeof` this struct as the engine knows it.
        pub size: u32,
        /// Bits of `request`.
        pub flags: u32,
        /// Names this use of the exchange; events carry it. Changes before memory is reused.
        pub id: u64,
        /// One of `method`; 0 when `method_text` is none of them.
        pub method: u16,
        /// Major version in the high byte, minor in the low: 0x0101 is HTTP/1.1.
        pub version: u16,
        /// Number of `headers`.
        pub header_count: u32,
        /// The method as received.
        pub method_text: Str,
        /// The request target as received.
        pub target: Str,
        /// Decoded path below `path_base`: percent-decoded once (`%2F` stays), dot segments
        /// removed, UTF-8 or the bytes that the escapes gave.
        pub path: Str,
        /// The part of the path that is the application's own, in the client's spelling.
        pub path_base: Str,
        /// Query with its leading `?`, as received; empty if none.
        pub query: Str,
        /// `http` or `https`.
        pub scheme: Str,
        /// The request's header fields.
        pub headers: *const Header,
        /// Declared length of the body; -1 if none is declared.
        pub content_length: i64,
        /// Body bytes that arrived with the head, decoded. When `request::BODY_COMPLETE` is set
        /// they are the whole body; otherwise `read` continues after them.
        pub body: Str,
        /// The connection.
        pub connection: *const Connection,
        /// Position of this request on its connection, from 1.
        pub request_number: u64,
        /// Response head as `head` describes it, filled by the handler.
        pub head: *mut u8,
        /// Bytes that `head` can hold; `grow_head` enlarges it.
        pub head_capacity: u32,
        /// Bytes of `head` in use.
        pub head_len: u32,
        /// The block that the handler fills now; `grow` replaces it.
        pub block: *mut Block,
        /// Body bytes that the engine has sent or dropped; for the handler's back-pressure.
        pub sent: AtomicU64,
        /// 1: the engine knows that there is something to do. See the module text.
        pub signal: AtomicU32,
        /// Bits of `progress`, set by the handler.
        pub progress: AtomicU32,
        /// Bits of `waiting`, set by the handler, cleared by the engine when it sends the event.
        pub waiting: AtomicU32,
        /// Bits of `event` that have happened and stay true: `event::ABORTED`, and `event::CLOSED` once that was told.
        pub happened: AtomicU32,
        /// Fields that came behind a body in chunks, apart from those that must not (RFC 9110
        /// 6.5.1). There once the body is over: with `request::BODY_COMPLETE`, or once `read` has
        /// said `END`. Since 1.1: look at `size` first.
        pub trailers: AtomicPtr<Header>,
        /// Number of `trailers`.
        pub trailer_count: AtomicU32,
        /// Nothing yet.
        pub reserved: u32,
        /// Bytes per second below which the request body is too slow; 0: none is. Holds the
        /// worker's own limit until the handler stores another; see `progress::RATES`. Since 1.2.
        pub body_rate: AtomicU32,
        /// Milliseconds for which the body may be slower than that. Since 1.2.
        pub body_grace: AtomicU32,
        /// As `body_rate`, for the client as one that takes its answer. Since 1.2.
        pub answer_rate: AtomicU32,
        /// As `body_grace`. Since 1.2.
        pub answer_grace: AtomicU32,
        /// The client's certificate (X.509) in DER, not verified here; empty if there is none.
        /// Since 1.3.
        pub client_certificate: Str,
    }
}

abi_constants! {
    /// Facts about a request.
    pub mod request: u32 {
        /// A body may follow: chunked, or a length above zero.
        HAS_BODY = 1;
        /// The body is framed by chunks.
        CHUNKED = 2;
        /// `body` holds all of it.
        BODY_COMPLETE = 4;
        /// The client waits for `100 Continue`; the engine sends it at the first `read`.
        EXPECT_CONTINUE = 8;
        /// The client asked to switch protocols and may be answered 101.
        UPGRADE = 16;
        /// The connection is encrypted.
        TLS = 32;
        /// The connection ends behind this request, whatever the answer says.
        LAST = 64;
    }
}

abi_constants! {
    /// Numbers of the standard methods.
    pub mod method: u16 {
        /// GET
        GET = 1;
        /// HEAD
        HEAD = 2;
        /// POST
        POST = 3;
        /// PUT
        PUT = 4;
        /// DELETE
        DELETE = 5;
        /// OPTIONS
        OPTIONS = 6;
        /// PATCH
        PATCH = 7;
        /// TRACE
        TRACE = 8;
        /// CONNECT
        CONNECT = 9;
    }
}

abi_constants! {
    /// How far the handler is with a response. Bits are only ever added.
    pub mod progress: u32 {
        /// `head` is complete and may be sent.
        HEAD = 1;
        /// Everything is committed; the response ends after the committed bytes.
        ENDED = 2;
        /// Give up: what was published before goes out as far as the socket takes it, and the
        /// connection closes without a proper end.
        ABORT = 4;
        /// The handler will not touch the exchange again.
        RELEASED = 8;
        /// The handler has asked for body bytes at least once.
        READING = 16;
        /// Close the connection after this response.
        CLOSE = 32;
        /// With `ENDED`: what is committed is not the whole response. Send it, then close the
        /// connection in a way that the client can tell.
        TRUNCATED = 64;
        /// The handler has stored rates of its own in the exchange. Set it after each change, and
        /// notify. Since 1.2.
        RATES = 128;
        /// Tell when the connection of this exchange is over, be that long after the exchange: an
        /// event `CLOSED`. Since 1.2.
        WATCHED = 256;
    }
}

abi_constants! {
    /// What the handler waits for.
    pub mod waiting: u32 {
        /// Space: tell it when at most half of what was unsent is left.
        SPACE = 1;
        /// Body bytes, the end of the body, or its failure.
        BODY = 2;
    }
}

abi_constants! {
    /// What the engine tells the handler after dispatch.
    pub mod event: u32 {
        /// `read` will not answer `WOULD_BLOCK`.
        READABLE = 1;
        /// The response body has drained to half of the high-water mark or below.
        WRITABLE = 2;
        /// The client is gone. Nothing that is written will arrive.
        ABORTED = 4;
        /// A connection is over that somebody watches, or its client will send no more. There is no
        /// exchange: the pointer is null and the id is that of the connection. May come twice.
        /// Since 1.2.
        CLOSED = 8;
        /// Comes with one of the others: the call is made as `dispatch` is, so application code may
        /// run in it, and block at the price of a thread. Since 1.4.
        YIELDED = 16;
        /// The worker drains, and no request will follow: what is left has left HTTP. Comes once, with a
        /// null pointer and the id 0. Since 1.4.
        QUIET = 32;
    }
}

abi_constants! {
    /// Layout of an encoded response head: a fixed part of `SIZE` bytes, the reason phrase, then
    /// per field two lengths (u16 name, u32 value) and the bytes of both. Little-endian, unaligned.
    /// The engine writes framing, `Date`, `Connection` and a missing `Server` by itself.
    pub mod head: usize {
        /// u16: status code, 100–999.
        STATUS = 0;
        /// u16: number of fields.
        COUNT = 2;
        /// u16: length of the reason phrase; 0 takes the standard one.
        REASON = 4;
        /// u16: reserved, 0.
        FLAGS = 6;
        /// i64: declared length of the body, -1 if none is declared: chunks to HTTP/1.1, until the
        /// connection closes to HTTP/1.0.
        CONTENT_LENGTH = 8;
        /// Bytes before the reason phrase.
        SIZE = 16;
        /// Bytes before the name of each field.
        FIELD_SIZE = 6;
    }
}
