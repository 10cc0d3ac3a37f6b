//! The client's side of an exchange that goes through a backend (`crate::forward`).

use std::io;
use std::sync::Arc;

use super::{COPY, Client, Fate, Step};
use crate::application::Upstream;
use crate::body::Inbound;
use crate::exchange::SlotRef;
use crate::forward::{Forwarding, Progress};
use crate::http1::response::{BadHead, write_head};
use crate::lane::Lane;
use crate::response::Plan;

impl Client {
    /// Sends the current exchange to a backend.
    pub(crate) fn forward(&mut self, lane: &mut Lane, upstream: Arc<Upstream>) -> Fate {
        let Some(slot) = self.slot else { return Fate::Close };
        self.response.continue_wanted &= slot.request().expects_continue();
        let forwarding = Forwarding::begin(lane, self.key, slot, upstream);
        self.forwarding = Some(Box::new(forwarding));
        self.drive(lane)
    }

    pub(super) fn drive_forwarding(&mut self, lane: &mut Lane) -> Step {
        let Some(mut forwarding) = self.forwarding.take() else { return Step::Close };
        let Some(slot) = self.slot else { return Step::Close };
        if self.gone {
            self.forwarding = Some(forwarding);
            return Step::Close;
        }
        let progress = forwarding.drive(lane, self, slot);
        if lane.is_parting && matches!(progress, Progress::Wait) {
            self.part(lane);
        }
        // Where more of a body is wanted, its end would have been found.
        let is_at_end = self.inbound.is_complete() || !forwarding.wants_body();
        if self.half_closed && is_at_end && !self.response.is_raw() {
            forwarding.doubt(lane, self);
        }
        self.on_forwarded(lane, slot, forwarding, progress)
    }

    /// The backend has let the exchange wait for too long, if it has.
    pub(super) fn time_out_forwarding(&mut self, lane: &mut Lane) -> Option<Step> {
        let now = lane.clock.now();
        let mut forwarding = self.forwarding.take_if(|it| now >= it.deadline())?;
        if forwarding.is_in_vain(lane) {
            self.forwarding = Some(forwarding);
            return Some(Step::Close);
        }
        let slot = self.slot?;
        let progress = forwarding.time_out(lane, self, slot);
        Some(self.on_forwarded(lane, slot, forwarding, progress))
    }

    fn on_forwarded(
        &mut self,
        lane: &mut Lane,
        slot: SlotRef,
        forwarding: Box<Forwarding>,
        progress: Progress,
    ) -> Step {
        match progress {
            Progress::Wait => {
                self.forwarding = Some(forwarding);
                Step::Wait
            }
            // The exchange goes back to the application, which names a backend anew.
            Progress::Again => Step::Wait,
            Progress::Broken
                if self.response.head_written
                    && (self.response.truncate() || (lane.draining && self.part(lane))) =>
            {
                // What the backend gave must arrive; that it is too short shows.
                let mut forwarding = forwarding;
                forwarding.abandon(lane, self.key);
                self.let_go(lane, slot);
                self.say_goodbye(lane)
            }
            Progress::Broken => {
                self.forwarding = Some(forwarding);
                self.socket.reset_on_close();
                Step::Close
            }
            Progress::Done => {
                self.let_go(lane, slot);
                self.after_response(lane)
            }
        }
    }

    fn let_go(&mut self, lane: &mut Lane, slot: SlotRef) {
        self.slot = None;
        slot.lane().owner = None;
        lane.recycle(slot);
    }

    /// What came behind a request that was upgraded: the first words of the other protocol, not
    /// another request.
    pub(crate) fn early_bytes(&mut self, lane: &mut Lane) -> Vec<u8> {
        let Some(surplus) = self.surplus.take() else { return Vec::new() };
        // A copy: the slot keeps its buffer for requests to come.
        let bytes = surplus.lane().input.clone();
        lane.recycle(surplus);
        bytes
    }

    /// Keeps bytes that came behind the request body.
    pub(crate) fn keep_surplus(&mut self, lane: &mut Lane, from: usize, to: usize) {
        let slot = lane.slot();
        slot.lane().input.extend_from_slice(&lane.scratch[from..to]);
        self.surplus = Some(slot);
        self.sends_on = true;
    }

    /// The client gets what waits for it, and then our end; it may go on sending.
    pub(crate) fn end_sending(&mut self) {
        self.ends = true;
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
        let mut context = self.head_context(lane, false);
        // The backend's own `Server`, or none: the host does not claim the answer.
        context.server = b"";
        let written = write_head(encoded, &context, self.out.tail())?;
        self.response.begin(&written, &mut self.inbound);
        if self.response.is_raw() && written.status != 101 {
            // A backend that answers CONNECT as any other method has not left HTTP, and would take
            // the client's next words for requests that nobody here has looked at.
            self.inbound = Inbound::Complete;
            self.sends_on = true;
        }
        Ok(())
    }

    /// Passes an interim answer on, to a client that knows what that is (RFC 9110 15.2).
    pub(crate) fn write_interim(&mut self, lane: &Lane, encoded: &[u8]) -> Result<(), BadHead> {
        if self.response.version >= 0x0101 {
            let context = self.head_context(lane, false);
            write_head(encoded, &context, self.out.tail())?;
        }
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
                    self.response.follow(now);
                    self.response.sent(now.len() as u64, self.out.tail());
                    rest = later;
                }
                Plan::Drop | Plan::Wait | Plan::Ended | Plan::Broken => return Ok(()),
            }
        }
        Ok(())
    }

    /// The backend's body is complete, with what came behind it.
    pub(crate) fn end_forwarded_body<'t>(
        &mut self,
        trailers: impl Iterator<Item = (&'t [u8], &'t [u8])>,
    ) {
        // Writes the last chunk; a short body was noticed where it was read.
        self.response.end_chunks(trailers, self.out.tail());
        let _ = self.response.plan(0, true, self.out.tail());
    }
}
