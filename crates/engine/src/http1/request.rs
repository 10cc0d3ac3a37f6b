//! Head of a request.

use super::reject::{Cause, Reject};

/// Bounds on a head. The defaults are Kestrel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line with its line end (`MaxRequestLineSize`).
    pub request_line: usize,
    /// Bytes of the whole head, request line and blank line included: a buffer of this size is
    /// always enough to come to a verdict (`MaxRequestHeadersTotalSize`, which leaves the request
    /// line out).
    pub head: usize,
    /// Number of fields (`MaxRequestHeaderCount`).
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { request_line: 8 * 1024, head: 32 * 1024, fields: 100 }
    }
}

/// How the body of a request ends (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After this many bytes; may be 0 when declared so.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// Form of a request target (RFC 9112 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, of CONNECT only. [`super::target::split`] refuses it: it has no path.
    Authority,
    /// `*`, of OPTIONS only.
    Asterisk,
}

/// A complete, valid head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'b> {
    /// Method as received.
    pub method: &'b [u8],
    /// One of [`abi::method`], 0 if it is none of them.
    pub method_id: u16,
    /// Target as received.
    pub target: &'b [u8],
    /// Form of `target`.
    pub form: Form,
    /// 0x0100 or 0x0101.
    pub version: u16,
    /// Bytes of the head, the blank line included.
    pub len: usize,
    /// How the body ends.
    pub framing: Framing,
    /// `Transfer-Encoding` came with a `Content-Length`, which must not be believed (RFC 9112
    /// 6.3): hide the field from the application, close after the response.
    pub content_length_ignored: bool,
    /// The client allows another request on this connection.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The client asks to switch protocols and may be answered 101: HTTP/1.1, both fields, no body.
    pub upgrade: bool,
    /// Authority of the target if it has one, else `Host`; empty if there is none. The value of
    /// `Host` among the fields is the same.
    pub host: &'b [u8],
}

/// Parses the head at the start of `buf`; `Ok(None)` asks for more bytes. `headers` is cleared and
/// filled with fields that point into `buf`.
pub fn parse<'b>(
    buf: &'b [u8],
    headers: &mut Vec<abi::Header>,
    limits: &Limits,
) -> Result<Option<Head<'b>>, Reject> {
    headers.clear();
    if buf.len() >= limits.head {
        return Err(Cause::HeadTooLarge.into());
    }
    Ok(None)
}
