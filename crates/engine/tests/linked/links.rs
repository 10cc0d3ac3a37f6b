//! Links and their ends: what a backend may do to one, and what that costs whom.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use ancm_engine::{Upstream, UpstreamAddress};

use crate::support::backend::{Backend, Proxy, Rules};
use crate::support::link::{CLOSE, CREDIT, DATA, OPEN, WINDOW, frame, place, read_frame};
use crate::support::{PATIENCE, Site, eventually, pattern};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Takes links one after the other, each with its number, from 0.
fn takes_links(script: impl Fn(UnixStream, usize) + Send + 'static) -> PathBuf {
    let path = place();
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for (number, link) in listener.incoming().enumerate() {
            script(link.unwrap(), number);
        }
    });
    path
}

fn proxy(link: PathBuf) -> Proxy {
    let rules = Arc::new(Rules::default());
    // Nobody listens there: what goes to the address fails.
    let address = UpstreamAddress::Unix(link.with_extension("sock"));
    let upstream = Upstream { id: 1, address, link: Some(link), rules: rules.clone() };
    Proxy { upstream: Arc::new(upstream), rules }
}

/// Answers what comes on a link, each piece of data being a request.
fn answer_all(mut link: UnixStream) {
    while let Some((number, kind, ..)) = read_frame(&mut link) {
        if kind == DATA {
            let _ = link.write_all(&frame(number, DATA, OK.len() as u32, OK));
        }
    }
}

#[test]
fn all_connections_of_a_lane_share_one_link() {
    let (links, linked) = mpsc::channel();
    let path = takes_links(move |link, _| {
        links.send(()).unwrap();
        thread::spawn(|| answer_all(link));
    });
    let site = Site::with(proxy(path), 1, |_| {});
    let mut clients: Vec<_> = (0..50).map(|_| site.connect()).collect();
    for _ in 0..4 {
        clients.iter_mut().for_each(|client| client.get("/"));
        for client in &mut clients {
            assert_eq!(client.response().text(), "ok");
        }
    }
    assert_eq!(linked.try_iter().count(), 1);
}

#[test]
fn what_no_backend_may_send_costs_its_link_and_nothing_else() {
    let bad = [
        frame(0, 9, 0, b""),
        frame(0, OPEN, 0, b""),
        frame(77, DATA, 1, b"x"),
        frame(77, CREDIT, 1, b""),
        frame(77, CLOSE, 0, b""),
        frame(0, CREDIT, WINDOW, b""),
        frame(0, DATA, WINDOW + 1, &[b'x'; WINDOW as usize + 1]),
    ];
    let count = bad.len();
    let path = takes_links(move |mut link, at| {
        if at >= bad.len() {
            thread::spawn(|| answer_all(link));
            return;
        }
        while let Some((_, kind, ..)) = read_frame(&mut link) {
            if kind == DATA {
                link.write_all(&bad[at]).unwrap();
                break;
            }
        }
        // The engine closes it.
        while read_frame(&mut link).is_some() {}
    });
    let proxy = proxy(path);
    let rules = proxy.rules.clone();
    let site = Site::with(proxy, 1, |_| {});
    for _ in 0..count {
        let mut client = site.connect();
        client.post("/", b"once");
        assert_eq!(client.response().status, 502);
    }
    assert_eq!(site.get("/").text(), "ok");
    let failures = rules.failures.lock().unwrap();
    assert_eq!(failures.len(), count);
    assert!(failures.iter().all(|text| text.contains("link")), "{failures:?}");
}

#[test]
fn more_than_was_granted_costs_the_link() {
    let (ended, thread_ended) = mpsc::channel();
    let path = takes_links(move |mut link, _| {
        while let Some((number, kind, ..)) = read_frame(&mut link) {
            if kind == DATA {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
                let _ = link.write_all(&frame(number, DATA, head.len() as u32, head));
                break;
            }
        }
        // Never looks at the credit.
        while link.write_all(&frame(0, DATA, 50_000, &[b'x'; 50_000])).is_ok() {}
        ended.send(()).unwrap();
    });
    let proxy = proxy(path);
    let rules = proxy.rules.clone();
    let site = Site::with(proxy, 1, |_| {});
    let mut client = site.connect();
    client.get("/");
    // It does not read before the lane has read all it could.
    thread_ended.recv_timeout(PATIENCE).unwrap();
    client.ends_in_any_way();
    eventually("the report", || !rules.failures.lock().unwrap().is_empty());
    assert!(rules.failures.lock().unwrap()[0].contains("granted"), "{:?}", rules.failures);
}

#[test]
fn what_is_said_on_a_channel_unasked_is_nobodys_answer() {
    let (said, has_said) = mpsc::channel();
    let path = takes_links(move |mut link, _| {
        while let Some((number, kind, ..)) = read_frame(&mut link) {
            if kind == DATA {
                link.write_all(&frame(number, DATA, OK.len() as u32, OK)).unwrap();
                let late = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate";
                link.write_all(&frame(number, DATA, late.len() as u32, late)).unwrap();
                said.send(()).unwrap();
            }
        }
    });
    let site = Site::with(proxy(path), 1, |_| {});
    let mut client = site.connect();
    for _ in 0..200 {
        client.get("/");
        assert_eq!(client.response().text(), "ok");
        has_said.recv_timeout(PATIENCE).unwrap();
    }
}

/// Whoever closes says how much the server has taken: what it has not seen can go elsewhere.
#[test]
fn a_post_that_no_server_has_seen_is_sent_again_and_any_other_is_not() {
    for (seen, status) in [(0, 200), (1, 502)] {
        let path = takes_links(move |mut link, _| {
            thread::spawn(move || {
                let mut is_first = true;
                while let Some((number, kind, _, bytes)) = read_frame(&mut link) {
                    // The body may come apart from its head, and to a channel that is closed by then.
                    if kind != DATA || !bytes.starts_with(b"POST ") {
                        continue;
                    }
                    let reply = match std::mem::take(&mut is_first) {
                        true => frame(number, CLOSE, seen, b""),
                        false => frame(number, DATA, OK.len() as u32, OK),
                    };
                    let _ = link.write_all(&reply);
                }
            });
        });
        let site = Site::with(proxy(path), 1, |_| {});
        let mut client = site.connect();
        // In one piece: of a body that comes later, what has gone to a server is not kept.
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nonce");
        assert_eq!(client.response().status, status, "{seen} bytes seen");
    }
}

#[test]
fn the_end_of_a_link_comes_behind_the_answers_on_it() {
    let path = takes_links(move |mut link, _| {
        let mut numbers = Vec::new();
        while numbers.len() < 2 {
            let (number, kind, ..) = read_frame(&mut link).unwrap();
            if kind == DATA {
                numbers.push(number);
            }
        }
        let whole = frame(numbers[0], DATA, OK.len() as u32, OK);
        let part = frame(numbers[1], DATA, 10, &OK[..10]);
        link.write_all(&[whole, part].concat()).unwrap();
    });
    let site = Site::with(proxy(path), 1, |_| {});
    let mut clients = [site.connect(), site.connect()];
    clients.iter_mut().for_each(|client| client.post("/", b"x"));
    let mut statuses = clients.map(|mut client| client.response().status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
}

#[test]
fn a_slow_client_takes_no_more_than_its_channel_and_nobody_else_waits_for_it() {
    let body = pattern(20 * 1024 * 1024);
    let expected = body.clone();
    let backend = Backend::start(move |mut peer, _| {
        while let Some(head) = peer.request() {
            let body = if head.starts_with("GET /large") { &body[..] } else { b"ok" };
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
            peer.send(body);
        }
    });
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut slow = site.connect();
    slow.get("/large");
    let head = slow.head();
    for _ in 0..200 {
        assert_eq!(site.get("/").text(), "ok");
    }
    assert!(slow.body_of(&head) == expected, "the body is another");
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}
