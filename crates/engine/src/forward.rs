//! One exchange on its way through a backend, on the lane of its client.
//!
//! Both bodies stream at once, in pieces of the lane's buffer, with back-pressure both ways: what
//! a side does not take is waited for before more is read from the other. An exchange of which
//! the client has seen nothing, and whose request can be sent again, is offered to the
//! application once more instead of failing with its connection.

use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use abi::{method, request};
use os::epoll;
use os::socket::{Socket, Transfer};

use crate::application::{Upstream, UpstreamAddress, UpstreamFailure, UpstreamPhase};
use crate::body::{Inbound, Taken};
use crate::client::Client;
use crate::exchange::{ConnectionKey, SlotRef};
use crate::http1::chunked::{Decoder, Step};
use crate::http1::reject::Cause;
use crate::http1::response::{BodyFraming, encode_head};
use crate::http1::upstream::{ANSWER_LIMITS, parse_response};
use crate::lane::{Entry, Lane};
use crate::outgoing::Outgoing;
use crate::response::push_chunk_size;

/// Bytes that may wait for one side before reading from the other stops.
const WAITING: usize = 256 * 1024;
/// Idle connections that a lane keeps per backend.
const POOL: usize = 256;
/// How long one may idle, in milliseconds; below Kestrel's own 130 s, so that we close first.
const IDLE_TIME: u64 = 90_000;
/// Receives of one exchange before others on its lane get a turn.
const TURN: u32 = 16;
/// How often an exchange that was not sent is offered to the application again.
const ATTEMPTS: u32 = 4;

/// A connection to a backend that waits for an exchange.
pub(crate) struct Idle {
    pub(crate) upstream: u64,
    socket: Socket,
    deadline: u64,
    /// When the lane's wheel brings the connection up; not in it if that has passed.
    pub(crate) armed: u64,
}

impl Idle {
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }
}

/// How an exchange stands after [`Forwarding::drive`].
pub(crate) enum Progress {
    /// An event is needed.
    Wait,
    /// The answer is in the client's buffer, and the backend's connection taken care of.
    Done,
    /// The exchange was given back to the application.
    Again,
    /// The client has a part of an answer that cannot be completed.
    Broken,
}

/// How the backend's answer is framed, and what of it is left.
enum Answer {
    Head,
    Nothing,
    Length(u64),
    Chunked(Box<Decoder>),
    UntilClose,
    Tunnel,
    Complete,
}

/// What one step of the work found.
enum Turn {
    Wait,
    Complete,
    Failed(UpstreamPhase, io::Error),
    /// The client's own fault, or its end; the cause is told if it can still be.
    ClientFault(Cause),
}

/// One exchange in a backend.
pub(crate) struct Forwarding {
    upstream: Arc<Upstream>,
    key: ConnectionKey,
    socket: Option<Socket>,
    refused: Option<io::Error>,
    readable: bool,
    writable: bool,
    /// The backend has closed its side, or all of it: the end is there to be read.
    hung_up: bool,
    /// As in [`Idle`].
    armed: u64,
    /// Receives that are left of this turn.
    turns: u32,
    /// Request bytes for the backend.
    out: Outgoing,
    /// The start of an answer whose head is not complete.
    head: Vec<u8>,
    answer: Answer,
    keep_alive: bool,
    /// The connection has served before, so the backend may just have closed it.
    reused: bool,
    /// Something of the request was sent.
    sent: bool,
    /// The request cannot be sent again: parts of its body are gone.
    consumed: bool,
    chunked: bool,
    /// The client has ended its side of a tunnel.
    client_ended: bool,
    began: Instant,
    /// When the backend will have been silent for too long, in the lane's milliseconds.
    deadline: u64,
}

impl Forwarding {
    /// Takes or opens a connection and puts the request on its way.
    pub(crate) fn begin(
        lane: &mut Lane,
        client: ConnectionKey,
        slot: SlotRef,
        upstream: Arc<Upstream>,
    ) -> Self {
        let mut forwarding = Self {
            upstream,
            key: 0,
            socket: None,
            refused: None,
            readable: false,
            writable: true,
            hung_up: false,
            armed: 0,
            turns: TURN,
            out: Outgoing::default(),
            head: Vec::new(),
            answer: Answer::Head,
            keep_alive: false,
            reused: false,
            sent: false,
            consumed: false,
            chunked: false,
            client_ended: false,
            began: Instant::now(),
            deadline: u64::MAX,
        };
        if !forwarding.reuse(lane, client, slot)
            && let Err(error) = forwarding.connect(lane, client)
        {
            forwarding.refused = Some(error);
        }
        let view = slot.request();
        forwarding.chunked = view.is_chunked();
        let out = forwarding.out.tail();
        forwarding.upstream.rules.request_head(&view, out);
        let shared = slot.request_mut();
        // SAFETY: `body` points into the slot's input, which is unchanged since it was filled.
        let body = unsafe {
            if shared.body.len == 0 {
                &[][..]
            } else {
                std::slice::from_raw_parts(shared.body.ptr, shared.body.len)
            }
        };
        push_body(forwarding.chunked, body, out);
        if shared.flags & request::BODY_COMPLETE != 0 {
            push_end(forwarding.chunked, out);
        }
        forwarding
    }

    pub(crate) fn key(&self) -> ConnectionKey {
        self.key
    }

    /// When the backend will have been silent for too long, in the lane's milliseconds.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// The backend was silent for too long.
    pub(crate) fn time_out(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
    ) -> Progress {
        let error = io::Error::new(io::ErrorKind::TimedOut, "the backend was silent for too long");
        self.fail(lane, client, slot, self.phase(), error)
    }

    /// Whether more of the request body could be taken now.
    pub(crate) fn wants_body(&self) -> bool {
        self.out.len() < WAITING && !matches!(self.answer, Answer::Tunnel)
    }

    pub(crate) fn on_bits(&mut self, bits: u32) {
        if bits & (epoll::IN | epoll::RDHUP | epoll::HUP | epoll::ERR) != 0 {
            self.readable = true;
        }
        if bits & (epoll::RDHUP | epoll::HUP | epoll::ERR) != 0 {
            self.hung_up = true;
        }
        if bits & (epoll::OUT | epoll::HUP | epoll::ERR) != 0 {
            self.writable = true;
        }
    }

    /// The client is gone: so is the exchange.
    pub(crate) fn abandon(&mut self, lane: &mut Lane) {
        self.drop_connection(lane);
    }

    /// Moves what can move.
    pub(crate) fn drive(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
    ) -> Progress {
        self.turns = TURN;
        let turn = match self.refused.take() {
            Some(error) => Turn::Failed(UpstreamPhase::Connect, error),
            None => self.turn(lane, client, slot),
        };
        match turn {
            Turn::Wait => {
                if self.turns == 0 {
                    lane.backlog.push_back(client.key);
                }
                self.set_deadline(lane, client);
                Progress::Wait
            }
            Turn::Complete => {
                self.give_back(lane, client);
                Progress::Done
            }
            Turn::Failed(phase, error) => self.fail(lane, client, slot, phase, error),
            Turn::ClientFault(cause) => {
                self.drop_connection(lane);
                if client.response.head_written {
                    return Progress::Broken;
                }
                client.refuse(lane, cause);
                Progress::Done
            }
        }
    }

    /// Every byte that moves to or from the backend begins its time anew. It has no clock while
    /// the client is what holds things up, nor in a tunnel.
    fn set_deadline(&mut self, lane: &Lane, client: &Client) {
        let limit = self.upstream.rules.silence_limit().as_millis() as u64;
        let waits_for_client =
            client.out.len() >= WAITING || (self.out.is_empty() && !client.inbound.is_complete());
        self.deadline = if matches!(self.answer, Answer::Tunnel) || waits_for_client {
            u64::MAX
        } else {
            lane.clock.now() + limit
        };
    }

    fn turn(&mut self, lane: &mut Lane, client: &mut Client, slot: SlotRef) -> Turn {
        loop {
            let broken = match self.upload(lane, client) {
                Ok(None) => None,
                Ok(Some(cause)) => return Turn::ClientFault(cause),
                Err(error) => Some(error),
            };
            // The backend may have answered before it closed: that answer counts.
            match (self.download(lane, client, slot), broken) {
                (Ok(true), _) => return Turn::Complete,
                (Ok(false), Some(error)) if !self.readable => {
                    return Turn::Failed(self.phase(), error);
                }
                (Ok(false), _) => {}
                (Err(error), broken) => {
                    // What failed first says more than the end that follows.
                    return Turn::Failed(self.phase(), broken.unwrap_or(error));
                }
            }
            if client.flush().is_err() {
                return Turn::ClientFault(Cause::BodyBrokenOff);
            }
            // The client may have made room for what the backend has ready; nothing would tell us
            // of it again.
            let down = self.readable && client.out.len() < WAITING;
            // A 101 has just turned what lay there into bytes for the backend.
            let up = (self.writable && !self.out.is_empty())
                || (client.readable && !client.inbound.is_complete() && self.out.len() < WAITING);
            if !(down || up) || self.turns == 0 {
                return Turn::Wait;
            }
        }
    }

    fn phase(&self) -> UpstreamPhase {
        match self.answer {
            Answer::Head if !self.sent => UpstreamPhase::Connect,
            Answer::Head if !self.out.is_empty() => UpstreamPhase::Send,
            Answer::Head => UpstreamPhase::Head,
            _ => UpstreamPhase::Body,
        }
    }

    // ---- Request ----------------------------------------------------------------------------

    /// `Ok(Some)`: what is wrong with the client's body.
    fn upload(&mut self, lane: &mut Lane, client: &mut Client) -> io::Result<Option<Cause>> {
        let Some(socket) = self.socket.as_ref() else { return Ok(None) };
        loop {
            if self.writable && !self.out.is_empty() {
                let before = self.out.len();
                self.writable = self.out.flush(socket)?;
                self.sent |= self.out.len() < before;
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
                    push_body(self.chunked, &lane.scratch[..end], self.out.tail());
                    if client.inbound.is_complete() {
                        push_end(self.chunked, self.out.tail());
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
        if self.client_ended && self.out.is_empty() {
            socket.shut_down_send();
        }
        Ok(None)
    }

    // ---- Answer -----------------------------------------------------------------------------

    /// `Ok(true)`: the answer is complete.
    fn download(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
    ) -> io::Result<bool> {
        while self.readable && client.out.len() < WAITING && self.turns > 0 {
            let Some(socket) = self.socket.as_ref() else { return Ok(false) };
            self.turns -= 1;
            match socket.receive(&mut lane.scratch)? {
                Transfer::WouldBlock => self.readable = false,
                Transfer::Bytes(0) => return self.on_end(client),
                Transfer::Bytes(count) => {
                    // Out of the lane for the time, so that the lane can be used beside it.
                    let scratch = mem::take(&mut lane.scratch);
                    let complete = self.on_bytes(lane, client, slot, &scratch[..count]);
                    lane.scratch = scratch;
                    if complete? {
                        return Ok(true);
                    }
                    if count < lane.scratch.len() {
                        // Emptied; the next byte, or the end, will be an event. An end that was
                        // reported together with these bytes is still to be read.
                        self.readable = self.ended_early();
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
        if !matches!(self.answer, Answer::Head) {
            return self.on_body(client, bytes);
        }
        if self.head.is_empty() {
            // The usual case: the whole head at once, parsed where it is.
            return match self.on_head(lane, client, slot, bytes)? {
                Some(len) => self.on_rest(lane, client, slot, &bytes[len..]),
                None => {
                    self.head.extend_from_slice(bytes);
                    Ok(false)
                }
            };
        }
        let mut head = mem::take(&mut self.head);
        head.extend_from_slice(bytes);
        match self.on_head(lane, client, slot, &head)? {
            Some(len) => self.on_rest(lane, client, slot, &head[len..]),
            None => {
                self.head = head;
                Ok(false)
            }
        }
    }

    /// What follows a head: body, or another head after an interim answer.
    fn on_rest(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
        bytes: &[u8],
    ) -> io::Result<bool> {
        if matches!(self.answer, Answer::Head) {
            return if bytes.is_empty() {
                Ok(false)
            } else {
                self.on_bytes(lane, client, slot, bytes)
            };
        }
        self.on_body(client, bytes)
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
            // The client's own wait was ended by us; other interim answers are optional reading.
            lane.fields = fields;
            return Ok(Some(len));
        }
        if head.status == 101 && !view.is_upgrade() {
            lane.fields = fields;
            let text = "the backend switched protocols without being asked to";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut encoded = mem::take(&mut lane.encoded);
        let rules = &self.upstream.rules;
        let kept = fields
            .iter()
            .map(|field| {
                // SAFETY: the parser has just pointed these into `bytes`.
                unsafe {
                    (
                        std::slice::from_raw_parts(field.name.ptr, field.name.len),
                        std::slice::from_raw_parts(field.value.ptr, field.value.len),
                    )
                }
            })
            .filter(|(name, value)| {
                // Framing is ours, whatever the rules say.
                !name.eq_ignore_ascii_case(b"content-length")
                    && !name.eq_ignore_ascii_case(b"transfer-encoding")
                    && rules.keep_response_field(name, value)
            });
        encode_head(head.status, head.reason, head.content_length, kept, &mut encoded);
        self.keep_alive = head.keep_alive;
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
                client.end_forwarded_body();
                Ok(true)
            }
            Answer::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                let complete = *left == 0;
                self.keep_alive &= count == bytes.len();
                client.push_forwarded_body(&bytes[..count])?;
                if complete {
                    client.end_forwarded_body();
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
                        client.end_forwarded_body();
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
    fn on_end(&mut self, client: &mut Client) -> io::Result<bool> {
        self.readable = false;
        self.keep_alive = false;
        match self.answer {
            Answer::UntilClose | Answer::Tunnel => {
                client.end_forwarded_body();
                client.response.keep_alive = false;
                client.inbound = Inbound::Complete;
                self.answer = Answer::Complete;
                Ok(true)
            }
            Answer::Head
            | Answer::Nothing
            | Answer::Length(_)
            | Answer::Chunked(_)
            | Answer::Complete => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the backend closed the connection in the middle of its answer",
            )),
        }
    }

    // ---- Connection -------------------------------------------------------------------------

    fn reuse(&mut self, lane: &mut Lane, client: ConnectionKey, slot: SlotRef) -> bool {
        if slot.lane().attempts > 0 || slot.lane().repeated {
            // One idle connection was dead; the others may be just as old.
            return false;
        }
        let safe = is_safe(slot.request().method_id());
        while let Some(key) = lane.pools.get_mut(&self.upstream.id).and_then(Vec::pop) {
            if let Some(Entry::Idle(idle)) = lane.entries.take(key) {
                // What must not be sent twice is not sent into a connection that has just closed.
                if !safe && !matches!(idle.socket.receive(&mut [0]), Ok(Transfer::WouldBlock)) {
                    lane.entries.remove(key);
                    continue;
                }
                lane.entries.put(key, Entry::Busy(client));
                self.key = key;
                self.armed = idle.armed;
                self.socket = Some(idle.socket);
                self.reused = true;
                return true;
            }
        }
        false
    }

    fn connect(&mut self, lane: &mut Lane, client: ConnectionKey) -> io::Result<()> {
        let socket = match &self.upstream.address {
            UpstreamAddress::Tcp(address) => Socket::connect_tcp(*address)?,
            UpstreamAddress::Unix(path) => Socket::connect_unix(path)?,
        };
        let key = lane.entries.reserve();
        let interest = epoll::IN | epoll::OUT | epoll::RDHUP | epoll::EDGE;
        if let Err(error) = lane.epoll.add(socket.as_fd(), interest, key) {
            lane.entries.remove(key);
            return Err(error);
        }
        lane.entries.put(key, Entry::Busy(client));
        self.key = key;
        self.socket = Some(socket);
        Ok(())
    }

    fn drop_connection(&mut self, lane: &mut Lane) {
        if self.socket.take().is_some() {
            lane.entries.remove(self.key);
        }
    }

    /// Keeps the connection for another exchange, if it is fit for one.
    fn give_back(&mut self, lane: &mut Lane, client: &Client) {
        let fit = self.keep_alive
            && !self.hung_up
            && self.out.is_empty()
            && client.inbound.is_complete()
            && !lane.draining;
        let there = lane.pools.get(&self.upstream.id).map_or(0, Vec::len);
        if !fit || there >= POOL {
            self.drop_connection(lane);
            return;
        }
        if let Some(socket) = self.socket.take() {
            lane.pools.entry(self.upstream.id).or_default().push(self.key);
            let deadline = lane.clock.now() + IDLE_TIME;
            if self.armed <= lane.clock.now() {
                self.armed = lane.wheel.insert(self.key, deadline);
            }
            let idle = Idle { upstream: self.upstream.id, socket, deadline, armed: self.armed };
            lane.entries.put(self.key, Entry::Idle(idle));
        }
    }

    fn fail(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
        phase: UpstreamPhase,
        error: io::Error,
    ) -> Progress {
        self.drop_connection(lane);
        if client.response.head_written {
            return Progress::Broken;
        }
        // Another try would fail in the same way, or wait as long again.
        let final_word =
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::TimedOut);
        if !final_word {
            self.upstream.rules.connection_lost();
        }
        let safe = is_safe(slot.request().method_id());
        // Nothing was sent; or repeating is harmless by the method's meaning: the backend closed
        // an idle connection as we took it, or was dying as it took ours. That once only, since
        // the request itself may be what ends the backend.
        let side = slot.lane();
        let again = if self.sent {
            safe && !std::mem::replace(&mut side.repeated, true)
        } else {
            side.attempts += 1;
            side.attempts <= ATTEMPTS
        };
        if again && !final_word && !self.consumed {
            // Not at once: a backend that is dying still takes connections for a moment. Whoever
            // watches the process tells when it is gone.
            lane.hold(slot);
            return Progress::Again;
        }
        let elapsed = self.began.elapsed();
        let failure = UpstreamFailure { phase, error, elapsed };
        let answer = self.upstream.rules.failed(&failure);
        client.write_answer(lane, &answer);
        Progress::Done
    }
}

fn is_safe(method: u16) -> bool {
    matches!(method, method::GET | method::HEAD | method::OPTIONS | method::TRACE)
}

fn push_body(chunked: bool, bytes: &[u8], out: &mut Vec<u8>) {
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

fn push_end(chunked: bool, out: &mut Vec<u8>) {
    if chunked {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}
