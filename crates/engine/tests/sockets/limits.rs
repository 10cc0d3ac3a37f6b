//! Every limit bites, says its name, and is counted.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::ErrorKind::WouldBlock;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use abi::progress;
use ancm_engine::{Exchange, Filter, Limit, Outcome};

use crate::support::handler::{Call, Handler};
use crate::support::{Does, Door, Response, Site, UnixSite, echo, eventually, respond};

const SHORT: Duration = Duration::from_millis(100);

#[track_caller]
fn expect(response: &Response, status: u16, word: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert!(response.text().contains(word), "{word:?} is not in {:?}", response.text());
}

#[test]
fn limits_of_a_head_are_named_and_counted() {
    let site = Site::with(echo(), 1, |options| {
        options.head.request_line = 100;
        options.head.head = 1000;
        options.head.fields = 5;
        options.filter =
            Filter { url: Some(20), query: Some(10), fields: vec![("Content-Type".into(), 4)] };
    });
    let tally = site.engine.tally();
    let cases = [
        (format!("/{}", "a".repeat(100)), "", 414, "of 100 bytes", Limit::RequestLine),
        (format!("/{}", "a".repeat(20)), "", 404, "(404.14) of 20 bytes", Limit::Url),
        ("/?aaaaaaaaaaa".into(), "", 404, "(404.15) of 10 bytes", Limit::Query),
        ("/".into(), &format!("A: {}\r\n", "a".repeat(1000)), 431, "of 1000 bytes", Limit::Head),
        ("/".into(), &"A: b\r\n".repeat(5), 431, "(more than 5)", Limit::Fields),
        ("/".into(), "content-type: abcde\r\n", 431, "over its limit", Limit::Field),
    ];
    for (target, fields, status, word, limit) in cases {
        let mut client = site.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        expect(&client.response(), status, word);
        client.expect_end();
        assert_eq!(tally.count(limit), 1, "{limit}");
    }
    assert_eq!(site.get("/aaa?aaa").text(), "GET /aaa");
}

#[test]
fn a_body_over_the_limit_of_the_host_is_413() {
    let site = Site::with(
        Handler::new(1, |call: Call| {
            call.read_all(100);
            call.answer(200, b"read");
        }),
        1,
        |options| options.max_body = Some(10),
    );
    for (head, body) in [
        ("Content-Length: 11", ""),
        ("Transfer-Encoding: chunked", "b\r\n12345678901\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "9\r\n123456789\r\n2\r\n01\r\n0\r\n\r\n"),
    ] {
        let mut client = site.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{body}"));
        expect(&client.response(), 413, "body over the limit of 10 bytes");
        client.expect_end();
    }
    let mut client = site.connect();
    client.post("/", b"1234567890");
    assert_eq!(client.response().text(), "read");
    assert_eq!(site.engine.tally().count(Limit::Body), 3);
}

#[test]
fn a_body_that_comes_too_slowly_fails_the_read_and_ends_the_connection() {
    let handler = Handler::new(2, |call: Call| {
        if call.path == "/answers-first" {
            call.head(200, None, &[]);
            call.flush();
        }
        let (body, end) = call.read_all(100);
        assert_eq!((&*body, end), (&b"abc"[..], abi::read::TOO_SLOW));
        match &*call.path {
            "/answers-first" => call.finish(),
            _ => call.answer(408, b"slow"),
        }
    });
    let site = Site::with(handler, 1, |options| {
        options.rate_grace = SHORT;
        options.min_rate = 1000;
    });
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
    expect(&client.response(), 408, "slow");
    client.expect_end();
    let mut client = site.connect();
    client.send("POST /answers-first HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
    assert_eq!(client.response().status, 200);
    client.expect_end();
    assert_eq!(site.engine.tally().count(Limit::BodyRate), 2);
}

/// The time that counts is the application's waiting, all of it and no more.
#[test]
fn a_client_is_not_slow_while_nobody_waits_for_it() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let waits = waiting.clone();
    let handler = Handler::new(1, move |call: Call| {
        let mut into = [0; 10];
        while call.try_read(&mut into) != abi::read::WOULD_BLOCK {}
        waits.fetch_add(1, Ordering::SeqCst);
        assert_eq!(call.read(&mut into), 3);
        std::thread::sleep(20 * SHORT);
        assert_eq!(call.read(&mut into), 3);
        let (rest, end) = call.read_all(100);
        assert_eq!((&*rest, end), (&b""[..], abi::read::TOO_SLOW));
        call.answer(408, b"slow in the end");
    });
    let site = Site::with(handler, 1, |options| {
        options.rate_grace = 10 * SHORT;
        options.min_rate = 1000;
    });
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    eventually("it waits", || waiting.load(Ordering::SeqCst) == 1);
    client.send("abc");
    std::thread::sleep(15 * SHORT);
    client.send("def");
    expect(&client.response(), 408, "slow in the end");
    client.expect_end();
}

#[test]
fn clocks_are_counted() {
    let handler = Handler::new(1, |mut call: Call| {
        call.head(200, None, &[]);
        call.write(&vec![1; 20 << 20]);
        call.publish(progress::HEAD | progress::ENDED);
        call.wait_for_abort();
        call.finish();
    });
    let site = Site::with(handler, 1, |options| {
        options.keep_alive = SHORT;
        options.head_time = SHORT;
        options.rate_grace = SHORT;
        options.min_rate = 1 << 30;
    });
    let tally = site.engine.tally();
    let mut idle = site.connect();
    idle.expect_end();
    assert_eq!(tally.count(Limit::KeepAlive), 1);
    let mut slow = site.connect();
    slow.send("GET / HTTP/1.1\r\n");
    expect(&slow.response(), 408, "head took too long (more than 0.1 s)");
    assert_eq!(tally.count(Limit::HeadTime), 1);
    let mut taker = site.connect();
    taker.get("/");
    eventually("it is cut off", || tally.count(Limit::AnswerRate) == 1);
    assert!(taker.ends_by_reset());
}

/// Bytes that the kernel holds of what a server has sent to clients at these ports. Others may have
/// the same ones, with other servers.
fn waiting_in_the_kernel(server: u16, clients: &[u16]) -> Vec<usize> {
    let server = format!(":{server:04X}");
    let ends: Vec<String> = clients.iter().map(|port| format!(":{port:04X}")).collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // State 01 is that of connections.
    let ours = lines.filter(|fields| {
        fields[3] == "01"
            && fields[1].ends_with(&server)
            && ends.iter().any(|end| fields[2].ends_with(end))
    });
    // While it changes a table may list one twice.
    let queues: BTreeMap<String, usize> = ours
        .filter_map(|fields| {
            let queue = fields[4].split_once(':')?.0;
            Some((fields[2].to_owned(), usize::from_str_radix(queue, 16).ok()?))
        })
        .collect();
    queues.into_values().collect()
}

/// The kernel would take megabytes for each, and all connections of a machine share its memory. So it
/// does for a few, whose applications wait less often, and not for the others.
#[test]
fn little_waits_in_the_kernel_for_clients_that_take_nothing() {
    let handler = Handler::new(24, |mut call: Call| {
        call.head(200, None, &[]);
        call.write(&vec![1; 8 << 20]);
        call.publish(progress::HEAD | progress::ENDED);
        call.wait_for_abort();
        call.finish();
    });
    let site = Site::with(handler, 1, |_| {});
    let mut clients: Vec<_> = (0..24).map(|_| site.connect()).collect();
    clients.iter_mut().for_each(|client| client.get("/"));
    let server = clients[0].stream.peer_addr().unwrap().port();
    let ports = clients.iter().map(|client| client.stream.local_addr().unwrap().port());
    let ports: Vec<u16> = ports.collect();
    let looks = Cell::new(0);
    eventually("answers to all that wait", || {
        let waiting = waiting_in_the_kernel(server, &ports);
        let many = waiting.iter().filter(|bytes| **bytes > 512 << 10).count();
        assert!(many <= 16, "{waiting:?} bytes wait in the kernel");
        let all_wait = waiting.iter().filter(|bytes| **bytes > 0).count() == clients.len();
        looks.set(looks.get() + usize::from(all_wait));
        looks.get() > 20
    });
}

/// What an answer of [`gathering`] takes on the wire, at least.
const ANSWER: usize = 7_000;

/// Answers that fill up the socket and then, in some of the cases, end in our buffer.
fn gathering(adjust: impl FnOnce(&mut ancm_engine::Options)) -> (UnixSite, Vec<UnixStream>) {
    let text = "a".repeat(ANSWER);
    let application =
        Does(move |exchange: &mut Exchange<'_>| respond(exchange, 200, text.as_str()));
    let site = UnixSite::with(application, adjust);
    let clients = (0..60).map(|_| site.connect()).collect();
    (site, clients)
}

/// Answers to pipelined requests wait, and their client takes none of them: that is not an idle
/// connection, which may stay for a while.
#[test]
fn a_client_that_pipelines_and_takes_nothing_is_cut_off() {
    let (site, mut clients) = gathering(|options| {
        options.rate_grace = SHORT;
        options.min_rate = 1 << 30;
    });
    for (at, client) in clients.iter_mut().enumerate() {
        client.write_all("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(at + 1).as_bytes()).unwrap();
    }
    // The socket takes half of them and not the other, give or take a few.
    let tally = site.engine.tally();
    eventually("many are cut off", || tally.count(Limit::AnswerRate) >= 10);
    std::thread::sleep(SHORT * 5);
    let (mut whole, mut cut) = (0, 0);
    for client in &mut clients {
        let mut taken = Vec::new();
        client.set_read_timeout(Some(SHORT)).unwrap();
        let is_alive = client.read_to_end(&mut taken).is_err_and(|it| it.kind() == WouldBlock);
        let longest = if is_alive { &mut whole } else { &mut cut };
        *longest = taken.len().max(*longest);
    }
    // Whoever was cut off had what the socket took, which is a little less when answers come in one
    // piece. With much more, one was not cut off in time.
    assert!(whole < cut + 4 * ANSWER, "{whole} bytes came whole, where the socket takes {cut}");
}

/// The last answer of a connection is with a slow client for longer than the rest of a request
/// would be waited for.
#[test]
fn an_answer_before_the_end_of_a_connection_has_its_full_time() {
    let (_site, mut clients) = gathering(|options| options.linger = SHORT);
    for (at, client) in clients.iter_mut().enumerate() {
        let mut requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(at);
        requests.push_str("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.write_all(requests.as_bytes()).unwrap();
    }
    std::thread::sleep(SHORT * 5);
    for (at, client) in clients.iter_mut().enumerate() {
        let mut taken = Vec::new();
        client.read_to_end(&mut taken).unwrap();
        let all = (at + 1) * ANSWER;
        assert!(taken.len() > all, "{at}: {} of {all} bytes", taken.len());
    }
}

#[test]
fn the_last_request_of_a_connection_is_told_so() {
    let site = Site::with(echo(), 1, |options| options.requests_per_connection = 2);
    let mut client = site.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().field("connection"), None);
    assert_eq!(client.response().field("connection"), Some("close"));
    client.expect_end();
    assert_eq!(site.engine.tally().count(Limit::Requests), 1);
}

#[test]
fn the_handler_knows_which_request_is_the_last() {
    let is_last = Does(|exchange: &mut Exchange<'_>| {
        let text = exchange.request().is_last().to_string();
        respond(exchange, 200, text)
    });
    let site = Site::with(is_last, 1, |options| options.requests_per_connection = 3);
    let mut client = site.connect();
    for expected in ["false", "false", "true"] {
        client.get("/");
        assert_eq!(client.response().text(), expected);
    }
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut client = site.connect();
        client.send(request);
        assert_eq!(client.response().text(), "true", "{request}");
        client.expect_end();
    }
}

#[test]
fn a_lane_at_its_limit_of_connections_says_so() {
    let site = Site::with(echo(), 1, |options| options.connections = 1);
    let mut first = site.connect();
    first.get("/");
    assert_eq!(first.response().text(), "GET /");
    let _second = site.connect();
    let tally = site.engine.tally();
    eventually("the limit is counted", || tally.count(Limit::Connections) >= 1);
}

#[test]
fn a_full_queue_is_503_and_what_waits_is_served() {
    let (door, entered) = (Door::default(), Arc::new(AtomicUsize::new(0)));
    let (behind, count) = (door.clone(), entered.clone());
    let application = Does(move |exchange: &mut Exchange<'_>| {
        count.fetch_add(1, Ordering::SeqCst);
        behind.pass();
        respond(exchange, 200, "done")
    });
    // Two threads may be blocked, the third runs the lane.
    let site = Site::with(application, 1, |options| {
        options.threads = 3;
        options.queue = 3;
    });
    let mut inside: Vec<_> = (0..2).map(|_| site.connect()).collect();
    for (at, client) in inside.iter_mut().enumerate() {
        client.get("/");
        eventually("it is inside", || entered.load(Ordering::SeqCst) == at + 1);
    }
    let mut waiting: Vec<_> = (0..3).map(|_| site.connect()).collect();
    for client in &mut waiting {
        client.get("/");
    }
    for round in 1..=5 {
        let mut late = site.connect();
        for _ in 0..2 {
            late.get("/");
            let response = late.response();
            expect(&response, 503, "3 requests wait for the application");
            assert_eq!(response.field("retry-after"), Some("1"));
        }
        assert_eq!(site.engine.tally().count(Limit::Queue), 2 * round);
    }
    assert_eq!(entered.load(Ordering::SeqCst), 2, "nobody else came in");
    door.open();
    for client in inside.iter_mut().chain(&mut waiting) {
        assert_eq!(client.response().text(), "done");
    }
    assert_eq!(site.get("/").text(), "done");
}

#[test]
fn who_waits_for_a_thread_too_long_is_told_so() {
    let (door, entered) = (Door::default(), Arc::new(AtomicUsize::new(0)));
    let (behind, count) = (door.clone(), entered.clone());
    let application = Does(move |exchange: &mut Exchange<'_>| {
        count.fetch_add(1, Ordering::SeqCst);
        behind.pass();
        respond(exchange, 200, "done")
    });
    let site = Site::with(application, 1, |options| {
        options.threads = 2;
        options.queue_time = SHORT;
    });
    let mut inside = site.connect();
    inside.get("/");
    eventually("it is inside", || entered.load(Ordering::SeqCst) == 1);
    let mut late = site.connect();
    late.get("/");
    let response = late.response();
    expect(&response, 503, "no thread for this request within 0.1 s");
    assert_eq!(response.field("retry-after"), Some("1"));
    assert_eq!(site.engine.tally().count(Limit::QueueTime), 1);
    door.open();
    assert_eq!(inside.response().text(), "done");
    late.get("/");
    assert_eq!(late.response().text(), "done");
}

#[test]
fn trailers_may_have_what_a_head_may() {
    let site = Site::with(echo(), 1, |options| {
        options.head.request_line = 100;
        options.head.head = 200;
        options.head.fields = 3;
    });
    let post = |trailers: &str| {
        let mut client = site.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\na\r\n0\r\n{trailers}\r\n"
        ));
        client.response().status
    };
    assert_eq!(post("A: 1\r\nB: 2\r\nC: 3\r\n"), 200);
    assert_eq!(post("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"), 400);
    assert_eq!(post(&format!("A: {}\r\n", "x".repeat(200))), 400);
}

/// The lane does not go into an application that could take it away: what needs no application
/// goes on, however many handlers block.
#[test]
fn bodies_go_on_while_every_thread_is_blocked() {
    let handlers = Arc::new(Handler::new(1, |call: Call| {
        let (body, _) = call.read_all(100);
        call.answer(200, &body);
    }));
    let (door, entered) = (Door::default(), Arc::new(AtomicUsize::new(0)));
    let (behind, count, reader) = (door.clone(), entered.clone(), handlers.clone());
    struct Mixed<F, G>(F, G);
    impl<F, G> ancm_engine::Application for Mixed<F, G>
    where
        F: Fn(&mut Exchange<'_>) -> Outcome + Send + Sync + 'static,
        G: Fn(*mut abi::Exchange, u64, u32) + Send + Sync + 'static,
    {
        fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
            (self.0)(exchange)
        }
        fn signal(&self, exchange: *mut abi::Exchange, id: u64, events: u32) {
            (self.1)(exchange, id, events);
        }
    }
    let application = Mixed(
        move |exchange: &mut Exchange<'_>| {
            if exchange.request().path() == b"/reads" {
                return ancm_engine::Application::dispatch(&*reader, exchange);
            }
            count.fetch_add(1, Ordering::SeqCst);
            behind.pass();
            respond(exchange, 200, "done")
        },
        move |exchange, id, events| {
            ancm_engine::Application::signal(&*handlers, exchange, id, events);
        },
    );
    let site = Site::with(application, 1, |options| options.threads = 3);
    let mut upload = site.connect();
    upload.send("POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    let mut blocked: Vec<_> = (0..2).map(|_| site.connect()).collect();
    for (at, client) in blocked.iter_mut().enumerate() {
        client.get("/");
        eventually("it blocks", || entered.load(Ordering::SeqCst) == at + 1);
    }
    let mut waiting = site.connect();
    waiting.get("/");
    upload.send("67890");
    assert_eq!(upload.response().text(), "1234567890");
    door.open();
    for client in blocked.iter_mut().chain([&mut waiting]) {
        assert_eq!(client.response().text(), "done");
    }
}

#[test]
fn requests_that_are_held_have_a_limit_too() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let application =
        Does(
            move |exchange: &mut Exchange<'_>| {
                if up.load(Ordering::SeqCst) { respond(exchange, 200, "up") } else { Outcome::Hold }
            },
        );
    let site = Site::with(application, 1, |options| options.queue = 2);
    let mut held: Vec<_> = (0..2).map(|_| site.connect()).collect();
    for client in &mut held {
        client.get("/");
    }
    // Several ticks go by: those who wait are asked for again and stay.
    for _ in 0..3 {
        expect(&site.get("/"), 503, "2 requests wait for the application");
        site.engine.waker().wake();
    }
    is_up.store(true, Ordering::SeqCst);
    site.engine.waker().wake();
    for client in &mut held {
        assert_eq!(client.response().text(), "up");
    }
}

#[test]
fn requests_that_the_application_has_at_once_have_a_limit() {
    let door = Door::default();
    let behind = door.clone();
    let handler = Handler::new(3, move |call: Call| {
        if call.path == "/up" {
            call.head(101, None, &[("Upgrade", "echo")]);
            call.flush();
        }
        behind.pass();
        match &*call.path {
            "/up" => call.finish(),
            _ => call.answer(200, b"done"),
        }
    });
    let began = handler.began.clone();
    let site = Site::with(handler, 1, |options| options.concurrent = 2);
    // What has left HTTP is no request any more.
    let mut upgraded = site.connect();
    upgraded.send("GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(upgraded.head().status, 101);
    let mut inside: Vec<_> = (0..2).map(|_| site.connect()).collect();
    for client in &mut inside {
        client.get("/");
    }
    eventually("they are inside", || began.load(Ordering::SeqCst) == 3);
    let mut late = site.connect();
    late.get("/");
    let response = late.response();
    expect(&response, 503, "busy with 2 requests, which is the limit (503.2)");
    assert_eq!(response.field("retry-after"), Some("1"));
    assert_eq!(site.engine.tally().count(Limit::Concurrent), 1);
    door.open();
    for client in &mut inside {
        assert_eq!(client.response().text(), "done");
    }
    late.get("/");
    assert_eq!(late.response().text(), "done");
}
