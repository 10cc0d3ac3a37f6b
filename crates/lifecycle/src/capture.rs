//! What a report quotes of a stream: its first characters while a start lasts, and its last lines
//! always. Bounded, whatever is written.

use std::collections::VecDeque;

/// How much a report keeps of the beginning of each stream, as in the module.
pub const OUTPUT_LIMIT_CHARS: usize = 30_000;
/// How many lines are kept from the end.
const LAST_LINES: usize = 200;
/// Longer lines are kept up to here; somebody may write megabytes without a line end.
const LINE_BYTES: usize = 2_000;

/// A bounded memory of one stream.
#[derive(Debug, Default)]
pub struct Capture {
    beginning: Beginning,
    /// Of what came after the beginning.
    tail: Tail,
}

impl Capture {
    /// Takes what was written next.
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        let rest = self.beginning.take(bytes);
        self.tail.take(rest);
    }

    /// The start is over: what comes now is not about it, and its memory is given back.
    pub fn on_ready(&mut self) {
        self.beginning = Beginning::full();
    }

    /// The beginning, and the last lines if there was more; what is missing between them is said.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.beginning.bytes).into_owned();
        let mut push = |line: &str| {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(line);
        };
        if self.tail.dropped > 0 && !self.beginning.bytes.is_empty() {
            push(&format!("[{} lines are left out]", self.tail.dropped));
        }
        self.tail.lines().iter().for_each(|line| push(line));
        text
    }
}

/// The first characters of a stream.
#[derive(Debug)]
struct Beginning {
    bytes: Vec<u8>,
    /// Characters that still fit.
    room: usize,
}

impl Default for Beginning {
    fn default() -> Self {
        Self { bytes: Vec::new(), room: OUTPUT_LIMIT_CHARS }
    }
}

impl Beginning {
    fn full() -> Self {
        Self { bytes: Vec::new(), room: 0 }
    }

    /// Takes what fits and returns the rest.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        for (at, byte) in bytes.iter().enumerate() {
            // A byte that continues a character needs no room of its own.
            let continues = byte & 0b1100_0000 == 0b1000_0000 && !self.bytes.is_empty();
            match self.room.checked_sub(usize::from(!continues)) {
                Some(room) if self.bytes.len() < 4 * OUTPUT_LIMIT_CHARS => self.room = room,
                _ => {
                    // Once it is full it stays so: what comes later is no beginning.
                    self.room = 0;
                    return &bytes[at..];
                }
            }
            self.bytes.push(*byte);
        }
        &[]
    }
}

/// The last lines of a stream.
#[derive(Debug, Default)]
struct Tail {
    complete: VecDeque<Vec<u8>>,
    open: Vec<u8>,
    dropped: u64,
}

impl Tail {
    fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LINE_BYTES.saturating_sub(self.open.len());
            self.open.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() == part.len() {
                continue;
            }
            if self.complete.len() == LAST_LINES {
                self.complete.pop_front();
                self.dropped += 1;
            }
            self.complete.push_back(std::mem::take(&mut self.open));
        }
    }

    fn lines(&self) -> Vec<String> {
        let open = Some(&self.open).filter(|line| !line.is_empty());
        let text = |line: &Vec<u8>| String::from_utf8_lossy(line).trim_end().to_owned();
        self.complete.iter().chain(open).map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nat_36_nat_38_nat_44_the_beginning_is_counted_in_characters_and_the_end_follows_it() {
        let mut capture = Capture::default();
        capture.on_bytes("é".repeat(OUTPUT_LIMIT_CHARS - 1).as_bytes());
        let last = "é".as_bytes();
        capture.on_bytes(&last[..1]);
        capture.on_bytes(&last[1..]);
        assert_eq!(capture.text().chars().count(), OUTPUT_LIMIT_CHARS);
        capture.on_bytes(b"more\nlast\n");
        assert!(capture.text().ends_with("é\nmore\nlast"));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let mut capture = Capture::default();
        capture.on_bytes(&[b'a'; OUTPUT_LIMIT_CHARS]);
        for number in 0..LAST_LINES + 5 {
            capture.on_bytes(format!("line {number}\n").as_bytes());
        }
        let text = capture.text();
        assert!(text.contains("a\n[5 lines are left out]\nline 5\n"), "{text}");
    }

    #[test]
    fn after_the_start_only_the_end_is_kept() {
        let mut capture = Capture::default();
        capture.on_bytes(b"starting\n");
        capture.on_ready();
        for number in 0..10_000 {
            capture.on_bytes(format!("line {number}\n").as_bytes());
        }
        let text = capture.text();
        assert!(text.starts_with("line 9800\n") && text.ends_with("line 9999"), "{text}");
    }

    #[test]
    fn garbage_is_bounded_in_both_directions() {
        let mut tail = Tail::default();
        tail.take(&[b'x'; 10 * LINE_BYTES]);
        assert_eq!(tail.lines().last().map(String::len), Some(LINE_BYTES));
        // Bytes that continue no character take no room, so they are bounded by their number.
        let mut capture = Capture::default();
        capture.on_bytes(&[0x80; 10 * OUTPUT_LIMIT_CHARS]);
        assert!(capture.beginning.bytes.len() <= 4 * OUTPUT_LIMIT_CHARS);
    }
}
