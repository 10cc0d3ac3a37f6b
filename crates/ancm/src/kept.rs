//! The last lines that were written, for `ancm logs`: bounded, whatever is written.

use std::collections::VecDeque;

use crate::output::Stream;

/// Of all lines together.
const MOST_BYTES: usize = 128 << 10;
/// A longer line is kept in pieces.
const LONGEST_LINE: usize = 8 << 10;

/// The last lines of both streams, in the order in which they were completed.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    lines: VecDeque<(Stream, String)>,
    /// The number of the first one that is there; counted from zero.
    first: u64,
    bytes: usize,
    begun: [Vec<u8>; 2],
}

impl Kept {
    /// Takes what is written.
    pub(crate) fn take(&mut self, stream: Stream, mut bytes: &[u8]) {
        // What is followed by enough to fill everything is not looked at.
        bytes = &bytes[bytes.len().saturating_sub(2 * MOST_BYTES)..];
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in piece.chunks(LONGEST_LINE) {
                let begun = &mut self.begun[stream as usize];
                begun.extend_from_slice(piece);
                if begun.ends_with(b"\n") || begun.len() >= LONGEST_LINE {
                    let line = std::mem::take(begun);
                    let line = line.strip_suffix(b"\n").unwrap_or(&line);
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    self.keep(stream, String::from_utf8_lossy(line).into_owned());
                }
            }
        }
    }

    fn keep(&mut self, stream: Stream, line: String) {
        self.bytes += line.len() + 1;
        self.lines.push_back((stream, line));
        while self.bytes > MOST_BYTES
            && let Some((_, line)) = self.lines.pop_front()
        {
            self.bytes -= line.len() + 1;
            self.first += 1;
        }
    }

    /// The number of the first line that is there.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next line.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// The lines from this number on, and how many of them are not there any more.
    pub(crate) fn since(&self, number: u64) -> (u64, impl Iterator<Item = &(Stream, String)>) {
        let skipped = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        (self.first.saturating_sub(number), self.lines.iter().skip(skipped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(kept: &Kept, number: u64) -> Vec<&str> {
        kept.since(number).1.map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn streams_do_not_cut_each_others_lines() {
        let mut kept = Kept::default();
        kept.take(Stream::Stdout, b"one\r\nt");
        kept.take(Stream::Stderr, b"error\n");
        kept.take(Stream::Stdout, b"wo\n\xff");
        assert_eq!(texts(&kept, 0), ["one", "error", "two"]);
        assert_eq!(texts(&kept, 2), ["two"]);
        assert_eq!((texts(&kept, 3).len(), texts(&kept, 99).len(), kept.next()), (0, 0, 3));
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut kept = Kept::default();
        kept.take(Stream::Stdout, &vec![b'x'; 10 << 20]);
        assert!(kept.bytes <= MOST_BYTES && kept.begun[0].len() < LONGEST_LINE);
        for number in 0..100_000 {
            kept.take(Stream::Stdout, format!("line {number}\n").as_bytes());
        }
        let (missing, lines) = kept.since(0);
        let lines: Vec<_> = lines.collect();
        assert_eq!(missing + lines.len() as u64, kept.next());
        assert_eq!(lines.last().unwrap().1, "line 99999");
        assert!(kept.bytes <= MOST_BYTES);
    }
}
