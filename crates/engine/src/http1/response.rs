//! Head of a response, from the handler's encoding to bytes for the client.

use thiserror::Error;

use super::encoded::Input;
use super::fields::{Connection, content_length, is_text, is_token, transfer_coding, trim};
use super::status;

pub use super::encoded::encode_head;

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
    /// Repeated.
    #[error("more than one Transfer-Encoding in the response")]
    TransferEncoding,
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
    let before = out.len();
    let written = render(encoded, context, out);
    if written.is_err() {
        out.truncate(before);
    }
    written
}

fn render(encoded: &[u8], context: &HeadContext, out: &mut Vec<u8>) -> Result<Written, BadHead> {
    let mut input = Input(encoded);
    let status = input.u16()?;
    let count = input.u16()?;
    let reason = input.u16()?;
    let _flags = input.u16()?;
    let declared = input.i64()?;
    let reason = input.bytes(usize::from(reason))?;
    // `: ` and CR LF instead of two lengths make no field longer; the rest is ours.
    out.reserve(encoded.len() + context.date.len() + context.server.len() + 192);
    status_line(status, reason, out)?;

    let is_interim = status < 200 && status != 101;
    let mut seen = Seen::default();
    for _ in 0..count {
        let name_len = usize::from(input.u16()?);
        let value_len = usize::try_from(input.u32()?).map_err(|_| BadHead::Encoding)?;
        let name = input.bytes(name_len)?;
        let value = input.bytes(value_len)?;
        if !is_token(name) {
            return Err(BadHead::Name);
        }
        if !is_text(value) {
            return Err(BadHead::Value);
        }
        if seen.note(name, value)? {
            field(name, value, out);
        }
    }
    if !input.0.is_empty() {
        return Err(BadHead::Encoding);
    }

    let declared = match (u64::try_from(declared).ok(), seen.content_length) {
        (Some(declared), Some(set)) if declared != set => return Err(BadHead::ContentLength),
        (Some(declared), _) => Some(declared),
        (None, set) => set,
    };
    let plan = plan(status, declared, &seen, context)?;
    if let Some(length) = plan.length {
        out.extend_from_slice(b"Content-Length: ");
        decimal(length, out);
        out.extend_from_slice(b"\r\n");
    }
    if plan.framing == BodyFraming::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    } else if let Some(codings) = seen.transfer_encoding
        && plan.allows_codings
    {
        field(b"Transfer-Encoding", codings, out);
    }
    if !is_interim {
        // RFC 9110 6.6.1; not for interim responses, which are only about what follows.
        if !seen.date && !context.date.is_empty() {
            field(b"Date", context.date, out);
        }
        if !seen.server && !context.server.is_empty() {
            field(b"Server", context.server, out);
        }
        let is_current = context.version >= 0x0101;
        // RFC 9110 7.8: who sends Upgrade names it in Connection. 426 does as well as 101.
        match (plan.framing == BodyFraming::Upgrade, plan.keep_alive) {
            (true, _) if status == 101 => field(b"Connection", b"Upgrade", out),
            (true, _) => {}
            (_, true) if seen.upgrade => field(b"Connection", b"Upgrade", out),
            (_, false) if seen.upgrade => field(b"Connection", b"close, Upgrade", out),
            (_, true) if is_current => {}
            (_, true) => field(b"Connection", b"keep-alive", out),
            (_, false) => field(b"Connection", b"close", out),
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(Written { framing: plan.framing, keep_alive: plan.keep_alive, status })
}

fn status_line(status: u16, reason: &[u8], out: &mut Vec<u8>) -> Result<(), BadHead> {
    if !(100..=999).contains(&status) {
        return Err(BadHead::Status);
    }
    if let ([], Some(line)) = (reason, status::line(status)) {
        out.extend_from_slice(line);
        return Ok(());
    }
    if !is_text(reason) {
        return Err(BadHead::Reason);
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// What the application said about what is ours to write.
#[derive(Default)]
struct Seen<'e> {
    content_length: Option<u64>,
    transfer_encoding: Option<&'e [u8]>,
    close: bool,
    date: bool,
    server: bool,
    upgrade: bool,
}

impl<'e> Seen<'e> {
    /// Takes note of a field; whether it is written as it is.
    fn note(&mut self, name: &[u8], value: &'e [u8]) -> Result<bool, BadHead> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"date") => self.date = true,
            6 if name.eq_ignore_ascii_case(b"server") => {
                self.server = true;
                // Set to nothing: the application wants none.
                return Ok(!value.is_empty());
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                let mut connection = Connection::default();
                connection.note(value);
                self.close |= connection.close;
                return Ok(false);
            }
            10 if name.eq_ignore_ascii_case(b"keep-alive") => return Ok(false),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = content_length(trim(value)).ok_or(BadHead::ContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(BadHead::ContentLength);
                }
                return Ok(false);
            }
            16 if name.eq_ignore_ascii_case(b"proxy-connection") => return Ok(false),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.transfer_encoding.replace(trim(value)).is_some() {
                    return Err(BadHead::TransferEncoding);
                }
                return Ok(false);
            }
            _ => {}
        }
        Ok(true)
    }
}

/// How a response is framed.
struct Plan {
    framing: BodyFraming,
    length: Option<u64>,
    allows_codings: bool,
    keep_alive: bool,
}

/// Framing by status, method and version (RFC 9112 6.3, RFC 9110 15).
fn plan(
    status: u16,
    declared: Option<u64>,
    seen: &Seen<'_>,
    context: &HeadContext,
) -> Result<Plan, BadHead> {
    let is_current = context.version >= 0x0101;
    let keep_alive = context.keep_alive && !seen.close;
    let plan = |framing, length| Plan { framing, length, allows_codings: false, keep_alive };
    let is_tunnel = status == 101 || (context.is_connect && (200..300).contains(&status));
    if is_tunnel || status < 200 || matches!(status, 204 | 205) {
        if declared.is_some_and(|length| length > 0) {
            return Err(BadHead::BodyForbidden);
        }
        return Ok(match status {
            _ if is_tunnel => Plan { keep_alive: false, ..plan(BodyFraming::Upgrade, None) },
            // Unlike 204 it has no framing of its own (RFC 9110 15.3.6).
            205 => plan(BodyFraming::None, Some(0)),
            _ => plan(BodyFraming::None, None),
        });
    }
    if status == 304 {
        return Ok(plan(BodyFraming::None, declared));
    }
    if let Some(codings) = seen.transfer_encoding {
        // A length next to it would be a second opinion (RFC 9112 6.2).
        let framing = if context.is_head { BodyFraming::None } else { BodyFraming::AppFramed };
        let is_chunked = is_current && transfer_coding(codings).is_ok();
        return Ok(Plan {
            framing,
            length: None,
            allows_codings: true,
            keep_alive: keep_alive && (is_chunked || context.is_head),
        });
    }
    if context.is_head {
        return Ok(plan(BodyFraming::None, declared));
    }
    Ok(match declared.or(context.total) {
        Some(length) => plan(BodyFraming::Length(length), Some(length)),
        None if is_current => plan(BodyFraming::Chunked, None),
        None => Plan { keep_alive: false, ..plan(BodyFraming::UntilClose, None) },
    })
}

#[inline]
fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends `number` in decimal.
pub(super) fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
