//! Exchanges through a backend that behaves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use ancm_engine::{Exchange, Outcome};

use crate::support::backend::{Backend, Peer, Proxy, field, wait_for_end};
use crate::support::{Does, Door, PATIENCE, Site, pattern};

fn serve(peer: Peer, _number: usize) {
    peer.serve();
}

#[test]
fn one_connection_to_the_backend_serves_many_requests() {
    let backend = Backend::start(serve);
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut client = site.connect();
    for at in 0..200 {
        let path = format!("/{at}");
        if at % 3 == 0 {
            client.post(&path, b"body")
        } else {
            client.get(&path)
        }
        assert_eq!(client.response().text(), path);
    }
    assert_eq!(backend.accepted(), 1);
}

#[test]
fn clients_at_once_have_connections_of_their_own() {
    let backend = Backend::start(serve);
    let site = Site::start(Proxy::to(backend.address));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let site = &site;
            scope.spawn(move || {
                let mut client = site.connect();
                for at in 0..100 {
                    let requests: String = (0..4)
                        .map(|part| {
                            format!("GET /{thread}/{at}/{part} HTTP/1.1\r\nHost: a\r\n\r\n")
                        })
                        .collect();
                    client.send(requests);
                    for part in 0..4 {
                        assert_eq!(client.response().text(), format!("/{thread}/{at}/{part}"));
                    }
                }
            });
        }
    });
    assert!(backend.accepted() <= 16, "{} connections", backend.accepted());
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}

/// What the backend sends, as it is, and what the client must get.
fn answers(raw: &'static str, piece: usize, method: &str) -> (u16, String, Option<String>) {
    let backend = Backend::start(move |mut peer, _| {
        while peer.request().is_some() {
            for part in raw.as_bytes().chunks(piece) {
                peer.send(part);
            }
            if !raw.contains("Content-Length") && !raw.contains("chunked") {
                return;
            }
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut response = client.head();
    if method != "HEAD" {
        response.body = client.body_of(&response);
    }
    let length = response.field("content-length").map(str::to_owned);
    (response.status, response.text(), length)
}

#[test]
fn answers_in_any_framing_and_pieces_arrive() {
    let cases = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\nLink: x\r\n\r\nHTTP/1.1 100 \r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ];
    for raw in cases {
        for piece in [1, 2, 7, 1000] {
            let (status, text, _) = answers(raw, piece, "GET");
            assert_eq!((status, text.as_str()), (200, "hello"), "{raw:?} in pieces of {piece}");
        }
    }
}

#[test]
fn an_answer_that_ends_with_the_backends_connection_leaves_the_clients_open() {
    for head in ["HTTP/1.0 200 OK", "HTTP/1.1 200 OK\r\nConnection: close"] {
        let backend = Backend::start(move |mut peer, _| {
            if peer.request().is_some() {
                peer.send(format!("{head}\r\n\r\nhello"));
            }
        });
        let site = Site::start(Proxy::to(backend.address));
        let mut client = site.connect();
        for _ in 0..3 {
            client.post("/", b"body");
            let response = client.response();
            assert_eq!((response.text().as_str(), response.field("connection")), ("hello", None));
        }
        assert_eq!(backend.accepted(), 3);
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.head().field("connection"), Some("close"));
        assert_eq!(client.rest(), b"hello");
    }
}

#[test]
fn answers_without_a_body_keep_their_length() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(answers(head, 1000, "HEAD"), (200, String::new(), Some("5".into())));
    let head = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(answers(head, 1000, "GET"), (304, String::new(), Some("5".into())));
    let head = "HTTP/1.1 204 No Content\r\nX: Content-Length\r\n\r\n";
    assert_eq!(answers(head, 1000, "GET"), (204, String::new(), None));
    for length in [0, 5] {
        let head = format!("HTTP/1.1 204 No Content\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(answers(head.leak(), 1000, "GET"), (204, String::new(), None));
    }
}

/// The backend echoes while it reads; neither side waits for the other to finish.
#[test]
fn bodies_stream_both_ways_at_once() {
    let backend = Backend::start(|mut peer, _| {
        while let Some(head) = peer.request() {
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let mut left: usize = field(&head, "content-length").unwrap().parse().unwrap();
            while left > 0 {
                let bytes = peer.0.bytes(left.min(30_000));
                left -= bytes.len();
                peer.send(format!("{:x}\r\n", bytes.len()));
                peer.send(&bytes);
                peer.send("\r\n");
            }
            peer.send("0\r\n\r\n");
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let body = pattern(10_000_000);
    let mut client = site.connect();
    for _ in 0..2 {
        let mut sender = client.stream.try_clone().unwrap();
        let sent = body.clone();
        let thread = std::thread::spawn(move || {
            let head =
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len());
            std::io::Write::write_all(&mut sender, head.as_bytes()).unwrap();
            std::io::Write::write_all(&mut sender, &sent).unwrap();
        });
        assert!(client.response().body == body);
        thread.join().unwrap();
    }
    assert_eq!(backend.accepted(), 1);
}

#[test]
fn a_chunked_body_arrives_chunked() {
    let backend = Backend::start(|mut peer, _| {
        while let Some(head) = peer.request() {
            assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
            let mut body = Vec::new();
            loop {
                let chunk = peer.0.chunk();
                if chunk.is_empty() {
                    break;
                }
                body.extend(chunk);
            }
            let len = body.len();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n"));
            peer.send(body);
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    for pieces in [1, 3, 50] {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..pieces {
            client.send("5\r\n01234\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.response().text(), "01234".repeat(pieces));
    }
}

#[test]
fn what_is_held_is_forwarded_when_woken() {
    let backend = Backend::start(serve);
    let upstream = Proxy::to(backend.address).upstream;
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = ready.clone();
    let site = Site::start(Does(move |_: &mut Exchange<'_>| {
        if is_ready.load(Ordering::SeqCst) {
            Outcome::Forward(upstream.clone())
        } else {
            Outcome::Hold
        }
    }));
    let mut clients: Vec<_> = (0..20).map(|_| site.connect()).collect();
    for client in &mut clients {
        client.post("/held", b"with a body");
    }
    let gone = site.connect();
    gone.reset();
    ready.store(true, Ordering::SeqCst);
    site.engine.waker().wake();
    for client in &mut clients {
        assert_eq!(client.response().text(), "/held");
    }
}

#[test]
fn after_101_bytes_go_both_ways_until_both_ends() {
    let backend = Backend::start(|mut peer, _| {
        peer.request();
        peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\nhello");
        loop {
            let bytes = peer.0.try_bytes();
            if bytes.is_empty() {
                break;
            }
            peer.send(bytes);
        }
        // The client has ended its side; ours goes on.
        peer.send("bye");
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly");
    assert_eq!(client.head().status, 101);
    assert_eq!(client.bytes(10), b"helloearly");
    for size in [1, 1000, 500_000] {
        let bytes = pattern(size);
        let mut sender = client.stream.try_clone().unwrap();
        let sent = bytes.clone();
        let thread = std::thread::spawn(move || {
            std::io::Write::write_all(&mut sender, &sent).unwrap();
        });
        assert!(client.bytes(size) == bytes);
        thread.join().unwrap();
    }
    client.half_close();
    assert_eq!(client.rest(), b"bye");
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}

/// Whether a backend that grants CONNECT has left HTTP nobody knows: most answer it as any method.
#[test]
fn what_follows_connect_never_reaches_the_backend() {
    let (sender, came) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let sent = Door::default();
    let is_sent = sent.clone();
    let backend = Backend::start(move |mut peer, _| {
        let head = peer.request().unwrap();
        if head.starts_with("GET") {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        is_sent.pass();
        peer.send("0\r\n\r\n");
        sender.lock().unwrap().send(peer.0.try_everything()).unwrap();
    });
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut client = site.connect();
    client.send("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().head.lines().next(), Some("HTTP/1.1 200 OK"));
    assert_eq!(client.bytes(5), b"hello");
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    // The one lane has looked at those bytes when it has answered this.
    assert_eq!(site.get("/").status, 200);
    sent.open();
    assert_eq!(came.recv_timeout(PATIENCE).unwrap().escape_ascii().to_string(), "");
    client.expect_end();
}

#[test]
fn an_answer_to_connect_may_have_a_length() {
    let backend = Backend::start(|mut peer, _| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    client.send("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
    let head = client.head();
    // It would mean nothing to the client (RFC 9110 9.3.6).
    assert_eq!((head.status, head.field("content-length")), (200, None));
    assert_eq!(client.rest(), b"hello");
}

#[test]
fn a_client_that_vanishes_takes_its_backend_connection_along() {
    let (sender, ends) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let backend = Backend::start(move |mut peer, _| {
        peer.request();
        sender.lock().unwrap().send("asked").unwrap();
        wait_for_end(&mut peer).unwrap();
        sender.lock().unwrap().send("ended").unwrap();
    });
    let site = Site::start(Proxy::to(backend.address));
    for _ in 0..10 {
        let mut client = site.connect();
        client.get("/");
        assert_eq!(ends.recv_timeout(PATIENCE), Ok("asked"));
        client.reset();
        assert_eq!(ends.recv_timeout(PATIENCE), Ok("ended"));
    }
}
