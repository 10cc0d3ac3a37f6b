//! Body framed by chunks (RFC 9112 7.1).

use super::fields::{is_text_byte, is_token_byte};
use super::reject::{Cause, Reject};
use super::request::Limits;
use super::trailers::Trailers;

/// Bytes that the extensions of one body may have together. Nobody uses them; Kestrel and others
/// were attacked through them.
pub const EXTENSION_LIMIT: u32 = 16 * 1024;

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

/// Where in a body we are. A fault is final: every further step repeats it.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    extension_bytes: u32,
    /// Whole lines, and the beginning of the next.
    trailers: Vec<u8>,
    /// Fields of the trailer section that may still come.
    trailer_fields: usize,
    /// Bytes that the trailer section may have.
    trailer_bytes: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

/// ```text
/// Size ─┬─────────────► SizeEnd ─┬─► Data ─► DataCr ─► DataLf ─► Size
///       └─► Extension… ────┘     └─► TrailerStart ─┬─► TrailerName ─► Value ─► LineEnd ─┐
///                                        ▲         └─► BodyEnd ─► Ended                 │
///                                        └──────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug)]
enum State {
    Size {
        digits: u8,
        value: u64,
    },
    /// Behind `;`.
    ExtensionName {
        size: u64,
        empty: bool,
    },
    /// Behind `=`.
    ExtensionValue {
        size: u64,
    },
    ExtensionToken {
        size: u64,
    },
    ExtensionQuoted {
        size: u64,
        escaped: bool,
    },
    /// Behind the closing quote.
    ExtensionEnd {
        size: u64,
    },
    /// CR seen.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineEnd,
    BodyEnd,
    Ended,
    Failed(Cause),
}

impl Default for State {
    fn default() -> Self {
        State::Size { digits: 0, value: 0 }
    }
}

impl Decoder {
    /// For one body. Its trailer section may have as many fields and bytes as the head.
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: State::default(),
            extension_bytes: 0,
            trailers: Vec::new(),
            trailer_fields: limits.fields,
            trailer_bytes: limits.head,
        }
    }

    /// Consumes a part of `input` and says how many bytes that were. Call until it answers
    /// [`Step::More`] or [`Step::End`].
    pub fn step<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Step<'b>), Reject> {
        let mut at = 0;
        loop {
            match self.state {
                State::Ended => return Ok((at, Step::End)),
                State::Failed(cause) => return Err(cause.into()),
                State::Data { left } if at < input.len() => {
                    let rest = &input[at..];
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - len as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    return Ok((at + len, Step::Data(&rest[..len])));
                }
                _ => {}
            }
            let Some(byte) = input.get(at) else { return Ok((at, Step::More)) };
            match self.advance(*byte) {
                Ok(state) => self.state = state,
                Err(cause) => {
                    self.state = State::Failed(cause);
                    return Err(cause.into());
                }
            }
            at += 1;
        }
    }

    /// The body is over.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// The fields behind the last chunk, once the body is over.
    pub fn take_trailers(&mut self) -> Trailers {
        Trailers::new(std::mem::take(&mut self.trailers))
    }

    /// One byte of framing.
    fn advance(&mut self, byte: u8) -> Result<State, Cause> {
        Ok(match self.state {
            State::Size { digits, value } => match (digits, byte) {
                (1.., b'\r') => State::SizeEnd { size: value },
                (1.., b';') => {
                    self.count_extension()?;
                    State::ExtensionName { size: value, empty: true }
                }
                // No sign, prefix, separator or space, which `strtol` and its kin let pass.
                (0..=15, _) => {
                    let digit = char::from(byte).to_digit(16).ok_or(Cause::ChunkSize)?;
                    let value = value << 4 | u64::from(digit);
                    if i64::try_from(value).is_err() {
                        return Err(Cause::ChunkSize);
                    }
                    State::Size { digits: digits + 1, value }
                }
                _ => return Err(Cause::ChunkSize),
            },
            State::ExtensionName { .. }
            | State::ExtensionValue { .. }
            | State::ExtensionToken { .. }
            | State::ExtensionQuoted { .. }
            | State::ExtensionEnd { .. } => {
                self.count_extension()?;
                extension(self.state, byte)?
            }
            State::SizeEnd { size } => match (byte, size) {
                (b'\n', 0) => State::TrailerStart,
                (b'\n', _) => State::Data { left: size },
                _ => return Err(Cause::BareCr),
            },
            State::DataCr if byte == b'\r' => State::DataLf,
            State::DataLf if byte == b'\n' => State::Size { digits: 0, value: 0 },
            State::DataCr | State::DataLf => return Err(Cause::ChunkEnd),
            State::BodyEnd if byte == b'\n' => State::Ended,
            State::BodyEnd => return Err(Cause::BareCr),
            _ => self.trailer(byte)?,
        })
    }

    fn count_extension(&mut self) -> Result<(), Cause> {
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_LIMIT {
            return Err(Cause::ChunkExtensionTooLong);
        }
        Ok(())
    }

    /// Trailers are held to the syntax of fields, and stay apart from the head: merging them into
    /// it is optional (RFC 9110 6.5.1) and an old way to smuggle.
    fn trailer(&mut self, byte: u8) -> Result<State, Cause> {
        if let (State::TrailerStart, b'\r') = (self.state, byte) {
            return Ok(State::BodyEnd);
        }
        if self.trailers.len() >= self.trailer_bytes {
            return Err(Cause::TrailerTooLarge);
        }
        self.trailers.push(byte);
        Ok(match (self.state, byte) {
            (State::TrailerStart, _) if is_token_byte(byte) => {
                let left = self.trailer_fields.checked_sub(1);
                self.trailer_fields = left.ok_or(Cause::TrailerTooLarge)?;
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerName, _) if is_token_byte(byte) => State::TrailerName,
            (State::TrailerValue, b'\r') => State::TrailerLineEnd,
            (State::TrailerValue, _) if is_text_byte(byte) => State::TrailerValue,
            (State::TrailerLineEnd, b'\n') => State::TrailerStart,
            _ => return Err(Cause::Trailer),
        })
    }
}

/// `;name`, `;name=token`, `;name="quoted"` (RFC 9112 7.1.1). The white space that the grammar
/// calls bad is refused: nobody sends it, and parsers differ over it.
fn extension(state: State, byte: u8) -> Result<State, Cause> {
    Ok(match (state, byte) {
        (
            State::ExtensionName { size, empty: false }
            | State::ExtensionToken { size }
            | State::ExtensionEnd { size },
            b'\r',
        ) => State::SizeEnd { size },
        (
            State::ExtensionName { size, empty: false }
            | State::ExtensionToken { size }
            | State::ExtensionEnd { size },
            b';',
        ) => State::ExtensionName { size, empty: true },
        (State::ExtensionName { size, empty: false }, b'=') => State::ExtensionValue { size },
        (State::ExtensionName { size, .. }, _) if is_token_byte(byte) => {
            State::ExtensionName { size, empty: false }
        }
        (State::ExtensionValue { size }, b'"') => State::ExtensionQuoted { size, escaped: false },
        (State::ExtensionValue { size } | State::ExtensionToken { size }, _)
            if is_token_byte(byte) =>
        {
            State::ExtensionToken { size }
        }
        (State::ExtensionQuoted { size, escaped: false }, b'"') => State::ExtensionEnd { size },
        (State::ExtensionQuoted { size, escaped: false }, b'\\') => {
            State::ExtensionQuoted { size, escaped: true }
        }
        (State::ExtensionQuoted { size, .. }, _) if is_text_byte(byte) => {
            State::ExtensionQuoted { size, escaped: false }
        }
        // Also CR and LF in quotes, where Kestrel was led astray (CVE-2025-55315).
        _ => return Err(Cause::ChunkExtension),
    })
}
