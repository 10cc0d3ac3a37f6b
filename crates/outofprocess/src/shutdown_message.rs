//! The message by which the module asks a backend to stop: one POST with its own event field.

use std::io;
use std::time::{Duration, Instant};

use engine::UpstreamAddress;

use crate::ask::ask;

/// What the middleware answers when it has begun to stop.
pub(crate) const ACCEPTED: u16 = 202;

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
    let request = request(to, path_base, token);
    ask(to, request.as_bytes(), Instant::now() + limit, &|| true).map(|(status, _)| status)
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
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
