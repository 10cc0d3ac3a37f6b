//! Requests of our own to one backend, past the engine: the message to stop, pages that warm it up, and
//! whether it is ready.
//!
//! A client of few lines on purpose: one request, one connection, and of the answer the status.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use engine::UpstreamAddress;

use crate::transport::Stream;

/// More than any head needs, with those of interim answers.
const HEAD_LIMIT: usize = 64 << 10;

/// How often is looked whether the answer is wanted still.
const SLICE: Duration = Duration::from_millis(50);

/// Sends `request` and waits for the status of its final answer, until `deadline` or until it is not
/// wanted any more.
///
/// # Errors
///
/// There is no listener, no answer in time, or it is not HTTP.
pub(crate) fn ask(
    to: &UpstreamAddress,
    request: &[u8],
    deadline: Instant,
    is_wanted: &dyn Fn() -> bool,
) -> io::Result<(u16, Asked)> {
    let mut stream = Stream::connect(to, left(deadline)?)?;
    stream.set_write_timeout(left(deadline)?)?;
    stream.write_all(request)?;
    let mut asked = Asked(stream);
    let mut answer = Vec::new();
    loop {
        match asked.read(&mut answer, deadline, is_wanted)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if answer.len() > HEAD_LIMIT => return Err(not_http()),
            _ => {}
        }
        if let Some(status) = status(&answer) {
            return Ok((status?, asked));
        }
    }
}

/// A connection whose answer has begun.
pub(crate) struct Asked(Stream);

impl Asked {
    /// Takes the rest of the answer until `deadline`: who answers may stop when nobody listens.
    pub(crate) fn finish(mut self, deadline: Instant, is_wanted: &dyn Fn() -> bool) {
        let mut rest = Vec::new();
        while self.read(&mut rest, deadline, is_wanted).is_ok_and(|count| count > 0) {
            rest.clear();
        }
    }

    fn read(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Instant,
        is_wanted: &dyn Fn() -> bool,
    ) -> io::Result<usize> {
        let mut piece = [0; 4096];
        loop {
            self.0.set_read_timeout(left(deadline)?.min(SLICE))?;
            match self.0.read(&mut piece) {
                Ok(count) => {
                    into.extend_from_slice(&piece[..count]);
                    return Ok(count);
                }
                Err(error) if is_pause(&error) && is_wanted() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Nothing came in time.
pub(crate) fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// The status of the final answer, once it is there.
fn status(answer: &[u8]) -> Option<io::Result<u16>> {
    let mut rest = answer;
    loop {
        let line = rest.get(..rest.iter().position(|byte| *byte == b'\n')?)?;
        let digits = line.strip_prefix(b"HTTP/1.").and_then(|line| line.get(1..5));
        let digits = digits.and_then(|digits| str::from_utf8(digits).ok()?.strip_prefix(' '));
        let Some(status) = digits.and_then(|digits| digits.parse::<u16>().ok()) else {
            return Some(Err(not_http()));
        };
        if status >= 200 {
            return Some(Ok(status));
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
        rest = &rest[end + 4..];
    }
}

fn not_http() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not HTTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_status_line_has_a_status() {
        for (answer, expected) in [
            ("HTTP/1.1 202 Accepted\r\n", Some(Some(202))),
            ("HTTP/1.0 400\r\n", Some(Some(400))),
            ("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 X\r\n", Some(Some(204))),
            ("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", None),
            ("HTTP/1.1 20", None),
            ("SSH-2.0-OpenSSH\r\n", Some(None)),
            ("", None),
        ] {
            assert_eq!(status(answer.as_bytes()).map(Result::ok), expected, "{answer}");
        }
    }
}
