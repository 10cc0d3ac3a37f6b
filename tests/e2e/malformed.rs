//! Requests that break the rules are refused at once, and nobody else notices.

use testkit::{App, Site, both_models};

/// What is sent, and the status that answers it.
const REFUSED: &[(&str, &[u16])] = &[
    ("nonsense\r\n\r\n", &[400]),
    ("GET /\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", &[400, 505]),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nbad name: x\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: \x01\r\n\r\n", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: nonsense\r\n\r\n", &[400, 501]),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", &[400]),
    ("GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
];

both_models! {
    fn what_breaks_the_rules_is_refused(model: Model) {
        let site = Site::start(App::sample("hello"), model);
        for (request, expected) in REFUSED {
            let mut connection = site.connect();
            connection.send(request);
            let status = connection.response().status();
            assert!(expected.contains(&status), "{status} for {request:?}");
            assert!(connection.is_closed(), "open after {request:?}");
        }
        assert_eq!(site.get("/plaintext").ok().text(), "Hello, World!");
        site.stop();
    }

    fn what_is_too_large_is_refused(model: Model) {
        let site = Site::start(App::sample("hello"), model);
        let long = "a".repeat(200_000);
        for (request, expected) in [
            (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
            (format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"), 431),
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(5000)), 431),
        ] {
            let mut connection = site.connect();
            // It may be refused before all of it was sent.
            let _ = connection.try_send(&request);
            assert_eq!(connection.response().status(), expected);
        }
        assert_eq!(site.get("/plaintext").ok().text(), "Hello, World!");
        site.stop();
    }

    fn half_a_request_is_nothing(model: Model) {
        let site = Site::start(App::sample("hello"), model);
        for part in ["", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
            let mut connection = site.connect();
            connection.send(part);
            connection.finish_sending();
            let rest = String::from_utf8(connection.rest()).unwrap();
            assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{rest}");
        }
        assert_eq!(site.get("/plaintext").ok().text(), "Hello, World!");
        site.stop();
    }

    fn req_48_an_unknown_coding_before_chunked_is_refused_or_chunked(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let mut connection = site.connect();
        connection.send(
            "POST /ReadAndWriteEcho HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n",
        );
        assert_eq!(connection.response().ok().text(), "hello");
    }

    fn req_49_chunked_beats_content_length(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let mut connection = site.connect();
        connection.send(
            "POST /ReadAndWriteEcho HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        );
        assert_eq!(connection.response().ok().text(), "hello");
        assert!(connection.is_closed());
        if model == testkit::Model::InProcess {
            let mut connection = site.connect();
            connection.send(
                "POST /Header?name=X-Content-Length HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\
                 Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            );
            assert_eq!(connection.response().ok().text(), "3");
        }
    }
}
