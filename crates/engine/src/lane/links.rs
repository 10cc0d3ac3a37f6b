//! The links of a lane: sockets that carry its channels to backends, see `crate::link`.

use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;

use os::epoll;
use os::socket::{Socket, Transfer};

use super::Lane;
use super::connections::Entry;
use crate::exchange::ConnectionKey;
use crate::link::{Channels, Decoder, Frame, Step, Violation};
use crate::outgoing::Outgoing;

/// What is told of a link. Room only when it was missed: a Unix socket has news of that whenever its
/// peer has read something.
const READS: u32 = epoll::IN | epoll::RDHUP | epoll::EDGE;
/// Bytes received at once.
const SCRATCH: usize = 256 * 1024;
/// Receives of one link before others on its lane get a turn.
const TURN: u32 = 8;
/// Bytes that may wait for a link; exchanges beyond that wait for room.
const BACKLOG: usize = 1024 * 1024;
/// Data that is copied, so that an exchange takes several pieces of it at once.
const SMALL: usize = 8 * 1024;
/// Bytes that go out before the end of the lane's turn.
const ENOUGH: usize = 64 * 1024;

/// A channel of a link, as its exchange holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelRef {
    link: ConnectionKey,
    number: u32,
}

/// What a channel had to give.
pub(crate) enum Received {
    /// Nothing now.
    Nothing,
    /// Its end.
    End,
    /// Bytes in the buffer, which comes back by [`Links::put_back`].
    Bytes(Vec<u8>, Range<usize>),
}

/// The links of a lane. There are as many as backends: few.
#[derive(Default)]
pub(crate) struct Links {
    links: Vec<Link>,
    /// What links are received into; away while an exchange looks at its part.
    scratch: Vec<u8>,
    /// The part of it that a channel may take.
    offered: Option<(ChannelRef, Range<usize>)>,
    /// Whom the frames of one receive are for, and the bits that say so. An answer that comes in
    /// pieces goes on as one.
    due: Vec<(ConnectionKey, u32)>,
    /// Links with something to send.
    unsent: Vec<ConnectionKey>,
}

struct Link {
    key: ConnectionKey,
    upstream: u64,
    /// `None`: gone; what its channels have is still to be had.
    socket: Option<Socket>,
    decoder: Decoder,
    channels: Channels,
    out: Outgoing,
    is_unsent: bool,
    readable: bool,
    hung_up: bool,
    /// Exchanges wait because of [`BACKLOG`].
    is_short: bool,
    /// Why it was given up.
    violation: Option<Violation>,
}

impl Links {
    fn get(&mut self, key: ConnectionKey) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.key == key)
    }

    /// Sends from `bytes` what there is room for: how much.
    ///
    /// # Errors
    /// The channel or its link is gone.
    pub(crate) fn send(&mut self, channel: ChannelRef, bytes: &[u8]) -> io::Result<usize> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let link = self.links.iter_mut().find(|link| link.key == channel.link).ok_or_else(gone)?;
        if link.socket.is_none() || link.channels.is_closed(channel.number) {
            return Err(gone());
        }
        let mut sent = 0;
        while sent < bytes.len() {
            if link.out.len() >= BACKLOG {
                link.is_short = true;
                link.channels.wait(channel.number);
                break;
            }
            let count = link.channels.take_room(channel.number, bytes.len() - sent);
            if count == 0 {
                break;
            }
            let out = link.out.tail();
            Frame::Data(count as u32).push(channel.number, out);
            out.extend_from_slice(&bytes[sent..sent + count]);
            sent += count;
        }
        link.note_unsent(&mut self.unsent);
        Ok(sent)
    }

    /// Takes what a channel has.
    ///
    /// # Errors
    /// The link broke off, or the backend made it useless.
    pub(crate) fn receive(&mut self, channel: ChannelRef) -> io::Result<Received> {
        let ChannelRef { link: key, number } = channel;
        let Some(link) = self.links.iter_mut().find(|link| link.key == key) else {
            return Ok(Received::End);
        };
        let kept = link.channels.kept(number);
        let (buffer, range) = match self.offered.take_if(|(to, _)| to.is(channel)) {
            _ if !kept.is_empty() => {
                let all = 0..kept.len();
                (kept, all)
            }
            Some((_, range)) => (mem::take(&mut self.scratch), range),
            None if !link.channels.is_closed(number) => return Ok(Received::Nothing),
            None => match link.violation {
                Some(why) => {
                    let text = format!("the backend has spoilt its link with {why}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                None => return Ok(Received::End),
            },
        };
        if let Some(credit) = link.channels.taken(number, range.len()) {
            credit.push(number, link.out.tail());
            link.note_unsent(&mut self.unsent);
        }
        Ok(Received::Bytes(buffer, range))
    }

    /// Takes the buffer of what a channel has received back.
    pub(crate) fn put_back(&mut self, channel: ChannelRef, buffer: Vec<u8>) {
        if buffer.len() == SCRATCH {
            self.scratch = buffer;
        } else if let Some(link) = self.get(channel.link) {
            link.channels.reuse(channel.number, buffer);
        }
    }

    /// Whether a channel has something to give at once: bytes, or its end.
    pub(crate) fn has_more(&mut self, channel: ChannelRef) -> bool {
        self.get(channel.link).is_none_or(|link| link.channels.has_more(channel.number))
    }

    /// How much a channel has sent so far.
    pub(crate) fn sent(&mut self, channel: ChannelRef) -> u32 {
        self.get(channel.link).map_or(0, |link| link.channels.sent(channel.number))
    }

    /// Whether the backend has closed the channel before its server took anything of what was sent
    /// since.
    pub(crate) fn has_seen_nothing_since(&mut self, channel: ChannelRef, sent: u32) -> bool {
        self.get(channel.link)
            .is_some_and(|link| link.channels.has_seen_nothing_since(channel.number, sent))
    }

    /// Keeps what nobody has taken of an offer.
    fn keep_offered(&mut self) {
        if let Some((channel, range)) = self.offered.take()
            && let Some(link) = self.links.iter_mut().find(|link| link.key == channel.link)
        {
            link.channels.keep(channel.number, &self.scratch[range]);
        }
    }

    fn owner(&mut self, channel: ChannelRef) -> Option<ConnectionKey> {
        self.get(channel.link)?.channels.owner(channel.number)
    }

    /// Takes the next frame from the scratch buffer: how much of it, 0 when nothing is left. Much
    /// data is offered where it lies; of all else is noted whom it is for.
    fn step(&mut self, key: ConnectionKey, at: usize, end: usize) -> Result<usize, Violation> {
        let Some(link) = self.links.iter_mut().find(|link| link.key == key) else { return Ok(0) };
        let (used, step) = link.decoder.step(&self.scratch[at..end]);
        let (owner, bits) = match step {
            Step::More => return Ok(0),
            Step::Malformed => return Err(Violation::Malformed),
            Step::Data(number, count) => {
                let range = at + used - count..at + used;
                let owner = link.channels.on_data(number, &self.scratch[range.clone()])?;
                if owner.is_some() && count > SMALL {
                    self.offered = Some((ChannelRef { link: key, number }, range));
                    return Ok(used);
                }
                if owner.is_some() {
                    link.channels.keep(number, &self.scratch[range]);
                }
                (owner, epoll::IN)
            }
            Step::Frame(number, Frame::Credit(bytes)) => {
                (link.channels.on_credit(number, bytes)?, epoll::OUT)
            }
            Step::Frame(number, Frame::Close(taken)) => {
                (link.channels.on_close(number, taken)?, epoll::IN | epoll::RDHUP)
            }
            Step::Frame(..) => return Err(Violation::Malformed),
        };
        self.due.extend(owner.map(|owner| (owner, bits)));
        Ok(used)
    }
}

impl ChannelRef {
    fn is(self, other: Self) -> bool {
        self.link == other.link && self.number == other.number
    }
}

impl Link {
    fn note_unsent(&mut self, unsent: &mut Vec<ConnectionKey>) {
        if !self.is_unsent && !self.out.is_empty() {
            self.is_unsent = true;
            unsent.push(self.key);
        }
    }
}

impl Lane {
    /// Opens a channel to a backend that takes links at `path`, for the connection `owner`.
    ///
    /// # Errors
    /// There is no link yet, and none can be made.
    pub(crate) fn open_channel(
        &mut self,
        upstream: u64,
        path: &Path,
        owner: ConnectionKey,
    ) -> io::Result<ChannelRef> {
        let is_ours = |link: &&mut Link| link.upstream == upstream && link.socket.is_some();
        if self.links.links.iter_mut().find(is_ours).is_none() {
            self.open_link(upstream, path)?;
        }
        let links = &mut self.links;
        let link = links.links.iter_mut().find(is_ours);
        let link = link.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        let number = link.channels.open(owner);
        Frame::Open.push(number, link.out.tail());
        link.note_unsent(&mut links.unsent);
        Ok(ChannelRef { link: link.key, number })
    }

    fn open_link(&mut self, upstream: u64, path: &Path) -> io::Result<()> {
        let socket = Socket::connect_unix(path)?;
        let key = self.entries.reserve();
        if let Err(error) = self.epoll.add(socket.as_fd(), READS, key) {
            self.entries.remove(key);
            return Err(error);
        }
        self.entries.put(key, Entry::Link);
        if self.links.scratch.is_empty() {
            self.links.scratch = vec![0; SCRATCH];
        }
        self.links.links.push(Link {
            key,
            upstream,
            socket: Some(socket),
            decoder: Decoder::default(),
            channels: Channels::default(),
            out: Outgoing::keeping(2 * ENOUGH),
            is_unsent: false,
            readable: false,
            hung_up: false,
            is_short: false,
            violation: None,
        });
        Ok(())
    }

    /// Lets go of a channel: the backend sees its connection close.
    pub(crate) fn close_channel(&mut self, channel: ChannelRef) {
        let links = &mut self.links;
        let Some(link) = links.links.iter_mut().find(|link| link.key == channel.link) else {
            return;
        };
        if link.channels.close(channel.number) && link.socket.is_some() {
            Frame::Close(0).push(channel.number, link.out.tail());
            link.note_unsent(&mut links.unsent);
        }
        self.tidy_link(channel.link);
    }

    /// Forgets a link that is gone when nobody has anything of it any more.
    fn tidy_link(&mut self, key: ConnectionKey) {
        self.links
            .links
            .retain(|link| link.key != key || link.socket.is_some() || !link.channels.is_unused());
    }

    /// What backends have said comes before what clients ask: a channel that was closed, or on which
    /// somebody spoke unasked, must not be given to the next request.
    pub(super) fn put_links_first(&mut self) {
        let mut first = 0;
        if self.links.links.is_empty() {
            return;
        }
        for at in 0..self.event_count {
            if self.links.get(self.events[at].token()).is_some() {
                self.events.swap(first, at);
                first += 1;
            }
        }
    }

    /// The kernel, or the lane's backlog, has brought a link up.
    pub(super) fn drive_link(&mut self, key: ConnectionKey, bits: u32) {
        let Some(link) = self.links.get(key) else { return };
        link.readable |= bits & (epoll::IN | epoll::RDHUP | epoll::HUP | epoll::ERR) != 0;
        link.hung_up |= bits & (epoll::RDHUP | epoll::HUP | epoll::ERR) != 0;
        if bits & epoll::OUT != 0 {
            self.flush_link(key);
        }
        for _ in 0..TURN {
            let links = &mut self.links;
            let Some(link) = links.links.iter_mut().find(|link| link.key == key) else { return };
            let Some(socket) = link.socket.as_ref().filter(|_| link.readable) else { return };
            match socket.receive(&mut links.scratch) {
                Ok(Transfer::WouldBlock) => {
                    link.readable = false;
                    return;
                }
                Ok(Transfer::Bytes(0)) | Err(_) => return self.lose_link(key, None),
                Ok(Transfer::Bytes(count)) => {
                    // Emptied; unless it ended, the next byte will be an event.
                    link.readable = count == SCRATCH || link.hung_up;
                    if let Err(violation) = self.take_frames(key, count) {
                        return self.lose_link(key, Some(violation));
                    }
                }
            }
        }
        self.backlog.push_back(key);
    }

    fn take_frames(&mut self, key: ConnectionKey, end: usize) -> Result<(), Violation> {
        let mut at = 0;
        let outcome = loop {
            match self.links.step(key, at, end) {
                Ok(0) => break Ok(()),
                Ok(used) => at += used,
                Err(violation) => break Err(violation),
            }
            if let Some((channel, _)) = &self.links.offered
                && let Some(owner) = self.links.owner(*channel)
            {
                self.drive(owner, epoll::IN);
                self.links.keep_offered();
            }
        };
        let mut due = mem::take(&mut self.links.due);
        let mut others = due.drain(..);
        while let Some((owner, bits)) = others.next() {
            self.company = others.len();
            self.drive(owner, bits);
        }
        drop(others);
        self.links.due = due;
        outcome
    }

    /// A link is gone: every exchange on it finds its connection closed.
    fn lose_link(&mut self, key: ConnectionKey, violation: Option<Violation>) {
        let Some(link) = self.links.get(key) else { return };
        link.socket = None;
        link.violation = violation;
        let owners = link.channels.on_end();
        self.entries.remove(key);
        for owner in owners {
            self.drive(owner, epoll::IN | epoll::RDHUP | epoll::HUP);
        }
        self.tidy_link(key);
    }

    /// Sends what the exchanges of this turn have for their backends.
    pub(super) fn flush_links(&mut self) {
        while let Some(key) = self.links.unsent.pop() {
            if let Some(link) = self.links.get(key) {
                link.is_unsent = false;
                self.flush_link(key);
            }
        }
    }

    /// Sends what has become much before the turn is over.
    pub(crate) fn flush_full_link(&mut self, channel: ChannelRef) {
        if self.links.get(channel.link).is_some_and(|link| link.out.len() >= ENOUGH) {
            self.flush_link(channel.link);
        }
    }

    fn flush_link(&mut self, key: ConnectionKey) {
        let Some(link) = self.links.get(key) else { return };
        let Some(socket) = &link.socket else { return };
        match link.out.flush(socket) {
            Ok(true) => {}
            Ok(false) => {
                let fd = socket.as_fd();
                let _ = self.epoll.change(fd, READS | epoll::OUT, key);
            }
            // The end is there to be read, behind what came before it.
            Err(_) => {
                link.readable = true;
                self.backlog.push_back(key);
                return;
            }
        }
        if link.is_short && link.out.len() < BACKLOG / 2 {
            link.is_short = false;
            for owner in link.channels.waiting() {
                self.drive(owner, epoll::OUT);
            }
        }
    }
}
