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
        assert_eq!(drain.join().unwrap(), 0);
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
        assert_eq!(drain.join().unwrap(), 0);
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
    assert_eq!(site.engine.drain(Duration::from_millis(200)), 3);
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
        assert_eq!(site.engine.drain(PATIENCE), 0);
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
    assert_eq!(site.engine.drain(PATIENCE), 0);
    let mut byte = [0; 1];
    // The listener is closed, or the connection waits for another process: never an answer.
    let Ok(mut stream) = std::net::TcpStream::connect(site.address) else { return };
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(!matches!(std::io::Read::read(&mut stream, &mut byte), Ok(1..)));
}
