//! What goes over a link: a head of eight bytes, little endian, and the payload of data behind it.
//!
//! ```text
//! 0        4        7      8
//! │ number │ value  │ kind │ payload, if it is data: as many bytes as the value says
//! ```

/// Bytes of a head.
pub(crate) const HEAD: usize = 8;
/// Bytes that a side may send on a channel before the other has taken any; behind one head there are
/// no more.
pub(crate) const WINDOW: u32 = 128 * 1024;

/// A frame, but for its channel and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The channel begins. Only we do that.
    Open,
    /// So many bytes of the channel.
    Data(u32),
    /// The other side may send so many bytes more.
    Credit(u32),
    /// The last frame of a side. That of a backend says how many bytes its server has taken of the
    /// channel, without what exceeds three bytes.
    Close(u32),
}

/// What the value of a frame has room for.
pub(crate) const VALUE: u32 = 0xFF_FFFF;

impl Frame {
    /// Appends the head of the frame.
    pub(crate) fn push(self, number: u32, out: &mut Vec<u8>) {
        let (kind, value) = match self {
            Self::Open => (1, 0),
            Self::Data(length) => (2, length),
            Self::Credit(bytes) => (3, bytes),
            Self::Close(taken) => (4, taken & VALUE),
        };
        debug_assert!(value <= VALUE, "three bytes");
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&(kind << 24 | value).to_le_bytes());
    }

    /// Reads a head: the channel and the frame. `None`: no such frame comes from a backend.
    pub(crate) fn read(head: [u8; HEAD]) -> Option<(u32, Self)> {
        let [a, b, c, d, e, f, g, kind] = head;
        let number = u32::from_le_bytes([a, b, c, d]);
        let value = u32::from_le_bytes([e, f, g, 0]);
        let frame = match kind {
            2 if value <= WINDOW => Self::Data(value),
            3 => Self::Credit(value),
            4 => Self::Close(value),
            _ => return None,
        };
        Some((number, frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        for frame in [Frame::Data(0), Frame::Data(WINDOW), Frame::Credit(7), Frame::Close(VALUE)] {
            let mut out = Vec::new();
            frame.push(0x0102_0304, &mut out);
            assert_eq!(Frame::read(out.try_into().unwrap()), Some((0x0102_0304, frame)));
        }
    }

    #[test]
    fn what_no_backend_may_send_is_none() {
        let head = |kind, value: u32| {
            let [a, b, c, _] = value.to_le_bytes();
            [1, 0, 0, 0, a, b, c, kind]
        };
        for bad in [head(0, 0), head(1, 0), head(2, WINDOW + 1), head(5, 0), head(255, 0)] {
            assert_eq!(Frame::read(bad), None, "{bad:?}");
        }
    }
}
