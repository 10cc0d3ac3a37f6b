//! The client's side of transfers that a lane does for many at once (`lane/together`).

use std::io;

use os::socket::Transfer;
use os::uring::Operation;

use super::{Client, Fate, State};
use crate::lane::Lane;

impl Client {
    /// Whether the next bytes are those of a request head, and nothing else is to be done before.
    pub(crate) fn awaits_head(&self) -> bool {
        self.state == State::Reading
            && !self.readable
            && self.ahead.is_none()
            && self.out.is_empty()
            && self.slot.is_none_or(|slot| slot.lane().input.len() < slot.lane().input.capacity())
    }

    /// Gets memory to receive into.
    pub(crate) fn make_room(&mut self, lane: &mut Lane) {
        self.slot.get_or_insert_with(|| lane.slot());
    }

    /// The receive that [`Self::read_head`] would do.
    pub(crate) fn receiving(&self) -> Option<Operation<'_>> {
        let slot = self.slot.as_ref()?;
        Some(Operation::Receive(&self.socket, slot.lane().input.spare_capacity_mut()))
    }

    /// Keeps the outcome for [`Self::read_head`], which comes before the slot's memory is changed.
    pub(crate) fn received_ahead(&mut self, outcome: Option<io::Result<Transfer>>) {
        self.ahead = outcome;
        self.readable = true;
    }

    /// The send of what waits, if the socket may take it.
    pub(crate) fn sending(&self) -> Option<Operation<'_>> {
        let is_due = self.writable && !self.out.is_empty();
        is_due.then(|| Operation::Send(&self.socket, self.out.waiting()))
    }

    /// Takes the outcome of [`Self::sending`]; without one, sends now.
    pub(crate) fn sent_together(&mut self, outcome: Option<io::Result<Transfer>>) -> Fate {
        match outcome {
            Some(Ok(Transfer::Bytes(count))) => self.out.advance(count),
            Some(Ok(Transfer::WouldBlock)) => self.writable = false,
            Some(Err(_)) => return Fate::Close,
            None => {}
        }
        // What was left finds out that the socket is full.
        if self.flush().is_err() { Fate::Close } else { Fate::Keep }
    }
}
