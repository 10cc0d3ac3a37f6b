//! The body of a request on its way in: where it ends, and what of it has arrived.

use std::io;

use os::socket::{Socket, Transfer};

use crate::http1::chunked::{Decoder, Step};
use crate::http1::reject::Reject;
use crate::http1::request::Limits;
use crate::http1::trailers::Trailers;

/// What is still to come of a body.
pub(crate) enum Inbound {
    /// Nothing.
    Complete,
    /// Nothing, and these came behind the last chunk.
    Trailed(Trailers),
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Box<Decoder>),
    /// Bytes of another protocol, until the client ends them.
    Raw,
}

/// What a receive gave.
pub(crate) enum Taken {
    /// Body bytes at the start of the buffer, perhaps none, up to `end`.
    Bytes {
        /// Number of body bytes.
        end: usize,
        /// The socket had less than was asked for: it is empty now.
        short: bool,
        /// Bytes of the next request, as positions in the buffer.
        surplus: Option<(usize, usize)>,
    },
    /// Nothing now.
    WouldBlock,
    /// The client has ended its side.
    Closed,
    /// The framing is broken.
    Malformed,
}

impl Inbound {
    pub(crate) fn chunked(limits: &Limits) -> Self {
        Self::Chunked(Box::new(Decoder::new(limits)))
    }

    pub(crate) fn is_complete(&self) -> bool {
        matches!(self, Self::Complete | Self::Trailed(_))
    }

    /// What came behind the last chunk, the first time it is asked for.
    pub(crate) fn take_trailers(&mut self) -> Option<Trailers> {
        let Self::Trailed(trailers) = self else { return None };
        let trailers = std::mem::take(trailers);
        *self = Self::Complete;
        Some(trailers)
    }

    /// Takes the body bytes from position `from` of `input` on, moving them together. Returns
    /// how many they are, and the position of what does not belong to the body.
    pub(crate) fn take_in_place(
        &mut self,
        input: &mut [u8],
        from: usize,
    ) -> Result<(usize, usize), Reject> {
        let there = input.len() - from;
        match self {
            Self::Complete | Self::Trailed(_) => Ok((0, from)),
            Self::Raw => Ok((there, input.len())),
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(there);
                *left -= count as u64;
                if *left == 0 {
                    *self = Self::Complete;
                }
                Ok((count, from + count))
            }
            Self::Chunked(decoder) => {
                let (mut read, mut written) = (from, from);
                loop {
                    let (consumed, step) = decoder.step(&input[read..])?;
                    let data = match step {
                        Step::Data(data) => {
                            let start = data.as_ptr().addr() - input.as_ptr().addr();
                            Some(start..start + data.len())
                        }
                        Step::More => None,
                        Step::End => {
                            let trailers = decoder.take_trailers();
                            let none = trailers.is_empty();
                            *self = if none { Self::Complete } else { Self::Trailed(trailers) };
                            return Ok((written - from, read + consumed));
                        }
                    };
                    read += consumed;
                    let Some(data) = data else { return Ok((written - from, read)) };
                    let len = data.len();
                    input.copy_within(data, written);
                    written += len;
                }
            }
        }
    }

    /// Receives into `buffer` and leaves the body bytes at its start.
    pub(crate) fn receive(&mut self, socket: &Socket, buffer: &mut [u8]) -> io::Result<Taken> {
        let wanted = match self {
            Self::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len()),
            Self::Complete | Self::Trailed(_) | Self::Chunked(_) | Self::Raw => buffer.len(),
        };
        match socket.receive(&mut buffer[..wanted])? {
            Transfer::WouldBlock => Ok(Taken::WouldBlock),
            Transfer::Bytes(0) => Ok(Taken::Closed),
            Transfer::Bytes(count) => {
                let short = count < wanted;
                match self.take_in_place(&mut buffer[..count], 0) {
                    Ok((end, next)) => {
                        let surplus = (next < count).then_some((next, count));
                        Ok(Taken::Bytes { end, short, surplus })
                    }
                    Err(_) => Ok(Taken::Malformed),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(mut inbound: Inbound, input: &[u8], from: usize) -> (Vec<u8>, Vec<u8>, bool) {
        let mut input = input.to_vec();
        let (count, end) = inbound.take_in_place(&mut input, from).unwrap();
        (input[from..from + count].to_vec(), input[end..].to_vec(), inbound.is_complete())
    }

    #[test]
    fn a_length_ends_the_body_and_leaves_the_next_request() {
        let (body, rest, complete) = take(Inbound::Length(3), b"HEADabcGET", 4);
        assert_eq!((&body[..], &rest[..], complete), (&b"abc"[..], &b"GET"[..], true));
        let (body, rest, complete) = take(Inbound::Length(9), b"HEADabc", 4);
        assert_eq!((&body[..], &rest[..], complete), (&b"abc"[..], &b""[..], false));
    }

    #[test]
    fn trailers_are_there_once() {
        let mut inbound = Inbound::chunked(&Limits::default());
        let mut input = b"0\r\nA: 1\r\n\r\nGET".to_vec();
        assert_eq!(inbound.take_in_place(&mut input, 0).unwrap(), (0, 11));
        assert!(inbound.is_complete());
        let trailers = inbound.take_trailers().unwrap();
        assert_eq!(trailers.fields().collect::<Vec<_>>(), [(&b"A"[..], &b"1"[..])]);
        assert!(inbound.is_complete() && inbound.take_trailers().is_none());
    }

    #[test]
    fn chunks_are_moved_together() {
        let (body, rest, complete) = take(
            Inbound::chunked(&Limits::default()),
            b"HEAD3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET",
            4,
        );
        assert_eq!((&body[..], &rest[..], complete), (&b"abcde"[..], &b"GET"[..], true));
    }
}
