//! A client's connection: requests in, responses out, one exchange at a time.
//!
//! [`Client::drive`] moves everything that can move and returns when it needs an event. It may
//! be called at any time and finds out by itself what there is to do:
//!
//! ```text
//!  Reading ──head complete──► Active ──response ended──► Reading        (body read to its end)
//!     ▲                                     ├──────────► Draining ──┐   (body left, keep-alive)
//!     └─────────────────────────────────────│───────────────────────┘
//!                                           └──────────► Lingering      (the connection ends)
//! ```

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;

use abi::{event, progress, request};
use os::epoll;
use os::socket::{Socket, Transfer};

use crate::application::{Answer, Upstream, to_abi_address};
use crate::body::{Inbound, Taken};
use crate::exchange::{ConnectionKey, SlotRef};
use crate::forward::Forwarding;
use crate::http1::reject::Reject;
use crate::http1::request::{Form, Framing};
use crate::http1::response::{BadHead, HeadContext, write_head};
use crate::http1::target::{self, Target};
use crate::lane::Lane;
use crate::outgoing::Outgoing;
use crate::response::{Plan, Response};
use crate::ring::End;

/// Response bytes up to this are copied behind their head, so that one send carries both.
const COPY: usize = 16 * 1024;
/// Bytes that may wait for a client before its next pipelined request is looked at.
const PIPELINE: usize = 64 * 1024;
/// Bytes of an unread request body that are read and dropped to keep a connection.
const DRAIN: u64 = 1 << 20;
/// How long dropping may take, in milliseconds (Kestrel's 5 s).
const DRAIN_TIME: u64 = 5_000;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for, or in the middle of, a request head.
    Reading,
    /// An exchange is with the application, or waits for its turn.
    Active,
    /// The response is out; the rest of the request body is dropped, so many bytes at most.
    Draining(u64),
    /// As above, but we have said goodbye: the connection closes when the client does.
    Lingering(u64),
}

/// One client.
pub(crate) struct Client {
    pub(crate) key: ConnectionKey,
    pub(crate) socket: Socket,
    pub(crate) readable: bool,
    pub(crate) out: Outgoing,
    pub(crate) inbound: Inbound,
    pub(crate) response: Response,
    /// The exchange that is being read or answered.
    pub(crate) slot: Option<SlotRef>,
    writable: bool,
    /// The client will send no more.
    half_closed: bool,
    /// The connection is beyond use in both directions.
    gone: bool,
    state: State,
    /// What came behind the current request.
    surplus: Option<SlotRef>,
    forwarding: Option<Box<Forwarding>>,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
    number: u64,
    requests: u64,
    /// In the lane's milliseconds; `u64::MAX` is none.
    deadline: u64,
}

impl Client {
    pub(crate) fn new(
        key: ConnectionKey,
        socket: Socket,
        remote: Option<SocketAddr>,
        number: u64,
        deadline: u64,
    ) -> Self {
        Self {
            key,
            socket,
            readable: false,
            out: Outgoing::default(),
            inbound: Inbound::Complete,
            response: Response::default(),
            slot: None,
            writable: true,
            half_closed: false,
            gone: false,
            state: State::Reading,
            surplus: None,
            forwarding: None,
            remote,
            local: None,
            number,
            requests: 0,
            deadline,
        }
    }

    /// Takes note of epoll bits.
    pub(crate) fn on_bits(&mut self, bits: u32) {
        if bits & epoll::IN != 0 {
            self.readable = true;
        }
        if bits & epoll::OUT != 0 {
            self.writable = true;
        }
        if bits & (epoll::RDHUP | epoll::HUP | epoll::ERR) != 0 {
            // Reading finds the end, or the error.
            self.readable = true;
            self.half_closed = true;
        }
        if bits & (epoll::HUP | epoll::ERR) != 0 {
            self.gone = true;
        }
    }

    /// Takes note of epoll bits of the backend's connection.
    pub(crate) fn on_upstream_bits(&mut self, key: ConnectionKey, bits: u32) {
        if let Some(forwarding) = self.forwarding.as_mut().filter(|it| it.key() == key) {
            forwarding.on_bits(bits);
        }
    }

    pub(crate) fn is_late(&self, now: u64) -> bool {
        now >= self.deadline
    }

    /// The deadline has passed.
    pub(crate) fn on_late(&mut self, lane: &mut Lane) -> Fate {
        match self.state {
            State::Reading if self.slot.is_some() => {
                self.refuse(lane, 408, "the request head took too long");
                let _ = self.flush();
                Fate::Close
            }
            State::Active => {
                // Only a client that takes nothing has a deadline here.
                self.socket.reset_on_close();
                Fate::Close
            }
            State::Reading | State::Draining(_) | State::Lingering(_) => Fate::Close,
        }
    }

    /// Moves what can move.
    pub(crate) fn drive(&mut self, lane: &mut Lane) -> Fate {
        let fate = self.advance(lane);
        if fate == Fate::Keep { self.finish_turn(lane) } else { fate }
    }

    fn advance(&mut self, lane: &mut Lane) -> Fate {
        loop {
            let step = match self.state {
                State::Reading => self.read_head(lane),
                State::Active => self.answer(lane),
                State::Draining(left) | State::Lingering(left) => self.drop_body(lane, left),
            };
            match step {
                Step::Again => {}
                Step::Wait => return Fate::Keep,
                Step::Close => return Fate::Close,
            }
        }
    }

    /// Sends what has gathered, and sets the clock for a client that does not take it.
    fn finish_turn(&mut self, lane: &mut Lane) -> Fate {
        // The answer to come will be sent with this one.
        let next_is_waiting = self.slot.is_some_and(|slot| slot.lane().queued);
        if next_is_waiting || self.out.is_empty() {
            return Fate::Keep;
        }
        let was = self.out.len();
        if self.flush().is_err() {
            return Fate::Close;
        }
        if self.out.is_empty() {
            match self.state {
                State::Active => self.deadline = u64::MAX,
                State::Lingering(_) => self.socket.shut_down_send(),
                State::Reading | State::Draining(_) => {}
            }
        } else if self.out.len() < was || self.deadline == u64::MAX {
            self.deadline = lane.clock.now() + lane.options.write_stall.as_millis() as u64;
        }
        Fate::Keep
    }

    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        if self.writable {
            self.writable = self.out.flush(&self.socket)?;
        }
        Ok(())
    }

    // ---- Reading ----------------------------------------------------------------------------

    fn read_head(&mut self, lane: &mut Lane) -> Step {
        if self.out.len() > PIPELINE {
            if self.flush().is_err() {
                return Step::Close;
            }
            if self.out.len() > PIPELINE {
                return Step::Wait;
            }
        }
        // What has come already, first.
        if let Some(slot) = self.slot.filter(|slot| !slot.lane().input.is_empty()) {
            match self.begin(lane, slot) {
                Ok(true) => return Step::Wait,
                Ok(false) => {}
                Err(reject) => {
                    let cause = reject.cause.to_string();
                    self.refuse(lane, reject.status, &cause);
                    return self.say_goodbye(lane);
                }
            }
        }
        if lane.draining && self.slot.is_none_or(|slot| slot.lane().input.is_empty()) {
            return if self.out.is_empty() { Step::Close } else { self.say_goodbye(lane) };
        }
        if !self.readable {
            // An idle connection holds no exchange.
            if let Some(slot) = self.slot.filter(|slot| slot.lane().input.is_empty()) {
                self.slot = None;
                lane.recycle(slot);
            }
            return Step::Wait;
        }
        let slot = *self.slot.get_or_insert_with(|| lane.slot());
        let input = &mut slot.lane().input;
        if input.spare_capacity_mut().is_empty() {
            input.reserve(input.capacity());
        }
        let space = input.spare_capacity_mut();
        let wanted = space.len();
        match self.socket.receive_uninit(space) {
            Ok(Transfer::Bytes(0)) => {
                // A head that ends in the middle needs no answer: nobody is there to read it.
                if self.out.is_empty() { Step::Close } else { self.say_goodbye(lane) }
            }
            Ok(Transfer::Bytes(count)) => {
                if input.is_empty() {
                    self.deadline = lane.clock.now() + lane.options.head_time.as_millis() as u64;
                }
                // SAFETY: the kernel has initialised `count` bytes behind the present ones.
                unsafe { input.set_len(input.len() + count) };
                // A short read has emptied the socket; the next byte will be an event.
                self.readable = count == wanted || self.half_closed;
                Step::Again
            }
            Ok(Transfer::WouldBlock) => {
                self.readable = false;
                Step::Again
            }
            Err(_) => Step::Close,
        }
    }

    /// Parses the head at the start of the slot's input. `true`: complete, and waiting its turn.
    fn begin(&mut self, lane: &mut Lane, slot: SlotRef) -> Result<bool, Reject> {
        let side = slot.lane();
        let limits = &lane.options.head;
        let Some(head) = crate::http1::request::parse(&side.input, &mut side.headers, limits)?
        else {
            return Ok(false);
        };
        let target = match head.form {
            Form::Authority => Target::EMPTY,
            Form::Origin | Form::Absolute | Form::Asterisk => {
                target::split(head.target, lane.options.path_base.as_bytes(), &mut side.decoded)?
            }
        };
        self.requests += 1;
        if self.requests == 1 {
            self.local = self.socket.local_address();
        }
        side.connection.id = self.number;
        side.connection.remote = to_abi_address(self.remote);
        side.connection.local = to_abi_address(self.local);
        let shared = slot.request_mut();
        shared.method = head.method_id;
        shared.version = head.version;
        shared.method_text = text(head.method);
        shared.target = text(head.target);
        shared.path = text(target.path);
        shared.path_base = text(target.path_base);
        shared.query = text(target.query);
        shared.request_number = self.requests;
        let (mut flags, length, inbound) = match head.framing {
            Framing::None => (request::BODY_COMPLETE, -1, Inbound::Complete),
            Framing::Length(0) => (request::BODY_COMPLETE, 0, Inbound::Complete),
            Framing::Length(length) => {
                (request::HAS_BODY, length.cast_signed(), Inbound::Length(length))
            }
            Framing::Chunked => (request::HAS_BODY | request::CHUNKED, -1, Inbound::chunked()),
        };
        if head.upgrade {
            flags |= request::UPGRADE;
        }
        if head.expect_continue {
            flags |= request::EXPECT_CONTINUE;
        }
        shared.content_length = length;
        self.inbound = inbound;
        self.response = Response::to(
            head.version,
            head.method_id,
            head.keep_alive && !head.content_length_ignored,
            head.expect_continue,
        );
        let head_len = head.len;
        if head.content_length_ignored {
            // The module moves the lying length out of the way, and so do we (REQ-49).
            for field in &mut side.headers {
                // SAFETY: the field points into `input`, which is alive and unchanged.
                let name = unsafe { std::slice::from_raw_parts(field.name.ptr, field.name.len) };
                if name.eq_ignore_ascii_case(b"content-length") {
                    field.name = text(b"X-Content-Length");
                }
            }
        }
        shared.headers = side.headers.as_ptr();
        shared.header_count = side.headers.len() as u32;

        // What of the body came with the head; what is behind it belongs to the next request.
        let (body, end) = self.inbound.take_in_place(&mut side.input, head_len)?;
        if self.inbound.is_complete() {
            flags |= request::BODY_COMPLETE;
        }
        shared.flags = flags;
        shared.body = text(&side.input[head_len..head_len + body]);
        if end < side.input.len() {
            let surplus = lane.slot();
            surplus.lane().input.extend_from_slice(&side.input[end..]);
            self.surplus = Some(surplus);
        }
        side.owner = Some(self.key);
        self.deadline = u64::MAX;
        self.state = State::Active;
        lane.enqueue(slot);
        Ok(true)
    }

    /// Answers a request that does not deserve an exchange.
    fn refuse(&mut self, lane: &mut Lane, status: u16, cause: &str) {
        let answer = Answer::text(status, format!("{status}: {cause}\n"));
        self.response = Response::to(0x0101, 0, false, false);
        self.write_answer(lane, &answer);
    }

    /// Writes a whole answer of the host's own to a connection that closes after it.
    pub(crate) fn write_answer(&mut self, lane: &Lane, answer: &Answer) {
        let mut head = Vec::with_capacity(256);
        let fields = answer.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let length = Some(answer.body.len() as u64);
        crate::http1::response::encode_head(answer.status, "", length, fields, &mut head);
        let context = self.head_context(lane, length);
        let is_head = self.response.is_head;
        if let Ok(written) = write_head(&head, &context, self.out.tail()) {
            self.response.keep_alive &= written.keep_alive;
            if !is_head {
                self.out.tail().extend_from_slice(&answer.body);
            }
        }
        self.response.head_written = true;
    }

    fn head_context<'a>(&self, lane: &'a Lane, total: Option<u64>) -> HeadContext<'a> {
        HeadContext {
            version: self.response.version,
            is_head: self.response.is_head,
            is_connect: self.response.is_connect,
            keep_alive: self.response.keep_alive && !lane.draining && self.may_go_on(),
            total,
            date: lane.clock.date(),
            server: lane.options.server.as_bytes(),
        }
    }

    /// Whether the rest of the request, if any, can be got out of the way after the response.
    fn may_go_on(&self) -> bool {
        // A client that waits for `100 Continue` may or may not send its body after an answer.
        self.inbound.is_complete() || !self.response.continue_wanted
    }

    // ---- Active -----------------------------------------------------------------------------

    fn answer(&mut self, lane: &mut Lane) -> Step {
        if self.forwarding.is_some() {
            return self.drive_forwarding(lane);
        }
        let Some(slot) = self.slot else { return Step::Close };
        if !slot.lane().in_use {
            // Its turn has not come, or it is held; only the end of the client matters.
            return if self.half_closed && self.gone { Step::Close } else { Step::Wait };
        }
        let progress = slot.progress();
        if progress & progress::ABORT != 0 {
            self.socket.reset_on_close();
            return Step::Close;
        }
        if progress & progress::READING != 0 && self.feed(lane, slot, progress).is_err() {
            return Step::Close;
        }
        if self.gone {
            return Step::Close;
        }
        if self.half_closed && self.inbound.is_complete() && !self.response.is_raw() && slot.abort()
        {
            // A client that half-closes may still read: tell the application, go on sending.
            lane.application.signal(slot.as_abi(), slot.id(), event::ABORTED);
        }
        match self.send_response(lane, slot, progress) {
            Ok(true) => self.finish(lane, slot),
            Ok(false) => Step::Wait,
            Err(()) => Step::Close,
        }
    }

    /// Moves request body bytes to the handler.
    fn feed(&mut self, lane: &mut Lane, slot: SlotRef, progress: u32) -> Result<(), ()> {
        if self.response.continue_wanted && progress & progress::HEAD == 0 {
            self.response.continue_wanted = false;
            if !self.inbound.is_complete() {
                self.out.tail().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                self.flush().map_err(drop)?;
            }
        }
        let ring = slot.ring();
        let mut moved = false;
        while self.readable && !self.inbound.is_complete() {
            if ring.free() == 0 {
                if ring.pause() {
                    break;
                }
                continue;
            }
            let limit = ring.free().min(lane.scratch.len());
            match self.inbound.receive(&self.socket, &mut lane.scratch[..limit]) {
                Ok(Taken::Bytes { end, short, surplus }) => {
                    // SAFETY: the lane is the one producer, and `limit` left room.
                    unsafe { ring.push(&lane.scratch[..end]) };
                    moved |= end > 0;
                    self.readable = !short || self.half_closed;
                    if let Some((from, to)) = surplus {
                        let slot = lane.slot();
                        slot.lane().input.extend_from_slice(&lane.scratch[from..to]);
                        self.surplus = Some(slot);
                    }
                }
                Ok(Taken::WouldBlock) => self.readable = false,
                Ok(Taken::Closed) => {
                    ring.finish(if self.response.is_raw() {
                        End::Complete
                    } else {
                        End::Disconnected
                    });
                    self.inbound = Inbound::Complete;
                    self.response.keep_alive = false;
                    moved = true;
                    break;
                }
                Ok(Taken::Malformed) => {
                    ring.finish(End::Malformed);
                    self.inbound = Inbound::Complete;
                    self.response.keep_alive = false;
                    moved = true;
                    break;
                }
                Err(_) => return Err(()),
            }
        }
        if self.inbound.is_complete() {
            ring.finish(End::Complete);
            moved = true;
        }
        if (moved || ring.free() < crate::ring::CAPACITY) && slot.take_body_wish() {
            lane.application.signal(slot.as_abi(), slot.id(), event::READABLE);
        }
        Ok(())
    }

    /// Sends what the handler has published. `true`: the response has ended.
    fn send_response(&mut self, lane: &mut Lane, slot: SlotRef, progress: u32) -> Result<bool, ()> {
        let ended = progress & progress::ENDED != 0;
        if !self.response.head_written {
            if progress & progress::HEAD == 0 {
                return Ok(false);
            }
            if progress & progress::CLOSE != 0 {
                self.response.keep_alive = false;
            }
            let total = ended.then(|| slot.lane().unsent() as u64);
            let context = self.head_context(lane, total);
            match write_head(slot.head(), &context, self.out.tail()) {
                Ok(written) => self.response.begin(&written, &mut self.inbound),
                Err(bad) => {
                    let answer = Answer::text(500, format!("500: {bad}\n"));
                    self.write_answer(lane, &answer);
                    self.response.replace();
                }
            }
        }
        loop {
            let unsent = slot.lane().unsent();
            let plan = self.response.plan(unsent as u64, ended, self.out.tail());
            match plan {
                Plan::Drop => slot.take_sent(unsent),
                Plan::Ended => return Ok(true),
                Plan::Broken => return Err(()),
                Plan::Wait => break,
                Plan::Send(count) => {
                    let sent = self.send_body(slot, count)?;
                    self.response.sent(sent as u64, self.out.tail());
                    slot.take_sent(sent);
                    if (sent as u64) < count && (sent == 0 || !self.writable) {
                        break;
                    }
                }
            }
        }
        if slot.take_space_wish() {
            lane.application.signal(slot.as_abi(), slot.id(), event::WRITABLE);
        }
        Ok(false)
    }

    /// Sends up to `count` body bytes behind what waits; small ones are only put there.
    fn send_body(&mut self, slot: SlotRef, count: u64) -> Result<usize, ()> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut pieces = Vec::with_capacity(8);
        slot.lane().pieces(count, &mut pieces);
        if self.out.len() + count <= COPY {
            for piece in &pieces {
                self.out.tail().extend_from_slice(piece);
            }
            return Ok(count);
        }
        if !self.writable {
            return Ok(0);
        }
        let (sent, more) = self.out.flush_with(&self.socket, &pieces).map_err(drop)?;
        self.writable = more || sent == pieces.iter().map(|piece: &IoSlice<'_>| piece.len()).sum();
        Ok(sent)
    }

    /// The response is out, or in the buffer.
    fn finish(&mut self, lane: &mut Lane, slot: SlotRef) -> Step {
        let raw = self.response.is_raw();
        self.release(lane, slot);
        let keep = self.response.keep_alive && !lane.draining && !raw;
        if !self.inbound.is_complete() && !raw {
            let open_ended = self.response.continue_wanted;
            if keep && !open_ended {
                self.state = State::Draining(DRAIN);
                self.deadline = lane.clock.now() + DRAIN_TIME;
                return Step::Again;
            }
            return self.say_goodbye(lane);
        }
        if !keep {
            return self.say_goodbye(lane);
        }
        self.next_request(lane);
        Step::Again
    }

    fn next_request(&mut self, lane: &Lane) {
        self.slot = self.surplus.take();
        self.state = State::Reading;
        let limit =
            if self.slot.is_some() { lane.options.head_time } else { lane.options.keep_alive };
        self.deadline = lane.clock.now() + limit.as_millis() as u64;
    }

    /// Lets an exchange go: back to the lane, or to its handler until that lets go too.
    fn release(&mut self, lane: &mut Lane, slot: SlotRef) {
        self.slot = None;
        slot.lane().owner = None;
        if slot.progress() & progress::RELEASED != 0 {
            lane.recycle(slot);
        } else {
            lane.settle_orphan(slot);
        }
    }

    // ---- Draining and lingering -------------------------------------------------------------

    /// No more requests: close once the client has everything, without a reset that would take
    /// the answer away from it.
    pub(crate) fn say_goodbye(&mut self, lane: &mut Lane) -> Step {
        if let Some(slot) = self.slot.take() {
            self.give_back(lane, slot);
        }
        if self.flush().is_err() {
            return Step::Close;
        }
        if self.out.is_empty() {
            if self.half_closed || (self.inbound.is_complete() && !self.readable) {
                // Nothing unread is left that would make closing a reset.
                return Step::Close;
            }
            self.socket.shut_down_send();
        }
        self.state = State::Lingering(DRAIN);
        self.deadline = lane.clock.now() + DRAIN_TIME;
        Step::Again
    }

    fn drop_body(&mut self, lane: &mut Lane, left: u64) -> Step {
        let lingering = matches!(self.state, State::Lingering(_));
        if self.inbound.is_complete() && !lingering {
            self.next_request(lane);
            return Step::Again;
        }
        if !self.readable {
            return Step::Wait;
        }
        let limit = lane.scratch.len();
        let taken = if lingering {
            Inbound::Raw.receive(&self.socket, &mut lane.scratch[..limit])
        } else {
            self.inbound.receive(&self.socket, &mut lane.scratch[..limit])
        };
        match taken {
            Ok(Taken::Bytes { end, short, surplus }) => {
                self.readable = !short || self.half_closed;
                if let Some((from, to)) = surplus {
                    let slot = lane.slot();
                    slot.lane().input.extend_from_slice(&lane.scratch[from..to]);
                    self.surplus = Some(slot);
                }
                let Some(left) = left.checked_sub(end as u64) else { return Step::Close };
                self.state = if lingering { State::Lingering(left) } else { State::Draining(left) };
                Step::Again
            }
            Ok(Taken::WouldBlock) => {
                self.readable = false;
                Step::Wait
            }
            Ok(Taken::Closed | Taken::Malformed) | Err(_) => {
                if self.out.is_empty() || self.gone {
                    Step::Close
                } else {
                    // The client has stopped sending but may still be reading.
                    self.readable = false;
                    Step::Wait
                }
            }
        }
    }

    /// The connection is over, however that came.
    pub(crate) fn close(&mut self, lane: &mut Lane) {
        let forwarding = self.forwarding.take();
        if let Some(surplus) = self.surplus.take() {
            lane.recycle(surplus);
        }
        let Some(slot) = self.slot.take() else { return };
        match forwarding {
            Some(mut forwarding) => {
                forwarding.abandon(lane);
                lane.recycle(slot);
            }
            None => self.give_back(lane, slot),
        }
    }

    /// Takes an unfinished exchange from the connection.
    fn give_back(&mut self, lane: &mut Lane, slot: SlotRef) {
        // An exchange in a queue is found there to be without an owner.
        let waits_in_a_queue = slot.lane().owner.is_some() && !slot.lane().in_use;
        slot.lane().owner = None;
        if slot.lane().in_use {
            if slot.progress() & progress::RELEASED == 0 {
                slot.ring().finish(End::Disconnected);
                if slot.take_body_wish() {
                    lane.application.signal(slot.as_abi(), slot.id(), event::READABLE);
                }
                if slot.abort() {
                    lane.application.signal(slot.as_abi(), slot.id(), event::ABORTED);
                }
            }
            lane.settle_orphan(slot);
        } else if !waits_in_a_queue {
            lane.recycle(slot);
        }
    }

    // ---- Forwarding -------------------------------------------------------------------------

    /// Sends the current exchange to a backend.
    pub(crate) fn forward(&mut self, lane: &mut Lane, upstream: Arc<Upstream>) -> Fate {
        let Some(slot) = self.slot else { return Fate::Close };
        if self.response.continue_wanted && !self.inbound.is_complete() {
            // The body is read as it comes, so the client may begin.
            self.response.continue_wanted = false;
            self.out.tail().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let forwarding = Forwarding::begin(lane, self.key, slot, upstream);
        self.forwarding = Some(Box::new(forwarding));
        self.drive(lane)
    }

    fn drive_forwarding(&mut self, lane: &mut Lane) -> Step {
        let Some(mut forwarding) = self.forwarding.take() else { return Step::Close };
        let Some(slot) = self.slot else { return Step::Close };
        if self.half_closed && self.gone {
            self.forwarding = Some(forwarding);
            return Step::Close;
        }
        match forwarding.drive(lane, self, slot) {
            crate::forward::Progress::Wait => {
                self.forwarding = Some(forwarding);
                Step::Wait
            }
            crate::forward::Progress::Again => {
                // The exchange goes back to the application, which names a backend anew.
                Step::Wait
            }
            crate::forward::Progress::Broken => {
                self.forwarding = Some(forwarding);
                self.socket.reset_on_close();
                Step::Close
            }
            crate::forward::Progress::Done => {
                self.slot = None;
                slot.lane().owner = None;
                lane.recycle(slot);
                let keep = self.response.keep_alive && !lane.draining;
                if !self.inbound.is_complete() && keep && !self.response.continue_wanted {
                    self.state = State::Draining(DRAIN);
                    self.deadline = lane.clock.now() + DRAIN_TIME;
                    return Step::Again;
                }
                if !keep || !self.inbound.is_complete() {
                    return self.say_goodbye(lane);
                }
                self.next_request(lane);
                Step::Again
            }
        }
    }

    /// Keeps bytes that came behind the request body.
    pub(crate) fn keep_surplus(&mut self, lane: &mut Lane, from: usize, to: usize) {
        let slot = lane.slot();
        slot.lane().input.extend_from_slice(&lane.scratch[from..to]);
        self.surplus = Some(slot);
    }

    pub(crate) fn is_half_closed(&self) -> bool {
        self.half_closed
    }

    /// Writes a response head that a backend gave.
    pub(crate) fn write_forwarded_head(
        &mut self,
        lane: &Lane,
        encoded: &[u8],
    ) -> Result<(), BadHead> {
        let mut context = self.head_context(lane, None);
        // The backend's own `Server`, or none: the host does not claim the answer.
        context.server = b"";
        let written = write_head(encoded, &context, self.out.tail())?;
        self.response.begin(&written, &mut self.inbound);
        Ok(())
    }

    /// Sends body bytes that a backend gave, or keeps them until the client takes them.
    pub(crate) fn push_forwarded_body(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.response.plan(rest.len() as u64, false, self.out.tail()) {
                Plan::Send(count) => {
                    let (now, later) = rest.split_at((count as usize).min(rest.len()));
                    if self.writable && now.len() >= COPY {
                        self.out.send(&self.socket, now)?;
                        self.writable = self.out.is_empty();
                    } else {
                        self.out.tail().extend_from_slice(now);
                    }
                    self.response.sent(now.len() as u64, self.out.tail());
                    rest = later;
                }
                Plan::Drop | Plan::Wait | Plan::Ended | Plan::Broken => return Ok(()),
            }
        }
        Ok(())
    }

    /// The backend's body is complete.
    pub(crate) fn end_forwarded_body(&mut self) {
        // Writes the last chunk; a short body was noticed where it was read.
        let _ = self.response.plan(0, true, self.out.tail());
    }
}

/// A text of the contract that lives as long as its exchange.
fn text(bytes: &[u8]) -> abi::Str {
    abi::Str { ptr: bytes.as_ptr(), len: bytes.len() }
}

/// How [`Client::advance`] goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Again,
    Wait,
    Close,
}
