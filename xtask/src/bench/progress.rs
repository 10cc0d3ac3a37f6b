//! How far a campaign is: one line of a terminal that is written again and again.

use std::{
    io::{IsTerminal, Write},
    time::Instant,
};

/// A campaign under way.
pub(super) struct Progress {
    begun: Instant,
    /// Seconds that all of it takes.
    estimate: f64,
}

impl Progress {
    /// It begins now.
    pub(super) fn new(estimate: f64) -> Self {
        Progress { begun: Instant::now(), estimate }
    }

    /// How long it takes, in words.
    pub(super) fn estimate(&self) -> String {
        about(self.estimate)
    }

    /// What goes on, and how much longer all of it takes.
    pub(super) fn tell(&self, what: &str) {
        let left = self.estimate - self.begun.elapsed().as_secs_f64();
        let left = if left > 0.0 { format!(", {} left", about(left)) } else { String::new() };
        write_line(&format!("{what}{left}"));
    }

    /// Nothing, for what is printed next.
    pub(super) fn clear(&self) {
        write_line("");
    }

    /// Prints a table.
    pub(super) fn show(&self, table: &str) {
        self.clear();
        println!("{table}");
    }
}

fn write_line(text: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let end = if text.is_empty() { "\r" } else { "" };
        write!(stderr, "\r{text:<70}{end}").and_then(|()| stderr.flush()).ok();
    }
}

fn about(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("about {:.0} s", (seconds / 10.0).ceil() * 10.0),
        _ => format!("about {:.0} min", (seconds / 60.0).ceil()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words() {
        assert_eq!(about(3.0), "about 10 s");
        assert_eq!(about(90.0), "about 2 min");
        assert_eq!(about(3_000.0), "about 50 min");
    }
}
