//! Reading answers as they come, and no more of them than where they end.

use std::{
    fmt,
    io::{self, Read},
};

use anyhow::{Context, Result, ensure};

/// The longest head of an answer.
const LONGEST_HEAD: usize = 64 * 1024;
/// What a chunked body ends with, after a chunk or a head.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// One answer with status 200, of which so much has come.
#[derive(Default)]
pub(super) struct Answer {
    /// The head, and what came with it; behind it, what the end of chunks is recognised by.
    text: Vec<u8>,
    left: Option<Body>,
    /// The head in small letters.
    pub(super) head: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Body {
    Bytes(usize),
    Chunks,
}

/// An answer, but not the one that was asked for.
#[derive(Debug)]
pub(super) struct OtherStatus {
    pub(super) status: u16,
    head: String,
}

impl Answer {
    /// Reads until the answer is complete, or for now nothing more comes (`false`).
    pub(super) fn read(&mut self, stream: &mut impl Read, buffer: &mut [u8]) -> Result<bool> {
        loop {
            let count = match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                result => result?,
            };
            ensure!(count > 0, "the connection ended");
            if self.add(&buffer[..count])? {
                return Ok(true);
            }
        }
    }

    /// Takes what has come; whether that was the last of it.
    fn add(&mut self, bytes: &[u8]) -> Result<bool> {
        match &mut self.left {
            None => {
                self.text.extend_from_slice(bytes);
                self.read_head()?;
            }
            Some(Body::Bytes(left)) => {
                *left = left.checked_sub(bytes.len()).context("more bytes than announced")?;
            }
            Some(Body::Chunks) => {
                self.text.extend_from_slice(&bytes[bytes.len().saturating_sub(LAST_CHUNK.len())..]);
                let surplus = self.text.len().saturating_sub(LAST_CHUNK.len());
                self.text.drain(..surplus);
            }
        }
        Ok(match self.left {
            None => false,
            Some(Body::Bytes(left)) => left == 0,
            Some(Body::Chunks) => self.text.ends_with(LAST_CHUNK),
        })
    }

    fn read_head(&mut self) -> Result<()> {
        let Some(end) = self.text.windows(4).position(|four| four == b"\r\n\r\n") else {
            ensure!(self.text.len() < LONGEST_HEAD, "a head of {} bytes", self.text.len());
            return Ok(());
        };
        let head = std::str::from_utf8(&self.text[..end])?.to_ascii_lowercase();
        let status = head.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.with_context(|| format!("no status: {head}"))?;
        if status != 200 {
            return Err(OtherStatus { status, head }.into());
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        self.left = Some(match length {
            None => Body::Chunks,
            Some(length) => {
                let length: usize = length.trim().parse()?;
                let there = self.text.len() - end - 4;
                Body::Bytes(length.checked_sub(there).context("more bytes than announced")?)
            }
        });
        self.head = head;
        Ok(())
    }
}

/// Reads one answer; its head in small letters. What does not come within the time of the stream
/// is an error.
pub(super) fn read_answer(stream: &mut impl Read, buffer: &mut [u8]) -> Result<String> {
    let mut answer = Answer::default();
    if !answer.read(stream, buffer)? {
        return Err(io::Error::from(io::ErrorKind::TimedOut).into());
    }
    Ok(answer.head)
}

impl fmt::Display for OtherStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)
    }
}

impl std::error::Error for OtherStatus {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_say() {
        for size in [1, 2, 7, 64] {
            let read = |mut bytes: &[u8]| read_answer(&mut bytes, &mut vec![0; size]).is_ok();
            assert!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
            assert!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
            assert!(!read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"));
            assert!(!read(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"));
            assert!(read(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
            assert!(!read(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n5\r\nhello\r\n0\r\n\r"));
            let long =
                [&b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nff\r\n"[..], &[b'a'; 255], b"\r\n0\r\n\r\n"];
            assert!(read(&long.concat()));
        }
        let more = &b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhello"[..];
        assert!(read_answer(&mut { more }, &mut [0; 64]).is_err());
    }
}
