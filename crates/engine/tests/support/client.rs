//! A client that sends exactly what it is told and understands just enough of an answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and fields, without the empty line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        // A Unix socket in the clothes of a stream over TCP has nothing to delay.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.stream.write_all(bytes.as_ref()) {
            panic!("the engine takes no bytes: {error}");
        }
    }

    /// As `send`, for an engine that may have closed.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    #[track_caller]
    pub(crate) fn post(&mut self, path: &str, body: &[u8]) {
        let len = body.len();
        self.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n"));
        self.send(body);
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Leaves with a reset.
    pub(crate) fn reset(self) {
        let fd = std::os::fd::OwnedFd::from(self.stream);
        os::socket::Socket::from_fd(fd).reset_on_close();
    }

    /// Waits for a byte, but not long.
    pub(crate) fn wait_a_little_for_bytes(&mut self) {
        self.stream.set_read_timeout(Some(std::time::Duration::from_millis(2))).unwrap();
        let _ = self.stream.read(&mut [0; 1]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// The next answer, to anything but HEAD.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        response.body = self.body_of(&response);
        response
    }

    /// The text of a head, whatever it is; `None` when the connection ends or fails before.
    pub(crate) fn try_head_text(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let head = self.buffer.drain(..at + 4).collect::<Vec<_>>();
                return String::from_utf8(head).ok();
            }
            let mut piece = [0; 4096];
            let count = self.stream.read(&mut piece).ok().filter(|count| *count > 0)?;
            self.buffer.extend_from_slice(&piece[..count]);
        }
    }

    /// Some bytes; none when the connection has ended or failed.
    pub(crate) fn try_bytes(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            let mut piece = vec![0; 64 * 1024];
            let count = self.stream.read(&mut piece).unwrap_or(0);
            piece.truncate(count);
            return piece;
        }
        std::mem::take(&mut self.buffer)
    }

    /// Everything up to the end of the connection, a reset being one.
    pub(crate) fn try_everything(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = self.try_bytes();
            if bytes.is_empty() {
                return all;
            }
            all.extend(bytes);
        }
    }

    /// The connection ends soon, whatever comes before.
    #[track_caller]
    pub(crate) fn ends_in_any_way(&mut self) {
        self.ends_by_reset();
    }

    /// A head without looking for a body.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            assert!(
                self.fill() > 0,
                "the connection ended in a head: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        };
        let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
        self.buffer.drain(..end + 4);
        let status = head.get(9..12).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {head}"));
        Response { status, head, body: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn body_of(&mut self, response: &Response) -> Vec<u8> {
        if response.status < 200 || matches!(response.status, 204 | 304) {
            return Vec::new();
        }
        if let Some(length) = response.field("content-length") {
            return self.bytes(length.parse().unwrap());
        }
        if response.field("transfer-encoding").is_some() {
            let mut body = Vec::new();
            loop {
                let chunk = self.chunk();
                if chunk.is_empty() {
                    return body;
                }
                body.extend_from_slice(&chunk);
            }
        }
        self.rest()
    }

    /// A line, without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = self.buffer.drain(..at + 2).collect::<Vec<_>>();
                return String::from_utf8(line[..at].to_vec()).unwrap();
            }
            assert!(self.fill() > 0, "the connection ended in a line");
        }
    }

    /// One chunk, the last one being empty.
    #[track_caller]
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let size = self.line();
        let size = usize::from_str_radix(&size, 16)
            .unwrap_or_else(|_| panic!("not the size of a chunk: {size:?}"));
        let mut chunk = self.bytes(size + 2);
        assert_eq!(chunk.split_off(size), b"\r\n", "a chunk ends with its line");
        chunk
    }

    #[track_caller]
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            let there = self.buffer.len();
            assert!(self.fill() > 0, "the connection ended after {there} of {count} bytes");
        }
        self.buffer.drain(..count).collect()
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.buffer)
    }

    /// The connection ends, properly or by reset, and nothing comes before.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let mut byte = [0; 1];
        assert!(self.buffer.is_empty(), "unexpected: {:?}", self.buffered());
        match self.stream.read(&mut byte) {
            Ok(0) => {}
            Ok(_) => panic!("a byte came instead of the end: {byte:?}"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection does not end: {error}"),
        }
    }

    /// Whether the connection has ended with a reset; waits for its end.
    #[track_caller]
    pub(crate) fn ends_by_reset(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
                Err(error) => panic!("the connection does not end: {error}"),
            }
        }
    }

    fn buffered(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    #[track_caller]
    fn fill(&mut self) -> usize {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                count
            }
            Err(error) => panic!("nothing comes ({error}); so far: {:?}", self.buffered()),
        }
    }
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
