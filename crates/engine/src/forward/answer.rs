//! The backend's answer on its way to the client.

use std::{io, iter, mem};

use abi::method;
use os::socket::Transfer;

use super::connection::idle_time;
use super::{Answer, Forwarding, INTERIMS, Line, WAITING};
use crate::body::Inbound;
use crate::client::Client;
use crate::exchange::SlotRef;
use crate::http1::chunked::Step;
use crate::http1::response::{BodyFraming, encode_head};
use crate::http1::upstream::{ANSWER_LIMITS, parse_response};
use crate::lane::{Lane, Received};

const CONNECTION: &[u8] = b"connection";

impl Forwarding {
    /// `Ok(true)`: the answer is complete.
    pub(super) fn download(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
    ) -> io::Result<bool> {
        // Its connection may still have news, of the other direction.
        self.readable &= !self.backend_ended;
        while self.readable && client.out.len() < WAITING && self.turns > 0 {
            let Some(line) = self.line.as_ref() else { return Ok(false) };
            self.turns -= 1;
            // Out of the lane for the time, so that the lane can be used beside the bytes.
            match line {
                Line::Socket(socket) => match socket.receive(&mut lane.scratch)? {
                    Transfer::WouldBlock => self.readable = false,
                    Transfer::Bytes(0) => return self.on_end(lane, client),
                    Transfer::Bytes(count) => {
                        let scratch = mem::take(&mut lane.scratch);
                        let complete = self.on_bytes(lane, client, slot, &scratch[..count]);
                        lane.scratch = scratch;
                        if complete? {
                            return Ok(true);
                        }
                        if count < lane.scratch.len() {
                            // Emptied; the next byte, or the end, will be an event. An end that
                            // was reported together with these bytes is still to be read.
                            self.readable = self.ended_early();
                        }
                    }
                },
                Line::Channel(channel) => {
                    let channel = *channel;
                    match lane.links.receive(channel)? {
                        Received::Nothing => self.readable = false,
                        Received::End => return self.on_end(lane, client),
                        Received::Bytes(buffer, range) => {
                            let complete = self.on_bytes(lane, client, slot, &buffer[range]);
                            lane.links.put_back(channel, buffer);
                            if complete? {
                                return Ok(true);
                            }
                            self.readable = lane.links.has_more(channel);
                        }
                    }
                }
            }
        }
        Ok(false)
    }

    /// Whether the end of the connection must be looked for without an event.
    fn ended_early(&self) -> bool {
        // A hang-up may have been reported together with bytes, or before them; for answers that
        // end with their connection, looking once more costs little.
        self.hung_up
            || matches!(self.answer, Answer::UntilClose | Answer::Tunnel)
            || !self.keep_alive
    }

    fn on_bytes(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
        bytes: &[u8],
    ) -> io::Result<bool> {
        // Usually nothing was kept, and the whole head is parsed where it is.
        let mut kept = mem::take(&mut self.head);
        if !kept.is_empty() {
            kept.extend_from_slice(bytes);
            // Only the end of a line can complete a head. One that comes in drops must not be
            // parsed from its start for each of them.
            if !bytes.contains(&b'\n') && kept.len() <= ANSWER_LIMITS.head {
                self.head = kept;
                return Ok(false);
            }
        }
        let all = if kept.is_empty() { bytes } else { &kept };
        let mut at = 0;
        // More than one: interim answers come before the head that counts.
        while matches!(self.answer, Answer::Head) {
            match self.on_head(lane, client, slot, &all[at..])? {
                Some(len) => at += len,
                None if kept.is_empty() => {
                    self.head.extend_from_slice(&bytes[at..]);
                    return Ok(false);
                }
                None => {
                    kept.drain(..at);
                    self.head = kept;
                    return Ok(false);
                }
            }
        }
        self.on_body(client, &all[at..])
    }

    /// Takes a head from the start of `bytes`; its length, or `None` if it is not complete.
    fn on_head(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
        bytes: &[u8],
    ) -> io::Result<Option<usize>> {
        let view = slot.request();
        let is_head = view.method_id() == method::HEAD;
        let mut fields = mem::take(&mut lane.fields);
        let parsed = parse_response(bytes, is_head, false, &mut fields, &ANSWER_LIMITS);
        let head = match parsed {
            Ok(Some(head)) => head,
            Ok(None) => {
                lane.fields = fields;
                return Ok(None);
            }
            Err(reject) => {
                lane.fields = fields;
                let text = format!("the backend's answer is malformed: {}", reject.cause);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        };
        let len = head.len;
        if head.status < 200 && head.status != 101 {
            self.interims += 1;
            if self.interims > INTERIMS {
                lane.fields = fields;
                let text = format!("the backend sent more than {INTERIMS} interim answers");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        if head.status == 100 {
            // Nobody else waits for it.
            lane.fields = fields;
            client.tell_to_continue();
            return Ok(Some(len));
        }
        if head.status == 101 && !self.upstream.rules.may_switch(&view) {
            lane.fields = fields;
            let text = "the backend switched protocols without being asked to";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut encoded = mem::take(&mut lane.encoded);
        let rules = &self.upstream.rules;
        let all = fields.iter().map(|field| {
            // SAFETY: the parser has just pointed these into `bytes`.
            unsafe {
                (
                    std::slice::from_raw_parts(field.name.ptr, field.name.len),
                    std::slice::from_raw_parts(field.value.ptr, field.value.len),
                )
            }
        });
        self.hop.clear();
        for (name, value) in all.clone().filter(|(name, _)| name.len() == CONNECTION.len()) {
            let is_usual = || [&b"close"[..], b"keep-alive"].iter().any(|usual| is(value, usual));
            if is(name, b"keep-alive") {
                self.idle_time = idle_time(value).unwrap_or(u64::MAX);
            } else if is(name, CONNECTION) && !is_usual() {
                self.hop.extend_from_slice(value);
                self.hop.push(b',');
            }
        }
        let hop = &*self.hop;
        let kept = all.filter(|(name, value)| {
            // Framing is ours, whatever the rules say.
            !is(name, b"content-length")
                && !is(name, b"transfer-encoding")
                && !ends_here(hop, name)
                && rules.keep_response_field(name, value)
        });
        let is_interim = head.status < 200 && head.status != 101;
        // It means nothing there (RFC 9110 8.6, 9.3.6), and backends send it all the same.
        let granted = view.method_id() == method::CONNECT && (200..300).contains(&head.status);
        let has_length = !is_interim && !granted && head.status != 204;
        let length = head.content_length.filter(|_| has_length);
        encode_head(head.status, head.reason, length, kept, &mut encoded);
        if is_interim {
            let written = client.write_interim(lane, &encoded);
            lane.encoded = encoded;
            lane.fields = fields;
            let written = written.map(|()| Some(len));
            return written.map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad));
        }
        self.keep_alive = head.keep_alive && !granted;
        self.answer = match head.framing {
            BodyFraming::None => Answer::Nothing,
            BodyFraming::Length(0) => Answer::Nothing,
            BodyFraming::Length(length) => Answer::Length(length),
            BodyFraming::Chunked => Answer::Chunked(Box::default()),
            BodyFraming::UntilClose | BodyFraming::AppFramed => Answer::UntilClose,
            BodyFraming::Upgrade => Answer::Tunnel,
        };
        let written = client.write_forwarded_head(lane, &encoded);
        lane.encoded = encoded;
        lane.fields = fields;
        if matches!(self.answer, Answer::Tunnel) {
            self.uncount(lane);
            lane.leave_http(slot);
            // Not before: a backend that declines must not see them.
            self.out.tail().extend_from_slice(&client.early_bytes(lane));
        }
        match written {
            Ok(()) => Ok(Some(len)),
            Err(bad) => Err(io::Error::new(io::ErrorKind::InvalidData, bad)),
        }
    }

    /// `Ok(true)`: the answer is complete.
    fn on_body(&mut self, client: &mut Client, mut bytes: &[u8]) -> io::Result<bool> {
        match &mut self.answer {
            Answer::Head | Answer::Complete => Ok(true),
            Answer::Nothing => {
                // Bytes behind an answer belong to nothing: the connection cannot be trusted.
                self.keep_alive &= bytes.is_empty();
                client.end_forwarded_body(iter::empty());
                Ok(true)
            }
            Answer::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                let complete = *left == 0;
                self.keep_alive &= count == bytes.len();
                client.push_forwarded_body(&bytes[..count])?;
                if complete {
                    client.end_forwarded_body(iter::empty());
                }
                Ok(complete)
            }
            Answer::Chunked(decoder) => loop {
                let (consumed, step) = decoder.step(bytes).map_err(|reject| {
                    let text = format!("the backend's chunks are malformed: {}", reject.cause);
                    io::Error::new(io::ErrorKind::InvalidData, text)
                })?;
                bytes = &bytes[consumed..];
                match step {
                    Step::Data(data) => client.push_forwarded_body(data)?,
                    Step::More => return Ok(false),
                    Step::End => {
                        self.keep_alive &= bytes.is_empty();
                        let trailers = decoder.take_trailers();
                        let rules = &self.upstream.rules;
                        let kept = trailers.fields().filter(|(name, value)| {
                            !ends_here(&self.hop, name) && rules.keep_response_field(name, value)
                        });
                        client.end_forwarded_body(kept);
                        return Ok(true);
                    }
                }
            },
            Answer::UntilClose | Answer::Tunnel => {
                if !bytes.is_empty() {
                    client.push_forwarded_body(bytes)?;
                }
                Ok(false)
            }
        }
    }

    /// The backend has closed its side.
    fn on_end(&mut self, lane: &Lane, client: &mut Client) -> io::Result<bool> {
        self.readable = false;
        self.keep_alive = false;
        match self.answer {
            // The other direction goes on.
            Answer::Tunnel if !self.gone && !self.is_upload_over() => {
                self.backend_ended = true;
                if lane.draining {
                    // It dies of the stop, and does not say so.
                    client.part(lane);
                }
                client.end_sending();
                Ok(false)
            }
            Answer::UntilClose | Answer::Tunnel => {
                client.end_forwarded_body(iter::empty());
                // An answer has its end in chunks, or its head has said that it has none.
                if client.response.is_raw() {
                    client.response.keep_alive = false;
                    client.inbound = Inbound::Complete;
                }
                self.answer = Answer::Complete;
                Ok(true)
            }
            Answer::Head if self.head.is_empty() => Err(cut_off("before its answer")),
            Answer::Head => Err(cut_off("in the head of its answer")),
            Answer::Nothing | Answer::Length(_) | Answer::Chunked(_) | Answer::Complete => {
                Err(cut_off("in the body of its answer"))
            }
        }
    }
}

fn is(name: &[u8], lower: &[u8]) -> bool {
    name.eq_ignore_ascii_case(lower)
}

/// Whether the options `hop` of the backend's connection name this field as one that is not for the
/// client (RFC 9110 7.6.1). `Upgrade` is an option by itself, and a part of some answers.
fn ends_here(hop: &[u8], name: &[u8]) -> bool {
    !hop.is_empty()
        && !is(name, b"upgrade")
        && hop
            .split(|byte| *byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(name))
}

fn cut_off(place: &str) -> io::Error {
    let text = format!("the backend closed the connection {place}");
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}
