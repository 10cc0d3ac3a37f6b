//! A WebSocket client as far as tests need one: whole frames, exact bytes.

use crate::{Connection, Request, http::Head};

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// An open WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    connection: Connection,
    /// The head of the 101.
    pub head: Head,
}

impl WebSocket {
    /// The request that asks for one.
    pub fn request(target: &str) -> Request {
        Request::get(target)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// Opens one on a fresh connection.
    ///
    /// # Panics
    ///
    /// The answer is not a 101 with the value that belongs to the key.
    pub fn open(mut connection: Connection, target: &str) -> Self {
        connection.send(Self::request(target).to_bytes());
        let head = connection.head();
        assert_eq!(head.status, 101, "{head:?}");
        // The answer to the key above, from RFC 6455 1.3.
        assert_eq!(head.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Self { connection, head }
    }

    /// Sends a frame that ends its message.
    pub fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut bytes = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..126 => bytes.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.connection.send(bytes);
    }

    /// Sends a text.
    pub fn send_text(&mut self, text: &str) {
        self.send(1, text.as_bytes());
    }

    /// Receives a frame.
    pub fn receive(&mut self) -> Frame {
        let head = self.connection.take(2);
        let length = match head[1] {
            126 => self.number(2),
            127 => self.number(8),
            length => {
                assert!(length < 126, "a server does not mask");
                u64::from(length)
            }
        };
        let length = usize::try_from(length).expect("a frame fits into memory");
        Frame { opcode: head[0] & 0x0f, payload: self.connection.take(length) }
    }

    /// The connection below.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn number(&mut self, bytes: usize) -> u64 {
        self.connection.take(bytes).into_iter().fold(0, |all, byte| all << 8 | u64::from(byte))
    }
}
