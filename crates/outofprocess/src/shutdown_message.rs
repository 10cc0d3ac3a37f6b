//! The message by which the module asks a backend to stop: one POST with its own event field.
//!
//! A client of thirty lines on purpose: one request, one connection, and of the answer nothing but
//! the status matters.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use engine::UpstreamAddress;

use crate::transport::Stream;

/// What the middleware answers when it has begun to stop.
pub(crate) const ACCEPTED: u16 = 202;

/// More than any status line needs.
const HEAD_LIMIT: usize = 4096;

/// Sends the message and returns the status of the answer.
///
/// # Errors
///
/// There is no listener, no answer within `limit`, or it is not HTTP.
pub(crate) fn send(
    to: &UpstreamAddress,
    path_base: &str,
    token: &str,
    limit: Duration,
) -> io::Result<u16> {
    let deadline = Instant::now() + limit;
    let mut stream = Stream::connect(to, left(deadline)?)?;
    stream.set_write_timeout(left(deadline)?)?;
    stream.write_all(request(to, path_base, token).as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 512];
    while answer.len() < HEAD_LIMIT {
        stream.set_read_timeout(left(deadline)?)?;
        let count = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..count]);
        if count == 0 || answer.contains(&b'\n') {
            break;
        }
    }
    status(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not HTTP"))
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn request(to: &UpstreamAddress, path_base: &str, token: &str) -> String {
    let host = match to {
        UpstreamAddress::Tcp(address) => address.to_string(),
        UpstreamAddress::Unix(_) => "localhost".to_owned(),
    };
    format!(
        "POST {path_base}/iisintegration HTTP/1.1\r\n\
         Host: {host}\r\n\
         MS-ASPNETCORE-EVENT: shutdown\r\n\
         MS-ASPNETCORE-TOKEN: {token}\r\n\
         Content-Length: 0\r\n\
         Connection: close\r\n\r\n"
    )
}

fn status(answer: &[u8]) -> Option<u16> {
    let digits = answer.strip_prefix(b"HTTP/1.")?.get(1..5)?;
    std::str::from_utf8(digits).ok()?.strip_prefix(' ')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn the_request_is_the_modules() {
        let to = &UpstreamAddress::Tcp("127.0.0.1:5".parse().unwrap());
        assert!(
            request(to, "", "t")
                .starts_with("POST /iisintegration HTTP/1.1\r\nHost: 127.0.0.1:5\r\n")
        );
        assert!(request(to, "/a/b", "t").starts_with("POST /a/b/iisintegration "));
    }

    #[test]
    fn only_a_status_line_has_a_status() {
        for (answer, expected) in [
            ("HTTP/1.1 202 Accepted\r\n", Some(202)),
            ("HTTP/1.0 400\r\n", Some(400)),
            ("HTTP/1.1 20", None),
            ("SSH-2.0-OpenSSH", None),
            ("", None),
        ] {
            assert_eq!(status(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn the_answers_status_is_returned() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = UpstreamAddress::Tcp(listener.local_addr().unwrap());
        let backend = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            let mut piece = [0; 1024];
            while !seen.ends_with(b"\r\n\r\n") {
                let count = stream.read(&mut piece).unwrap();
                seen.extend_from_slice(&piece[..count]);
            }
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").unwrap();
            String::from_utf8(seen).unwrap()
        });
        assert_eq!(send(&address, "/shop", "secret", Duration::from_secs(5)).unwrap(), ACCEPTED);
        let seen = backend.join().unwrap();
        assert!(
            seen.contains("\r\nMS-ASPNETCORE-EVENT: shutdown\r\nMS-ASPNETCORE-TOKEN: secret\r\n")
        );
    }

    #[test]
    fn a_backend_that_does_not_answer_costs_no_more_than_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = UpstreamAddress::Tcp(listener.local_addr().unwrap());
        let error = send(&address, "/", "t", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
        drop(listener);
        assert!(send(&address, "/", "t", Duration::from_millis(50)).is_err());
    }
}
