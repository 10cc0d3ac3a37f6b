//! Bytes to text, and offsets in it to lines and columns.
//!
//! IIS reads UTF-8 and UTF-16, told apart by the byte order mark or by the zero bytes around the
//! first `<`. Anything else is refused with what to do about it, rather than guessed.

use crate::{Finding, Position};

use super::LARGEST_BYTES;

/// Columns count characters up to here and bytes beyond: otherwise a hundred thousand findings on
/// one line would each walk through all of it.
const LONGEST_COUNTED_LINE: usize = 4096;

/// The bytes are not a text that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("the file is empty")]
    Empty,
    #[error("the file has {bytes} bytes; more than {LARGEST_BYTES} are not read")]
    TooLarge { bytes: usize },
    #[error("byte {at} is not valid UTF-8")]
    NotUtf8 { at: usize, position: Position },
    #[error("the text is not valid UTF-16")]
    NotUtf16,
    #[error("the text contains a NUL character")]
    Nul { position: Position },
}

impl DecodeError {
    pub(super) fn finding(&self, file: &str) -> Finding {
        let finding = match self {
            Self::Empty => Finding::error("empty-file", file, self.to_string())
                .suggest("run `dotnet publish` again, which writes web.config"),
            Self::TooLarge { .. } => Finding::error("file-too-large", file, self.to_string())
                .expected(format!("at most {LARGEST_BYTES} bytes")),
            Self::NotUtf8 { .. } | Self::NotUtf16 | Self::Nul { .. } => {
                Finding::error("encoding", file, self.to_string())
                    .expected("UTF-8 or UTF-16")
                    .suggest("save the file as UTF-8")
            }
        };
        match self {
            Self::NotUtf8 { position, .. } | Self::Nul { position } => finding.at(*position),
            _ => finding,
        }
    }
}

/// The text of the file, without its byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<String, DecodeError> {
    if bytes.len() > LARGEST_BYTES {
        return Err(DecodeError::TooLarge { bytes: bytes.len() });
    }
    let text = match bytes {
        [] => return Err(DecodeError::Empty),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        [b'<', 0, ..] => utf16(bytes, u16::from_le_bytes)?,
        [0, b'<', ..] => utf16(bytes, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
        _ => utf8(bytes)?,
    };
    if text.trim().is_empty() {
        return Err(DecodeError::Empty);
    }
    match text.find('\0') {
        Some(at) => Err(DecodeError::Nul { position: Lines::of(&text).position(at) }),
        None => Ok(text),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, DecodeError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let at = error.valid_up_to();
        let valid = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default());
        DecodeError::NotUtf8 { at, position: Lines::of(&valid).position(at) }
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, DecodeError> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(DecodeError::NotUtf16);
    }
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .collect::<Result<String, _>>()
        .map_err(|_| DecodeError::NotUtf16)
}

/// Where lines begin, so that an offset becomes a position without a walk through the whole text.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let after_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(after_ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    pub(super) fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|i| self.starts.get(i)).copied().unwrap_or(0);
        let column = match self.text.get(start..offset) {
            Some(before) if before.len() <= LONGEST_COUNTED_LINE => before.chars().count() + 1,
            _ => offset - start + 1,
        };
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Position { line: number(line), column: number(column) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unicode_encoding_is_read() {
        let text = "<a>é</a>";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [b"\xff\xfe", &le[..]].concat(),
            [b"\xfe\xff", &be[..]].concat(),
            le,
            be,
        ] {
            assert_eq!(decode(&bytes).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert_eq!(decode(b""), Err(DecodeError::Empty));
        assert_eq!(decode(b" \r\n"), Err(DecodeError::Empty));
        assert_eq!(decode(b"\xff\xfe<"), Err(DecodeError::NotUtf16));
        assert_eq!(decode(b"\xff\xfe\x00\xd8"), Err(DecodeError::NotUtf16));
        assert_eq!(
            decode(b"<a>\r\n\xe9"),
            Err(DecodeError::NotUtf8 { at: 5, position: Position { line: 2, column: 1 } })
        );
        assert!(matches!(decode(b"<a>\0</a>"), Err(DecodeError::Nul { .. })));
        assert!(matches!(decode(&vec![b' '; 10 << 20]), Err(DecodeError::TooLarge { .. })));
    }

    #[test]
    fn positions_count_lines_and_characters() {
        let lines = Lines::of("ab\r\né<x>\n");
        for (offset, line, column) in [(0, 1, 1), (1, 1, 2), (4, 2, 1), (6, 2, 2), (10, 3, 1)] {
            assert_eq!(lines.position(offset), Position { line, column }, "{offset}");
        }
        assert_eq!(lines.position(usize::MAX), Position { line: 3, column: 1 });
        // In the middle of a character: no panic.
        lines.position(5);
    }
}
