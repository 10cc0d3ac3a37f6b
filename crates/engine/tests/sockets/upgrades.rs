//! Connections that leave HTTP.

use std::time::Duration;

use abi::progress;
use ancm_engine::Options;

use crate::support::handler::{Call, Handler};
use crate::support::{PATIENCE, Site};

const ASK: &str = "GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

fn echoes() -> Handler<impl Fn(Call) + Send + Sync + 'static> {
    Handler::new(2, |mut call: Call| {
        call.head(101, None, &[("Upgrade", "echo")]);
        call.flush();
        let mut into = vec![0; 10_000];
        loop {
            let count = call.read(&mut into);
            if count <= 0 {
                break;
            }
            call.write(&into[..count as usize]);
            call.flush();
            call.wait_for_space();
        }
        call.write(b"bye");
        call.publish(progress::ENDED | progress::RELEASED);
    })
}

#[test]
fn after_101_bytes_go_both_ways_as_they_are() {
    let site = Site::start(echoes());
    let mut client = site.connect();
    client.send(ASK);
    let head = client.head();
    assert_eq!((head.status, head.field("connection")), (101, Some("Upgrade")));
    for size in [1, 3, 5000, 100_000] {
        let bytes = crate::support::pattern(size);
        client.send(&bytes);
        assert!(client.bytes(size) == bytes);
    }
    client.half_close();
    assert_eq!(client.rest(), b"bye");
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}

/// Options that allow next to no time.
pub(crate) fn hurry(options: &mut Options) {
    let moment = Duration::from_millis(50);
    options.keep_alive = moment;
    options.head_time = moment;
    options.rate_grace = moment;
    options.min_rate = 1_000_000;
    options.linger = moment;
}

/// Connections without a request run into their limit, one after the other, while it is silent.
#[test]
fn limits_of_requests_are_not_those_of_other_protocols() {
    let site = Site::with(echoes(), 1, hurry);
    let mut client = site.connect();
    client.send(ASK);
    assert_eq!(client.head().status, 101);
    for _ in 0..5 {
        site.connect().expect_end();
    }
    client.send("hello");
    assert_eq!(client.bytes(5), b"hello");
}

/// A client that does not wait for the 101 says the first words of the new protocol early.
#[test]
fn bytes_behind_the_request_belong_to_the_new_protocol() {
    let site = Site::start(echoes());
    let mut client = site.connect();
    client.send(format!("{ASK}early"));
    assert_eq!(client.head().status, 101);
    assert_eq!(client.bytes(5), b"early");
    client.send("late");
    assert_eq!(client.bytes(4), b"late");
    client.half_close();
    assert_eq!(client.rest(), b"bye");
}

#[test]
fn a_client_that_vanishes_ends_the_new_protocol() {
    let site = Site::start(echoes());
    for _ in 0..10 {
        let mut client = site.connect();
        client.send(ASK);
        assert_eq!(client.head().status, 101);
        client.send("x");
        client.reset();
    }
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0);
}
