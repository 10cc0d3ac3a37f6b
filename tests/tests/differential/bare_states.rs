//! What one request leaves behind for the next of its connection, codings that an application
//! brings, and bodies that nobody waits for: what the tests of Kestrel's answers ask.

use testkit::Request;

use crate::{
    bare::{ask, told},
    bare_bytes::{request, talk},
    compare::compare,
};

const CLOSE: &str = "Connection: close\r\n\r\n";

#[test]
fn nothing_is_left_for_the_next_request() {
    compare("bare leftovers", "Market", |client| {
        for how in [
            "none",
            "memory",
            "advanced",
            "flushed",
            "length",
            "headers",
            "headers-written",
            "status",
            "body",
            "body-kept",
            "user",
            "throws",
            "starting-throws",
        ] {
            let first = request(&format!("GET /bare/left/{how}"), "1.1", "\r\n");
            let next = request("GET /bare/left/next", "1.1", "\r\n");
            let last = request(&format!("GET /bare/left/{how}"), "1.1", CLOSE);
            talk(client, how, &format!("{first}{next}{last}"));
            if how != "throws" {
                told(client, &format!("left/{how}"));
            }
            told(client, "left/next");
        }
    });
}

#[test]
fn codings_of_the_application_s_own() {
    compare("bare codings", "Market", |client| {
        for (coding, version) in
            [("gzip", "1.1"), ("gzip.keep-alive", "1.1"), ("chunked", "1.1"), ("chunked", "1.0")]
        {
            let line = format!("GET /bare/coded/{coding}");
            let first = request(&line, version, "Connection: keep-alive\r\n\r\n");
            let last = request("GET /bare/next", "1.1", CLOSE);
            talk(client, &format!("{coding} {version}"), &(first + &last));
        }
    });
}

#[test]
fn lengths_of_what_has_no_body() {
    compare("bare lengths of nothing", "Market", |client| {
        for (method, status) in [
            ("GET", "204"),
            ("GET", "205"),
            ("GET", "304"),
            ("HEAD", "200"),
            ("HEAD", "304"),
            ("HEAD", "404"),
        ] {
            let line = format!("{method} /bare/lengthy/{status}");
            talk(client, &format!("{method} {status}"), &request(&line, "1.1", CLOSE));
            told(client, &format!("lengthy/{status}"));
        }
    });
}

#[test]
fn bodies_that_nobody_waits_for() {
    compare("bare unfinished", "Market", |client| {
        for how in ["", "connection"] {
            for version in ["1.0", "1.1"] {
                let mut connection = client.connect();
                let fields = "Connection: close\r\nContent-Length: 1\r\n\r\n";
                connection.send(request(&format!("POST /bare/silent/{how}"), version, fields));
                let said = String::from_utf8_lossy(&connection.rest()).into_owned();
                // A proxy that got nothing says so.
                let is_nothing = said.is_empty() || said.starts_with("HTTP/1.1 502 ");
                client.note(&format!("silent/{how} {version}"), "nothing", &is_nothing.to_string());
            }
        }
        for how in ["", "throws"] {
            let (name, target) = (format!("too-large/{how}"), format!("/bare/too-large/{how}"));
            for asked in [
                Request::post(&target, "0123456789"),
                Request::post_chunked(&target, b"0123456789", 2),
                Request::post_chunked(&target, b"0123456789", 10),
            ] {
                ask(client, &name, &asked);
                told(client, &name);
            }
        }
        // The answer is there, to its end, before the rest of the body is; then the next request counts.
        for (how, line) in [("", "POST /bare/first/"), ("writes", "POST /bare/first/writes")] {
            let mut connection = client.connect();
            let fields = "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n";
            connection.send(request(line, "1.1", fields));
            assert_eq!(connection.raw_head().status, 100);
            connection.send("a");
            let first = connection.response();
            connection.send(format!("b{}", request("GET /bare/next", "1.1", CLOSE)));
            let second = connection.response();
            client.note(
                how,
                "answers",
                &format!("{} {} {}", first.status(), first.text(), second.text()),
            );
        }
        // No chunk, before the answer and behind it.
        for early in [true, false] {
            let mut connection = client.connect();
            let fields = "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
            connection.send(request("POST /bare/first/", "1.1", fields));
            assert_eq!(connection.raw_head().status, 100);
            if !early {
                connection.send("1\r\na\r\n");
            }
            let status = if early { 0 } else { connection.response().status() };
            connection.send("gg\r\n");
            let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
            let first = rest.lines().next().unwrap_or_default();
            client.note(&format!("no chunk {early}"), "answers", &format!("{status} {first}"));
        }
    });
}

#[test]
fn what_is_written_is_sent_while_the_application_goes_on() {
    compare("bare held", "Market", |client| {
        for name in [
            "length-empty",
            "length-nothing",
            "length-flush",
            "chunks-empty",
            "chunks-nothing",
            "chunks-flush",
            "chunks-sync",
            "chunks-pipe",
        ] {
            let mut connection = client.connect();
            connection.send(request(&format!("GET /bare/held/{name}"), "1.1", "\r\n"));
            // The head is there while the application waits for somebody else.
            let head = connection.head();
            client.get(&format!("/bare/open/{name}"));
            let mut body = Vec::new();
            while let Ok(Some(piece)) = connection.try_piece() {
                body.extend_from_slice(&piece.bytes);
            }
            let body = String::from_utf8_lossy(&body).into_owned();
            client.note(name, "answer", &format!("{} {body}", head.status));
        }
    });
}
