//! One exchange on its way through a backend, on the lane of its client.
//!
//! Both bodies stream at once, in pieces of the lane's buffer, with back-pressure both ways: what
//! a side does not take is waited for before more is read from the other. An exchange of which
//! the client has seen nothing, and whose request can be sent again, is offered to the
//! application once more instead of failing with its connection.

mod answer;
mod connection;
mod pool;
mod request;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use abi::{method, request as flag};
use os::epoll;

use crate::application::{Upstream, UpstreamFailure, UpstreamPhase};
use crate::client::Client;
use crate::exchange::{ConnectionKey, SlotRef};
use crate::http1::chunked::Decoder;
use crate::http1::reject::Cause;
use crate::lane::Lane;
use crate::outgoing::Outgoing;

pub(crate) use connection::{Idle, Line};
pub(crate) use pool::Pools;
use request::{push_body, push_end};

/// Bytes that may wait for one side before reading from the other stops.
const WAITING: usize = 256 * 1024;
/// Receives of one exchange before others on its lane get a turn.
const TURN: u32 = 16;
/// Interim answers to one request: hints and signs of life are few, and each costs the client one.
const INTERIMS: u32 = 1000;
/// How often an exchange that was not sent is offered to the application again.
const ATTEMPTS: u32 = 4;
/// How long a client waits for a backend's `100 Continue` before it is told to go on by us, in
/// milliseconds: not every backend knows what it is asked.
const CONTINUE_TIME: u64 = 1_000;
/// How long a client that has ended its side is believed to wait for its answer, in milliseconds
/// since a byte of it, or of its request, was taken last.
const DOUBT_TIME: u64 = 500;

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
    line: Option<Line>,
    /// It may go over a link.
    takes_link: bool,
    /// What the channel had sent before.
    sent_before: u32,
    refused: Option<io::Error>,
    readable: bool,
    writable: bool,
    /// Until when it waits for a connection, if it does, in the lane's milliseconds.
    waits_until: Option<u64>,
    /// As in [`Idle`].
    tells_room: bool,
    /// The connection does not count among those of the pool any more.
    uncounted: bool,
    /// The backend has closed its side, or all of it: the end is there to be read.
    hung_up: bool,
    /// It takes nothing any more either.
    gone: bool,
    /// As in [`Idle`].
    armed: u64,
    /// Receives that are left of this turn.
    turns: u32,
    /// Request bytes for the backend.
    out: Outgoing,
    /// The start of an answer whose head is not complete.
    head: Vec<u8>,
    /// Interim answers so far.
    interims: u32,
    answer: Answer,
    keep_alive: bool,
    /// What the answer's `Connection` says, if it may name fields.
    hop: Vec<u8>,
    /// How long the connection may idle by what the backend says, in milliseconds.
    idle_time: u64,
    /// The connection has served before, so the backend may just have closed it.
    reused: bool,
    /// Something of the request was sent.
    sent: bool,
    /// The request cannot be sent again: parts of its body are gone.
    consumed: bool,
    chunked: bool,
    /// The client has ended its side of a tunnel.
    client_ended: bool,
    /// The backend was told so.
    told_of_end: bool,
    /// The backend has ended its side of a tunnel; what the client sends still goes to it.
    backend_ended: bool,
    began: Instant,
    /// When the client is taken to have left, in the lane's milliseconds, and what it and the
    /// backend had taken.
    leaves: (u64, u64),
    /// When we end the client's wait for `100 Continue`, in the lane's milliseconds.
    continue_at: u64,
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
            line: None,
            takes_link: false,
            sent_before: 0,
            refused: None,
            readable: false,
            writable: true,
            waits_until: None,
            tells_room: false,
            uncounted: false,
            hung_up: false,
            gone: false,
            armed: 0,
            turns: TURN,
            out: Outgoing::default(),
            head: Vec::new(),
            interims: 0,
            answer: Answer::Head,
            keep_alive: false,
            hop: Vec::new(),
            idle_time: u64::MAX,
            reused: false,
            sent: false,
            consumed: false,
            chunked: false,
            client_ended: false,
            told_of_end: false,
            backend_ended: false,
            began: Instant::now(),
            leaves: (u64::MAX, 0),
            continue_at: lane.clock.now() + CONTINUE_TIME,
            deadline: u64::MAX,
        };
        let view = slot.request();
        let may_switch = view.is_upgrade() || view.method_id() == method::CONNECT;
        forwarding.takes_link = forwarding.upstream.link.is_some() && !may_switch;
        forwarding.acquire(lane, client, slot);
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
        if shared.flags & flag::BODY_COMPLETE != 0 {
            push_end(forwarding.chunked, &forwarding.upstream, slot, out);
        }
        forwarding
    }

    pub(crate) fn key(&self) -> ConnectionKey {
        self.key
    }

    /// When something must be done without an event, in the lane's milliseconds.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.min(self.leaves.0)
    }

    /// The client has ended its side behind a whole request, or in a body that waits for the backend. It may have left; a backend learns of
    /// that by its connection only. It may as well wait for the answer, so what is nearly there is
    /// given to it.
    pub(crate) fn doubt(&mut self, lane: &Lane, client: &Client) {
        let taken = client.out.sent_total() + self.out.sent_total();
        if self.leaves.0 == u64::MAX || self.leaves.1 != taken {
            self.leaves = (lane.clock.now() + DOUBT_TIME, taken);
        }
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn is_in_vain(&self, lane: &Lane) -> bool {
        lane.clock.now() >= self.leaves.0
    }

    /// The backend was silent for too long.
    pub(crate) fn time_out(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
    ) -> Progress {
        if let Some(until) = self.waits_until {
            if lane.clock.now() < until {
                return self.drive(lane, client, slot);
            }
            let text = "no connection to the backend became free";
            let error = io::Error::new(io::ErrorKind::TimedOut, text);
            return self.fail(lane, client, slot, UpstreamPhase::Connect, error);
        }
        if client.response.continue_wanted && lane.clock.now() >= self.continue_at {
            client.tell_to_continue();
            return self.drive(lane, client, slot);
        }
        if self.backend_ended {
            // It has said all that it wanted, and the client says nothing more.
            self.give_back(lane, client);
            return Progress::Done;
        }
        let limit = self.upstream.rules.silence_limit();
        let text = format!("the backend was silent for {limit:?}");
        let error = io::Error::new(io::ErrorKind::TimedOut, text);
        self.fail(lane, client, slot, self.phase(), error)
    }

    /// Whether more of the request body could be taken now.
    pub(crate) fn wants_body(&self) -> bool {
        self.out.len() < WAITING && !matches!(self.answer, Answer::Tunnel) && !self.is_waiting()
    }

    pub(crate) fn on_bits(&mut self, bits: u32) {
        if bits & (epoll::IN | epoll::RDHUP | epoll::HUP | epoll::ERR) != 0 {
            self.readable = true;
        }
        if bits & (epoll::RDHUP | epoll::HUP | epoll::ERR) != 0 {
            self.hung_up = true;
            // Over TCP a backend that has closed looks as if it had ended its side, until it is sent
            // something.
            self.gone |= bits & (epoll::HUP | epoll::ERR) != 0;
        }
        if bits & (epoll::OUT | epoll::HUP | epoll::ERR) != 0 {
            self.writable = true;
        }
    }

    /// The client is gone: so is the exchange.
    pub(crate) fn abandon(&mut self, lane: &mut Lane, client: ConnectionKey) {
        self.drop_connection(lane, client);
    }

    /// Moves what can move.
    pub(crate) fn drive(
        &mut self,
        lane: &mut Lane,
        client: &mut Client,
        slot: SlotRef,
    ) -> Progress {
        self.turns = TURN;
        if self.is_waiting() && !self.acquire(lane, client.key, slot) {
            return Progress::Wait;
        }
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
                self.drop_connection(lane, client.key);
                if client.response.head_written {
                    return Progress::Broken;
                }
                client.refuse(lane, cause);
                Progress::Done
            }
        }
    }

    /// Every byte that moves to or from the backend begins its time anew. It has no clock while
    /// the client is what holds things up, nor in a tunnel with both ends open: one with a single
    /// end could stay for ever, for nobody asks it whether somebody is there.
    fn set_deadline(&mut self, lane: &Lane, client: &Client) {
        let limit = self.upstream.rules.silence_limit().as_millis() as u64;
        let waits_for_client =
            client.out.len() >= WAITING || (self.out.is_empty() && !client.inbound.is_complete());
        self.deadline = if client.response.continue_wanted {
            self.continue_at
        } else if match self.answer {
            Answer::Tunnel => {
                !(self.client_ended || self.backend_ended) || client.out.len() >= WAITING
            }
            _ => waits_for_client,
        } {
            u64::MAX
        } else {
            lane.clock.now() + limit
        };
    }

    fn turn(&mut self, lane: &mut Lane, client: &mut Client, slot: SlotRef) -> Turn {
        loop {
            let broken = match self.upload(lane, client, slot) {
                Ok(None) if self.backend_ended && (self.gone || self.is_upload_over()) => {
                    return Turn::Complete;
                }
                Ok(None) => None,
                // Who has said its last word need not listen.
                Err(_) if self.backend_ended => return Turn::Complete,
                Ok(Some(cause)) => return Turn::ClientFault(cause),
                Err(error) => {
                    // The backend may have answered before it closed: that answer counts, and nobody
                    // may have told of it yet.
                    self.readable = true;
                    Some(error)
                }
            };
            match (self.download(lane, client, slot), broken) {
                (Ok(true), _) => return Turn::Complete,
                (Ok(false), Some(_)) if self.backend_ended => return Turn::Complete,
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

    /// The client has ended its side of a tunnel, and the backend has all of it.
    fn is_upload_over(&self) -> bool {
        self.client_ended && self.out.is_empty()
    }

    fn phase(&self) -> UpstreamPhase {
        match self.answer {
            Answer::Head if !self.sent => UpstreamPhase::Connect,
            Answer::Head if !self.out.is_empty() => UpstreamPhase::Send,
            Answer::Head => UpstreamPhase::Head,
            _ => UpstreamPhase::Body,
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
        self.sent &= !self.was_never_seen(lane);
        self.drop_connection(lane, client.key);
        let request = slot.request();
        let elapsed = self.began.elapsed();
        let failure = UpstreamFailure { phase, error, elapsed };
        if client.response.head_written {
            self.upstream.rules.broke_off(&request, &failure);
            return Progress::Broken;
        }
        // Another try would fail in the same way, or wait as long again.
        let final_word =
            matches!(failure.error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::TimedOut);
        if !final_word {
            self.upstream.rules.connection_lost(!self.reused);
        }
        let harmless = is_idempotent(request.method_id());
        // Nothing was sent; or repeating is harmless by the method's meaning: the backend closed
        // an idle connection as we took it, or was dying as it took ours. That once for each, since
        // the request itself may be what ends backends.
        let side = slot.lane();
        let again = if self.sent {
            let done = match self.reused {
                true => &mut side.repeats.reused,
                false => &mut side.repeats.fresh,
            };
            harmless && !std::mem::replace(done, true)
        } else {
            side.attempts += 1;
            side.attempts <= ATTEMPTS
        };
        if again && !final_word && !self.consumed {
            // Not at once: a backend that is dying still takes connections for a moment. Whoever
            // watches the process tells when it is gone.
            slot.note_failure(self.upstream.id);
            lane.hold(slot);
            return Progress::Again;
        }
        let answer = self.upstream.rules.failed(&request, &failure);
        client.write_answer(lane, &answer);
        Progress::Done
    }
}

fn is_safe(method: u16) -> bool {
    matches!(method, method::GET | method::HEAD | method::OPTIONS | method::TRACE)
}

/// Twice is as good as once (RFC 9110 9.2.2).
fn is_idempotent(method: u16) -> bool {
    is_safe(method) || matches!(method, method::PUT | method::DELETE)
}
