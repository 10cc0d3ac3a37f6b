//! A client that reads answers as bytes and forgives nothing.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, SocketAddrV4, TcpStream},
};

use testkit::{eventually, patience};

use crate::{bytes::show, unread::unread};

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The addresses of the peer's own socket, its own first.
    peer: (SocketAddrV4, SocketAddrV4),
}

/// One answer, its body without framing.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

type Found<T> = Result<T, String>;

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.set_write_timeout(Some(patience()))?;
        let (SocketAddr::V4(here), SocketAddr::V4(there)) = (stream.local_addr()?, address) else {
            return Err(io::Error::other("the kernel is asked of IPv4 only"));
        };
        Ok(Self { stream, buffer: Vec::new(), peer: (there, here) })
    }

    /// Sends. A server that has gone is found out by what it answered.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(crate) fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Waits until the server has read what was sent: its socket holds nothing, or is gone.
    pub(crate) fn wait_until_taken(&self) {
        eventually("the server to read", || {
            let (near, far) = self.peer;
            let unread = unread(near, far).expect("the kernel tells of sockets");
            matches!(unread, None | Some(0)).then_some(())
        });
    }

    /// Reads one answer. An interim one is an answer as well.
    pub(crate) fn answer(&mut self, to_head: bool) -> Found<Answer> {
        let text = self.head()?;
        let (status, fields) = parse_head(&text)?;
        let values = |name: &str| -> Vec<&str> {
            let same = fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
            same.map(|(_, value)| value.as_str()).collect()
        };
        let body = match (&values("Content-Length")[..], &values("Transfer-Encoding")[..]) {
            _ if to_head || matches!(status, 100..=199 | 204 | 304) => Vec::new(),
            ([length], []) => {
                let length = length.parse().map_err(|_| format!("length {length:?}"))?;
                self.bytes(length)?
            }
            ([], ["chunked"]) => self.chunks()?,
            ([], []) => {
                self.end()?;
                std::mem::take(&mut self.buffer)
            }
            (lengths, codings) => return Err(format!("framed by {lengths:?} and {codings:?}")),
        };
        Ok(Answer { status, fields, body })
    }

    /// Reads so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Found<Vec<u8>> {
        while self.buffer.len() < count {
            if self.fill()? == 0 {
                return Err(format!("closed {} bytes early", count - self.buffer.len()));
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Reads to the end; what came before it stays in the buffer.
    pub(crate) fn end(&mut self) -> Found<End> {
        loop {
            match self.try_fill() {
                Ok(0) => return Ok(End::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(End::Reset),
                Err(error) => return Err(format!("not closed: {error}; {}", self.unread())),
            }
        }
    }

    /// What has come and nobody asked for.
    pub(crate) fn unread(&self) -> String {
        format!("unread: {}", show(&self.buffer))
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn head(&mut self) -> Found<String> {
        let head = self.until(b"\r\n\r\n", "a head")?;
        String::from_utf8(head).map_err(|error| format!("a head that is no text: {error}"))
    }

    fn chunks(&mut self) -> Found<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n", "a chunk size")?;
            let size = std::str::from_utf8(&line).ok();
            let size = size.and_then(|line| usize::from_str_radix(line, 16).ok());
            let size = size.ok_or_else(|| format!("chunk size {}", show(&line)))?;
            body.extend(self.bytes(size)?);
            if self.bytes(2)? != b"\r\n" {
                return Err("a chunk without line end".to_owned());
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads up to and with `end`, and drops that.
    fn until(&mut self, end: &[u8], what: &str) -> Found<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|bytes| bytes == end) {
                let found = self.buffer.drain(..at).collect();
                self.buffer.drain(..end.len());
                return Ok(found);
            }
            if self.fill().map_err(|error| format!("no {what}: {error}"))? == 0 {
                return Err(format!("closed before {what}; {}", self.unread()));
            }
        }
    }

    fn fill(&mut self) -> Found<usize> {
        self.try_fill().map_err(|error| format!("{error}; {}", self.unread()))
    }

    fn try_fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let count = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count)
    }
}

fn parse_head(text: &str) -> Found<(u16, Vec<(String, String)>)> {
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
    let status = status.and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("status line {line:?}"))?;
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("field line {line:?}"))?;
        if name.is_empty() || name.contains(char::is_whitespace) || value.contains(['\r', '\n']) {
            return Err(format!("field line {line:?}"));
        }
        Ok((name.to_owned(), value.trim().to_owned()))
    });
    Ok((status, fields.collect::<Found<_>>()?))
}
