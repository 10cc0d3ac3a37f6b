//! Answers before the answer: what a backend says before its last word, and who waits for it.

use crate::support::backend::{Backend, Peer, Proxy, field, wait_for_end};
use crate::support::client::Client;
use crate::support::{PATIENCE, Site};

/// A backend that sends the same bytes to every request.
fn sends(raw: impl Into<Vec<u8>>, piece: usize) -> Backend {
    let raw = raw.into();
    Backend::start(move |mut peer, _| {
        while peer.request().is_some() {
            for part in raw.chunks(piece) {
                peer.send(part);
            }
        }
    })
}

const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn interim_answers_arrive_before_the_last_one_in_order() {
    let raw = format!(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink: </b>\r\n\
         Connection: close\r\nContent-Length: 5\r\n\r\nHTTP/1.1 199 Own words\r\n\r\n{LAST}"
    );
    for piece in [1, 2, 7, 1000] {
        let backend = sends(raw.as_str(), piece);
        let site = Site::start(Proxy::to(backend.address));
        let mut client = site.connect();
        for _ in 0..3 {
            client.get("/");
            assert_eq!(client.head().head, "HTTP/1.1 102 Processing");
            let hints = client.head().head;
            // Nothing of ours, and nothing that is between us and the backend.
            assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink: </b>");
            assert_eq!(client.head().head, "HTTP/1.1 199 Own words");
            assert_eq!(client.response().text(), "hello");
        }
        assert_eq!(backend.accepted(), 1, "the connection serves on");
    }
}

#[test]
fn a_client_of_http_1_0_gets_no_interim_answers() {
    let backend = sends(format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{LAST}"), 1000);
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
}

#[test]
fn many_interim_answers_at_once_pass() {
    // As many as are passed on, and more than the buffers hold.
    let count = 1000;
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: </{}>\r\n\r\n", "a".repeat(2000));
    let raw = hint.repeat(count) + LAST;
    let backend = sends(raw, usize::MAX);
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    client.get("/");
    for _ in 0..count {
        assert_eq!(client.head().status, 103);
    }
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn a_backend_that_breaks_off_after_an_interim_answer_is_a_502() {
    let backend = Backend::start(|mut peer, _| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 2");
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    client.post("/", b"once only");
    assert_eq!(client.head().status, 103);
    assert_eq!(client.response().status, 502);
}

fn ask(client: &mut Client) {
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
}

fn take_body(peer: &mut Peer) {
    assert_eq!(peer.0.bytes(4), b"body");
    peer.send(LAST);
}

#[test]
fn the_backends_100_is_what_the_client_waits_for() {
    let backend = Backend::start(|mut peer, _| {
        while let Some(head) = peer.request() {
            assert_eq!(field(&head, "expect"), Some("100-continue"));
            // Once more than anybody asked for.
            peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
            take_body(&mut peer);
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    for _ in 0..3 {
        ask(&mut client);
        assert_eq!(client.head().head, "HTTP/1.1 100 Continue");
        client.send("body");
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(backend.accepted(), 1);
}

#[test]
fn a_backend_that_knows_no_100_gets_its_body_nevertheless() {
    let backend = Backend::start(|mut peer, _| {
        while peer.request().is_some() {
            take_body(&mut peer);
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    ask(&mut client);
    assert_eq!(client.head().status, 100);
    client.send("body");
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn a_client_that_does_not_wait_for_100_is_not_told_to_go_on() {
    let backend = Backend::start(|mut peer, _| {
        while peer.request().is_some() {
            assert_eq!(peer.0.bytes(4), b"body");
            peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            peer.send(LAST);
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    for _ in 0..20 {
        ask(&mut client);
        client.send("body");
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_body_that_the_backend_refuses_is_not_asked_for() {
    let backend = Backend::start(|mut peer, _| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
            let _ = wait_for_end(&mut peer);
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    ask(&mut client);
    let response = client.response();
    // Whether the body will come now, nobody knows.
    assert_eq!((response.status, response.field("connection")), (413, Some("close")));
    client.expect_end();
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}
