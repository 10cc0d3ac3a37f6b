//! Head of a backend's response.

use std::cell::Cell;

use super::fields::{Steering, collect, transfer_coding};
use super::reject::{Cause, Reject};
use super::request::{Limits, undecided, with_slots};
use super::response::BodyFraming;
use super::scan::Kind;

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
    /// The backend allows another request on this connection, and nothing of this answer can be
    /// taken for the answer to it.
    pub keep_alive: bool,
    /// How the body ends; never `AppFramed`.
    pub framing: BodyFraming,
    /// `Content-Length`, also where `framing` is `None` because of HEAD or 304.
    pub content_length: Option<u64>,
}

/// Bounds on a backend's head: it is trusted more than a client, and answers with many cookies.
pub const ANSWER_LIMITS: Limits = Limits { request_line: 8 * 1024, head: 256 * 1024, fields: 2000 };

/// Fields that answers rarely exceed.
const USUAL_FIELDS: usize = 100;

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
    headers.clear();
    // `httparse` would skip empty lines here; in an answer they are the rest of another one.
    if matches!(buf, [] | [b'\r' | b'\n', ..]) {
        return undecided(Kind::Response, buf, headers, limits);
    }
    let asked = Asked { head: request_is_head, connect: request_is_connect };
    let too_many = Cell::new(false);
    let mut parse = |fields| {
        with_slots(fields, |slots| {
            let mut response = httparse::Response::new(&mut []);
            let config = httparse::ParserConfig::default();
            match config.parse_response_with_uninit_headers(&mut response, buf, slots) {
                Ok(httparse::Status::Complete(len)) => {
                    read(&buf[..len], asked, &response, headers, limits)
                }
                Ok(httparse::Status::Partial) => None,
                Err(error) => {
                    too_many.set(error == httparse::Error::TooManyHeaders);
                    None
                }
            }
        })
    };
    let mut parsed = parse(limits.fields.min(USUAL_FIELDS));
    if too_many.get() && limits.fields > USUAL_FIELDS {
        parsed = parse(limits.fields);
    }
    match parsed {
        Some(head) => head.map(Some).map_err(Reject::from),
        None => undecided(Kind::Response, buf, headers, limits),
    }
}

/// What the answer is to.
#[derive(Clone, Copy)]
struct Asked {
    head: bool,
    connect: bool,
}

/// `None` if the head breaks a rule that [`super::scan`] names.
fn read<'b>(
    head: &'b [u8],
    asked: Asked,
    response: &httparse::Response<'_, 'b>,
    headers: &mut Vec<abi::Header>,
    limits: &Limits,
) -> Option<Result<ResponseHead<'b>, Cause>> {
    let line = head.iter().position(|byte| *byte == b'\n')? + 1;
    let status = response.code?;
    if line > limits.request_line || head.len() > limits.head || status < 100 {
        return None;
    }
    // Not what `httparse` says, which drops a phrase with bytes outside ASCII.
    let reason = head[..line].strip_suffix(b"\r\n")?.get("HTTP/1.1 200 ".len()..);
    let version = if response.version? == 1 { 0x0101 } else { 0x0100 };
    Some(collect(head, response.headers, headers)?.and_then(|steering| {
        let framing = framing(status, version, asked, &steering)?;
        let connection = steering.connection;
        let is_open = match framing {
            BodyFraming::UntilClose | BodyFraming::Upgrade => false,
            // A backend that announces a body which has no place may send it all the same, at any
            // time: what would be read next may be the client's idea of an answer.
            BodyFraming::None => !announces_body(&steering),
            BodyFraming::Length(_) | BodyFraming::Chunked | BodyFraming::AppFramed => true,
        };
        Ok(ResponseHead {
            status,
            reason: reason.unwrap_or_default(),
            version,
            len: head.len(),
            keep_alive: is_open
                && !connection.close
                && (version == 0x0101 || connection.keep_alive),
            framing,
            content_length: steering.content_length,
        })
    }))
}

fn announces_body(steering: &Steering<'_>) -> bool {
    steering.transfer_encoding.is_some() || steering.content_length.is_some_and(|length| length > 0)
}

/// RFC 9112 6.3, in its order.
fn framing(
    status: u16,
    version: u16,
    asked: Asked,
    steering: &Steering<'_>,
) -> Result<BodyFraming, Cause> {
    // Also where they do not count: a backend that sends these is not understood.
    match steering.transfer_encoding {
        Some(_) if version != 0x0101 => return Err(Cause::TransferEncodingOld),
        Some(_) if steering.content_length.is_some() => return Err(Cause::FramedTwice),
        // We take chunks off and put them on again; other codings would be lost on the way.
        Some(codings) if !codings.eq_ignore_ascii_case(b"chunked") => {
            return Err(transfer_coding(codings).err().unwrap_or(Cause::TransferCodingUnknown));
        }
        _ => {}
    }
    Ok(match status {
        101 => BodyFraming::Upgrade,
        200..=299 if asked.connect => BodyFraming::Upgrade,
        100..=199 | 204 | 304 => BodyFraming::None,
        _ if asked.head => BodyFraming::None,
        _ if steering.transfer_encoding.is_some() => BodyFraming::Chunked,
        _ => steering.content_length.map_or(BodyFraming::UntilClose, BodyFraming::Length),
    })
}
