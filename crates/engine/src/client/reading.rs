//! Requests in: bytes to a complete head, and the exchange that begins with it.

use os::socket::Transfer;

use super::pace::Pace;
use super::pace::Waits;
use super::{Client, DRAIN, PIPELINE, State, Step};
use crate::application::{Answer, to_abi_address};
use crate::body::Inbound;
use crate::certificate::fields;
use crate::engine::Options;
use crate::exchange::{Rate, SlotRef};
use crate::http1::reject::{Cause, Reject};
use crate::http1::request::{Form, Framing, Limits, parse};
use crate::http1::response::{HeadContext, write_head};
use crate::http1::target::{self, Target};
use crate::lane::Lane;
use crate::limits::Limit;
use crate::response::Response;
use abi::{method, request};

/// For the first request of a connection that came before a drain, at least; in milliseconds.
const FIRST_REQUEST: u64 = 750;

impl Client {
    pub(super) fn read_head(&mut self, lane: &mut Lane) -> Step {
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
                    self.refuse(lane, reject.cause);
                    return self.say_goodbye(lane);
                }
            }
        }
        let is_idle = self.slot.is_none_or(|slot| slot.lane().input.is_empty());
        if lane.draining && is_idle && !self.readable && !self.may_be_about_to_ask(lane) {
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
        // Received ahead, it went just where it would go now.
        let received = self.ahead.take();
        match received.unwrap_or_else(|| self.socket.receive_uninit(space)) {
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

    /// Whether a request may be on its way that would cross with the close of the connection: who
    /// has just connected cannot tell that from a refusal, and who sends one request after the
    /// other cannot tell whether it was taken. They are served, and told to come back on another
    /// connection.
    fn may_be_about_to_ask(&mut self, lane: &Lane) -> bool {
        let time = lane.options.last_request.as_millis() as u64;
        let time = if self.requests == 0 { time.max(FIRST_REQUEST) } else { time };
        let until = lane.drain_begun.max(self.invited) + time;
        let may_be = lane.clock.now() < until;
        if may_be {
            self.deadline = self.deadline.min(until);
        }
        may_be
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
        if !lane.options.filter.is_empty() {
            lane.options.filter.check(head.target, fields(&side.headers))?;
        }
        self.requests += 1;
        let last = self.requests >= lane.options.requests_per_connection;
        if last {
            lane.common.tally.note(Limit::Requests);
        }
        if self.requests == 1 {
            self.local = self.socket.local_address();
        }
        side.connection.id = self.number;
        side.connection.remote = to_abi_address(self.remote);
        side.connection.local = to_abi_address(self.local);
        let shared = slot.request_mut();
        if let Some(field) = &lane.options.certificate_field {
            let told = field.take(self.remote, &mut side.headers, &mut side.certificate);
            told.unwrap_or_else(|unfit| lane.common.tally.note(unfit));
            shared.client_certificate = text(&side.certificate);
        }
        shared.method = head.method_id;
        shared.version = head.version;
        shared.method_text = text(head.method);
        shared.target = text(head.target);
        shared.path = text(target.path);
        shared.path_base = text(target.path_base);
        shared.query = text(target.query);
        shared.request_number = self.requests;
        let limit = lane.options.max_body.unwrap_or(u64::MAX);
        if matches!(head.framing, Framing::Length(length) if length > limit) {
            return Err(Cause::BodyTooLarge.into());
        }
        self.body_left = limit;
        self.waits = Waits::since(self.received);
        let (mut flags, length, inbound) = match head.framing {
            Framing::None => (request::BODY_COMPLETE, -1, Inbound::Complete),
            Framing::Length(0) => (request::BODY_COMPLETE, 0, Inbound::Complete),
            Framing::Length(length) => {
                (request::HAS_BODY, length.cast_signed(), Inbound::Length(length))
            }
            Framing::Chunked => {
                (request::HAS_BODY | request::CHUNKED, -1, Inbound::chunked(limits))
            }
        };
        if head.upgrade {
            flags |= request::UPGRADE;
        }
        if head.expect_continue {
            flags |= request::EXPECT_CONTINUE;
        }
        let keep_alive = head.keep_alive && !head.content_length_ignored && !last;
        if !keep_alive {
            flags |= request::LAST;
        }
        shared.content_length = length;
        self.inbound = inbound;
        self.response =
            Response::to(head.version, head.method_id, keep_alive, head.expect_continue);
        let head_len = head.len;
        if head.content_length_ignored {
            // By the other reading of it, there is more to come.
            self.sends_on = true;
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
        if !self.count_body(body) {
            return Err(Cause::BodyTooLarge.into());
        }
        if self.inbound.is_complete() {
            flags |= request::BODY_COMPLETE;
        }
        if let Some(trailers) = self.inbound.take_trailers() {
            side.keep_trailers(trailers, shared);
        }
        shared.flags = flags;
        shared.body = text(&side.input[head_len..head_len + body]);
        if end < side.input.len() {
            let surplus = lane.slot();
            surplus.lane().input.extend_from_slice(&side.input[end..]);
            self.surplus = Some(surplus);
            self.sends_on = true;
        }
        side.owner = Some(self.key);
        side.key = self.key;
        side.begun = lane.clock.now();
        self.deadline = u64::MAX;
        self.sending = Pace::default();
        self.rates = None;
        self.state = State::Active;
        lane.enqueue(slot);
        Ok(true)
    }

    /// Answers a request that does not deserve an exchange, or no longer does.
    pub(crate) fn refuse(&mut self, lane: &mut Lane, cause: Cause) {
        let status = cause.status();
        let hint = hint(cause, &lane.options, self.rates(lane).body);
        let answer = Answer::text(status, format!("{status}: {cause}{hint}\n"));
        if let Some(limit) = Limit::behind(cause) {
            lane.common.tally.note(limit);
        }
        self.response = Response::to(0x0101, self.refused_method(), false, false);
        self.sends_on = true;
        self.write_answer(lane, &answer);
    }

    /// Only whether it is HEAD, whose refusal has no body either, and only if that much came.
    fn refused_method(&self) -> u16 {
        let Some(slot) = self.slot else { return 0 };
        let input = &slot.lane().input[..];
        let line = input.strip_prefix(b"\r\n").unwrap_or(input);
        if line.starts_with(b"HEAD ") { method::HEAD } else { 0 }
    }

    /// Writes a whole answer of the host's own to a connection that closes after it.
    pub(crate) fn write_answer(&mut self, lane: &Lane, answer: &Answer) {
        let mut head = Vec::with_capacity(256);
        let fields = answer.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let length = Some(answer.body.len() as u64);
        crate::http1::response::encode_head(answer.status, "", length, fields, &mut head);
        let context = self.head_context(lane, true);
        let is_head = self.response.is_head;
        if let Ok(written) = write_head(&head, &context, self.out.tail()) {
            self.response.keep_alive &= written.keep_alive;
            if !is_head {
                self.out.tail().extend_from_slice(&answer.body);
            }
        }
        self.response.head_written = true;
    }

    pub(super) fn head_context<'a>(&self, lane: &'a Lane, ended: bool) -> HeadContext<'a> {
        // While the response goes on, so may the body, however much of it is left.
        let may_go_on = self.may_go_on() || (!ended && !self.response.continue_wanted);
        HeadContext {
            version: self.response.version,
            is_head: self.response.is_head,
            is_connect: self.response.is_connect,
            keep_alive: self.response.keep_alive && may_go_on && self.may_begin_another(lane),
            date: lane.clock.date(),
            server: lane.options.server.as_bytes(),
        }
    }

    /// Whether another request may begin. During a drain, only one that has been read already.
    pub(super) fn may_begin_another(&self, lane: &Lane) -> bool {
        !lane.draining || self.surplus.is_some_and(|slot| holds_a_head(slot, &lane.options.head))
    }

    /// Whether the rest of the request, if any, can be got out of the way after the response.
    pub(super) fn may_go_on(&self) -> bool {
        match self.inbound {
            Inbound::Complete | Inbound::Trailed(_) => true,
            Inbound::Length(left) if left > DRAIN => false,
            // A client that waits for `100 Continue` may or may not send its body after an answer.
            Inbound::Length(_) | Inbound::Chunked(_) | Inbound::Raw => {
                !self.response.continue_wanted
            }
        }
    }
}

/// A text of the contract that lives as long as its exchange.
fn text(bytes: &[u8]) -> abi::Str {
    abi::Str { ptr: bytes.as_ptr(), len: bytes.len() }
}

fn holds_a_head(slot: SlotRef, limits: &Limits) -> bool {
    let side = slot.lane();
    matches!(parse(&side.input, &mut side.headers, limits), Ok(Some(_)))
}

/// How much is allowed where a limit was broken.
fn hint(cause: Cause, options: &Options, rate: Rate) -> String {
    let bytes = |most: usize| format!(" of {most} bytes");
    match cause {
        Cause::RequestLineTooLong => bytes(options.head.request_line),
        Cause::HeadTooLarge => bytes(options.head.head),
        Cause::TooManyFields => format!(" (more than {})", options.head.fields),
        Cause::UrlTooLong => options.filter.url.map(bytes).unwrap_or_default(),
        Cause::QueryTooLong => options.filter.query.map(bytes).unwrap_or_default(),
        Cause::BodyTooLarge => {
            options.max_body.map(|most| format!(" of {most} bytes")).unwrap_or_default()
        }
        Cause::HeadTooSlow => format!(" (more than {} s)", options.head_time.as_secs_f32()),
        Cause::BodyTooSlow => format!(" (less than {} bytes per second)", rate.bytes),
        _ => String::new(),
    }
}
