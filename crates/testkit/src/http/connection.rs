//! One connection to a server.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Instant,
};

use super::{Head, Piece, Request, Response, request::encode_chunk, response::Framing};
use crate::wait::patience;

/// A connection; bytes that were read and not used yet are kept.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the current body is still to come.
    rest: Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Done,
    Chunks,
    Length(u64),
    UntilClose,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("cannot connect: {error}"))
    }

    /// Connects, unless that is refused.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.set_write_timeout(Some(patience()))?;
        Ok(Self { stream, buffer: Vec::new(), rest: Rest::Done })
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes what is sent");
    }

    /// Sends these bytes, unless the server has gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends one chunk of a request body; an empty one ends it.
    pub fn send_chunk(&mut self, data: &[u8]) {
        if data.is_empty() { self.send(b"0\r\n\r\n") } else { self.send(encode_chunk(data)) }
    }

    /// Sends a request and reads the response.
    pub fn request(&mut self, request: &Request) -> Response {
        self.send(request.to_bytes());
        self.response_to(request.method())
    }

    /// GET.
    pub fn get(&mut self, target: &str) -> Response {
        self.request(&Request::get(target))
    }

    /// Says that nothing more will be sent; nothing to say when the server has reset the connection.
    pub fn finish_sending(&mut self) {
        match self.stream.shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => panic!("{error}"),
            _ => {}
        }
    }

    /// A second handle, for a thread that sends while this one reads.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("a descriptor is left")
    }

    /// Reads a whole response to a request with this method.
    pub fn response_to(&mut self, method: &str) -> Response {
        let head = self.head_of(method);
        let mut body = Vec::new();
        while let Some(piece) = self.piece() {
            body.extend_from_slice(&piece.bytes);
        }
        Response { head, body }
    }

    /// Reads a whole response to GET or POST.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads status and headers; the body follows by [`Connection::piece`].
    pub fn head(&mut self) -> Head {
        self.head_of("GET")
    }

    /// The same for a request with this method. Interim responses other than 101 are skipped.
    pub fn head_of(&mut self, method: &str) -> Head {
        assert_eq!(self.rest, Rest::Done, "the body before was not read");
        loop {
            let head = self.raw_head();
            if matches!(head.status, 100 | 102..=199) {
                continue;
            }
            self.rest = match head.framing(method) {
                Framing::Chunked => Rest::Chunks,
                Framing::Close => Rest::UntilClose,
                Framing::Length(0) | Framing::None => Rest::Done,
                Framing::Length(length) => Rest::Length(length),
            };
            return head;
        }
    }

    /// Reads one head, whatever it is.
    pub fn raw_head(&mut self) -> Head {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            let got = self.fill().expect("a response arrives in time");
            assert!(got > 0, "closed before a head; got {:?}", self.seen());
        };
        let head = String::from_utf8(self.buffer[..end].to_vec()).expect("a head is text");
        self.buffer.drain(..end + 4);
        Head::parse(&head)
    }

    /// Reads the next part of the body as it was sent: a chunk, or what one read returned.
    pub fn piece(&mut self) -> Option<Piece> {
        self.try_piece().unwrap_or_else(|broken| panic!("{broken}"))
    }

    /// The same; a body that breaks off is an error.
    pub fn try_piece(&mut self) -> Result<Option<Piece>, String> {
        let bytes = match self.rest {
            Rest::Done => return Ok(None),
            Rest::Chunks => self.chunk()?,
            Rest::Length(left) => {
                if self.buffer.is_empty() && self.fill_or_say()? == 0 {
                    return Err(format!("closed with {left} bytes missing"));
                }
                let count = left.min(self.buffer.len() as u64);
                self.rest = if left == count { Rest::Done } else { Rest::Length(left - count) };
                self.buffer.drain(..count as usize).collect()
            }
            Rest::UntilClose => {
                if self.buffer.is_empty() && self.fill_or_say()? == 0 {
                    self.rest = Rest::Done;
                    return Ok(None);
                }
                std::mem::take(&mut self.buffer)
            }
        };
        let is_end = self.rest == Rest::Done && bytes.is_empty();
        Ok((!is_end).then(|| Piece { at: Instant::now(), bytes }))
    }

    fn chunk(&mut self) -> Result<Vec<u8>, String> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|_| format!("chunk size {line:?}"))?;
        if size == 0 {
            while !self.line()?.is_empty() {}
            self.rest = Rest::Done;
            return Ok(Vec::new());
        }
        while self.buffer.len() < size + 2 {
            if self.fill_or_say()? == 0 {
                return Err(format!("closed within a chunk of {size} bytes"));
            }
        }
        let data = self.buffer[..size].to_vec();
        if &self.buffer[size..size + 2] != b"\r\n" {
            return Err("no line end behind a chunk".to_owned());
        }
        self.buffer.drain(..size + 2);
        Ok(data)
    }

    fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|bytes| bytes == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                self.buffer.drain(..at + 2);
                return Ok(line);
            }
            if self.fill_or_say()? == 0 {
                return Err(format!("closed between chunks; got {:?}", self.seen()));
            }
        }
    }

    /// Exactly this many bytes of whatever comes after a 101.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            let got = self.fill().expect("the bytes arrive in time");
            assert!(got > 0, "closed with {} of {count} bytes", self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    /// Whether the server closes without sending anything more. A reset counts.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty()
            && match self.fill() {
                Ok(count) => count == 0,
                Err(error) => is_reset(&error),
            }
    }

    /// Whether nothing more comes but the end, and that no reset.
    pub fn is_ended(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.fill(), Ok(0))
    }

    /// Everything up to the end of the connection, as it came; a reset ends it too.
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if is_reset(&error) => break,
                Err(error) => panic!("waited for the end: {error}; got {:?}", self.seen()),
            }
        }
        std::mem::take(&mut self.buffer)
    }

    /// What comes when a server may answer or close: everything up to one of the two.
    pub fn rest_or_response(&mut self) -> Option<Response> {
        while !self.buffer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            match self.fill() {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if is_reset(&error) => return None,
                Err(error) => panic!("neither answered nor closed: {error}"),
            }
        }
        Some(self.response())
    }

    /// A whole response; `None` when the server closes before its end.
    pub fn rest_or_broken(&mut self) -> Option<Response> {
        let bytes = self.rest();
        let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = Head::parse(&String::from_utf8_lossy(&bytes[..end]));
        let length = head.header("Content-Length").and_then(|length| length.parse().ok());
        let body = bytes[end + 4..].to_vec();
        (length == Some(body.len())).then_some(Response { head, body })
    }

    /// Whether a head comes before the end of the connection.
    pub fn answers(&mut self) -> bool {
        while !self.buffer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            match self.fill() {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if is_reset(&error) => return false,
                Err(error) => panic!("neither answered nor closed: {error}"),
            }
        }
        true
    }

    /// What comes next, whatever it is; empty at the end of the connection. A reset ends it too.
    pub fn raw_bytes(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            match self.fill() {
                Ok(_) => {}
                Err(error) if is_reset(&error) => {}
                Err(error) => panic!("waited for bytes: {error}"),
            }
        }
        std::mem::take(&mut self.buffer)
    }

    /// Whether bytes have arrived that nobody asked for.
    pub fn has_unread(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn fill_or_say(&mut self) -> Result<usize, String> {
        self.fill().map_err(|error| format!("{error}; got {:?}", self.seen()))
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    let count = result?;
                    self.buffer.extend_from_slice(&piece[..count]);
                    return Ok(count);
                }
            }
        }
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(500)]).into_owned()
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
    )
}
