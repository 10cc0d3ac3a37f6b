//! Backends that misbehave, or just go away.

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use crate::support::backend::{Backend, Proxy, field};
use crate::support::{PATIENCE, Site, eventually, pattern};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_backend_that_closes_after_each_answer_costs_no_errors() {
    // Some say so before, some do not.
    for head in ["Connection: close\r\n", ""] {
        let backend = Backend::start(move |mut peer, _| {
            if peer.request().is_some() {
                peer.send(format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 2\r\n\r\nok"));
            }
        });
        let site = Site::start(Proxy::to(backend.address));
        let mut client = site.connect();
        for _ in 0..200 {
            client.get("/");
            let response = client.response();
            assert_eq!((response.status, response.text().as_str()), (200, "ok"), "{head:?}");
        }
    }
}

/// The end comes together with the answer: the connection must not be used again.
#[test]
fn an_answer_and_the_end_in_one_event_cost_no_errors() {
    let (closed, has_closed) = mpsc::channel();
    let closed = std::sync::Mutex::new(closed);
    let backend = Backend::start(move |mut peer, _| {
        if peer.request().is_some() {
            peer.send(OK);
            peer.0.half_close();
            closed.lock().unwrap().send(()).unwrap();
            while peer.request().is_some() {}
        }
    });
    let site = Site::with(Proxy::by_socket(backend.address), 1, |_| {});
    let mut client = site.connect();
    for _ in 0..100 {
        client.post("/", b"not to be sent twice");
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
        has_closed.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn many_idle_connections_that_died_at_once_cost_no_errors() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let close = Arc::new(AtomicBool::new(false));
    let closing = close.clone();
    let backend = Backend::on(listener, move |mut peer, number| {
        while peer.request().is_some() {
            if number < 20 && closing.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
            peer.send(OK);
        }
    });
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut clients: Vec<_> = (0..20).map(|_| site.connect()).collect();
    for client in &mut clients {
        client.get("/");
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    close.store(true, Ordering::SeqCst);
    for client in &mut clients {
        client.get("/");
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_backend_that_dies_in_its_answer_breaks_the_client_off() {
    for body in ["Content-Length: 100\r\n\r\npart", "Transfer-Encoding: chunked\r\n\r\n9\r\npart"] {
        let backend = Backend::start(move |mut peer, _| {
            peer.request();
            // In one segment with the end, as far as we can.
            peer.send(format!("HTTP/1.1 200 OK\r\n{body}"));
        });
        let site = Site::with(Proxy::to(backend.address), 1, |_| {});
        for _ in 0..100 {
            let mut client = site.connect();
            client.get("/");
            client.ends_in_any_way();
        }
    }
}

#[test]
fn an_answer_that_is_none_is_502() {
    for raw in ["rubbish\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n"] {
        let backend = Backend::start(move |mut peer, _| {
            peer.request();
            peer.send(raw);
            while peer.request().is_some() {}
        });
        let site = Site::start(Proxy::to(backend.address));
        let mut client = site.connect();
        client.get("/");
        assert_eq!(client.response().status, 502, "{raw:?}");
        client.get("/again");
        assert_eq!(client.response().status, 502, "{raw:?}");
    }
}

#[test]
fn a_post_is_not_sent_twice() {
    let backend = Backend::start(|mut peer, _| {
        peer.request();
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    client.post("/", b"once");
    assert_eq!(client.response().status, 502);
    assert_eq!(backend.accepted(), 1);
}

#[test]
fn what_may_be_repeated_is_sent_once_more_if_its_body_is_there() {
    for (method, body, is_whole, status) in [
        ("PUT", "body", true, 200),
        ("DELETE", "", true, 200),
        ("PUT", "body", false, 502),
        ("PATCH", "body", true, 502),
    ] {
        let (came, has_come) = mpsc::channel();
        let came = std::sync::Mutex::new(came);
        let backend = Backend::start(move |mut peer, number| {
            let Some(head) = peer.request() else { return };
            came.lock().unwrap().send(()).unwrap();
            let length = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
            assert_eq!(peer.0.bytes(length), body.as_bytes());
            if number > 0 {
                peer.send(OK);
            }
        });
        let site = Site::with(Proxy::by_socket(backend.address), 1, |_| {});
        let waker = site.engine.waker();
        let mut client = site.connect();
        let head =
            format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        if is_whole {
            client.send(format!("{head}{body}"));
        } else {
            client.send(head);
            has_come.recv_timeout(PATIENCE).unwrap();
            client.send(body);
        }
        let stop = AtomicBool::new(false);
        let got = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    waker.wake();
                    std::thread::yield_now();
                }
            });
            let got = client.response().status;
            stop.store(true, Ordering::SeqCst);
            got
        });
        assert_eq!(
            (got, backend.accepted()),
            (status, if status == 200 { 2 } else { 1 }),
            "{method}"
        );
    }
}

/// An idle connection that was just closed says nothing of the backend, so it does not count for the new
/// one that follows: that may meet a backend that is dying. Beyond that the request is what ends them.
#[test]
fn a_repeat_that_fails_is_repeated_if_the_first_was_on_an_old_connection() {
    for (dies_until, method, status, connections) in
        [(1, "GET", 200, 3), (2, "GET", 502, 3), (0, "GET", 200, 2), (0, "POST", 502, 1)]
    {
        let backend = Backend::start(move |mut peer, number| {
            let Some(head) = peer.request() else { return };
            if head.starts_with("GET /first") {
                peer.send(OK);
                // The second is taken, and never answered.
                peer.request();
            } else if number > dies_until {
                peer.send(OK);
            }
        });
        let proxy = Proxy::by_socket(backend.address);
        let rules = proxy.rules.clone();
        let site = Site::with(proxy, 1, |_| {});
        let mut client = site.connect();
        client.get("/first");
        assert_eq!(client.response().status, 200);
        client.send(format!("{method} /second HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        let got = (client.response().status, backend.accepted());
        assert_eq!(got, (status, connections), "{method} {dies_until}: {:?}", rules.failures);
    }
}

#[test]
fn a_backend_that_refuses_is_502_in_the_end_and_says_why() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::by_socket(address);
    let rules = proxy.rules.clone();
    let site = Site::start(proxy);
    let waker = site.engine.waker();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                waker.wake();
                std::thread::yield_now();
            }
        });
        let mut client = site.connect();
        client.post("/", b"body");
        let response = client.response();
        stop.store(true, Ordering::SeqCst);
        assert_eq!(response.status, 502);
        assert!(response.text().contains("Connect: Connection refused"), "{}", response.text());
    });
    assert_eq!(rules.lost.load(Ordering::SeqCst), 5);
}

#[test]
fn a_backend_that_comes_late_is_found() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::to(address);
    let rules = proxy.rules.clone();
    let site = Site::start(proxy);
    let mut client = site.connect();
    client.get("/late");
    eventually("a refusal", || rules.lost.load(Ordering::SeqCst) > 0);
    let _backend = Backend::on(TcpListener::bind(address).unwrap(), |peer, _| peer.serve());
    site.engine.waker().wake();
    assert_eq!(client.response().text(), "/late");
}

#[test]
fn an_early_answer_ends_the_upload() {
    let backend = Backend::start(|mut peer, _| {
        peer.request();
        peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
        peer.0.half_close();
        while !peer.0.try_bytes().is_empty() {}
    });
    let site = Site::start(Proxy::to(backend.address));
    for len in [500_000, 20_000_000] {
        let mut client = site.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n"));
        client.try_send(pattern(len));
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (413, "big"), "{len}");
    }
}

/// One transfer at full speed must not have the lane to itself.
#[test]
fn a_large_transfer_does_not_keep_others_waiting() {
    let (sender, receiver) = mpsc::channel::<()>();
    let receiver = std::sync::Mutex::new(Some(receiver));
    let backend = Backend::start(move |mut peer, _| {
        while let Some(head) = peer.request() {
            if head.starts_with("GET /endless") {
                peer.send("HTTP/1.1 200 OK\r\n\r\n");
                let stop = receiver.lock().unwrap().take().unwrap();
                let piece = vec![1; 256 * 1024];
                while stop.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    if peer.0.stream.write_all(&piece).is_err() {
                        break;
                    }
                }
                return;
            }
            peer.send(OK);
        }
    });
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut large = site.connect();
    large.send("GET /endless HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    large.head();
    let mut sink = large.stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut sink, &mut std::io::sink()));
    for _ in 0..20 {
        assert_eq!(site.get("/").text(), "ok");
    }
    sender.send(()).unwrap();
    reader.join().unwrap().unwrap();
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}
