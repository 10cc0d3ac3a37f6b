//! Connections to backends, and the lane's pool of idle ones.

use std::io;
use std::os::fd::AsFd;

use os::epoll;
use os::socket::{Socket, Transfer};

use super::{Answer, Forwarding, is_safe};
use crate::application::UpstreamAddress;
use crate::client::Client;
use crate::exchange::{ConnectionKey, SlotRef};
use crate::lane::{ChannelRef, Entry, Lane};
use crate::wheel::Wheel;

/// What is always told of a connection.
const READS: u32 = epoll::IN | epoll::RDHUP | epoll::EDGE;
/// Idle connections that a lane keeps per backend for long, and at the most. Those of a crowd find
/// each other's again: to open one costs a backend more than a request does.
const POOL: usize = 256;
const CROWD: usize = 4096;
/// When a backend is tried again that takes no more connections for now, in milliseconds.
const RETRY: u64 = 20;
/// How long one may idle, in milliseconds; below Kestrel's own 130 s, so that we close first.
const IDLE_TIME: u64 = 90_000;
/// The same for those beyond [`POOL`].
const CROWD_TIME: u64 = 5_000;

/// What a connection to a backend is made of.
#[derive(Debug)]
pub(crate) enum Line {
    /// A socket of its own.
    Socket(Socket),
    /// A part of a link.
    Channel(ChannelRef),
}

/// A connection to a backend that waits for an exchange.
pub(crate) struct Idle {
    pub(crate) upstream: u64,
    pub(crate) line: Line,
    deadline: u64,
    /// The kernel tells when it takes bytes again.
    tells_room: bool,
    /// When the lane's wheel brings the connection up; not in it if that has passed.
    pub(crate) armed: u64,
}

impl Idle {
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }
}

impl Forwarding {
    /// Takes a connection that is free, opens one, or waits for one. `true`: it has one, or has
    /// failed to get one.
    pub(super) fn acquire(
        &mut self,
        lane: &mut Lane,
        client: ConnectionKey,
        slot: SlotRef,
    ) -> bool {
        let id = self.upstream.id;
        if !lane.pools.of(id).is_first(client) {
            self.wait(lane, client, u64::MAX);
            return false;
        }
        if !self.reuse(lane, client, slot) {
            if lane.pools.of(id).open >= self.limit(lane) && !self.make_room(lane) {
                self.wait(lane, client, u64::MAX);
                return false;
            }
            match self.connect(lane, client) {
                Ok(()) => {}
                // The backend has not come round to taking those before.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(lane, client, lane.clock.now() + RETRY);
                    return false;
                }
                Err(error) => self.refused = Some(error),
            }
        }
        self.stop_waiting(lane, client);
        if self.refused.is_some() {
            lane.pools.tidy(id);
        }
        true
    }

    /// Connections that this lane may have to the backend.
    fn limit(&self, lane: &Lane) -> usize {
        (self.upstream.rules.connection_limit() / lane.common.lanes.len()).max(1)
    }

    /// Closes a connection that is free, and not wanted.
    fn make_room(&self, lane: &mut Lane) -> bool {
        let key = lane.pools.of(self.upstream.id).idle.first().copied();
        let idle = key.and_then(|key| lane.entries.take(key));
        let (Some(key), Some(Entry::Idle(idle))) = (key, idle) else { return false };
        lane.drop_idle(key, &idle);
        true
    }

    fn wait(&mut self, lane: &mut Lane, client: ConnectionKey, retry_at: u64) {
        lane.pools.of(self.upstream.id).wait(client);
        let limit = self.upstream.rules.silence_limit().as_millis() as u64;
        let until = *self.waits_until.get_or_insert_with(|| lane.clock.now() + limit);
        self.deadline = until.min(retry_at);
    }

    /// Whether it waits for a connection.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits_until.is_some()
    }

    /// Leaves the queue, however that came; the next may have its turn.
    fn stop_waiting(&mut self, lane: &mut Lane, client: ConnectionKey) {
        if self.waits_until.take().is_some() {
            let next = lane.pools.of(self.upstream.id).leave(client);
            lane.backlog.extend(next);
        }
    }

    fn reuse(&mut self, lane: &mut Lane, client: ConnectionKey, slot: SlotRef) -> bool {
        let is_odd_one = self.upstream.link.is_some() && !self.takes_link;
        if is_odd_one || slot.lane().attempts > 0 || slot.lane().repeats.any() {
            // One idle connection was dead; the others may be just as old.
            return false;
        }
        let safe = is_safe(slot.request().method_id());
        while let Some(key) = lane.pools.of(self.upstream.id).idle.pop() {
            if let Some(Entry::Idle(idle)) = lane.entries.take(key) {
                // What a backend says unasked, or in parting, is no answer. And what must not be sent
                // twice is not sent into a connection that has just closed.
                let is_silent = match &idle.line {
                    Line::Socket(socket) => {
                        !lane.is_reported(key)
                            && (safe
                                || matches!(socket.receive(&mut [0]), Ok(Transfer::WouldBlock)))
                    }
                    // What has come was looked at. What has not is told from an answer by how much
                    // the server has taken.
                    Line::Channel(channel) => !lane.links.has_more(*channel),
                };
                if !is_silent {
                    lane.drop_idle(key, &idle);
                    continue;
                }
                lane.entries.put(key, Entry::Busy(client));
                self.key = key;
                self.armed = idle.armed;
                self.tells_room = idle.tells_room;
                self.set_line(lane, idle.line);
                self.reused = true;
                return true;
            }
        }
        false
    }

    fn connect(&mut self, lane: &mut Lane, client: ConnectionKey) -> io::Result<()> {
        let path = self.upstream.link.as_ref().filter(|_| self.takes_link);
        if let Some(path) = path {
            let key = lane.entries.reserve();
            let opened = lane.open_channel(self.upstream.id, path, key);
            let channel = opened.inspect_err(|_| lane.entries.remove(key))?;
            self.connected(lane, client, key, Line::Channel(channel));
            return Ok(());
        }
        let (socket, interest) = match &self.upstream.address {
            UpstreamAddress::Tcp(address) => (Socket::connect_tcp(*address)?, READS | epoll::OUT),
            // Connected at once. The kernel reports a Unix socket as writable whenever its peer has
            // read something, which would be an event more for each request.
            UpstreamAddress::Unix(path) => (Socket::connect_unix(path)?, READS),
        };
        self.tells_room = interest & epoll::OUT != 0;
        let key = lane.entries.reserve();
        if let Err(error) = lane.epoll.add(socket.as_fd(), interest, key) {
            lane.entries.remove(key);
            return Err(error);
        }
        self.connected(lane, client, key, Line::Socket(socket));
        Ok(())
    }

    fn connected(
        &mut self,
        lane: &mut Lane,
        client: ConnectionKey,
        key: ConnectionKey,
        line: Line,
    ) {
        lane.entries.put(key, Entry::Busy(client));
        lane.pools.of(self.upstream.id).open += 1;
        self.key = key;
        self.set_line(lane, line);
    }

    fn set_line(&mut self, lane: &mut Lane, line: Line) {
        if let Line::Channel(channel) = line {
            self.sent_before = lane.links.sent(channel);
        }
        self.line = Some(line);
    }

    /// Sends what waits for the backend. `true` when nothing is left.
    pub(super) fn send(&mut self, lane: &mut Lane) -> io::Result<bool> {
        match &self.line {
            None => Ok(false),
            Some(Line::Socket(socket)) => self.out.flush(socket),
            Some(Line::Channel(channel)) => {
                let channel = *channel;
                let count = lane.links.send(channel, self.out.waiting())?;
                self.out.advance(count);
                lane.flush_full_link(channel);
                Ok(self.out.is_empty())
            }
        }
    }

    /// Whether the backend has closed the connection without its server having looked at the request.
    pub(super) fn was_never_seen(&self, lane: &mut Lane) -> bool {
        match self.line {
            Some(Line::Channel(channel)) if matches!(self.answer, Answer::Head) => {
                self.head.is_empty()
                    && self.interims == 0
                    && lane.links.has_seen_nothing_since(channel, self.sent_before)
            }
            _ => false,
        }
    }

    /// Has the kernel tell when the socket takes more bytes, which it does not now.
    pub(super) fn await_room(&mut self, lane: &Lane) -> io::Result<()> {
        match &self.line {
            Some(Line::Socket(socket)) if !self.tells_room => {
                self.tells_room = true;
                lane.epoll.change(socket.as_fd(), READS | epoll::OUT, self.key)
            }
            // A channel tells when it had too little.
            _ => Ok(()),
        }
    }

    /// Lets go of the connection, or of the wait for one.
    pub(super) fn drop_connection(&mut self, lane: &mut Lane, client: ConnectionKey) {
        self.stop_waiting(lane, client);
        if let Some(line) = self.line.take() {
            lane.entries.remove(self.key);
            if let Line::Channel(channel) = line {
                lane.close_channel(channel);
            }
            self.uncount(lane);
        }
    }

    /// The connection is no longer one that others could wait for.
    pub(super) fn uncount(&mut self, lane: &mut Lane) {
        if !std::mem::replace(&mut self.uncounted, true) {
            let next = lane.pools.closed(self.upstream.id);
            lane.backlog.extend(next);
        }
    }

    /// Keeps the connection for another exchange, if it is fit for one.
    pub(super) fn give_back(&mut self, lane: &mut Lane, client: &Client) {
        let fit = self.keep_alive
            && !self.hung_up
            && self.out.is_empty()
            && client.inbound.is_complete()
            && !lane.draining
            && self.takes_link == self.upstream.link.is_some();
        let others = lane.pools.of(self.upstream.id).idle.len();
        if !fit || others >= CROWD {
            self.drop_connection(lane, client.key);
            return;
        }
        if let Some(line) = self.line.take() {
            let now = lane.clock.now();
            let time = if others < POOL { IDLE_TIME } else { CROWD_TIME };
            let deadline = now + time.min(self.idle_time);
            if self.armed <= now || Wheel::is_before(deadline, self.armed) {
                self.armed = lane.wheel.insert(self.key, deadline);
            }
            let idle = Idle {
                upstream: self.upstream.id,
                line,
                deadline,
                armed: self.armed,
                tells_room: self.tells_room,
            };
            lane.entries.put(self.key, Entry::Idle(idle));
            let next = lane.pools.of(self.upstream.id).gave_back(self.key);
            lane.backlog.extend(next);
        }
    }
}

/// How long a connection is kept whose backend says in `Keep-Alive` when it closes it, in
/// milliseconds: we close first, for a request that meets the backend's end may be lost.
pub(super) fn idle_time(keep_alive: &[u8]) -> Option<u64> {
    let seconds = keep_alive.split(|byte| *byte == b',').find_map(|parameter| {
        let (name, value) = parameter.trim_ascii().split_at_checked("timeout=".len())?;
        let is_it = name.eq_ignore_ascii_case(b"timeout=");
        std::str::from_utf8(value).ok().filter(|_| is_it)?.parse::<u32>().ok()
    })?;
    let time = u64::from(seconds) * 1000;
    Some(time.saturating_sub(1000).max(time / 2))
}

#[cfg(test)]
mod tests {
    use super::idle_time;

    #[test]
    fn a_connection_idles_for_less_than_its_backend_lets_it() {
        for (value, expected) in [
            ("timeout=5", Some(4000)),
            ("max=100, Timeout=72", Some(71_000)),
            ("timeout=1", Some(500)),
            ("timeout=0", Some(0)),
            ("max=100", None),
            ("timeout=", None),
            ("timeout=-1", None),
            ("timeout=99999999999", None),
            ("", None),
        ] {
            assert_eq!(idle_time(value.as_bytes()), expected, "{value}");
        }
    }
}
