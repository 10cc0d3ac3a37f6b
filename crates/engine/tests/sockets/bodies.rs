//! Request bodies that are late, large, refused or ignored.

use abi::progress;

use crate::support::handler::{Call, Handler};
use crate::support::{Client, Site, echo, pattern};

/// Answers `/reads` with the length of its body, everything else without a look at it.
fn lengths() -> Handler<impl Fn(Call) + Send + Sync + 'static> {
    Handler::new(2, |call: Call| {
        if call.path == "/reads" {
            let (body, end) = call.read_all(10_000);
            assert_eq!(end, abi::read::END);
            return call.answer(200, body.len().to_string().as_bytes());
        }
        call.answer(200, b"unread");
    })
}

#[test]
fn a_body_in_pieces_belongs_to_its_request() {
    let site = Site::start(lengths());
    let mut client = site.connect();
    for _ in 0..3 {
        client.send("POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n");
        for _ in 0..3 {
            client.send("0123456789");
        }
        client.get("/next");
        assert_eq!(client.response().text(), "30");
        assert_eq!(client.response().text(), "unread");
    }
}

#[test]
fn continue_is_sent_when_the_body_is_wanted_and_only_then() {
    const EXPECTS: &str = "Host: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let site = Site::start(lengths());
    let mut client = site.connect();
    client.send(format!("POST /reads HTTP/1.1\r\n{EXPECTS}"));
    assert_eq!(client.head().head, "HTTP/1.1 100 Continue");
    client.send("12345");
    assert_eq!(client.response().text(), "5");
    client.send(format!("POST /no HTTP/1.1\r\n{EXPECTS}"));
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "unread"));
    // Nobody can know whether the body still comes.
    assert_eq!(response.field("connection"), Some("close"));
}

#[test]
fn a_body_that_came_in_spite_of_the_expectation_needs_no_continue() {
    let site = Site::start(lengths());
    let mut client = site.connect();
    client.send(
        "POST /reads HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n12345",
    );
    assert_eq!(client.response().text(), "5");
}

#[test]
fn an_unread_body_is_dropped_and_the_connection_goes_on() {
    let site = Site::start(lengths());
    let mut client = site.connect();
    for len in [1, 10_000, 300_000, 900_000] {
        client.post("/ignores", &pattern(len));
        assert_eq!(client.response().text(), "unread", "{len}");
    }
    client.send("POST /ignores HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..20 {
        client.send("1000\r\n");
        client.send(pattern(4096));
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    client.get("/next");
    assert_eq!(client.response().text(), "unread");
    assert_eq!(client.response().text(), "unread");
}

fn sends_all_then_reads(client: &mut Client, request: &str, body: &[u8]) -> (u16, bool) {
    client.send(request);
    let whole = client.try_send(body);
    (client.response().status, whole)
}

/// The answer of a handler that wants nothing of a huge body must not be lost by a reset.
#[test]
fn the_answer_to_a_body_too_large_to_drop_arrives() {
    let site = Site::start(lengths());
    for end in ["", "Connection: close\r\n"] {
        for _ in 0..5 {
            let mut client = site.connect();
            let request =
                format!("POST /no HTTP/1.1\r\nHost: a\r\n{end}Content-Length: 20000000\r\n\r\n");
            let (status, _) = sends_all_then_reads(&mut client, &request, &pattern(20_000_000));
            assert_eq!(status, 200);
        }
    }
}

#[test]
fn the_answer_to_a_client_that_sends_all_and_half_closes_arrives() {
    let site = Site::start(echo());
    for _ in 0..20 {
        let mut client = site.connect();
        client.send("POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n");
        client.send("Connection: close\r\n\r\n");
        client.send(pattern(500_000));
        client.half_close();
        assert_eq!(client.response().text(), "POST /no");
        assert!(!client.ends_by_reset());
    }
}

#[test]
fn a_broken_chunk_ends_the_body_and_the_connection() {
    let site = Site::start(Handler::new(1, |call: Call| {
        let (body, end) = call.read_all(100);
        assert_eq!((&body[..], end), (&b"abc"[..], abi::read::MALFORMED));
        call.answer(400, b"bad");
    }));
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.send("zzz\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (400, Some("close")));
    client.expect_end();
}

/// A handler that does not read leaves the client waiting, and not our memory growing.
#[test]
fn a_body_waits_for_a_slow_reader() {
    let site = Site::start(Handler::new(1, |call: Call| {
        let mut into = vec![0; 1000];
        let mut total = call.first_body().len();
        loop {
            call.events.pause();
            match call.read(&mut into) {
                count @ 1.. => total += count as usize,
                _ => break,
            }
        }
        call.answer(200, total.to_string().as_bytes());
    }));
    let mut client = site.connect();
    client.post("/", &pattern(2_000_000));
    assert_eq!(client.response().text(), "2000000");
}

/// Both ways at once: the answer streams while the body comes.
#[test]
fn a_body_is_echoed_while_it_comes() {
    let site = Site::start(Handler::new(2, |mut call: Call| {
        call.head(200, None, &[]);
        let first = call.first_body();
        call.write(&first);
        call.flush();
        let mut into = vec![0; 20_000];
        loop {
            let count = call.read(&mut into);
            if count <= 0 {
                break;
            }
            call.write(&into[..count as usize]);
            call.flush();
            if !call.wait_for_space() {
                break;
            }
        }
        call.publish(progress::ENDED | progress::RELEASED);
    }));
    let body = pattern(10_000_000);
    let mut client = site.connect();
    let mut sender = client.stream.try_clone().unwrap();
    let sent = body.clone();
    let thread = std::thread::spawn(move || {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len());
        std::io::Write::write_all(&mut sender, head.as_bytes()).unwrap();
        std::io::Write::write_all(&mut sender, &sent).unwrap();
    });
    assert!(client.response().body == body);
    thread.join().unwrap();
}
