//! Where the frames of a WebSocket begin and end (RFC 6455 5.2), whatever they carry.
//!
//! Nobody here reads messages. But whoever ends a connection that it only passes on has to know
//! whether a frame of its own would be one, or would be taken for the inside of another.

/// The longest head of a frame that is not masked.
const HEAD: usize = 10;
const CLOSE: u8 = 8;

/// Follows what a server sends. Costs some instructions per frame and per piece of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Follower {
    /// The beginning of a head, so far.
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the current frame that are still to come.
    left: u64,
    /// The last frame was, or is, a close.
    closes: bool,
    is_lost: bool,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Another frame may begin.
    Between,
    /// In the middle of a frame.
    Within,
    /// Behind a close, which is the last frame.
    Closed,
    /// What came was no frame of a server; nothing is known any more.
    Lost,
}

impl Follower {
    /// Where the stream is.
    pub fn place(&self) -> Place {
        if self.is_lost {
            Place::Lost
        } else if self.have > 0 || self.left > 0 {
            Place::Within
        } else if self.closes {
            Place::Closed
        } else {
            Place::Between
        }
    }

    /// These bytes come next.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        loop {
            let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= count as u64;
            bytes = &bytes[count..];
            let Some((first, rest)) = bytes.split_first() else { return };
            if self.is_lost || self.closes {
                // What is behind a close means nothing.
                return;
            }
            self.head[self.have] = *first;
            self.have += 1;
            bytes = rest;
            if self.have == self.head_length() {
                self.begin();
            }
        }
    }

    /// How long the head is, as far as that is known.
    fn head_length(&self) -> usize {
        match self.head[1] {
            _ if self.have < 2 => 2,
            126 => 4,
            127 => HEAD,
            _ => 2,
        }
    }

    /// The head is complete.
    fn begin(&mut self) {
        let [first, second, ..] = self.head;
        let opcode = first & 0x0f;
        self.left = match second {
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..].iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
            length => u64::from(length),
        };
        let is_whole = first & 0x80 != 0;
        // A mask makes `second` larger than any length.
        self.is_lost = second > 127
            || self.left > i64::MAX as u64
            || match opcode {
                0..=2 => false,
                CLOSE..=10 => !is_whole || second > 125,
                _ => true,
            };
        self.closes = opcode == CLOSE;
        self.have = 0;
    }
}

/// The frame by which a server closes, for a reason of RFC 6455 7.4.1 or its registry.
pub const fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x80 | CLOSE, 2, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bytes: &[u8]) -> Place {
        let mut whole = Follower::default();
        whole.follow(bytes);
        // In any pieces it is the same.
        for size in 1..bytes.len().min(20) {
            for first in 0..size {
                let mut pieces = Follower::default();
                pieces.follow(&bytes[..first]);
                bytes[first..].chunks(size).for_each(|piece| pieces.follow(piece));
                assert_eq!(pieces.place(), whole.place(), "{first}, then by {size}");
                assert_eq!(pieces.left, whole.left, "{first}, then by {size}");
            }
        }
        whole.place()
    }

    fn frame(first: u8, length: &[u8], payload: usize) -> Vec<u8> {
        [&[first][..], length, &vec![0xff; payload]].concat()
    }

    #[test]
    fn frames_of_all_lengths_are_followed() {
        let text = frame(0x81, &[5], 5);
        let part = frame(0x02, &[126, 1, 0], 256);
        let long = frame(0x82, &[127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536);
        let ping = frame(0x89, &[0], 0);
        let compressed = frame(0xc1, &[125], 125);
        let all = [text, part, long, ping, compressed];
        assert_eq!(place(&[]), Place::Between);
        for one in &all {
            assert_eq!(place(one), Place::Between);
            for end in [1, one.len() - 1] {
                assert_eq!(place(&one[..end]), Place::Within, "{end} of {}", one.len());
            }
        }
        assert_eq!(place(&all.concat()), Place::Between);
        assert_eq!(place(&[&all.concat()[..], &[0x81]].concat()), Place::Within);
    }

    #[test]
    fn a_close_is_the_last() {
        let close = close_frame(1001);
        assert_eq!(close, [0x88, 2, 0x03, 0xe9]);
        assert_eq!(place(&close), Place::Closed);
        assert_eq!(place(&close[..3]), Place::Within);
        assert_eq!(place(&[&close[..], &[0x81]].concat()), Place::Closed);
        assert_eq!(place(&frame(0x88, &[0], 0)), Place::Closed);
    }

    #[test]
    fn what_no_server_says_is_not_followed() {
        let huge = frame(0x82, &[127, 0x80, 0, 0, 0, 0, 0, 0, 0], 0);
        for bytes in [
            frame(0x81, &[0x85], 9),
            frame(0x83, &[0], 0),
            frame(0x8b, &[0], 0),
            frame(0x09, &[0], 0),
            frame(0x88, &[126, 0, 126], 126),
            huge,
        ] {
            assert_eq!(place(&bytes), Place::Lost, "{bytes:x?}");
        }
    }
}
