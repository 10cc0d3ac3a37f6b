//! Requests and answers on one connection: order, reuse, refusals, ends.

use ancm_engine::{Answer, Exchange, Outcome};

use crate::support::handler::{Call, Handler};
use crate::support::{Does, Door, Site, echo, eventually, respond};

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let site = Site::start(echo());
    let mut client = site.connect();
    for at in 0..100 {
        client.get(&format!("/{at}"));
        assert_eq!(client.response().text(), format!("GET /{at}"));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::start(echo());
    let mut client = site.connect();
    for round in 0..20 {
        let requests: String =
            (0..16).map(|at| format!("GET /{round}-{at} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        client.send(requests);
        for at in 0..16 {
            assert_eq!(client.response().text(), format!("GET /{round}-{at}"));
        }
    }
}

#[test]
fn pipelined_requests_in_any_pieces_are_answered_in_order() {
    let site = Site::start(echo());
    let requests: String = (0..8)
        .map(|at| format!("POST /{at} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"))
        .collect();
    for size in [1, 2, 3, 7, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 100] {
        let mut client = site.connect();
        for piece in requests.as_bytes().chunks(size) {
            client.send(piece);
        }
        for at in 0..8 {
            assert_eq!(client.response().text(), format!("POST /{at}"), "pieces of {size}");
        }
    }
}

/// A client that does not wait for answers before it sends more: a reset could overtake the last
/// one (RFC 9112 9.6).
#[test]
fn the_last_answer_to_a_client_that_pipelines_is_not_followed_by_a_reset() {
    let site = Site::start(Handler::new(1, |mut call: Call| {
        let fields: &[_] = if call.path == "/2" { &[("Connection", "close")] } else { &[] };
        let path = call.path.clone();
        call.head(200, Some(path.len() as u64), fields);
        call.write(path.as_bytes());
        call.finish();
    }));
    let mut client = site.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "/1");
    assert_eq!(client.response().text(), "/2");
    client.expect_end();
    for _ in 0..100 {
        assert!(client.try_send("GET /3 HTTP/1.1\r\n"), "reset");
    }
}

#[test]
fn an_answer_that_takes_its_time_holds_back_only_those_behind_it() {
    let door = Door::default();
    let behind = door.clone();
    let site = Site::start(Handler::new(2, move |call: Call| {
        if call.path == "/slow" {
            behind.pass();
        }
        let path = call.path.clone();
        call.answer(200, path.as_bytes());
    }));
    let mut client = site.connect();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "/a");
    assert_eq!(site.get("/else").text(), "/else");
    door.open();
    assert_eq!(client.response().text(), "/slow");
    assert_eq!(client.response().text(), "/b");
}

#[test]
fn an_answer_before_a_blocking_one_arrives_before_it() {
    let door = Door::default();
    let behind = door.clone();
    let site = Site::start(Does(move |exchange: &mut Exchange<'_>| {
        if exchange.request().path() == b"/slow" {
            behind.pass();
        }
        respond(exchange, 200, "done")
    }));
    let mut client = site.connect();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "done");
    door.open();
    assert_eq!(client.response().text(), "done");
    assert_eq!(client.response().text(), "done");
}

#[test]
fn http_1_0_closes_unless_asked_to_stay() {
    let site = Site::start(echo());
    let mut client = site.connect();
    client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!(response.text(), "GET /a");
    assert_eq!(response.field("connection"), Some("keep-alive"));
    client.send("GET /b HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.text().as_str(), response.field("connection")), ("GET /b", Some("close")));
    client.expect_end();
}

#[test]
fn connection_close_is_obeyed() {
    let site = Site::start(echo());
    let mut client = site.connect();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("close"));
    client.expect_end();
}

#[test]
fn head_has_the_length_and_no_body() {
    let site = Site::start(echo());
    let mut client = site.connect();
    client.send("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().field("content-length"), Some("7"));
    assert_eq!(client.response().text(), "GET /b");
}

#[test]
fn answers_without_a_body_are_followed_by_the_next() {
    let site = Site::start(Does(|exchange: &mut Exchange<'_>| {
        let status = match exchange.request().path() {
            b"/204" => 204,
            b"/304" => 304,
            _ => 200,
        };
        exchange.respond(&Answer { status, fields: Vec::new(), body: Vec::new() });
        Outcome::Done
    }));
    let mut client = site.connect();
    for path in ["/204", "/304", "/200", "/204"] {
        client.get(path);
        assert_eq!(client.response().status.to_string(), path[1..]);
    }
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_closed() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(40_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));
    let cases: &[(&str, u16)] = &[
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("\0\0\0\0", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400),
        (&long, 414),
        (&large, 431),
        (&many, 431),
    ];
    let site = Site::start(echo());
    for (request, status) in cases {
        let mut client = site.connect();
        client.send(request);
        let response = client.response();
        let begin: String = request.chars().take(60).collect();
        assert_eq!(response.status, *status, "{begin:?}");
        assert_eq!(response.field("connection"), Some("close"), "{begin:?}");
        client.expect_end();
    }
}

#[test]
fn a_refusal_comes_after_the_answers_before_it() {
    let site = Site::start(echo());
    let mut client = site.connect();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nrubbish\r\n\r\n");
    assert_eq!(client.response().text(), "GET /a");
    assert_eq!(client.response().status, 400);
    client.expect_end();
}

#[test]
fn a_refused_head_is_answered_even_while_more_of_it_comes() {
    let site = Site::start(echo());
    for _ in 0..20 {
        let mut client = site.connect();
        client.send(format!("GET /{}", "a".repeat(8 * 1024)));
        // The engine has made up its mind by now or not; the rest must not cost the answer.
        for _ in 0..40 {
            client.try_send("b".repeat(8 * 1024));
        }
        assert_eq!(client.response().status, 414);
    }
}

#[test]
fn a_client_that_has_said_all_gets_its_answers() {
    let site = Site::start(Handler::new(2, |call: Call| call.answer(200, b"late")));
    let mut client = site.connect();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    client.half_close();
    assert_eq!(client.response().text(), "late");
    assert_eq!(client.response().text(), "late");
    client.expect_end();
}

#[test]
fn a_client_that_says_nothing_and_leaves_is_let_go() {
    let site = Site::start(echo());
    let mut client = site.connect();
    client.half_close();
    client.expect_end();
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    client.half_close();
    client.expect_end();
}

#[test]
fn a_thousand_connections_are_served_at_once() {
    let site = Site::start(echo());
    let mut clients: Vec<_> = (0..1000).map(|_| site.connect()).collect();
    for round in 0..2 {
        for (at, client) in clients.iter_mut().enumerate() {
            client.get(&format!("/{round}/{at}"));
        }
        for (at, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.response().text(), format!("GET /{round}/{at}"));
        }
    }
}

#[test]
fn connections_come_and_go() {
    let site = Site::start(echo());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let site = &site;
            scope.spawn(move || {
                for at in 0..200 {
                    let mut client = site.connect();
                    match (thread + at) % 4 {
                        0 => client.reset(),
                        1 => client.send("GET /half HTT"),
                        _ => {
                            client.get("/");
                            assert_eq!(client.response().text(), "GET /");
                        }
                    }
                }
            });
        }
    });
    assert_eq!(site.get("/after").text(), "GET /after");
}

#[test]
fn connections_beyond_the_limit_wait_for_a_place() {
    let site = Site::with(echo(), 1, |options| options.connections = 2);
    let mut first = site.connect();
    let mut second = site.connect();
    for client in [&mut first, &mut second] {
        client.get("/in");
        assert_eq!(client.response().text(), "GET /in");
    }
    let mut third = site.connect();
    third.get("/waiting");
    drop(first);
    assert_eq!(third.response().text(), "GET /waiting");
    second.get("/still");
    assert_eq!(second.response().text(), "GET /still");
}

/// A client that never stops sending must not have the lane to itself.
#[test]
fn a_flood_of_pipelined_requests_does_not_keep_others_waiting() {
    let site = Site::with(echo(), 1, |_| {});
    let flood = site.connect();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (mut sink, mut source) = (flood.stream.try_clone().unwrap(), flood.stream);
    let reader = std::thread::spawn(move || std::io::copy(&mut sink, &mut std::io::sink()));
    let stopping = stop.clone();
    let writer = std::thread::spawn(move || {
        let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000);
        while !stopping.load(std::sync::atomic::Ordering::Relaxed) {
            std::io::Write::write_all(&mut source, requests.as_bytes()).unwrap();
        }
        source.shutdown(std::net::Shutdown::Write).unwrap();
    });
    for _ in 0..20 {
        assert_eq!(site.get("/me-too").text(), "GET /me-too");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    reader.join().unwrap().unwrap();
}

#[test]
fn clients_that_leave_in_any_phase_leave_nothing_behind() {
    let handler = Handler::new(4, |mut call: Call| match call.path.as_str() {
        "/waits" => {
            call.wait_for_abort();
            call.finish();
        }
        "/reads" => {
            let (_, end) = call.read_all(100);
            assert_eq!(end, abi::read::DISCONNECTED);
            call.finish();
        }
        "/writes" => {
            call.head(200, None, &[]);
            while call.wait_for_space() {
                call.write(&[7; 40_000]);
                call.flush();
            }
            call.finish();
        }
        _ => call.answer(200, b"fine"),
    });
    let (began, over) = (handler.began.clone(), handler.over.clone());
    let site = Site::start(handler);
    for round in 0..50 {
        for path in ["/waits", "/writes"] {
            let mut client = site.connect();
            client.get(path);
            if round % 2 == 0 {
                client.reset();
            }
        }
        let mut client = site.connect();
        client.send("POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
        if round % 2 == 0 {
            client.reset();
        }
    }
    assert_eq!(site.get("/").text(), "fine");
    let count = |of: &std::sync::Arc<std::sync::atomic::AtomicUsize>| {
        of.load(std::sync::atomic::Ordering::SeqCst)
    };
    eventually("every exchange has ended", || count(&over) == count(&began));
    assert_eq!(site.engine.drain(crate::support::PATIENCE).requests(), 0, "exchanges are left");
}
