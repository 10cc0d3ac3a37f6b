//! Names the first fault of a head, byte by byte.
//!
//! The fast path only knows that something is wrong, or missing. Every refusal for syntax or size
//! comes from here, in the order of the bytes, so the verdict does not depend on how they arrive.

use super::fields::{is_text_byte, is_token_byte};
use super::reject::Cause;
use super::request::Limits;

/// What a head begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
}

/// Verdict over a head that is complete or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    Fault(Cause),
    Incomplete,
    /// With this length.
    Complete(usize),
}

/// Where a byte falls.
#[derive(Clone, Copy)]
enum State {
    Method {
        empty: bool,
    },
    Target {
        start: usize,
    },
    /// Of a request, at this byte of `HTTP/1.1`.
    Version(usize),
    VersionEnd,
    /// Of a response, at this byte of `HTTP/1.1 200`.
    Status(usize),
    StatusEnd,
    Reason,
    LineStart,
    Name,
    Value,
    /// CR seen; LF must follow, then a line begins.
    LineEnd,
    /// CR of the blank line seen.
    HeadEnd,
}

/// Scans `buf` from its start.
#[cold]
pub(super) fn scan(kind: Kind, buf: &[u8], limits: &Limits) -> Scan {
    match walk(kind, buf, limits) {
        Ok(Some(len)) => Scan::Complete(len),
        Ok(None) => Scan::Incomplete,
        Err(cause) => Scan::Fault(cause),
    }
}

fn walk(kind: Kind, buf: &[u8], limits: &Limits) -> Result<Option<usize>, Cause> {
    let (start, mut state) = match kind {
        Kind::Request => (leading_line(buf)?, State::Method { empty: true }),
        Kind::Response => (0, State::Status(0)),
    };
    let mut in_first_line = true;
    let mut fields = 0;
    for (at, byte) in buf.iter().copied().enumerate().skip(start) {
        if in_first_line && at - start >= limits.request_line {
            return Err(Cause::RequestLineTooLong);
        }
        if at >= limits.head {
            return Err(Cause::HeadTooLarge);
        }
        state = match (state, byte) {
            (State::Method { empty: false }, b' ') => State::Target { start: at + 1 },
            (State::Method { .. }, _) if is_token_byte(byte) => State::Method { empty: false },
            (State::Method { .. }, _) => return Err(Cause::Method),

            (State::Target { start }, b' ') if at > start => {
                if std::str::from_utf8(&buf[start..at]).is_err() {
                    return Err(Cause::TargetByte);
                }
                State::Version(0)
            }
            (State::Target { .. }, b' ' | b'\t' | b'\r' | b'\n') => return Err(Cause::RequestLine),
            (State::Target { .. }, b'#' | 0..=0x1f | 0x7f) => return Err(Cause::TargetByte),
            (State::Target { start }, _) => State::Target { start },

            (State::Version(index), _) => {
                version_byte(index, byte)?;
                if index == 7 { State::VersionEnd } else { State::Version(index + 1) }
            }
            (State::VersionEnd, b'\r') => State::LineEnd,
            (State::VersionEnd, b'\n') => return Err(Cause::BareLf),
            (State::VersionEnd, _) => return Err(Cause::RequestLine),

            (State::Status(index @ 0..=7), _) => {
                version_byte(index, byte)?;
                State::Status(index + 1)
            }
            (State::Status(8), b' ') => State::Status(9),
            // 100 to 999: three digits, no leading zero.
            (State::Status(9), b'1'..=b'9') => State::Status(10),
            (State::Status(10), b'0'..=b'9') => State::Status(11),
            (State::Status(11), b'0'..=b'9') => State::StatusEnd,
            (State::Status(_), _) => return Err(Cause::StatusLine),
            (State::StatusEnd, b' ') => State::Reason,
            (State::StatusEnd | State::Reason | State::Value, b'\r') => State::LineEnd,
            (State::StatusEnd | State::Reason | State::Value, b'\n') => return Err(Cause::BareLf),
            (State::Reason, _) if is_text_byte(byte) => State::Reason,
            (State::StatusEnd | State::Reason, _) => return Err(Cause::StatusLine),

            (State::LineEnd, b'\n') => {
                in_first_line = false;
                State::LineStart
            }
            (State::HeadEnd, b'\n') => return Ok(Some(at + 1)),
            (State::LineEnd | State::HeadEnd, _) => return Err(Cause::BareCr),

            (State::LineStart, b'\r') => State::HeadEnd,
            (State::LineStart, b'\n') => return Err(Cause::BareLf),
            (State::LineStart, b' ' | b'\t') => return Err(Cause::ObsFold),
            (State::LineStart, _) if is_token_byte(byte) => {
                if fields == limits.fields {
                    return Err(Cause::TooManyFields);
                }
                fields += 1;
                State::Name
            }
            (State::Name, b':') => State::Value,
            (State::Name, _) if is_token_byte(byte) => State::Name,
            (State::LineStart | State::Name, _) => return Err(Cause::FieldName),
            (State::Value, _) if is_text_byte(byte) => State::Value,
            (State::Value, _) => return Err(Cause::FieldValue),
        };
    }
    // A full buffer without an end will never have one.
    if in_first_line && buf.len() - start >= limits.request_line {
        Err(Cause::RequestLineTooLong)
    } else if buf.len() >= limits.head {
        Err(Cause::HeadTooLarge)
    } else {
        Ok(None)
    }
}

/// RFC 9112 2.2: one empty line before a request is ignored. Returns where the request begins.
pub(super) fn leading_line(buf: &[u8]) -> Result<usize, Cause> {
    match buf {
        [b'\r', b'\n', b'\r' | b'\n', ..] => Err(Cause::LeadingLines),
        [b'\r', b'\n', ..] => Ok(2),
        [b'\n', ..] => Err(Cause::BareLf),
        [b'\r'] => Ok(1),
        [b'\r', ..] => Err(Cause::BareCr),
        _ => Ok(0),
    }
}

/// `HTTP/1.0` and `HTTP/1.1` pass; another number in their place is another version.
fn version_byte(index: usize, byte: u8) -> Result<(), Cause> {
    match index {
        5 if byte == b'1' => Ok(()),
        7 if matches!(byte, b'0' | b'1') => Ok(()),
        5 | 7 if byte.is_ascii_digit() => Err(Cause::VersionUnsupported),
        0..=4 | 6 if byte == b"HTTP/1.1"[index] => Ok(()),
        _ => Err(Cause::Version),
    }
}
