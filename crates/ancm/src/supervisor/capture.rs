//! What a report quotes of a stream: its beginning until the application is ready, and its end.

use std::collections::VecDeque;

use lifecycle::report::OUTPUT_LIMIT_CHARS;

/// A character takes at most this many bytes.
const HEAD_BYTES: usize = OUTPUT_LIMIT_CHARS * 4;
const TAIL_BYTES: usize = 16 << 10;

/// A bounded memory of one stream.
#[derive(Debug, Default)]
pub(super) struct Capture {
    head: Vec<u8>,
    is_head_closed: bool,
    tail: VecDeque<u8>,
}

impl Capture {
    pub(super) fn on_bytes(&mut self, bytes: &[u8]) {
        if !self.is_head_closed {
            let room = HEAD_BYTES.saturating_sub(self.head.len());
            self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        let kept = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let excess = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        self.tail.extend(kept);
    }

    /// The start is over: what comes now is not about it, and its memory is given back.
    pub(super) fn on_ready(&mut self) {
        self.is_head_closed = true;
        self.head = Vec::new();
    }

    /// The beginning of the stream while the start lasts, its end afterwards.
    pub(super) fn text(&self) -> String {
        if !self.is_head_closed {
            return String::from_utf8_lossy(&self.head).chars().take(OUTPUT_LIMIT_CHARS).collect();
        }
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        match bytes.len() == TAIL_BYTES {
            // The first line is cut.
            true => text.split_once('\n').map_or("", |(_, rest)| rest).to_owned(),
            false => text.into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_kept_until_ready_then_the_end() {
        let mut capture = Capture::default();
        capture.on_bytes("ä".repeat(OUTPUT_LIMIT_CHARS).as_bytes());
        capture.on_bytes("the end\n".repeat(1000).as_bytes());
        assert_eq!(capture.text(), "ä".repeat(OUTPUT_LIMIT_CHARS));
        capture.on_ready();
        for number in 0..10_000 {
            capture.on_bytes(format!("line {number}\n").as_bytes());
        }
        let text = capture.text();
        assert!(text.starts_with("line ") && text.ends_with("line 9999\n"), "{text}");
        assert!(text.len() <= TAIL_BYTES);
    }
}
