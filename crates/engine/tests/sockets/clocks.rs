//! What time does to connections.

use std::time::{Duration, Instant};

use abi::progress;

use crate::support::handler::{Call, Handler};
use crate::support::{Site, echo, eventually};

#[test]
fn an_idle_connection_is_closed() {
    let site = Site::with(echo(), 1, |options| options.keep_alive = Duration::from_millis(100));
    let mut fresh = site.connect();
    let mut used = site.connect();
    used.get("/");
    assert_eq!(used.response().text(), "GET /");
    used.expect_end();
    fresh.expect_end();
}

#[test]
fn a_head_that_takes_too_long_is_408() {
    let site = Site::with(echo(), 1, |options| options.head_time = Duration::from_millis(100));
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    client.expect_end();
}

#[test]
fn the_second_head_on_a_connection_has_its_own_time() {
    let site = Site::with(echo(), 1, |options| options.head_time = Duration::from_millis(100));
    let mut client = site.connect();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HT");
    assert_eq!(client.response().text(), "GET /a");
    assert_eq!(client.response().status, 408);
    client.expect_end();
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    for length in [None, Some(20 << 20)] {
        let handler = Handler::new(1, move |mut call: Call| {
            call.head(200, length, &[]);
            call.write(&vec![1; 20 << 20]);
            call.publish(progress::HEAD | progress::ENDED);
            call.wait_for_abort();
            call.finish();
        });
        let over = handler.over.clone();
        let site = Site::with(handler, 1, |options| {
            options.rate_grace = Duration::from_millis(500);
            options.min_rate = 1 << 30;
        });
        let mut client = site.connect();
        client.get("/");
        assert_eq!(client.head().status, 200);
        eventually("the handler is told that the client is gone", || {
            over.load(std::sync::atomic::Ordering::SeqCst) == 1
        });
        assert!(client.ends_by_reset(), "{length:?}: the answer is not complete");
    }
}

#[test]
fn a_client_that_was_slow_once_is_not_cut_off_in_a_pause_of_the_application() {
    const LEN: usize = 12 << 20;
    for length in [None, Some(LEN as u64 + 4)] {
        let handler = Handler::new(1, move |mut call: Call| {
            call.head(200, length, &[]);
            call.write(&vec![1; LEN]);
            call.flush();
            assert!(call.wait_for_space());
            // Everything is with the client; several ticks later there is more.
            std::thread::sleep(Duration::from_millis(3500));
            call.write(b"more");
            call.finish();
        });
        let site = Site::with(handler, 1, |options| {
            options.rate_grace = Duration::from_millis(1500);
            options.min_rate = 1 << 30;
        });
        let mut client = site.connect();
        client.get("/");
        // Long enough for the socket to fill, not long enough to be cut off.
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        assert_eq!(client.response().body.len(), LEN + 4, "{length:?}");
        assert!(began.elapsed() > Duration::from_secs(2), "the pause was none");
    }
}
