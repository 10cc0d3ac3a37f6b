//! How the response of an exchange is framed, and how far it is.

use crate::body::Inbound;
use crate::http1::response::{BodyFraming, Written};
use crate::websocket::{Follower, Place, close_frame};

/// The response of the current exchange of a connection.
#[derive(Default)]
pub(crate) struct Response {
    pub(crate) head_written: bool,
    /// Whether another request may follow.
    pub(crate) keep_alive: bool,
    /// The client still waits for `100 Continue`.
    pub(crate) continue_wanted: bool,
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
    /// Version of the request.
    pub(crate) version: u16,
    framing: Option<BodyFraming>,
    /// Bytes of the current chunk, or of the declared length, still to send.
    left: u64,
    /// The last chunk is written.
    terminated: bool,
    /// Only a reset can tell the client that there should have been more.
    is_cut: bool,
    /// Where a WebSocket is.
    frames: Option<Box<Follower>>,
    /// The host has closed it; what the application says from then on is not for the client.
    has_parted: bool,
}

/// What to do with body bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Send so many; framing before them is written.
    Send(u64),
    /// Drop all: the response has no place for them.
    Drop,
    /// Nothing to do before more is published.
    Wait,
    /// The response is complete.
    Ended,
    /// The response is shorter than it declared.
    Broken,
}

impl Response {
    /// For a request of that version and method.
    pub(crate) fn to(version: u16, method: u16, keep_alive: bool, continue_wanted: bool) -> Self {
        Self {
            keep_alive,
            continue_wanted,
            is_head: method == abi::method::HEAD,
            is_connect: method == abi::method::CONNECT,
            version,
            ..Self::default()
        }
    }

    /// The head is written.
    pub(crate) fn begin(&mut self, written: &Written, inbound: &mut Inbound) {
        self.head_written = true;
        self.keep_alive &= written.keep_alive;
        self.framing = Some(written.framing);
        match written.framing {
            BodyFraming::Length(length) => self.left = length,
            // From here on the request side is the other protocol's.
            BodyFraming::Upgrade => {
                *inbound = Inbound::Raw;
                self.frames = written.is_web_socket.then(Box::default);
            }
            BodyFraming::None
            | BodyFraming::Chunked
            | BodyFraming::UntilClose
            | BodyFraming::AppFramed => {}
        }
    }

    /// The answer is complete with what was written; all body bytes are dropped.
    pub(crate) fn replace(&mut self) {
        self.head_written = true;
        self.keep_alive = false;
        self.framing = Some(BodyFraming::None);
    }

    /// The response will not be completed. `false` if it has left HTTP, where nothing is ever whole.
    pub(crate) fn truncate(&mut self) -> bool {
        self.keep_alive = false;
        // The last chunk is what a whole response has.
        self.terminated = true;
        // An end in order would make it look whole.
        self.is_cut = self.framing == Some(BodyFraming::UntilClose);
        !self.is_raw()
    }

    /// Whether only a reset can tell the client that there should have been more.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the connection has left HTTP.
    pub(crate) fn is_raw(&self) -> bool {
        self.framing == Some(BodyFraming::Upgrade)
    }

    /// Takes note of body bytes on their way to the client.
    pub(crate) fn follow(&mut self, bytes: &[u8]) {
        if let Some(frames) = &mut self.frames {
            frames.follow(bytes);
        }
    }

    /// Whether it is a WebSocket.
    pub(crate) fn has_frames(&self) -> bool {
        self.frames.is_some()
    }

    /// Closes a WebSocket for the reason `code`, unless it is closed, and drops what else there
    /// is for it. `false`: it is none, or in the middle of a frame, where nothing can be said.
    pub(crate) fn part(&mut self, code: u16, out: &mut Vec<u8>) -> bool {
        match self.frames.as_ref().map(|frames| frames.place()) {
            Some(Place::Between) => out.extend_from_slice(&close_frame(code)),
            Some(Place::Closed) => {}
            Some(Place::Within | Place::Lost) | None => return false,
        }
        self.has_parted = true;
        true
    }

    /// What to do, given `unsent` published bytes. Writes framing to `out`.
    pub(crate) fn plan(&mut self, unsent: u64, ended: bool, out: &mut Vec<u8>) -> Plan {
        match self.framing {
            None => Plan::Wait,
            Some(BodyFraming::None) if unsent > 0 => Plan::Drop,
            Some(BodyFraming::Length(_)) if unsent > 0 => {
                if self.left == 0 {
                    Plan::Drop
                } else {
                    Plan::Send(unsent.min(self.left))
                }
            }
            Some(BodyFraming::Length(_)) if ended && self.left > 0 => Plan::Broken,
            Some(BodyFraming::Chunked) => {
                if self.left == 0 && unsent > 0 {
                    push_chunk_size(unsent, out);
                    self.left = unsent;
                }
                if self.left > 0 {
                    return Plan::Send(self.left);
                }
                if ended {
                    self.end_chunks(std::iter::empty(), out);
                }
                if ended { Plan::Ended } else { Plan::Wait }
            }
            Some(BodyFraming::Upgrade) if unsent > 0 && self.has_parted => Plan::Drop,
            Some(_) if unsent > 0 => Plan::Send(unsent),
            Some(_) if ended => Plan::Ended,
            Some(_) => Plan::Wait,
        }
    }

    /// Writes the last chunk and the trailer section, where there are chunks and none is open.
    pub(crate) fn end_chunks<'t>(
        &mut self,
        trailers: impl Iterator<Item = (&'t [u8], &'t [u8])>,
        out: &mut Vec<u8>,
    ) {
        let is_due = self.framing == Some(BodyFraming::Chunked) && self.left == 0;
        if is_due && !std::mem::replace(&mut self.terminated, true) {
            push_last_chunk(trailers, out);
        }
    }

    /// So many bytes of a plan are sent, or in `out`.
    pub(crate) fn sent(&mut self, count: u64, out: &mut Vec<u8>) {
        match self.framing {
            Some(BodyFraming::Length(_)) => self.left -= count,
            Some(BodyFraming::Chunked) => {
                self.left -= count;
                if self.left == 0 {
                    out.extend_from_slice(b"\r\n");
                }
            }
            None
            | Some(
                BodyFraming::None
                | BodyFraming::UntilClose
                | BodyFraming::AppFramed
                | BodyFraming::Upgrade,
            ) => {}
        }
    }
}

/// Writes the line before a chunk.
pub(crate) fn push_chunk_size(size: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 16];
    let mut at = digits.len();
    let mut rest = size;
    while at == digits.len() || rest > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(rest % 16) as usize];
        rest /= 16;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a body in chunks.
pub(crate) fn push_last_chunk<'t>(
    trailers: impl Iterator<Item = (&'t [u8], &'t [u8])>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(framing: BodyFraming) -> Response {
        let mut response = Response { keep_alive: true, ..Response::default() };
        let written = Written { framing, keep_alive: true, status: 200, is_web_socket: false };
        response.begin(&written, &mut Inbound::Complete);
        response
    }

    #[test]
    fn chunks_are_framed_and_terminated_once() {
        let mut response = response(BodyFraming::Chunked);
        let mut out = Vec::new();
        assert_eq!(response.plan(26, false, &mut out), Plan::Send(26));
        assert_eq!(response.plan(30, false, &mut out), Plan::Send(26), "the chunk is announced");
        response.sent(20, &mut out);
        assert_eq!(response.plan(10, true, &mut out), Plan::Send(6));
        response.sent(6, &mut out);
        assert_eq!(response.plan(4, true, &mut out), Plan::Send(4));
        response.sent(4, &mut out);
        assert_eq!(response.plan(0, true, &mut out), Plan::Ended);
        assert_eq!(response.plan(0, true, &mut out), Plan::Ended);
        assert_eq!(out, b"1a\r\n\r\n4\r\n\r\n0\r\n\r\n");
    }

    #[test]
    fn a_declared_length_is_neither_exceeded_nor_missed_silently() {
        let mut out = Vec::new();
        let mut long = response(BodyFraming::Length(3));
        assert_eq!(long.plan(5, true, &mut out), Plan::Send(3));
        long.sent(3, &mut out);
        assert_eq!(long.plan(2, true, &mut out), Plan::Drop);
        assert_eq!(long.plan(0, true, &mut out), Plan::Ended);
        let mut short = response(BodyFraming::Length(3));
        assert_eq!(short.plan(0, true, &mut out), Plan::Broken);
        assert!(out.is_empty());
    }
}
