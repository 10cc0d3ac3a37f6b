//! The end of an engine: what runs finishes, what idles goes, what is late is cut off.

use std::time::{Duration, Instant};

use crate::support::handler::{Call, Handler};
use crate::support::{Door, PATIENCE, Site, echo, eventually};

#[test]
fn what_runs_finishes_and_what_idles_is_closed() {
    let door = Door::default();
    let behind = door.clone();
    let handler = Handler::new(2, move |call: Call| {
        if call.path == "/slow" {
            behind.pass();
        }
        call.answer(200, b"done");
    });
    let began = handler.began.clone();
    // One lane, so that the end of the idle connections tells that the running one drains, too.
    let site = Site::with(handler, 1, |_| {});
    let mut fresh = site.connect();
    let mut idle = site.connect();
    idle.get("/");
    assert_eq!(idle.response().text(), "done");
    let mut running = site.connect();
    running.get("/slow");
    eventually("it runs", || began.load(std::sync::atomic::Ordering::SeqCst) == 2);
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| site.engine.drain(PATIENCE));
        idle.expect_end();
        fresh.expect_end();
        door.open();
        let response = running.response();
        assert_eq!(
            (response.text().as_str(), response.field("connection")),
            ("done", Some("close"))
        );
        running.expect_end();
        assert!(drain.join().unwrap().is_clean());
    });
}

#[test]
fn who_had_just_connected_or_asks_again_is_served() {
    let site = Site::with(Handler::new(3, |call: Call| call.answer(200, b"done")), 1, |_| {});
    let mut idle = site.connect();
    idle.get("/");
    assert_eq!(idle.response().text(), "done");
    let mut fresh = site.connect();
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| site.engine.drain(PATIENCE));
        // One lane: once one of them is told to leave, the drain has begun for both.
        let mut is_told = false;
        while !is_told {
            idle.get("/");
            let response = idle.response();
            assert_eq!(response.text(), "done");
            is_told = response.field("connection") == Some("close");
        }
        fresh.get("/");
        let response = fresh.response();
        assert_eq!(
            (response.text().as_str(), response.field("connection")),
            ("done", Some("close"))
        );
        idle.expect_end();
        fresh.expect_end();
        assert!(drain.join().unwrap().is_clean());
    });
}

#[test]
fn what_does_not_finish_in_time_is_counted_and_cut_off() {
    let door = Door::default();
    let behind = door.clone();
    let handler = Handler::new(3, move |call: Call| {
        behind.pass();
        call.finish();
    });
    let began = handler.began.clone();
    let site = Site::start(handler);
    let mut clients: Vec<_> = (0..3).map(|_| site.connect()).collect();
    for client in &mut clients {
        client.get("/");
    }
    eventually("they run", || began.load(std::sync::atomic::Ordering::SeqCst) == 3);
    let start = Instant::now();
    assert_eq!(site.engine.drain(Duration::from_millis(200)).requests(), 3);
    assert!(start.elapsed() < Duration::from_secs(5));
    for client in &mut clients {
        client.expect_end();
    }
    door.open();
}

/// Requests that have arrived when the drain begins are served, seen or not.
#[test]
fn a_request_that_is_there_is_served() {
    for _ in 0..10 {
        let site = Site::with(echo(), 1, |_| {});
        let mut clients: Vec<_> = (0..40).map(|_| site.connect()).collect();
        for client in &mut clients {
            client.get("/");
        }
        assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
        for client in &mut clients {
            assert_eq!(client.response().text(), "GET /");
            client.expect_end();
        }
    }
}

#[test]
fn nobody_is_accepted_afterwards() {
    let site = Site::start(echo());
    assert_eq!(site.get("/").text(), "GET /");
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
    let mut byte = [0; 1];
    // The listener is closed, or the connection waits for another process: never an answer.
    let Ok(mut stream) = std::net::TcpStream::connect(site.address) else { return };
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(!matches!(std::io::Read::read(&mut stream, &mut byte), Ok(1..)));
}

/// What was read together is one batch of work: none of it is lost, and only the last answer says
/// that the connection ends.
#[test]
fn pipelined_requests_that_were_read_are_served() {
    let door = Door::default();
    let behind = door.clone();
    let handler = Handler::new(1, move |call: Call| {
        behind.pass();
        let path = call.path.clone();
        call.answer(200, path.as_bytes());
    });
    let began = handler.began.clone();
    let site = Site::with(handler, 1, |_| {});
    let mut client = site.connect();
    let mut batch: String =
        (1..=3).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    batch.push_str("GET /half HTTP/1.1\r\nHo");
    client.send(batch);
    eventually("the first runs", || began.load(std::sync::atomic::Ordering::SeqCst) == 1);
    std::thread::scope(|scope| {
        let mut idle = site.connect();
        let drain = scope.spawn(|| site.engine.drain(PATIENCE));
        // It is over: the lane drains.
        idle.expect_end();
        door.open();
        for (path, connection) in [("/1", None), ("/2", None), ("/3", Some("close"))] {
            let response = client.response();
            assert_eq!(
                (response.text().as_str(), response.field("connection")),
                (path, connection)
            );
        }
        client.half_close();
        client.expect_end();
        assert!(drain.join().unwrap().is_clean());
    });
}

#[test]
fn what_is_left_is_told_lane_by_lane_and_the_application_hears_of_its_end() {
    let handler = Handler::new(3, |call: Call| {
        if call.path == "/reads" {
            let (_, end) = call.read_all(100);
            assert_eq!(end, abi::read::DISCONNECTED);
        }
        call.wait_for_abort();
        call.finish();
    });
    let (began, over) = (handler.began.clone(), handler.over.clone());
    let count = |of: &std::sync::Arc<std::sync::atomic::AtomicUsize>| {
        of.load(std::sync::atomic::Ordering::SeqCst)
    };
    let site = Site::with(handler, 1, |_| {});
    let mut first = site.connect();
    first.get("/oldest?secret");
    eventually("it runs", || count(&began) == 1);
    let mut second = site.connect();
    second.get("/younger");
    let mut third = site.connect();
    third.send("POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1234");
    let mut half = site.connect();
    half.send("GET /half HTTP");
    eventually("they run", || count(&began) == 3);
    let drained = site.engine.drain(Duration::from_millis(300));
    let [Some(lane)] = &drained.lanes[..] else { panic!("{drained:?}") };
    assert_eq!((lane.requests, lane.connections), (3, 4), "{drained}");
    let (age, oldest) = lane.oldest.as_ref().unwrap();
    assert_eq!(oldest, "GET /oldest, in the application");
    assert!((Duration::from_millis(300)..PATIENCE).contains(age), "{age:?}");
    let text = drained.to_string();
    assert!(text.starts_with("lane 0: 3 request(s) on 4 connection(s), the oldest for "), "{text}");
    assert!(!drained.is_clean());
    eventually("every handler was told", || count(&over) == 3);
    for client in [&mut first, &mut second, &mut third] {
        assert!(client.ends_by_reset(), "an answer that never came must not look complete");
    }
}

/// A lane that its application does not give back cannot say what it has.
#[test]
fn a_lane_that_is_held_up_is_told_of() {
    let door = Door::default();
    let behind = door.clone();
    let entered = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let inside = entered.clone();
    let application = crate::support::Does(move |exchange: &mut ancm_engine::Exchange<'_>| {
        inside.store(true, std::sync::atomic::Ordering::SeqCst);
        behind.pass();
        crate::support::respond(exchange, 200, "late")
    });
    let site = Site::with(application, 1, |options| options.threads = 1);
    let mut client = site.connect();
    client.get("/");
    eventually("it blocks", || entered.load(std::sync::atomic::Ordering::SeqCst));
    let drained = site.engine.drain(Duration::from_millis(100));
    assert_eq!((drained.requests(), drained.lanes.clone()), (1, vec![None]));
    assert!(drained.to_string().contains("lane 0: held up by the application"), "{drained}");
    door.open();
}

/// Whose stream the application ends when it stops comes back to stay: not on this connection.
#[test]
fn an_answer_that_the_stop_ends_is_the_last_one() {
    const STREAMS: usize = 4;
    let (door, behind) = (Door::default(), Door::default());
    let (natural, stops) = (door.clone(), behind.clone());
    let handler = Handler::new(STREAMS + 1, move |call: Call| {
        call.head(200, None, &[]);
        call.flush();
        if call.path == "/ends" {
            natural.pass()
        } else {
            stops.pass()
        }
        call.finish();
    });
    let site = Site::with(handler, 1, |_| {});
    let stream = |path| {
        let mut client = site.connect();
        client.get(path);
        assert_eq!(client.head().field("connection"), None);
        client
    };
    let mut ends = stream("/ends");
    let mut last: Vec<_> = (0..STREAMS).map(|_| stream("/lasts")).collect();
    std::thread::scope(|scope| {
        let mut idle = site.connect();
        let drain = scope.spawn(|| site.engine.drain(PATIENCE));
        idle.expect_end();
        // By itself, before the application hears.
        door.open();
        assert_eq!(ends.chunk(), b"");
        ends.get("/ends");
        assert_eq!(ends.response().field("connection"), Some("close"));
        site.engine.application_hears();
        behind.open();
        let served = last.iter_mut().filter_map(|client| {
            assert_eq!(client.chunk(), b"");
            client.try_send("GET /ends HTTP/1.1\r\nHost: a\r\n\r\n").then_some(())?;
            (!client.try_everything().is_empty()).then_some(())
        });
        // A request that is there before the connection can be closed is served nevertheless.
        assert!(served.count() < STREAMS);
        assert!(drain.join().unwrap().is_clean());
    });
}

/// The lane was held up: the request had come in time, and was read too late.
#[test]
fn a_request_that_came_before_its_time_was_over_is_not_lost() {
    const LAST_REQUEST: Duration = Duration::from_secs(2);
    let (door, entered) = (Door::default(), Door::default());
    let (behind, inside) = (door.clone(), entered.clone());
    let application = crate::support::Does(move |exchange: &mut ancm_engine::Exchange<'_>| {
        if exchange.request().path() == b"/blocks" {
            inside.open();
            behind.pass();
        }
        crate::support::respond(exchange, 200, "done")
    });
    let site = Site::with(application, 1, |options| {
        (options.threads, options.last_request) = (1, LAST_REQUEST);
    });
    let mut clients: Vec<_> = (0..3).map(|_| site.connect()).collect();
    for client in &mut clients {
        client.get("/");
        assert_eq!(client.response().text(), "done");
    }
    let [blocked, kept, told] = &mut clients[..] else { panic!("three") };
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| site.engine.drain(PATIENCE));
        while {
            told.get("/");
            told.response().field("connection") != Some("close")
        } {}
        let begun = Instant::now();
        blocked.get("/blocks");
        entered.pass();
        kept.get("/");
        std::thread::sleep(LAST_REQUEST.saturating_sub(begun.elapsed()));
        door.open();
        assert_eq!(blocked.response().text(), "done");
        assert_eq!(kept.response().text(), "done");
        assert!(drain.join().unwrap().is_clean());
    });
}
