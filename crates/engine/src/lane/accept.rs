//! Clients come: accepted while there is room for them, left in the queue of the socket else.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use os::epoll;
use os::socket::Socket;

use super::{LISTENER, Lane};
use crate::client::{Client, Fate};
use crate::limits::Limit;

/// Connections accepted before others get a turn.
const ACCEPTS: usize = 64;

impl Lane {
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS {
            if self.clients >= self.most_clients() {
                self.common.tally.note(Limit::Connections);
                self.set_accepting(false);
                return;
            }
            match Socket::accept(self.listeners[index].as_fd()) {
                Ok(Some((socket, remote))) => self.add_client(socket, remote),
                Ok(None) => return,
                Err(_) => {
                    self.common.tally.note(Limit::System);
                    // Out of descriptors or memory: look away until the next tick, or the
                    // level-triggered listener would spin.
                    self.set_accepting(false);
                    return;
                }
            }
        }
    }

    /// This lane's part of the connections that the engine may have.
    fn most_clients(&self) -> usize {
        (self.options.connections / self.common.lanes.len()).max(1)
    }

    /// Accepts again if that stopped and there is room.
    pub(super) fn accept_again(&mut self) {
        if !self.accepting && !self.draining && self.clients < self.most_clients() {
            self.set_accepting(true);
        }
    }

    /// Accepts from these sockets as well.
    pub(super) fn listen(&mut self, sockets: Vec<OwnedFd>) {
        self.set_accepting(false);
        self.listeners.extend(sockets);
        self.accept_again();
    }

    pub(super) fn add_client(&mut self, socket: Socket, remote: Option<std::net::SocketAddr>) {
        let key = self.entries.reserve();
        let interest = epoll::IN | epoll::OUT | epoll::RDHUP | epoll::EDGE;
        if self.epoll.add(socket.as_fd(), interest, key).is_err() {
            self.entries.remove(key);
            return;
        }
        let number = self.common.connection_numbers.fetch_add(1, Ordering::Relaxed);
        let deadline = self.clock.now() + self.options.keep_alive.as_millis() as u64;
        self.clients += 1;
        let client = Client::new(key, socket, remote, number, deadline);
        self.settle(Box::new(client), Fate::Keep);
    }

    pub(super) fn set_accepting(&mut self, accepting: bool) {
        if self.accepting == accepting {
            return;
        }
        self.accepting = accepting;
        for (index, listener) in self.listeners.iter().enumerate() {
            // Failing to watch leaves clients in the queue of the shared socket until the next
            // tick tries again.
            let done = if accepting {
                self.epoll.add(listener.as_fd(), epoll::IN, LISTENER | index as u64)
            } else {
                self.epoll.remove(listener.as_fd())
            };
            if done.is_err() && accepting {
                self.accepting = false;
            }
        }
    }
}
