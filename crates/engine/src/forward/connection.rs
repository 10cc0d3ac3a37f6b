//! Connections to backends, and the lane's pool of idle ones.

use std::io;
use std::os::fd::AsFd;

use os::epoll;
use os::socket::{Socket, Transfer};

use super::{Forwarding, is_safe};
use crate::application::UpstreamAddress;
use crate::client::Client;
use crate::exchange::{ConnectionKey, SlotRef};
use crate::lane::{Entry, Lane};

/// Idle connections that a lane keeps per backend.
const POOL: usize = 256;
/// How long one may idle, in milliseconds; below Kestrel's own 130 s, so that we close first.
const IDLE_TIME: u64 = 90_000;

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

impl Forwarding {
    pub(super) fn reuse(&mut self, lane: &mut Lane, client: ConnectionKey, slot: SlotRef) -> bool {
        if slot.lane().attempts > 0 || slot.lane().repeated {
            // One idle connection was dead; the others may be just as old.
            return false;
        }
        let safe = is_safe(slot.request().method_id());
        while let Some(key) = lane.pools.get_mut(&self.upstream.id).and_then(Vec::pop) {
            if let Some(Entry::Idle(idle)) = lane.entries.take(key) {
                // What a backend says unasked, or in parting, is no answer. And what must not be sent
                // twice is not sent into a connection that has just closed.
                let is_silent = !lane.is_reported(key)
                    && (safe || matches!(idle.socket.receive(&mut [0]), Ok(Transfer::WouldBlock)));
                if !is_silent {
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

    pub(super) fn connect(&mut self, lane: &mut Lane, client: ConnectionKey) -> io::Result<()> {
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

    pub(super) fn drop_connection(&mut self, lane: &mut Lane) {
        if self.socket.take().is_some() {
            lane.entries.remove(self.key);
        }
    }

    /// Keeps the connection for another exchange, if it is fit for one.
    pub(super) fn give_back(&mut self, lane: &mut Lane, client: &Client) {
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
}
