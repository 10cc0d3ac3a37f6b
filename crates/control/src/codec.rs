//! Messages as bytes: a length of four bytes, most significant first, then JSON. No I/O.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message. A report has two streams of 30,000 characters, an exception and a
/// description of the application; four bytes each, escaped, this is several times that.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

const LENGTH_BYTES: usize = 4;

/// Bytes that are not a conversation.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The JSON is not one of the messages.
    #[error("a message is not understood")]
    Message(#[source] serde_json::Error),
    /// The message is longer than any.
    #[error("a message of {length} bytes is longer than the limit of {MAX_MESSAGE_BYTES}")]
    TooLong {
        /// Its length.
        length: usize,
    },
}

/// Appends `message` to `bytes`.
///
/// # Errors
///
/// The message is longer than [`MAX_MESSAGE_BYTES`]; nothing is appended then.
pub fn encode<M: Serialize>(message: &M, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    let json = serde_json::to_vec(message).map_err(CodecError::Message)?;
    if json.len() > MAX_MESSAGE_BYTES {
        return Err(CodecError::TooLong { length: json.len() });
    }
    let length = u32::try_from(json.len()).expect("the limit is below four gigabytes");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&json);
    Ok(())
}

/// Collects bytes until they are messages.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// Takes bytes as they come.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete message, if there is one.
    ///
    /// # Errors
    ///
    /// The bytes are not a conversation; nothing sensible follows.
    #[expect(clippy::should_implement_trait, reason = "`None` means not yet, not the end")]
    pub fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, CodecError> {
        let Some(length) = self.bytes.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_MESSAGE_BYTES {
            return Err(CodecError::TooLong { length });
        }
        let end = LENGTH_BYTES + length;
        let Some(json) = self.bytes.get(LENGTH_BYTES..end) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(json).map_err(CodecError::Message)?;
        self.bytes.drain(..end);
        Ok(Some(message))
    }

    /// Whether a message has begun and is not complete.
    pub fn is_within_message(&self) -> bool {
        !self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Step;

    use super::*;
    use crate::ToSupervisor;

    #[test]
    fn messages_survive_any_cut() {
        let messages = [
            ToSupervisor::Step { step: Step::AppBuilt },
            ToSupervisor::Ready,
            ToSupervisor::Stopping { reason: "Main returned \"0\"\n".to_owned() },
            ToSupervisor::Drained { left: 3, report: "lane 0".into() },
        ];
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| encode(message, &mut bytes).unwrap());
        for cut in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut decoded = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.extend(piece);
                while let Some(message) = decoder.next::<ToSupervisor>().unwrap() {
                    decoded.push(message);
                }
            }
            assert_eq!(decoded, messages, "cut {cut}");
            assert!(!decoder.is_within_message());
        }
    }

    #[test]
    fn nonsense_is_an_error_before_it_is_collected() {
        let mut decoder = Decoder::default();
        decoder.extend(b"GET / HTTP/1.1\r\n");
        assert!(matches!(decoder.next::<ToSupervisor>(), Err(CodecError::TooLong { .. })));
        let mut decoder = Decoder::default();
        decoder.extend(b"\0\0\0\x02{}");
        assert!(matches!(decoder.next::<ToSupervisor>(), Err(CodecError::Message(_))));
    }
}
