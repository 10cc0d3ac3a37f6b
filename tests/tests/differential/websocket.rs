//! Enough of a WebSocket client to see what a server does.

use testkit::{Connection, http::Head};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
// Masking hides nothing from anybody; any key will do.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The key and the answer of RFC 6455, 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    Binary(Vec<u8>),
    Close(u16, String),
}

pub(crate) struct WebSocket {
    connection: Connection,
    buffer: Vec<u8>,
}

impl WebSocket {
    /// The request for an upgrade, with more header lines.
    pub(crate) fn request(target: &str, more: &str) -> String {
        format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n"
        )
    }

    /// Opens one.
    pub(crate) fn open(mut connection: Connection, target: &str, more: &str) -> (Self, Head) {
        connection.send(Self::request(target, more));
        Self::opened(connection)
    }

    /// Reads the answer to a request that was sent.
    pub(crate) fn opened(mut connection: Connection) -> (Self, Head) {
        let head = connection.raw_head();
        assert_eq!(head.status, 101, "{head:?}");
        assert_eq!(head.header("Sec-WebSocket-Accept"), Some(ACCEPT));
        assert!(head.header("Upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")));
        assert_eq!(head.header("Connection"), Some("Upgrade"));
        assert_eq!(head.header("Content-Length"), None);
        assert_eq!(head.header("Transfer-Encoding"), None);
        (Self { connection, buffer: Vec::new() }, head)
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(FINAL | TEXT, text.as_bytes());
    }

    pub(crate) fn send_binary(&mut self, data: &[u8]) {
        self.send(FINAL | BINARY, data);
    }

    pub(crate) fn send_close(&mut self, code: u16, reason: &str) {
        self.send(FINAL | CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat());
    }

    fn send(&mut self, first: u8, data: &[u8]) {
        self.connection.send(frame(first, data));
    }

    /// Ends our side without the words of the protocol.
    pub(crate) fn finish_sending(&mut self) {
        self.connection.finish_sending();
    }

    /// Sends all at once; they may arrive in one piece with whatever is before.
    pub(crate) fn send_texts(&mut self, texts: &[&str]) {
        let frames: Vec<u8> = texts.iter().flat_map(|text| frame_of_text(text)).collect();
        self.connection.send(frames);
    }

    /// A text message.
    pub(crate) fn text(&mut self) -> String {
        match self.message() {
            Message::Text(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The next frame as it comes: its first byte and what it carries.
    pub(crate) fn short_frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.take(2);
        assert!(head[1] < 126, "a frame without a long length");
        (head[0], self.take(head[1].into()))
    }

    /// The next message, its parts joined; answers to pings are not asked for here.
    pub(crate) fn message(&mut self) -> Message {
        let mut kind = 0;
        let mut data = Vec::new();
        loop {
            let head = self.take(2);
            assert_eq!(head[1] & MASKED, 0, "servers do not mask");
            let length = match head[1] {
                126 => u16::from_be_bytes(self.take(2).try_into().expect("two bytes")).into(),
                127 => u64::from_be_bytes(self.take(8).try_into().expect("eight bytes")),
                length => length.into(),
            };
            let part = self.take(length as usize);
            match head[0] & 0x0f {
                9 | 10 => continue,
                CLOSE => {
                    let code =
                        part.get(..2).map_or(0, |code| u16::from_be_bytes([code[0], code[1]]));
                    let reason = part.get(2..).unwrap_or_default();
                    return Message::Close(code, String::from_utf8_lossy(reason).into_owned());
                }
                0 => {}
                other => kind = other,
            }
            data.extend_from_slice(&part);
            if head[0] & FINAL != 0 {
                break;
            }
        }
        match kind {
            TEXT => Message::Text(String::from_utf8(data).expect("texts are text")),
            _ => Message::Binary(data),
        }
    }

    /// Whether the server closes the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && self.connection.is_closed()
    }

    /// Whether the server ends the connection in order; a reset does not count.
    pub(crate) fn is_ended(&mut self) -> bool {
        self.buffer.is_empty() && self.connection.is_ended()
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            let more = self.connection.raw_bytes();
            assert!(!more.is_empty(), "closed within a message");
            self.buffer.extend_from_slice(&more);
        }
        self.buffer.drain(..count).collect()
    }
}

/// A text message as a client sends it.
pub(crate) fn frame_of_text(text: &str) -> Vec<u8> {
    frame(FINAL | TEXT, text.as_bytes())
}

fn frame(first: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match data.len() {
        length @ 0..=125 => frame.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(data.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
