//! Takes apart what arrives on a link, in whatever pieces it does.

use super::frame::{Frame, HEAD};

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing more in these bytes.
    More,
    /// The last so many of the bytes consumed belong to this channel.
    Data(u32, usize),
    /// A frame without a payload.
    Frame(u32, Frame),
    /// This is no frame.
    Malformed,
}

/// Where in a frame the link is.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    head: [u8; HEAD],
    /// Bytes of the head.
    have: usize,
    /// The channel whose payload is coming, and what is left of it.
    payload: Option<(u32, usize)>,
}

impl Decoder {
    /// Takes bytes from the start of `bytes`: how many, and what they are.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> (usize, Step) {
        let mut at = 0;
        loop {
            if let Some((number, left)) = self.payload {
                let count = left.min(bytes.len() - at);
                if count == 0 {
                    return (at, Step::More);
                }
                self.payload = (left > count).then_some((number, left - count));
                return (at + count, Step::Data(number, count));
            }
            let count = (HEAD - self.have).min(bytes.len() - at);
            self.head[self.have..self.have + count].copy_from_slice(&bytes[at..at + count]);
            self.have += count;
            at += count;
            if self.have < HEAD {
                return (at, Step::More);
            }
            self.have = 0;
            match Frame::read(self.head) {
                None => return (at, Step::Malformed),
                Some((_, Frame::Data(0))) => {}
                Some((number, Frame::Data(length))) => {
                    self.payload = Some((number, length as usize));
                }
                Some((number, frame)) => return (at, Step::Frame(number, frame)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole of what pieces of this length say, with neighbouring data together.
    fn all(bytes: &[u8], piece: usize) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut said: Vec<(u32, String)> = Vec::new();
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            loop {
                let (used, step) = decoder.step(rest);
                match step {
                    Step::More => break assert_eq!(used, rest.len()),
                    Step::Malformed => return vec!["malformed".to_owned()],
                    Step::Frame(number, frame) => {
                        said.push((u32::MAX, format!("{number} {frame:?}")))
                    }
                    Step::Data(number, count) => {
                        let text = str::from_utf8(&rest[used - count..used]).unwrap();
                        match said.last_mut().filter(|(last, _)| *last == number) {
                            Some((_, earlier)) => earlier.push_str(text),
                            None => said.push((number, text.to_owned())),
                        }
                    }
                }
                rest = &rest[used..];
            }
        }
        said.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn pieces_of_any_length_say_the_same() {
        let mut bytes = Vec::new();
        Frame::Data(5).push(3, &mut bytes);
        bytes.extend_from_slice(b"hello");
        Frame::Data(0).push(3, &mut bytes);
        Frame::Credit(9).push(4, &mut bytes);
        Frame::Data(3).push(5, &mut bytes);
        bytes.extend_from_slice(b"you");
        Frame::Close(5).push(3, &mut bytes);
        for piece in 1..=bytes.len() {
            let said = all(&bytes, piece);
            assert_eq!(said, ["hello", "4 Credit(9)", "you", "3 Close(5)"], "{piece}");
        }
        bytes.extend_from_slice(&[0; HEAD]);
        assert_eq!(all(&bytes, 7), ["malformed"]);
    }
}
