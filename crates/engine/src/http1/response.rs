//! Head of a response, from the handler's encoding to bytes for the client.

use thiserror::Error;

use super::encoded::{Fields, Input};
use super::fields::{is_text, is_token};
use super::order::{Known, follows_transfer_encoding};
use super::plan::{Plan, Seen, plan};
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
    /// What follows a 101 are the frames of a WebSocket.
    pub is_web_socket: bool,
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

    let fields = Fields { input, left: count };
    let start = out.len();
    // Written as if no field steered the host, and once more, knowing better, when one does.
    let mut seen = Seen::default();
    let plan = loop {
        let declared = match (u64::try_from(declared).ok(), seen.content_length) {
            (Some(declared), Some(set)) if declared != set => return Err(BadHead::ContentLength),
            (Some(declared), _) => Some(declared),
            (None, set) => set,
        };
        let plan = plan(status, declared, &seen, context)?;
        let found = write_fields(fields, status, &seen, &plan, context, out)?;
        if found == seen {
            break plan;
        }
        seen = found;
        out.truncate(start);
    };
    out.extend_from_slice(b"\r\n");
    let is_web_socket = status == 101 && seen.web_socket;
    Ok(Written { framing: plan.framing, keep_alive: plan.keep_alive, status, is_web_socket })
}

/// The application's fields with ours among them, each where Kestrel has it: length and connection
/// first, `Date` and `Server` behind `Content-Type`, `Transfer-Encoding` by its name. Returns what
/// is to be `seen`.
fn write_fields<'e>(
    mut fields: Fields<'e>,
    status: u16,
    seen: &Seen<'_>,
    plan: &Plan,
    context: &HeadContext,
    out: &mut Vec<u8>,
) -> Result<Seen<'e>, BadHead> {
    let mut found = Seen::default();
    let is_interim = status < 200 && status != 101;
    if let Some(length) = plan.length {
        out.extend_from_slice(b"Content-Length: ");
        decimal(length, out);
        out.extend_from_slice(b"\r\n");
    }
    if !is_interim && let Some(options) = connection(status, seen, plan, context) {
        field(b"Connection", options, out);
    }
    // RFC 9110 6.6.1; not for interim responses, which are only about what follows.
    let mut date = Some(context.date).filter(|date| !(is_interim || seen.date || date.is_empty()));
    let mut server =
        Some(context.server).filter(|server| !(is_interim || seen.server || server.is_empty()));
    let mut codings: Option<&[u8]> = match (plan.framing, seen.transfer_encoding) {
        (BodyFraming::Chunked, _) => Some(b"chunked"),
        (_, codings) => codings.filter(|_| plan.allows_codings),
    };
    let mut is_signed = false;
    while let Some((name, value)) = fields.next()? {
        if !is_token(name) {
            return Err(BadHead::Name);
        }
        if !is_text(value) {
            return Err(BadHead::Value);
        }
        let known = Known::from(name);
        match known {
            Known::Date if !is_signed => date = None,
            Known::Server if !is_signed => server = None,
            _ => found.note(known, value)?,
        }
        if known.is_ours() {
            continue;
        }
        if !is_signed && !matches!(known, Known::ContentType | Known::Date) {
            is_signed = true;
            sign(date, server, out);
        }
        if let Some(codings) = codings.take_if(|_| follows_transfer_encoding(name)) {
            field(b"Transfer-Encoding", codings, out);
        }
        // A `Server` that is set to nothing: the application wants none.
        if known != Known::Server || !value.is_empty() {
            field(name, value, out);
        }
    }
    if !fields.input.0.is_empty() {
        return Err(BadHead::Encoding);
    }
    if !is_signed {
        sign(date, server, out);
    }
    if let Some(codings) = codings {
        field(b"Transfer-Encoding", codings, out);
    }
    Ok(found)
}

/// When and by whom.
#[inline]
fn sign(date: Option<&[u8]>, server: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(date) = date {
        field(b"Date", date, out);
    }
    if let Some(server) = server {
        field(b"Server", server, out);
    }
}

#[inline]
fn connection(
    status: u16,
    seen: &Seen<'_>,
    plan: &Plan,
    context: &HeadContext,
) -> Option<&'static [u8]> {
    let is_current = context.version >= 0x0101;
    // RFC 9110 7.8: who sends Upgrade names it in Connection. 426 does as well as 101.
    match (plan.framing == BodyFraming::Upgrade, plan.keep_alive) {
        (true, _) if status == 101 => Some(b"Upgrade"),
        (true, _) => None,
        (_, true) if seen.upgrade => Some(b"Upgrade"),
        (_, false) if seen.upgrade => Some(b"close, Upgrade"),
        // Said though it goes without saying: streams of events usually do.
        (_, true) if is_current && !seen.keep_alive => None,
        (_, true) => Some(b"keep-alive"),
        (_, false) => Some(b"close"),
    }
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
