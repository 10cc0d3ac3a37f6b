//! Backends that do not keep to HTTP. What they say ends as a 502 or as an answer that is visibly
//! not whole, and never as somebody else's answer.

use std::os::unix::net::UnixListener;
use std::sync::mpsc;

use ancm_engine::UpstreamAddress;

use crate::support::backend::{Backend, Peer, Proxy, Rules, field};
use crate::support::client::find;
use crate::support::{PATIENCE, Site, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What would be taken for an answer if anybody read it.
const SMUGGLED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";

/// The number at the end of a request's target.
fn number(head: &str) -> usize {
    let target = head.split(' ').nth(1).unwrap();
    target.rsplit('/').next().unwrap().parse().unwrap()
}

/// All that a client gets to one request.
fn everything(site: &Site, method: &str, target: &str) -> String {
    let mut client = site.connect();
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ));
    String::from_utf8_lossy(&client.try_everything()).into_owned()
}

#[test]
fn an_answer_that_is_cut_anywhere_is_502_or_visibly_not_whole() {
    let whole = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX: y\r\n\r\n0123456789",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;e=1\r\n01234\r\n5\r\n56789\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 10\r\n\r\n0123456789",
    ];
    for raw in whole {
        let backend = Backend::start(move |mut peer, _| {
            while let Some(head) = peer.request() {
                peer.send(&raw.as_bytes()[..number(&head)]);
                if number(&head) < raw.len() {
                    return;
                }
            }
        });
        let site = Site::start(Proxy::to(backend.address));
        let head_len = raw.rfind("\r\n\r\n0").or_else(|| raw.find("\r\n\r\n5")).unwrap() + 4;
        for cut in 0..=raw.len() {
            let before = backend.accepted();
            let answer = everything(&site, "POST", &format!("/{cut}"));
            let answer =
                answer.strip_prefix("HTTP/1.1 103 Early\r\nLink: a\r\n\r\n").unwrap_or(&answer);
            if cut < head_len {
                assert!(answer.starts_with("HTTP/1.1 502 "), "cut at {cut}: {answer:?}");
                assert!(answer.contains("Head: the backend closed"), "cut at {cut}: {answer:?}");
            } else if cut < raw.len() {
                let is_chunked = answer.contains("chunked");
                let ends = if is_chunked { "0\r\nX: y\r\n\r\n" } else { "0123456789" };
                assert!(!answer.ends_with(ends), "cut at {cut}: {answer:?}");
                assert!(!answer.contains("0\r\n\r\n"), "cut at {cut}: {answer:?}");
            } else {
                assert!(answer.contains("0123456789") || answer.contains("56789"), "{answer:?}");
            }
            assert!(backend.accepted() <= before + 1, "sent twice, cut at {cut}");
        }
    }
}

#[test]
fn what_is_no_answer_is_502_and_names_the_fault() {
    let heads = [
        ("rubbish\r\n\r\n", "malformed"),
        ("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "malformed"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "malformed"),
        ("HTTP/1.1 -20 OK\r\n\r\n", "malformed"),
        ("HTTP/2.0 200 OK\r\n\r\n", "malformed"),
        ("http/1.1 200 OK\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n012345", "malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n012345", "malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n01234", "malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "malformed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "malformed",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\nok", "malformed"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "malformed"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\r\n X: b\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", "malformed"),
        ("HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n", "switched protocols without being asked"),
    ];
    for (at, (raw, fault)) in heads.into_iter().enumerate() {
        let backend = Backend::start(move |mut peer, _| {
            while peer.request().is_some() {
                peer.send(raw);
            }
        });
        let proxy = Proxy::to(backend.address);
        let site = Site::with(proxy, 1, |_| {});
        for _ in 0..2 {
            let answer = everything(&site, "GET", &format!("/{at}"));
            assert!(answer.starts_with("HTTP/1.1 502 "), "{raw:?}: {answer:?}");
            assert!(answer.contains(fault), "{raw:?}: {answer:?}");
            assert!(answer.contains("Head: "), "{raw:?}: {answer:?}");
        }
        // It was its word, so nobody asked again; and nobody uses the connection any more.
        assert_eq!(backend.accepted(), 2, "{raw:?}");
    }
}

#[test]
fn a_head_without_end_has_a_limit() {
    let pieces: [&'static str; 3] = ["X: y\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "x"];
    for (at, piece) in pieces.into_iter().enumerate() {
        let (ended, has_ended) = mpsc::channel();
        let ended = std::sync::Mutex::new(ended);
        let backend = Backend::start(move |mut peer, _| {
            let Some(_) = peer.request() else { return };
            if at != 1 {
                peer.send("HTTP/1.1 200 OK\r\n");
            }
            let many = piece.repeat(1000);
            while peer.0.try_send(&many) {}
            ended.lock().unwrap().send(()).unwrap();
        });
        let site = Site::start(Proxy::to(backend.address));
        let answer = everything(&site, "GET", "/");
        assert!(
            answer.contains("HTTP/1.1 502 "),
            "{piece:?}: {}",
            &answer[..answer.len().min(300)]
        );
        has_ended.recv_timeout(PATIENCE).expect("the backend is let go");
        drop(site);
    }
}

/// Heads that come in drops are parsed when a line ends, not for each drop.
#[test]
fn a_large_head_may_come_in_drops() {
    let backend = Backend::start(move |mut peer, _| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: ");
            for _ in 0..2000 {
                peer.send("0123456789");
            }
            peer.send("\r");
            peer.send("\n\r");
            peer.send("\nok");
        }
    });
    let site = Site::start(Proxy::to(backend.address));
    let answer = site.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.field("x").unwrap().len(), 20_000);
}

#[test]
fn chunks_that_are_none_break_the_answer_off() {
    let chunks = [
        "x\r\nok\r\n0\r\n\r\n",
        "2\nok\r\n0\r\n\r\n",
        "2\r\nokk\r\n0\r\n\r\n",
        "-2\r\nok\r\n0\r\n\r\n",
        "0x2\r\nok\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nok\r\n",
        " 2\r\nok\r\n0\r\n\r\n",
        "2\r\nok0\r\n\r\n",
        "2\r\nok\r\n0\r\nbad trailer\r\n\r\n",
        "2\r\nok\r\n0\r\nX : y\r\n\r\n",
    ];
    for (at, body) in chunks.into_iter().enumerate() {
        let backend = Backend::start(move |mut peer, _| {
            while peer.request().is_some() {
                peer.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
            }
        });
        let proxy = Proxy::to(backend.address);
        let rules = proxy.rules.clone();
        let site = Site::start(proxy);
        let answer = everything(&site, "GET", &format!("/{at}"));
        assert!(!answer.contains("0\r\n\r\n") || answer.contains(" 502 "), "{body:?}: {answer:?}");
        let failures = rules.failures.lock().unwrap();
        assert!(
            failures[0].starts_with("Body: the backend's chunks are malformed"),
            "{failures:?}"
        );
    }
}

/// Serves one request after the other: HEAD and conditional ones with a body that has no place, at
/// once or when the next request comes.
fn say_more(mut peer: Peer, at_once: bool) {
    let mut late = "";
    while let Some(head) = peer.request() {
        peer.send(late);
        let answer = match number(&head) {
            204 => "HTTP/1.1 204 No Content\r\nContent-Length: 40\r\n\r\n",
            205 => "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            304 => "HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n",
            _ if head.starts_with("HEAD") => "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n",
            _ => {
                peer.send(OK);
                continue;
            }
        };
        peer.send(answer);
        late = SMUGGLED;
        if at_once {
            peer.send(std::mem::take(&mut late));
        }
    }
}

#[test]
fn a_body_that_has_no_place_is_nobodys_answer() {
    for at_once in [true, false] {
        let backend = Backend::start(move |peer, _| say_more(peer, at_once));
        let site = Site::with(Proxy::to(backend.address), 1, |_| {});
        let mut client = site.connect();
        for (method, path, status) in
            [("HEAD", "/0", 200), ("GET", "/204", 204), ("GET", "/205", 204), ("GET", "/304", 304)]
        {
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(client.head().status, status, "{method} {path}");
            client.get("/1");
            assert_eq!(client.response().text(), "ok", "after {method} {path}");
            let mut other = site.connect();
            other.post("/2", b"body");
            assert_eq!(other.response().text(), "ok", "after {method} {path}");
        }
    }
}

#[test]
fn what_comes_behind_an_answer_is_nobodys_answer() {
    for raw in [OK, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"] {
        let backend = Backend::start(move |mut peer, _| {
            while let Some(head) = peer.request() {
                let length = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
                peer.0.bytes(length);
                peer.send(format!("{raw}{SMUGGLED}"));
            }
        });
        let site = Site::with(Proxy::to(backend.address), 1, |_| {});
        let mut client = site.connect();
        for at in 0..10 {
            match at % 2 {
                0 => client.get("/"),
                _ => client.post("/", b"body"),
            }
            assert_eq!(client.response().text(), "ok");
        }
        assert_eq!(backend.accepted(), 10);
    }
}

/// As servers do that tell an idle connection of its end: with a 408.
#[test]
fn what_a_backend_says_unasked_is_nobodys_answer() {
    let (said, has_said) = mpsc::channel();
    let said = std::sync::Mutex::new(said);
    let backend = Backend::start(move |mut peer, _| {
        if peer.request().is_some() {
            peer.send(OK);
            let late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate";
            peer.send(late);
            said.lock().unwrap().send(()).unwrap();
            while peer.request().is_some() {}
        }
    });
    let site = Site::with(Proxy::by_socket(backend.address), 1, |_| {});
    let mut client = site.connect();
    for _ in 0..100 {
        client.get("/");
        assert_eq!(client.response().text(), "ok");
        has_said.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn more_than_was_announced_is_cut_and_less_is_not_whole() {
    let backend = Backend::start(|mut peer, _| {
        while let Some(head) = peer.request() {
            let announced = number(&head);
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\n\r\n0123456789"));
            if announced > 10 {
                return;
            }
        }
    });
    let proxy = Proxy::to(backend.address);
    let rules = proxy.rules.clone();
    let site = Site::with(proxy, 1, |_| {});
    let mut client = site.connect();
    for announced in [0, 1, 9, 10] {
        client.get(&format!("/{announced}"));
        assert_eq!(client.response().text(), "0123456789"[..announced], "{announced}");
    }
    let answer = everything(&site, "GET", "/11");
    assert!(find(answer.as_bytes(), b"Content-Length: 11").is_some() || answer.is_empty());
    eventually("a failure", || !rules.failures.lock().unwrap().is_empty());
    let failures = rules.failures.lock().unwrap();
    assert_eq!(*failures, ["Body: the backend closed the connection in the body of its answer"]);
}

/// The end of its side is behind bytes that nobody takes.
#[test]
fn who_leaves_in_a_body_that_the_backend_does_not_read_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.sock");
    // Takes nothing: whoever connects waits to be accepted.
    let _listener = UnixListener::bind(&path).unwrap();
    let site = Site::with(Proxy::with(UpstreamAddress::Unix(path), Rules::default()), 1, |_| {});
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    // More than the lane and the backend's socket take, and few enough for the end to come.
    client.send(vec![b'x'; 600_000]);
    drop(client);
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}
