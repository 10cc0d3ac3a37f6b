//! Transfers of many connections in one system call, where io_uring is used.
//!
//! Two moments of a turn have many transfers at once: the bytes that were reported are received
//! before the first of them is looked at, and complete answers go out together before the lane
//! sleeps. Everything else is done as without a ring: this takes work from those paths and leaves
//! what it does not take. Answers do not wait for long: neither for many calls of the application,
//! nor for a long one, see [`Lane::answers_are_due`].

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use os::epoll;
use os::socket::Transfer;
use os::uring::{Batches, MOST};

use super::connections::Entry;
use super::{LISTENER, Lane};
use crate::client::Client;
use crate::exchange::ConnectionKey;

/// How long an answer may wait for others while the application is called. One call more, or the
/// time until the lane is taken over, comes on top.
const PATIENCE: Duration = Duration::from_micros(200);

/// What a lane that batches has beside the others.
pub(super) struct Together {
    batches: Batches,
    /// Connections with a complete answer.
    answered: Vec<ConnectionKey>,
    /// Since when the first of them waits.
    since: Option<Instant>,
    /// Those of the current call; kept for its memory.
    #[expect(clippy::vec_box, reason = "they come from their places in boxes and go back in them")]
    clients: Vec<Box<Client>>,
    /// What came of their transfers; kept for its memory.
    outcomes: Vec<Option<io::Result<Transfer>>>,
}

impl Together {
    pub(super) fn new() -> io::Result<Self> {
        let batches = Batches::new()?;
        Ok(Self {
            batches,
            answered: Vec::new(),
            since: None,
            clients: Vec::new(),
            outcomes: Vec::new(),
        })
    }
}

impl Lane {
    /// Receives for all clients of whom bytes were reported and who are at the start of a request.
    pub(super) fn receive_together(&mut self) {
        // Alone, a plain call costs less.
        if self.event_count < 2 {
            return;
        }
        let Some(mut together) = self.together.take() else { return };
        let mut clients = mem::take(&mut together.clients);
        for index in 0..self.event_count {
            let event = self.events[index];
            let is_connection = event.token() & LISTENER == 0;
            if !is_connection || event.bits() & epoll::IN == 0 || clients.len() == MOST {
                continue;
            }
            match self.entries.take(event.token()) {
                Some(Entry::Client(client)) if client.awaits_head() => clients.push(client),
                Some(other) => self.entries.put(event.token(), other),
                None => {}
            }
        }
        if clients.len() > 1 {
            for client in &mut clients {
                client.make_room(self);
            }
            let outcomes = &mut together.outcomes;
            outcomes.resize_with(clients.len(), || None);
            let receives = clients.iter().enumerate();
            let receives = receives.filter_map(|(at, client)| Some((at, client.receiving()?)));
            together.batches.run(receives, |at, outcome| outcomes[at] = Some(outcome));
            for (client, outcome) in clients.iter_mut().zip(outcomes.drain(..)) {
                client.received_ahead(outcome);
            }
        }
        for client in clients.drain(..) {
            self.entries.put(client.key, Entry::Client(client));
        }
        together.clients = clients;
        self.together = Some(together);
    }

    /// Whether answers may wait for each other, and there may be another one in this turn.
    pub(crate) fn sends_together(&self) -> bool {
        self.together.as_ref().is_some_and(|together| {
            !together.answered.is_empty()
                || self.event_next < self.event_count
                || !self.runnable.is_empty()
                || self.company > 0
        })
    }

    /// Takes note of a client whose answer is complete. `false`: it is to be sent now.
    pub(crate) fn send_later(&mut self, key: ConnectionKey) -> bool {
        let Some(together) = &mut self.together else { return false };
        together.answered.push(key);
        together.since.get_or_insert_with(Instant::now);
        true
    }

    /// Whether answers have waited for others for long enough.
    pub(super) fn answers_are_due(&self) -> bool {
        self.together.as_ref().is_some_and(|together| {
            together.answered.len() >= MOST
                || together.since.is_some_and(|since| since.elapsed() >= PATIENCE)
        })
    }

    /// Sends the answers that wait for each other.
    pub(super) fn send_together(&mut self) {
        let Some(mut together) = self.together.take_if(|it| !it.answered.is_empty()) else {
            return;
        };
        together.since = None;
        let mut clients = mem::take(&mut together.clients);
        let mut answered = mem::take(&mut together.answered);
        for some in answered.chunks(MOST) {
            for key in some {
                match self.entries.take(*key) {
                    Some(Entry::Client(client)) if client.sending().is_some() => {
                        clients.push(client);
                    }
                    // Sent in the meantime, for a reason of its own.
                    Some(other) => self.entries.put(*key, other),
                    None => {}
                }
            }
            let outcomes = &mut together.outcomes;
            outcomes.resize_with(clients.len(), || None);
            if clients.len() > 1 {
                let sends = clients.iter().enumerate();
                let sends = sends.filter_map(|(at, client)| Some((at, client.sending()?)));
                together.batches.run(sends, |at, outcome| outcomes[at] = Some(outcome));
            }
            for (mut client, outcome) in clients.drain(..).zip(outcomes.drain(..)) {
                let fate = client.sent_together(outcome);
                self.settle(client, fate);
            }
        }
        answered.clear();
        together.clients = clients;
        together.answered = answered;
        self.together = Some(together);
    }
}
