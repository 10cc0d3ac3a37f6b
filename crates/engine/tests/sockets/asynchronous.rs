//! The contract of loadable handlers, one order of steps per test.

use std::sync::atomic::Ordering;

use abi::progress;

use crate::support::handler::{Call, Handler};
use crate::support::{PATIENCE, Site, eventually, pattern};

#[test]
fn an_answer_from_another_thread_arrives() {
    let site = Site::start(Handler::new(2, |call: Call| call.answer(200, b"hello")));
    let mut client = site.connect();
    for _ in 0..500 {
        client.get("/");
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    }
}

#[test]
fn an_answer_that_is_finished_before_dispatch_returns_arrives() {
    let site = Site::start(Handler::new(2, |call: Call| call.answer(200, b"early")));
    let mut client = site.connect();
    for _ in 0..200 {
        client.get("/finished-first");
        assert_eq!(client.response().text(), "early");
    }
}

#[test]
fn each_flush_arrives_without_the_next() {
    let site = Site::start(Handler::new(1, |mut call: Call| {
        call.head(200, None, &[("X-App", "yes")]);
        call.flush();
        for _ in 0..3 {
            // The client's word that it has the piece before.
            call.read(&mut [0]);
            call.write(b"piece");
            call.flush();
        }
        call.finish();
    }));
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.head();
    assert_eq!((head.field("x-app"), head.field("content-length")), (Some("yes"), None));
    for _ in 0..3 {
        client.send("1\r\nx\r\n");
        assert_eq!(client.chunk(), b"piece");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk(), b"");
    client.get("/again");
    client.head();
}

#[test]
fn a_large_answer_waits_for_space_and_arrives_whole() {
    let body = pattern(5_000_000);
    let expected = body.clone();
    let site = Site::start(Handler::new(2, move |mut call: Call| {
        let length = (call.path == "/length").then_some(body.len() as u64);
        call.head(200, length, &[]);
        for piece in body.chunks(50_001) {
            call.write(piece);
            call.flush();
            assert!(call.wait_for_space());
        }
        call.finish();
    }));
    let mut client = site.connect();
    for path in ["/length", "/chunks", "/length"] {
        client.get(path);
        assert!(client.response().body == expected, "{path}");
    }
}

#[test]
fn a_body_in_many_small_blocks_arrives_whole() {
    let site = Site::start(Handler::new(1, |mut call: Call| {
        let length = (call.path == "/length").then_some(1000);
        call.head(200, length, &[]);
        for at in 0..200_u8 {
            call.write_in_new_block(&[at; 5]);
        }
        call.finish();
    }));
    let expected: Vec<u8> = (0..200_u8).flat_map(|at| [at; 5]).collect();
    let mut client = site.connect();
    for path in ["/length", "/total", "/length"] {
        client.get(path);
        assert_eq!(client.response().body, expected, "{path}");
    }
}

#[test]
fn empty_blocks_between_full_ones_do_no_harm() {
    let site = Site::start(Handler::new(1, |mut call: Call| {
        call.head(200, None, &[]);
        call.flush();
        for _ in 0..100 {
            call.write_in_new_block(&[]);
        }
        call.write_in_new_block(&pattern(100_000));
        call.flush();
        for _ in 0..100 {
            call.write_in_new_block(&[]);
        }
        call.finish();
    }));
    let mut client = site.connect();
    client.get("/");
    assert!(client.response().body == pattern(100_000));
}

#[test]
fn a_request_body_is_read_as_it_comes() {
    let site = Site::start(Handler::new(2, |call: Call| {
        let (body, end) = call.read_all(4096);
        assert_eq!(end, abi::read::END);
        call.answer(200, &body);
    }));
    let body = pattern(700_000);
    let mut client = site.connect();
    for _ in 0..5 {
        client.post("/", &body);
        assert!(client.response().body == body);
    }
    for size in [1, 5, 1000, 70_000, 300_000] {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let body = &body[..size * 2];
        for piece in body.chunks(size) {
            client.send(format!("{:x}\r\n", piece.len()));
            client.send(piece);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert!(client.response().body == body, "chunks of {size}");
    }
}

#[test]
fn a_body_that_comes_byte_by_byte_is_read_whole() {
    let site = Site::start(Handler::new(2, |call: Call| {
        let (body, end) = call.read_all(7);
        assert_eq!(end, abi::read::END);
        call.answer(200, &body);
    }));
    let mut client = site.connect();
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
    for byte in request {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "abc0123456789");
    client.get("/next");
    assert_eq!(client.response().text(), "");
}

#[test]
fn a_client_that_leaves_aborts_the_wait_of_its_handler() {
    for path in ["/waits", "/writes", "/reads"] {
        let handler = Handler::new(1, move |mut call: Call| {
            match call.path.as_str() {
                "/waits" => call.wait_for_abort(),
                "/reads" => {
                    assert_eq!(call.read_all(10).1, abi::read::DISCONNECTED);
                    call.wait_for_abort();
                }
                _ => {
                    call.head(200, None, &[]);
                    while call.wait_for_space() {
                        call.write(&[1; 50_000]);
                        call.flush();
                    }
                }
            }
            call.publish(progress::RELEASED);
        });
        let over = handler.over.clone();
        let site = Site::start(handler);
        for reset in [true, false] {
            let before = over.load(Ordering::SeqCst);
            let mut client = site.connect();
            client.send(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabcdefgh{}",
                if path == "/reads" { "" } else { "i" }
            ));
            if reset {
                client.reset()
            } else {
                drop(client)
            }
            eventually("the handler is told", || over.load(Ordering::SeqCst) > before);
        }
        assert_eq!(site.engine.drain(PATIENCE).requests(), 0, "{path}: an exchange is left");
    }
}

#[test]
fn an_exchange_is_let_go_after_its_answer_has_ended() {
    let handler = Handler::new(4, |mut call: Call| {
        call.head(200, None, &[]);
        call.write(b"ended");
        call.publish(progress::HEAD | progress::ENDED);
        call.events.pause();
        call.publish(progress::RELEASED);
    });
    let over = handler.over.clone();
    let site = Site::start(handler);
    let mut client = site.connect();
    for at in 0..200 {
        client.get("/");
        assert_eq!(client.response().text(), "ended");
        eventually("it is released", || over.load(Ordering::SeqCst) > at);
    }
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}

#[test]
fn an_abort_cuts_the_answer_short_for_the_client_to_see() {
    let site = Site::start(Handler::new(1, |mut call: Call| {
        if call.path == "/part" {
            call.head(200, None, &[]);
            call.write(b"part");
            call.flush();
            // The client has read it.
            call.read(&mut [0]);
        }
        call.publish(progress::ABORT | progress::RELEASED);
    }));
    let mut client = site.connect();
    client.get("/nothing");
    assert!(client.ends_by_reset());
    let mut client = site.connect();
    client.send("POST /part HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    client.head();
    assert_eq!(client.chunk(), b"part");
    client.send("x");
    assert!(client.ends_by_reset());
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}

/// The lane may see the flush and the abort at one look: the answer must not depend on that.
#[test]
fn what_was_flushed_before_an_abort_arrives() {
    let site = Site::start(Handler::new(1, |mut call: Call| {
        call.head(200, None, &[]);
        call.write(b"part");
        call.publish(progress::HEAD | progress::ABORT | progress::ENDED | progress::RELEASED);
    }));
    let mut client = site.connect();
    client.get("/");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), b"part");
    assert!(client.ends_by_reset());
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}

/// Where the end of the connection is that of the answer, only a reset tells, and not before the
/// client has all that was written.
#[test]
fn an_old_answer_that_is_broken_off_arrives_before_the_reset() {
    const LEN: usize = 3 << 20;
    let handler = Handler::new(1, |mut call: Call| {
        call.head(200, None, &[]);
        call.write(&vec![b'x'; LEN]);
        call.publish(progress::HEAD | progress::ENDED | progress::TRUNCATED);
        call.finish();
    });
    let over = handler.over.clone();
    let site = Site::start(handler);
    let mut client = site.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    eventually("the handler is done", || over.load(Ordering::SeqCst) == 1);
    assert_eq!(client.head().status, 200);
    assert!(client.bytes(LEN).iter().all(|byte| *byte == b'x'));
    assert!(client.ends_by_reset(), "it must not look whole");
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}

#[test]
fn an_answer_shorter_than_declared_is_not_taken_for_a_whole_one() {
    let site = Site::start(Handler::new(1, |mut call: Call| {
        call.head(200, Some(10), &[]);
        call.write(b"short");
        call.finish();
    }));
    let mut client = site.connect();
    client.get("/");
    let bytes = String::from_utf8(client.rest()).unwrap();
    let body = bytes.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert!(body.len() < 10, "{bytes}");
}

#[test]
fn a_head_that_cannot_be_sent_is_500() {
    let site = Site::start(Handler::new(1, |mut call: Call| {
        call.head(200, None, &[("Bad", "a\r\nInjected: b")]);
        call.write(b"secret");
        call.finish();
    }));
    let mut client = site.connect();
    client.get("/");
    let response = client.response();
    assert_eq!((response.status, response.field("injected")), (500, None));
    client.expect_end();
}

/// The answer has ended, but the handler still waits for the rest of the request: it is told.
#[test]
fn a_reader_is_not_forgotten_when_its_answer_has_ended() {
    let handler = Handler::new(1, |mut call: Call| {
        let mut into = [0; 10];
        assert_eq!(call.try_read(&mut into), abi::read::WOULD_BLOCK);
        call.head(200, None, &[]);
        call.write(b"enough");
        call.publish(progress::HEAD | progress::ENDED);
        while call.read(&mut into) > 0 {}
        call.publish(progress::RELEASED);
    });
    let over = handler.over.clone();
    let site = Site::start(handler);
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n");
    assert_eq!(client.response().text(), "enough");
    eventually("the reader gets an end", || over.load(Ordering::SeqCst) == 1);
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}
