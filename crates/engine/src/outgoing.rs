//! Bytes on their way to a socket that may not take them all at once.

use std::io::{self, IoSlice};

use os::socket::{Socket, Transfer};

/// A buffer above this size is given back once it is empty.
const KEPT: usize = 16 * 1024;

/// Bytes that wait to be sent, in order.
pub(crate) struct Outgoing {
    /// As [`KEPT`], for this one.
    kept: usize,
    bytes: Vec<u8>,
    sent: usize,
    total: u64,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Outgoing {
    /// Keeps a buffer of up to `kept` bytes when it is empty.
    pub(crate) fn keeping(kept: usize) -> Self {
        Self { kept, bytes: Vec::new(), sent: 0, total: 0 }
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Bytes that sockets have taken from this buffer and from what was sent behind it.
    pub(crate) fn sent_total(&self) -> u64 {
        self.total
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// The end, for appending.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        // A receiver that is always a little behind never empties the buffer; what it has taken
        // must not pile up. Moving no more than was sent keeps this cheap.
        if self.sent >= KEPT && self.sent >= self.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.bytes
    }

    /// Sends what waits. `true` when nothing is left.
    pub(crate) fn flush(&mut self, socket: &Socket) -> io::Result<bool> {
        while !self.is_empty() {
            match socket.send(&self.bytes[self.sent..])? {
                Transfer::Bytes(count) => self.advance(count),
                Transfer::WouldBlock => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Sends what waits and `pieces` behind it, in one call. Returns how many bytes of the
    /// pieces went out, and whether the socket might take more.
    pub(crate) fn flush_with(
        &mut self,
        socket: &Socket,
        pieces: &[IoSlice<'_>],
    ) -> io::Result<(usize, bool)> {
        let waiting = self.len();
        let total = waiting + pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let mut all = Vec::with_capacity(pieces.len() + 1);
        if waiting > 0 {
            all.push(IoSlice::new(&self.bytes[self.sent..]));
        }
        all.extend(pieces.iter().map(|piece| IoSlice::new(piece)));
        match socket.send_pieces(&all)? {
            Transfer::Bytes(count) => {
                self.total += (count - count.min(waiting)) as u64;
                let own = count.min(waiting);
                self.advance(own);
                Ok((count - own, count == total))
            }
            Transfer::WouldBlock => Ok((0, false)),
        }
    }

    /// Sends `bytes` behind what waits, and keeps what the socket does not take.
    pub(crate) fn send(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<()> {
        let (count, _) = self.flush_with(socket, &[IoSlice::new(bytes)])?;
        self.tail().extend_from_slice(&bytes[count..]);
        Ok(())
    }

    /// The socket has taken so many of the bytes that wait.
    pub(crate) fn advance(&mut self, count: usize) {
        self.sent += count;
        self.total += count as u64;
        if self.sent == self.bytes.len() {
            self.sent = 0;
            if self.bytes.capacity() > self.kept {
                self.bytes = Vec::new();
            } else {
                self.bytes.clear();
            }
        }
    }
}
