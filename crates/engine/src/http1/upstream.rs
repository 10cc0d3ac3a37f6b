//! Head of a backend's response.

use super::reject::{Cause, Reject};
use super::request::Limits;
use super::response::BodyFraming;

/// A complete, valid head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead<'b> {
    /// 100 to 999.
    pub status: u16,
    /// As received; may be empty.
    pub reason: &'b [u8],
    /// 0x0100 or 0x0101.
    pub version: u16,
    /// Bytes of the head, the blank line included.
    pub len: usize,
    /// The backend allows another request on this connection.
    pub keep_alive: bool,
    /// How the body ends; never `AppFramed`.
    pub framing: BodyFraming,
    /// `Content-Length`, also where `framing` is `None` because of HEAD or 304.
    pub content_length: Option<u64>,
}

/// Parses the head at the start of `buf`; `Ok(None)` asks for more bytes. `headers` is cleared and
/// filled with fields that point into `buf`. Any [`Reject`] means 502 to the client, whatever its
/// own status says.
pub fn parse_response<'b>(
    buf: &'b [u8],
    request_is_head: bool,
    request_is_connect: bool,
    headers: &mut Vec<abi::Header>,
    limits: &Limits,
) -> Result<Option<ResponseHead<'b>>, Reject> {
    let _ = (request_is_head, request_is_connect);
    headers.clear();
    if buf.len() >= limits.head {
        return Err(Cause::HeadTooLarge.into());
    }
    Ok(None)
}
