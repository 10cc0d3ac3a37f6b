//! Fields behind bodies, on their way to handlers, backends and clients.

use crate::support::backend::{Backend, Peer, Proxy};
use crate::support::handler::{Call, Handler};
use crate::support::{Does, Site, respond};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const LAST: &str = "0\r\nA: 1\r\nContent-Length: 9\r\na:  2\t\r\nMS-ASPNETCORE-EVENT: x\r\n\r\n";

#[test]
fn trailers_that_came_with_the_head_are_there_at_once() {
    let site = Site::start(Does(|exchange: &mut ancm_engine::Exchange<'_>| {
        let trailers: Vec<_> = exchange.request().trailers().collect();
        let text = trailers.iter().map(|(name, value)| {
            format!("{}={} ", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        });
        respond(exchange, 200, text.collect::<String>())
    }));
    let mut client = site.connect();
    for _ in 0..3 {
        client.send(format!("{HEAD}3\r\nabc\r\n{LAST}"));
        assert_eq!(client.response().text(), "A=1 a=2 ");
        client.get("/");
        assert_eq!(client.response().text(), "", "another request has none of them");
    }
}

#[test]
fn a_handler_that_has_read_the_end_finds_the_trailers() {
    let site = Site::start(Handler::new(4, |call: Call| {
        let (body, _) = call.read_all(100);
        let text = format!("{} {:?}", body.len(), call.trailers());
        call.answer(200, text.as_bytes());
    }));
    let mut client = site.connect();
    for _ in 0..20 {
        client.send(HEAD);
        client.send("3\r\nabc\r\n");
        for byte in LAST.as_bytes() {
            client.send([*byte]);
        }
        assert_eq!(client.response().text(), "3 [\"A=1\", \"a=2\"]");
    }
}

/// Everything up to the end of a body in chunks, as it came.
fn raw_body(peer: &mut Peer) -> String {
    let mut body = String::new();
    while !body.ends_with("\r\n\r\n") {
        body.push(char::from(peer.0.bytes(1)[0]));
    }
    body
}

#[test]
fn request_trailers_reach_the_backend() {
    let backend = Backend::start(|mut peer, _| {
        while peer.request().is_some() {
            let body = raw_body(&mut peer);
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    let sent = format!("{HEAD}3\r\nabc\r\n{LAST}");
    for cut in [0, HEAD.len(), HEAD.len() + 8, sent.len() - 20, sent.len() - 1] {
        client.send(&sent[..cut]);
        client.wait_a_little_for_bytes();
        client.send(&sent[cut..]);
        assert_eq!(client.response().text(), "3\r\nabc\r\n0\r\nA: 1\r\na: 2\r\n\r\n", "{cut}");
    }
    assert_eq!(backend.accepted(), 1);
}

#[test]
fn response_trailers_reach_the_client() {
    let head = "HTTP/1.1 200 OK\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n";
    for piece in [1, 7, 1000] {
        let backend = Backend::start(move |mut peer, _| {
            while peer.request().is_some() {
                for part in format!("{head}3\r\nabc\r\n{LAST}").as_bytes().chunks(piece) {
                    peer.send(part);
                }
            }
        });
        let site = Site::start(Proxy::to(backend.address));
        let mut client = site.connect();
        for _ in 0..2 {
            client.get("/");
            let response = client.head();
            assert_eq!(response.field("trailer"), Some("A"));
            let mut body = Vec::new();
            loop {
                let line = client.line();
                let size = usize::from_str_radix(&line, 16).unwrap();
                if size == 0 {
                    break;
                }
                body.extend(client.bytes(size));
                assert_eq!(client.line(), "");
            }
            let trailers = [client.line(), client.line(), client.line()];
            assert_eq!((&body[..], trailers), (&b"abc"[..], ["A: 1", "a: 2", ""].map(Into::into)));
        }
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.response().body, b"abc", "where there are no chunks, no trailers");
        assert_eq!(backend.accepted(), 1);
    }
}

#[test]
fn broken_response_trailers_break_the_answer() {
    for bad in ["A : 1\r\n\r\n", "A\r\n\r\n", " A: 1\r\n\r\n", "A: 1\n\r\n", "A: \0\r\n\r\n"] {
        let backend = Backend::start(move |mut peer, _| {
            if peer.request().is_some() {
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
                peer.send(format!("0\r\n{bad}"));
            }
        });
        let site = Site::start(Proxy::to(backend.address));
        let mut client = site.connect();
        client.get("/");
        let raw = client.try_everything();
        assert!(!raw.ends_with(b"0\r\n\r\n"), "{bad:?}: {}", raw.escape_ascii());
    }
}
