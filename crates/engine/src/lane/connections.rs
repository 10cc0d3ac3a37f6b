//! Connections, to clients and to backends, each under a key that is its token with the kernel.

use os::epoll;

use super::Lane;
use crate::client::{Client, Fate};
use crate::exchange::ConnectionKey;
use crate::forward::{Idle, Line};
use crate::wheel::Wheel;

/// Clients of a lane with large answers for whom the kernel may hold more than for the others, and how
/// much, in bytes. Each wait for a client costs the application a hop; thousands who take nothing
/// would use up the memory of all sockets.
const ROOMY: usize = 16;
const ROOM: i32 = 4 * 1024 * 1024;

/// What is under a connection key.
pub(crate) enum Entry {
    /// A client.
    Client(Box<Client>),
    /// A connection to a backend that a client's exchange is using.
    Busy(ConnectionKey),
    /// A connection to a backend that waits for its next exchange.
    Idle(Idle),
    /// A socket that carries channels to a backend, see [`super::Links`].
    Link,
}

impl Lane {
    /// Lets a connection go on, with new epoll bits or none.
    pub(crate) fn drive(&mut self, key: ConnectionKey, bits: u32) {
        match self.entries.take(key) {
            Some(Entry::Client(mut client)) => {
                client.on_bits(bits);
                let fate = client.drive(self);
                self.settle(client, fate);
            }
            Some(Entry::Busy(owner)) => {
                self.entries.put(key, Entry::Busy(owner));
                if let Some(Entry::Client(mut client)) = self.entries.take(owner) {
                    client.on_upstream_bits(key, bits);
                    let fate = client.drive(self);
                    self.settle(client, fate);
                }
            }
            // Whatever a backend sends or does on an idle connection makes it useless. The one
            // harmless event is writability.
            Some(Entry::Idle(idle)) => {
                if bits & !epoll::OUT == 0 && !self.draining {
                    self.entries.put(key, Entry::Idle(idle));
                } else {
                    self.drop_idle(key, &idle);
                }
            }
            Some(Entry::Link) => {
                self.entries.put(key, Entry::Link);
                self.drive_link(key, bits);
            }
            None => {}
        }
    }

    /// Whether the kernel has reported something of this connection that nobody has looked at.
    pub(crate) fn is_reported(&self, key: ConnectionKey) -> bool {
        let events = &self.events[self.event_next..self.event_count];
        events.iter().any(|event| event.token() == key && event.bits() & !epoll::OUT != 0)
    }

    pub(super) fn settle(&mut self, mut client: Box<Client>, fate: Fate) {
        match fate {
            Fate::Keep => {
                let key = client.key;
                if !client.writable && !client.has_room && self.roomy < ROOMY {
                    // The kernel tells of the room at once.
                    client.socket.hold_unsent(ROOM);
                    client.has_room = true;
                    self.roomy += 1;
                }
                if Wheel::is_before(client.deadline(), client.armed) {
                    client.armed = self.wheel.insert(key, client.deadline());
                }
                self.entries.put(key, Entry::Client(client));
            }
            Fate::Close => {
                client.close(self);
                self.clients -= 1;
                self.roomy -= usize::from(client.has_room);
                self.entries.remove(client.key);
                self.accept_again();
            }
        }
    }

    pub(crate) fn drop_idle(&mut self, key: ConnectionKey, idle: &Idle) {
        let next = self.pools.forget(idle.upstream, key);
        self.backlog.extend(next);
        self.entries.remove(key);
        if let Line::Channel(channel) = idle.line {
            self.close_channel(channel);
        }
    }
}
