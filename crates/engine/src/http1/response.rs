//! Head of a response, from the handler's encoding to bytes for the client.

use thiserror::Error;

/// How the body of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is none; bytes that the application writes are dropped.
    None,
    /// After this many bytes.
    Length(u64),
    /// By chunks, which the engine writes.
    Chunked,
    /// With the connection.
    UntilClose,
    /// The application set `Transfer-Encoding` and frames its own bytes: pass them as they are.
    AppFramed,
    /// 101 or an accepted CONNECT: no longer HTTP, bytes go both ways as they are.
    Upgrade,
}

/// What the rendering of a head depends on.
#[derive(Clone, Copy, Debug)]
pub struct HeadContext<'a> {
    /// Version of the request.
    pub version: u16,
    /// The request was HEAD.
    pub is_head: bool,
    /// The request was CONNECT.
    pub is_connect: bool,
    /// The request, and we, allow another one on the connection.
    pub keep_alive: bool,
    /// Length of the body if the response is already complete.
    pub total: Option<u64>,
    /// Value for `Date`, see [`super::date`]; empty writes none.
    pub date: &'a [u8],
    /// Value for `Server`; empty writes none.
    pub server: &'a [u8],
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// How the body must be written.
    pub framing: BodyFraming,
    /// The connection may go on after this response.
    pub keep_alive: bool,
    /// Status of the response.
    pub status: u16,
}

/// The handler's head cannot be sent. The fault is the application's or the handler's: 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadHead {
    /// Lengths do not add up.
    #[error("encoded head is malformed")]
    Encoding,
    /// Outside 100 to 999.
    #[error("status code is out of range")]
    Status,
    /// Controls in the reason phrase.
    #[error("invalid reason phrase")]
    Reason,
    /// A name is not a token.
    #[error("invalid response header name")]
    Name,
    /// Controls in a value.
    #[error("invalid response header value")]
    Value,
    /// Not a number, repeated, or different from the declared one.
    #[error("invalid Content-Length in the response")]
    ContentLength,
    /// A body is declared for a status that has none.
    #[error("Content-Length with a status that has no body")]
    BodyForbidden,
}

/// Appends the encoded head (layout: [`abi::head`]) to `out` as HTTP/1.1, with framing, `Date`,
/// `Server` and `Connection`. On error `out` is as before.
pub fn write_head(
    encoded: &[u8],
    context: &HeadContext,
    out: &mut Vec<u8>,
) -> Result<Written, BadHead> {
    let _ = (encoded, context, out);
    Err(BadHead::Encoding)
}

/// Encodes a head as a handler would, replacing what `out` holds: for the host's own pages and for
/// answers of a backend. An empty `reason` takes the standard one.
pub fn encode_head<'f>(
    status: u16,
    reason: &str,
    content_length: Option<u64>,
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    out: &mut Vec<u8>,
) {
    let _ = (status, reason, content_length, fields);
    out.clear();
}
