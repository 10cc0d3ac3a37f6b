//! The request on its way to the backend.

use std::io;

use super::{Answer, Forwarding, Line, WAITING};
use crate::application::Upstream;
use crate::body::{Inbound, Taken};
use crate::client::Client;
use crate::exchange::SlotRef;
use crate::http1::reject::Cause;
use crate::lane::Lane;
use crate::response::{push_chunk_size, push_last_chunk};

impl Forwarding {
    /// `Ok(Some)`: what is wrong with the client's body.
    pub(super) fn upload(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
    ) -> io::Result<Option<Cause>> {
        loop {
            if self.line.is_none() {
                return Ok(None);
            }
            if self.writable && !self.out.is_empty() {
                let before = self.out.len();
                self.writable = self.send(lane)?;
                self.sent |= self.out.len() < before;
                if !self.writable {
                    self.await_room(lane)?;
                }
            }
            if !client.readable || client.inbound.is_complete() || self.out.len() >= WAITING {
                break;
            }
            if self.turns == 0 {
                break;
            }
            self.turns -= 1;
            let limit = lane.scratch.len();
            let taken = client.inbound.receive(&client.socket, &mut lane.scratch[..limit]);
            match taken {
                Ok(Taken::Bytes { end, short, surplus }) => {
                    client.readable = !short || client.is_half_closed();
                    self.consumed = true;
                    if !client.response.is_raw() && !client.count_body(end) {
                        return Ok(Some(Cause::BodyTooLarge));
                    }
                    if let Some((from, to)) = surplus {
                        client.keep_surplus(lane, from, to);
                    }
                    // Who sends does not wait.
                    client.response.continue_wanted &= end == 0;
                    push_body(self.chunked, &lane.scratch[..end], self.out.tail());
                    if client.inbound.is_complete() {
                        if let Some(trailers) = client.inbound.take_trailers() {
                            slot.put_trailers(trailers);
                        }
                        push_end(self.chunked, &self.upstream, slot, self.out.tail());
                    }
                }
                Ok(Taken::WouldBlock) => client.readable = false,
                Ok(Taken::Closed) if matches!(self.answer, Answer::Tunnel) => {
                    client.inbound = Inbound::Complete;
                    self.client_ended = true;
                }
                Ok(Taken::Malformed) => return Ok(Some(Cause::BodyMalformed)),
                Ok(Taken::Closed) | Err(_) => return Ok(Some(Cause::BodyBrokenOff)),
            }
        }
        if self.is_upload_over()
            && !std::mem::replace(&mut self.told_of_end, true)
            && let Some(Line::Socket(socket)) = &self.line
        {
            socket.shut_down_send();
        }
        Ok(None)
    }
}

pub(super) fn push_body(chunked: bool, bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    if chunked {
        push_chunk_size(bytes.len() as u64, out);
    }
    out.extend_from_slice(bytes);
    if chunked {
        out.extend_from_slice(b"\r\n");
    }
}

/// Ends the body, with what came behind it.
pub(super) fn push_end(chunked: bool, upstream: &Upstream, slot: SlotRef, out: &mut Vec<u8>) {
    if chunked {
        let request = slot.request();
        let keep = |name| upstream.rules.keep_request_trailer(&request, name);
        push_last_chunk(request.trailers().filter(|(name, _)| keep(name)), out);
    }
}
