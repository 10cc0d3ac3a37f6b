//! Fields of an answer that are between the backend and us.

use ancm_engine::UpstreamAddress;

use crate::support::Site;
use crate::support::backend::{Backend, Proxy, Rules};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[test]
fn what_the_backends_connection_names_does_not_reach_the_client() {
    let raw = "HTTP/1.1 103 Early Hints\r\nConnection: x-hint\r\nX-Hint: 1\r\nLink: x\r\n\r\n\
               HTTP/1.1 200 OK\r\nX-Before: 1\r\nConnection: X-BEFORE ,close,, x-after\r\n\
               connection: X-Sum, Upgrade\r\nUpgrade: foo\r\nX-After: 1\r\nX-Hint: 2\r\n";
    for piece in [1, 7, 1000] {
        let backend = Backend::start(move |mut peer, _| {
            if peer.request().is_some() {
                let body = "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n";
                for part in format!("{raw}{CHUNKED}\r\n{body}").as_bytes().chunks(piece) {
                    peer.send(part);
                }
            }
        });
        let site = Site::start(Proxy::to(backend.address));
        let mut client = site.connect();
        client.get("/");
        assert_eq!(client.head().head, "HTTP/1.1 103 Early Hints\r\nLink: x");
        let head = client.head();
        for (name, value) in [
            ("x-before", None),
            ("x-after", None),
            ("connection", Some("Upgrade")),
            // The option is no name, and the field is for the client.
            ("upgrade", Some("foo")),
            // Each answer speaks for itself.
            ("x-hint", Some("2")),
        ] {
            assert_eq!(head.field(name), value, "{name} in {}", head.head);
        }
        // In as many chunks as pieces have come.
        let mut data = String::new();
        while client.line() != "0" {
            data += &client.line();
        }
        assert_eq!([data, client.line(), client.line()], ["abc", "X-Other: 2", ""]);
    }
}

#[test]
fn what_one_answer_names_is_nothing_to_the_next() {
    let backend = Backend::start(|mut peer, _| {
        for connection in ["X-Hop", "keep-alive"].iter().cycle() {
            if peer.request().is_none() {
                return;
            }
            peer.send(format!("HTTP/1.1 200 OK\r\nConnection: {connection}\r\n"));
            peer.send("X-Hop: 1\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut client = site.connect();
    for expected in [None, Some("1"), None, Some("1")] {
        client.get("/");
        assert_eq!(client.response().field("x-hop"), expected);
    }
    assert_eq!(backend.accepted(), 1);
}

/// The client has asked, but the rules have not passed that on.
#[test]
fn a_switch_of_protocols_that_the_backend_was_not_asked_for_is_502() {
    for (stays, status) in [(false, 101), (true, 502)] {
        let backend = Backend::start(|mut peer, _| {
            if peer.request().is_some() {
                peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\n");
            }
        });
        let rules = Rules { stays, ..Rules::default() };
        let site = Site::start(Proxy::with(UpstreamAddress::Tcp(backend.address), rules));
        let mut client = site.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n");
        assert_eq!(client.head().status, status);
    }
}
