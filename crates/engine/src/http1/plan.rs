//! How a response is framed, by what the application and the request say.

use super::fields::{Connection, content_length, transfer_coding, trim};
use super::order::Known;
use super::response::{BadHead, BodyFraming, HeadContext};

/// What the application said about what is ours to write.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Seen<'e> {
    pub(super) content_length: Option<u64>,
    pub(super) transfer_encoding: Option<&'e [u8]>,
    close: bool,
    pub(super) keep_alive: bool,
    /// Behind where ours would be.
    pub(super) date: bool,
    /// The same.
    pub(super) server: bool,
    pub(super) upgrade: bool,
    /// The protocol is WebSocket.
    pub(super) web_socket: bool,
}

impl<'e> Seen<'e> {
    /// Takes note of a field.
    pub(super) fn note(&mut self, name: Known, value: &'e [u8]) -> Result<(), BadHead> {
        match name {
            Known::Date => self.date = true,
            Known::Server => self.server = true,
            Known::Upgrade => {
                self.upgrade = true;
                self.web_socket = trim(value).eq_ignore_ascii_case(b"websocket");
            }
            Known::Connection => {
                let mut connection = Connection::default();
                connection.note(value);
                self.close |= connection.close;
                self.keep_alive |= connection.keep_alive;
            }
            Known::ContentLength => {
                let length = content_length(trim(value)).ok_or(BadHead::ContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(BadHead::ContentLength);
                }
            }
            Known::TransferEncoding => {
                if self.transfer_encoding.replace(trim(value)).is_some() {
                    return Err(BadHead::TransferEncoding);
                }
            }
            Known::ContentType | Known::OfConnection | Known::Other => {}
        }
        Ok(())
    }
}

/// How a response is framed.
pub(super) struct Plan {
    pub(super) framing: BodyFraming,
    /// To be written.
    pub(super) length: Option<u64>,
    /// The application's `Transfer-Encoding` is to be written.
    pub(super) allows_codings: bool,
    pub(super) keep_alive: bool,
}

/// Framing by status, method and version (RFC 9112 6.3, RFC 9110 15).
pub(super) fn plan(
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
    Ok(match declared {
        Some(length) => plan(BodyFraming::Length(length), Some(length)),
        None if is_current => plan(BodyFraming::Chunked, None),
        None => Plan { keep_alive: false, ..plan(BodyFraming::UntilClose, None) },
    })
}
