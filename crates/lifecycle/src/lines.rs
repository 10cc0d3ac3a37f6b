//! Streams of several writers that become one: a line belongs to one of them alone.
//!
//! Each writer's bytes go through its [`Lines`], which passes whole lines on, and what they become one
//! in has a [`Seam`]. What a reader would get wrong: a line that nobody ends must not be kept for long,
//! for it may be a question or a sign of life. So it is passed on unfinished after a while, and is
//! broken, not mixed, when another writes before it goes on.

use std::time::{Duration, Instant};

/// How long the rest of a line is waited for.
const PATIENCE: Duration = Duration::from_millis(200);
/// A longer line is passed on in pieces.
const LONGEST: usize = 64 << 10;

/// One writer's stream.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
    since: Option<Instant>,
}

impl Lines {
    /// Takes what was written next, and passes on what is whole.
    pub fn take(&mut self, bytes: &[u8], now: Instant, mut pass: impl FnMut(&[u8])) {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let (whole, rest) = bytes.split_at(whole);
        if !whole.is_empty() {
            if self.begun.is_empty() {
                pass(whole);
            } else {
                self.begun.extend_from_slice(whole);
                self.pass_rest(&mut pass);
            }
        }
        if !rest.is_empty() {
            self.begun.extend_from_slice(rest);
            self.since.get_or_insert(now);
            if self.begun.len() >= LONGEST {
                self.pass_rest(pass);
            }
        }
    }

    /// When a line that was begun is to be passed on as it is; `None` when there is none.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + PATIENCE)
    }

    /// Passes on a line that was begun, if it has waited for long enough.
    pub fn pass_due(&mut self, now: Instant, pass: impl FnMut(&[u8])) {
        if self.due().is_some_and(|due| due <= now) {
            self.pass_rest(pass);
        }
    }

    /// Passes on a line that was begun: nothing follows.
    pub fn pass_rest(&mut self, mut pass: impl FnMut(&[u8])) {
        self.since = None;
        if !self.begun.is_empty() {
            pass(&self.begun);
            self.begun.clear();
            self.begun.shrink_to(1 << 10);
        }
    }
}

/// Where the streams of several writers become one.
#[derive(Debug)]
pub struct Seam<W> {
    /// Who has begun the last line and not ended it.
    open: Option<W>,
}

impl<W> Seam<W> {
    /// At the beginning of a line.
    pub const fn new() -> Self {
        Self { open: None }
    }

    /// Whether a line was begun and not ended.
    pub const fn is_within_line(&self) -> bool {
        self.open.is_some()
    }
}

impl<W> Default for Seam<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W: Copy + PartialEq> Seam<W> {
    /// What is to be written in front of the bytes of this writer: an end of the line that another has
    /// begun.
    pub fn before(&mut self, writer: W, bytes: &[u8]) -> &'static [u8] {
        let Some(last) = bytes.last() else { return b"" };
        let other = self.open.filter(|other| *other != writer);
        self.open = (*last != b'\n').then_some(writer);
        if other.is_some() { b"\n" } else { b"" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_writers_are_not_mixed() {
        let now = Instant::now();
        let (mut a, mut b, mut seam) = (Lines::default(), Lines::default(), Seam::new());
        let mut all = Vec::new();
        let mut put = |writer: char, bytes: &[u8]| {
            all.extend_from_slice(seam.before(writer, bytes));
            all.extend_from_slice(bytes);
        };
        a.take(b"one\ntw", now, |bytes| put('a', bytes));
        b.take(b"un\nde", now, |bytes| put('b', bytes));
        a.take(b"o\n", now, |bytes| put('a', bytes));
        b.take(b"ux\n", now, |bytes| put('b', bytes));
        // Who does not go on in time is not mixed either.
        a.take(b"password? ", now, |bytes| put('a', bytes));
        a.pass_due(now, |_| panic!("too early"));
        assert_eq!((a.due(), b.due()), (Some(now + PATIENCE), None));
        a.pass_due(now + PATIENCE, |bytes| put('a', bytes));
        assert_eq!(a.due(), None);
        a.take(b"...", now, |bytes| put('a', bytes));
        a.pass_rest(|bytes| put('a', bytes));
        b.take(b"trois\n", now, |bytes| put('b', bytes));
        assert_eq!(all, b"one\nun\ntwo\ndeux\npassword? ...\ntrois\n");
    }

    #[test]
    fn a_line_without_an_end_does_not_take_all_memory() {
        let (mut lines, mut passed) = (Lines::default(), 0);
        for _ in 0..100 {
            lines.take(&[b'x'; 10_000], Instant::now(), |bytes| passed += bytes.len());
            assert!(lines.begun.len() < LONGEST);
        }
        lines.pass_rest(|bytes| passed += bytes.len());
        assert_eq!(passed, 1_000_000);
    }
}
