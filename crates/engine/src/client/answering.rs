//! Responses out: what the handler publishes, and the request body on its way to it.

use abi::{event, progress};

use super::{COPY, Client, DRAIN, State, Step, TURN};
use crate::application::Answer;
use crate::body::{Inbound, Taken};
use crate::exchange::SlotRef;
use crate::http1::reject::Cause;
use crate::http1::response::write_head;
use crate::lane::Lane;
use crate::response::Plan;
use crate::ring::End;

impl Client {
    pub(super) fn answer(&mut self, lane: &mut Lane) -> Step {
        if self.forwarding.is_some() {
            return self.drive_forwarding(lane);
        }
        let Some(slot) = self.slot else { return Step::Close };
        if !slot.lane().in_use {
            // Its turn has not come, or it is held; only the end of the client matters.
            return if self.half_closed && self.gone { Step::Close } else { Step::Wait };
        }
        let progress = slot.progress();
        // A handler that lets go before the end has given up, too.
        let gave_up = progress & (progress::ENDED | progress::RELEASED) == progress::RELEASED;
        if gave_up || progress & progress::ABORT != 0 {
            return self.break_off(lane, slot, progress);
        }
        if self.gone {
            return Step::Close;
        }
        match self.send_response(lane, slot, progress) {
            Ok(true) => self.finish(lane, slot),
            // After sending: what is read next depends on whether that was a 101.
            Ok(false) => {
                if lane.is_parting && !self.ends && self.part(lane) {
                    // What else the application has is dropped now.
                    return Step::Again;
                }
                let reads = progress & progress::READING != 0;
                // A client that has left in the middle of a body that nobody reads is found by
                // looking for the end.
                let looks = self.half_closed && !self.inbound.is_complete();
                if (reads || looks)
                    && let Err(step) = self.feed(lane, slot, progress)
                {
                    return step;
                }
                let nobody_reads = looks && !reads && slot.ring().free() == 0;
                let ended = self.half_closed && (self.inbound.is_complete() || nobody_reads);
                // A client that half-closes may still read: tell the application, go on.
                if ended && slot.abort() {
                    lane.application.signal(slot.as_abi(), slot.id(), event::ABORTED);
                }
                if ended && slot.tell_closed() {
                    lane.tell_closed(self.number);
                }
                Step::Wait
            }
            Err(()) => Step::Close,
        }
    }

    /// The handler gives up. What it flushed before was promised to the client: it goes out as far
    /// as the socket takes it, without an end, and the reset tells that it is not whole.
    fn break_off(&mut self, lane: &mut Lane, slot: SlotRef, progress: u32) -> Step {
        if !self.gone && progress & progress::HEAD != 0 {
            // A client that cannot be sent to learns the same from the reset.
            let _ = self
                .send_response(lane, slot, progress & !progress::ENDED)
                .and_then(|_| self.flush().map_err(drop));
        }
        // A client that has ended its side of a connection that has left HTTP misses nothing: handlers
        // give up because they are told of that, and a reset could take away what is on its way.
        let is_answered = !self.gone && self.half_closed && self.response.is_raw();
        if is_answered || (lane.draining && self.part(lane)) {
            self.release(lane, slot);
            return self.say_goodbye(lane);
        }
        self.socket.reset_on_close();
        Step::Close
    }

    /// Ends the client's wait before its body.
    pub(crate) fn tell_to_continue(&mut self) {
        if std::mem::take(&mut self.response.continue_wanted) && !self.inbound.is_complete() {
            self.out.tail().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Moves request body bytes to the handler.
    fn feed(&mut self, lane: &mut Lane, slot: SlotRef, progress: u32) -> Result<(), Step> {
        let asks = progress & (progress::HEAD | progress::READING) == progress::READING;
        if self.response.continue_wanted && asks {
            self.tell_to_continue();
            self.flush().map_err(|_| Step::Close)?;
        }
        let ring = slot.ring();
        let (mut moved, mut turn) = (false, 0);
        while self.readable && !self.inbound.is_complete() {
            if ring.free() == 0 {
                if ring.pause() {
                    break;
                }
                continue;
            }
            if turn >= TURN {
                lane.backlog.push_back(self.key);
                break;
            }
            let limit = ring.free().min(lane.scratch.len());
            match self.inbound.receive(&self.socket, &mut lane.scratch[..limit]) {
                Ok(Taken::Bytes { end, short, surplus }) => {
                    // SAFETY: the lane is the one producer, and `limit` left room.
                    unsafe { ring.push(&lane.scratch[..end]) };
                    moved |= end > 0;
                    turn += end;
                    let within_limit = self.response.is_raw() || self.count_body(end);
                    if !within_limit && !self.response.head_written {
                        self.refuse(lane, Cause::BodyTooLarge);
                        return Err(self.say_goodbye(lane));
                    }
                    if !within_limit {
                        return Err(Step::Close);
                    }
                    self.readable = !short || self.half_closed;
                    if let Some((from, to)) = surplus {
                        self.keep_surplus(lane, from, to);
                    }
                }
                Ok(Taken::WouldBlock) => self.readable = false,
                Ok(Taken::Closed) => {
                    if self.response.is_raw() {
                        ring.finish(End::Complete);
                    } else {
                        // First that the client is gone, then what that means for the body: the
                        // application must not take its failed read for its own failure.
                        if slot.abort() {
                            lane.application.signal(slot.as_abi(), slot.id(), event::ABORTED);
                        }
                        ring.finish(End::Disconnected);
                    }
                    self.inbound = Inbound::Complete;
                    self.response.keep_alive = false;
                    moved = true;
                    break;
                }
                Ok(Taken::Malformed) => {
                    ring.finish(End::Malformed);
                    self.sends_on = true;
                    self.inbound = Inbound::Complete;
                    self.response.keep_alive = false;
                    moved = true;
                    break;
                }
                Err(_) => return Err(Step::Close),
            }
        }
        // The body of a request for an upgrade is empty, but the handler may be reading ahead of
        // the 101 that it is about to publish: what it reads then is the other protocol.
        let may_be_upgraded = slot.request().is_upgrade() && !self.response.head_written;
        if self.inbound.is_complete() && !may_be_upgraded {
            if let Some(trailers) = self.inbound.take_trailers() {
                // Before the end: who has read that finds them.
                slot.put_trailers(trailers);
            }
            ring.finish(End::Complete);
            moved = true;
        }
        if (moved || ring.free() < crate::ring::CAPACITY) && slot.take_body_wish() {
            self.waits.ended(slot.ring());
            lane.wake(slot, event::READABLE);
        }
        Ok(())
    }

    /// Sends what the handler has published. `true`: the response has ended.
    fn send_response(&mut self, lane: &mut Lane, slot: SlotRef, progress: u32) -> Result<bool, ()> {
        let ended = progress & progress::ENDED != 0;
        let truncated = progress & progress::TRUNCATED != 0;
        if !self.response.head_written {
            if progress & progress::HEAD == 0 {
                return Ok(false);
            }
            if progress & progress::CLOSE != 0 {
                self.response.keep_alive = false;
            }
            let context = self.head_context(lane, ended && !truncated);
            match write_head(slot.head(), &context, self.out.tail()) {
                Ok(written) => {
                    self.response.begin(&written, &mut self.inbound);
                    if self.response.is_raw() {
                        lane.leave_http(slot);
                        let early = self.early_bytes(lane);
                        // SAFETY: the lane is the one producer. The bytes came with a request
                        // head, so they are fewer than an empty ring has room for.
                        unsafe { slot.ring().push(&early[..early.len().min(slot.ring().free())]) };
                    }
                }
                Err(bad) => {
                    let answer = Answer::text(500, format!("500: {bad}\n"));
                    self.write_answer(lane, &answer);
                    self.response.replace();
                }
            }
        }
        if truncated && !self.response.truncate() {
            self.socket.reset_on_close();
            return Err(());
        }
        let mut turn = 0;
        loop {
            if turn >= TURN {
                lane.backlog.push_back(self.key);
                break;
            }
            let unsent = slot.lane().unsent();
            let plan = self.response.plan(unsent as u64, ended, self.out.tail());
            match plan {
                Plan::Drop => slot.take_sent(unsent),
                Plan::Ended => return Ok(true),
                Plan::Broken => {
                    // What there is must arrive; that it is too short shows.
                    self.response.keep_alive = false;
                    return Ok(true);
                }
                Plan::Wait => break,
                Plan::Send(count) => {
                    let sent = self.send_body(slot, count)?;
                    self.response.sent(sent as u64, self.out.tail());
                    slot.take_sent(sent);
                    turn += sent;
                    if (sent as u64) < count && (sent == 0 || !self.writable) {
                        break;
                    }
                }
            }
        }
        if slot.take_space_wish() {
            lane.wake(slot, event::WRITABLE);
        }
        Ok(false)
    }

    /// Sends up to `count` body bytes behind what waits; small ones are only put there.
    fn send_body(&mut self, slot: SlotRef, count: u64) -> Result<usize, ()> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if self.out.len() + count <= COPY {
            let out = self.out.tail();
            let before = out.len();
            slot.lane().copy_to(count, out);
            self.response.follow(&out[before..]);
            return Ok(count);
        }
        if !self.writable {
            return Ok(0);
        }
        // Perhaps fewer than `count`: a call takes so many pieces and no more.
        let mut pieces = Vec::with_capacity(8);
        slot.lane().pieces(count, &mut pieces);
        let (sent, more) = self.out.flush_with(&self.socket, &pieces).map_err(drop)?;
        self.writable = more;
        if self.response.has_frames() {
            let mut left = sent;
            for piece in &pieces {
                let count = left.min(piece.len());
                self.response.follow(&piece[..count]);
                left -= count;
            }
        }
        Ok(sent)
    }

    /// The response is out, or in the buffer.
    fn finish(&mut self, lane: &mut Lane, slot: SlotRef) -> Step {
        self.release(lane, slot);
        self.after_response(lane)
    }

    /// What comes after a response: the next request, the rest of this one, or the end.
    pub(super) fn after_response(&mut self, lane: &mut Lane) -> Step {
        // What the head said holds, even if a drain has begun since: the next request may be on its way.
        if !self.response.keep_alive || self.response.is_raw() {
            if lane.draining {
                self.part(lane);
            }
            return self.say_goodbye(lane);
        }
        if self.inbound.is_complete() {
            self.next_request(lane);
            return Step::Again;
        }
        if !self.may_go_on() {
            return self.say_goodbye(lane);
        }
        self.state = State::Draining(DRAIN);
        self.deadline = lane.clock.now() + lane.options.linger.as_millis() as u64;
        Step::Again
    }

    pub(super) fn next_request(&mut self, lane: &Lane) {
        self.slot = self.surplus.take();
        self.state = State::Reading;
        let limit =
            if self.slot.is_some() { lane.options.head_time } else { lane.options.keep_alive };
        let now = lane.clock.now();
        self.deadline = now + limit.as_millis() as u64;
        self.invited = if lane.draining && lane.invites() { now } else { 0 };
    }

    /// Lets an exchange go: back to the lane, or to its handler until that lets go too.
    fn release(&mut self, lane: &mut Lane, slot: SlotRef) {
        self.note_rates();
        self.slot = None;
        slot.lane().owner = None;
        let progress = slot.progress();
        self.watched |= progress & progress::WATCHED != 0;
        if progress & progress::RELEASED != 0 {
            lane.recycle(slot);
        } else {
            // Nobody will read the rest of the body; a handler that waits for it must not for ever.
            let complete = self.inbound.is_complete();
            slot.ring().finish(if complete { End::Complete } else { End::Disconnected });
            if slot.take_body_wish() {
                lane.application.signal(slot.as_abi(), slot.id(), event::READABLE);
            }
            self.watched |= lane.settle_orphan(slot) & progress::WATCHED != 0;
        }
    }
}
