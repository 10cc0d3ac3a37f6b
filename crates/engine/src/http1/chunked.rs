//! Body framed by chunks (RFC 9112 7.1).

use super::reject::{Cause, Reject};

/// Bytes that the extensions of one body may have together. Nobody uses them; Kestrel and others
/// were attacked through them.
pub const EXTENSION_LIMIT: u32 = 16 * 1024;
/// Bytes that the trailer section may have; as the head.
pub const TRAILER_LIMIT: u32 = 32 * 1024;
/// Fields that the trailer section may have; as the head.
pub const TRAILER_FIELDS: u32 = 100;

/// What [`Decoder::step`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'b> {
    /// Body bytes; call again with what follows.
    Data(&'b [u8]),
    /// All input is consumed; the body goes on.
    More,
    /// The body is over; input behind the consumed part belongs to the next message.
    End,
}

/// Where in a body we are.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    ended: bool,
}

impl Decoder {
    /// Consumes a part of `input` and says how many bytes that were. Call until it answers
    /// [`Step::More`] or [`Step::End`].
    pub fn step<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Step<'b>), Reject> {
        if self.ended {
            return Ok((0, Step::End));
        }
        if input.is_empty() {
            return Ok((0, Step::More));
        }
        Err(Cause::ChunkSize.into())
    }

    /// The body is over.
    pub fn is_ended(&self) -> bool {
        self.ended
    }
}
