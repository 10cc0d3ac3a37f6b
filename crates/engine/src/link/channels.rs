//! The channels of a link: who has them, and what each side may send.

use super::frame::{Frame, VALUE, WINDOW};
use crate::exchange::ConnectionKey;

/// A larger buffer is given back to the system when it is empty.
const REUSED: usize = 4 * 1024;

/// The backend has done what the protocol does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a frame of a channel that is not open")]
    NotOpen,
    #[error("more bytes on a channel than were granted")]
    TooMuch,
    #[error("a credit beyond what was sent")]
    TooMuchCredit,
    #[error("what is no frame")]
    Malformed,
}

/// The channels of a link by their numbers. A number is free when both sides have closed it.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    places: Vec<Option<Channel>>,
    free: Vec<u32>,
    open: usize,
}

#[derive(Debug)]
struct Channel {
    /// What the lane knows it by; `None` once we have closed it.
    owner: Option<ConnectionKey>,
    /// Bytes that came while nobody took them.
    kept: Vec<u8>,
    /// Bytes that the backend may send, and those taken that it was not granted anew.
    granted: u32,
    ungranted: u32,
    /// Bytes that we may send.
    room: u32,
    /// There was less room than bytes, and the owner waits for more.
    waits: bool,
    /// Bytes sent since the start, without what exceeds the value of a frame.
    sent: u32,
    /// The backend has closed it: how much its server has taken, where that is known.
    closed: Option<Option<u32>>,
}

impl Channels {
    /// Opens a channel for `owner`: its number.
    pub(crate) fn open(&mut self, owner: ConnectionKey) -> u32 {
        let channel = Channel {
            owner: Some(owner),
            kept: Vec::new(),
            granted: WINDOW,
            ungranted: 0,
            room: WINDOW,
            waits: false,
            sent: 0,
            closed: None,
        };
        self.open += 1;
        match self.free.pop() {
            Some(number) => {
                self.places[number as usize] = Some(channel);
                number
            }
            None => {
                self.places.push(Some(channel));
                self.places.len() as u32 - 1
            }
        }
    }

    /// Whether no channel has an owner.
    pub(crate) fn is_unused(&self) -> bool {
        self.open == 0
    }

    /// The owner lets go. `true`: the backend is to be told.
    pub(crate) fn close(&mut self, number: u32) -> bool {
        let Some(channel) = self.get(number) else { return false };
        if channel.owner.take().is_none() {
            return false;
        }
        channel.kept = Vec::new();
        let over = channel.closed.is_some();
        self.open -= 1;
        if over {
            self.release(number);
        }
        true
    }

    /// The backend has closed a channel of which its server took `taken` bytes. Its owner, if it has
    /// one.
    pub(crate) fn on_close(
        &mut self,
        number: u32,
        taken: u32,
    ) -> Result<Option<ConnectionKey>, Violation> {
        let channel = self.of_backend(number)?;
        channel.closed = Some(Some(taken));
        let owner = channel.owner;
        if owner.is_none() {
            self.release(number);
        }
        Ok(owner)
    }

    /// The link is gone, and with it the backend's side of everything. The owners.
    pub(crate) fn on_end(&mut self) -> Vec<ConnectionKey> {
        let channels = self.places.iter_mut().flatten();
        channels
            .filter_map(|channel| {
                channel.closed.get_or_insert(None);
                channel.owner
            })
            .collect()
    }

    /// Bytes have come for a channel: its owner, which may take them, if it has one and nothing
    /// before them waits.
    pub(crate) fn on_data(
        &mut self,
        number: u32,
        bytes: &[u8],
    ) -> Result<Option<ConnectionKey>, Violation> {
        let channel = self.of_backend(number)?;
        let left = channel.granted.checked_sub(bytes.len() as u32).ok_or(Violation::TooMuch)?;
        channel.granted = left;
        let Some(owner) = channel.owner else { return Ok(None) };
        if channel.kept.is_empty() {
            return Ok(Some(owner));
        }
        channel.kept.extend_from_slice(bytes);
        Ok(None)
    }

    /// The backend takes more: the owner, if it has waited for that.
    pub(crate) fn on_credit(
        &mut self,
        number: u32,
        bytes: u32,
    ) -> Result<Option<ConnectionKey>, Violation> {
        let channel = self.of_backend(number)?;
        channel.room = channel.room.saturating_add(bytes);
        if channel.room > WINDOW {
            return Err(Violation::TooMuchCredit);
        }
        let waits = std::mem::take(&mut channel.waits);
        Ok(channel.owner.filter(|_| waits))
    }

    /// Who has the channel.
    pub(crate) fn owner(&self, number: u32) -> Option<ConnectionKey> {
        self.places.get(number as usize)?.as_ref()?.owner
    }

    /// Keeps bytes that the owner did not take.
    pub(crate) fn keep(&mut self, number: u32, bytes: &[u8]) {
        if let Some(channel) = self.get(number).filter(|it| it.owner.is_some()) {
            channel.kept.extend_from_slice(bytes);
        }
    }

    /// What was kept, and is now taken.
    pub(crate) fn kept(&mut self, number: u32) -> Vec<u8> {
        self.get(number).map(|channel| std::mem::take(&mut channel.kept)).unwrap_or_default()
    }

    /// Has the buffer of [`Channels::kept`] used for what comes next.
    pub(crate) fn reuse(&mut self, number: u32, mut buffer: Vec<u8>) {
        if let Some(channel) = self.get(number)
            && channel.kept.capacity() == 0
            && buffer.capacity() <= REUSED
        {
            buffer.clear();
            channel.kept = buffer;
        }
    }

    /// The owner has taken bytes: the credit to be given for them, when there is enough of it.
    pub(crate) fn taken(&mut self, number: u32, count: usize) -> Option<Frame> {
        let channel = self.get(number)?;
        channel.ungranted += count as u32;
        if channel.ungranted < WINDOW / 2 || channel.closed.is_some() {
            return None;
        }
        let grant = std::mem::take(&mut channel.ungranted);
        channel.granted += grant;
        Some(Frame::Credit(grant))
    }

    /// Whether the backend has closed the channel, or it is none.
    pub(crate) fn is_closed(&self, number: u32) -> bool {
        let channel = self.places.get(number as usize).and_then(Option::as_ref);
        channel.is_none_or(|channel| channel.closed.is_some())
    }

    /// Whether there is something to take: bytes, or the end.
    pub(crate) fn has_more(&self, number: u32) -> bool {
        let channel = self.places.get(number as usize).and_then(Option::as_ref);
        channel.is_none_or(|channel| channel.closed.is_some() || !channel.kept.is_empty())
    }

    /// Takes room for up to `wanted` bytes: how many may be sent.
    pub(crate) fn take_room(&mut self, number: u32, wanted: usize) -> usize {
        let Some(channel) = self.get(number).filter(|it| it.closed.is_none()) else { return 0 };
        let count = wanted.min(channel.room as usize);
        channel.room -= count as u32;
        channel.sent = channel.sent.wrapping_add(count as u32) & VALUE;
        channel.waits |= count < wanted;
        count
    }

    /// The owner has bytes that the link has no room for.
    pub(crate) fn wait(&mut self, number: u32) {
        if let Some(channel) = self.get(number) {
            channel.waits = true;
        }
    }

    /// The owners that wait, for whatever; they wait no more.
    pub(crate) fn waiting(&mut self) -> Vec<ConnectionKey> {
        let channels = self.places.iter_mut().flatten();
        channels.filter_map(|it| it.owner.filter(|_| std::mem::take(&mut it.waits))).collect()
    }

    /// How much was sent so far; to be compared later, see [`Channels::has_seen_nothing_since`].
    pub(crate) fn sent(&self, number: u32) -> u32 {
        self.places.get(number as usize).and_then(Option::as_ref).map_or(0, |it| it.sent)
    }

    /// Whether the backend has closed the channel without its server having taken a byte of what was
    /// sent since.
    pub(crate) fn has_seen_nothing_since(&self, number: u32, sent: u32) -> bool {
        let channel = self.places.get(number as usize).and_then(Option::as_ref);
        // Less, too: what came before and was not taken, such as a body that nobody read. Never more
        // than a window, so that the rest of the count, which wraps, says which is ahead.
        let has_not = |taken: u32| sent.wrapping_sub(taken) & VALUE <= WINDOW;
        channel.is_some_and(|channel| channel.closed.flatten().is_some_and(has_not))
    }

    fn get(&mut self, number: u32) -> Option<&mut Channel> {
        self.places.get_mut(number as usize)?.as_mut()
    }

    /// A channel on which the backend may still send.
    fn of_backend(&mut self, number: u32) -> Result<&mut Channel, Violation> {
        self.get(number).filter(|it| it.closed.is_none()).ok_or(Violation::NotOpen)
    }

    fn release(&mut self, number: u32) {
        self.places[number as usize] = None;
        self.free.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_free_when_both_sides_have_closed() {
        let mut channels = Channels::default();
        let (a, b) = (channels.open(10), channels.open(11));
        assert!(channels.close(a) && !channels.close(a));
        assert_ne!(channels.open(12), a, "the backend may still send on it");
        assert_eq!(channels.on_data(a, b"late"), Ok(None));
        assert_eq!(channels.on_close(a, 0), Ok(None));
        assert_eq!(channels.on_close(a, 0), Err(Violation::NotOpen));
        assert_eq!(channels.open(13), a);

        assert_eq!(channels.on_close(b, 0), Ok(Some(11)));
        assert_eq!(channels.on_data(b, b"!"), Err(Violation::NotOpen));
        assert!(channels.is_closed(b) && channels.has_more(b));
        assert!(channels.close(b));
        assert_eq!(channels.open(14), b);
    }

    #[test]
    fn neither_side_sends_more_than_it_was_granted() {
        let mut channels = Channels::default();
        let a = channels.open(1);
        let window = WINDOW as usize;
        assert_eq!(channels.take_room(a, window + 1), window);
        assert_eq!(channels.take_room(a, 1), 0);
        assert_eq!(channels.on_credit(a, 10), Ok(Some(1)), "it waits");
        assert_eq!(channels.on_credit(a, 10), Ok(None));
        assert_eq!(channels.on_credit(a, WINDOW), Err(Violation::TooMuchCredit));

        let b = channels.open(2);
        assert_eq!(channels.on_data(b, &vec![0; window]), Ok(Some(2)));
        assert_eq!(channels.on_data(b, b"x"), Err(Violation::TooMuch));
        assert_eq!(channels.taken(b, window / 2 - 1), None);
        assert_eq!(channels.taken(b, 1), Some(Frame::Credit(WINDOW / 2)));
        assert_eq!(channels.on_data(b, b"x"), Ok(Some(2)));
    }

    #[test]
    fn bytes_stay_in_order_while_nobody_takes_them() {
        let mut channels = Channels::default();
        let a = channels.open(1);
        assert_eq!(channels.on_data(a, b"one"), Ok(Some(1)));
        channels.keep(a, b"one");
        assert_eq!(channels.on_data(a, b"two"), Ok(None));
        assert!(channels.has_more(a));
        assert_eq!(channels.kept(a), b"onetwo");
        assert!(!channels.has_more(a));
    }

    #[test]
    fn a_request_behind_what_the_server_took_was_seen_by_nobody() {
        let mut channels = Channels::default();
        let a = channels.open(1);
        channels.take_room(a, 100);
        let before = channels.sent(a);
        channels.take_room(a, 50);
        assert!(!channels.has_seen_nothing_since(a, before), "open");
        channels.on_close(a, 100).unwrap();
        assert!(channels.has_seen_nothing_since(a, before));
        let b = channels.open(2);
        channels.take_room(b, 100);
        channels.on_close(b, 20).unwrap();
        assert!(!channels.has_seen_nothing_since(b, 0));
        let c = channels.open(3);
        assert_eq!(channels.on_end().len(), 3);
        assert!(!channels.has_seen_nothing_since(c, 0), "nobody knows");
    }

    #[test]
    fn what_was_left_of_the_request_before_does_not_count() {
        let mut channels = Channels::default();
        for (start, left) in [(0, 30), (VALUE, 0), (VALUE - 20, WINDOW)] {
            let channel = channels.open(1);
            channels.places[channel as usize].as_mut().unwrap().sent = start;
            channels.take_room(channel, left as usize);
            let before = channels.sent(channel);
            channels.on_close(channel, start).unwrap();
            assert!(channels.has_seen_nothing_since(channel, before), "{start} {left}");
        }
    }
}
