//! What a server makes of an application's mistakes where no middleware stands between, as the
//! tests of the framework's own servers have it.

use testkit::{Connection, Request};

use crate::{client::Client, compare::compare};

/// Sends a request and notes what comes back.
pub(crate) fn ask(client: &mut Client, name: &str, request: &Request) {
    let mut connection = client.connect();
    connection.send(request.to_bytes());
    note_answer(client, name, &mut connection);
}

pub(crate) fn get(client: &mut Client, name: &str) {
    ask(client, name, &Request::get(&format!("/bare/{name}")));
}

fn note_answer(client: &mut Client, name: &str, connection: &mut Connection) {
    let answer = answer(connection);
    client.note(name, "answer", &answer);
}

/// Status, body, and whether that is all of it.
fn answer(connection: &mut Connection) -> String {
    if !connection.answers() {
        return "none".to_owned();
    }
    let head = connection.head();
    let mut body = Vec::new();
    let end = loop {
        match connection.try_piece() {
            Ok(Some(piece)) => body.extend_from_slice(&piece.bytes),
            Ok(None) => break "whole",
            Err(_) => break "broken",
        }
    };
    // A text to read, or many bytes.
    match std::str::from_utf8(&body) {
        Ok(text) if text.len() < 100 => format!("{} {text} {end}", head.status),
        _ => format!("{} {} bytes {end}", head.status, body.len()),
    }
}

/// What a handler has told under this name.
pub(crate) fn told(client: &mut Client, of: &str) {
    let text = learned(client, "told", of, |text| text != "none");
    client.note(of, "told", &text);
}

/// What the server has logged of the request: so many lines at least.
pub(crate) fn logged(client: &mut Client, of: &str, lines: usize) {
    let text = learned(client, "logged", of, |text| text.lines().count() >= lines);
    client.note(of, "logged", &text);
}

pub(crate) fn learned(
    client: &Client,
    what: &str,
    of: &str,
    is_enough: impl Fn(&str) -> bool,
) -> String {
    let mut connection = client.connect();
    let target = format!("/bare/{what}?of={of}");
    testkit::eventually(&format!("what was {what} of {of}"), || {
        let text = connection.get(&target).ok().text();
        is_enough(&text).then_some(text)
    })
}

#[test]
fn lengths_are_those_that_callbacks_leave() {
    compare("bare lengths", "Market", |client| {
        for how in ["pipe", "stream", "halves", "large", "sync"] {
            get(client, &format!("relaxed/{how}"));
        }
        for how in ["less", "more", "status"] {
            get(client, &format!("strict/{how}"));
            told(client, &format!("strict/{how}"));
        }
        get(client, "unwritten/");
        logged(client, "unwritten/", 1);
    });
}

#[test]
fn a_body_that_is_completed_is_over() {
    compare("bare completions", "Market", |client| {
        for how in
            ["sync", "async", "response", "unstarted-sync", "unstarted-async", "unstarted-response"]
        {
            let name = format!("short/{how}");
            get(client, &name);
            told(client, &name);
            logged(client, &name, 1);
        }
        for how in ["sync", "async", "response"] {
            let name = format!("completed/{how}");
            get(client, &name);
            told(client, &name);
        }
    });
}

#[test]
fn what_fails_is_answered_with_an_error_and_logged_once() {
    compare("bare failures", "Market", |client| {
        get(client, "writer-error/");
        logged(client, "writer-error/", 1);
        for (how, request) in [
            ("length", Request::post("/bare/reader-error/length", "hello")),
            ("chunked", Request::post_chunked("/bare/reader-error/chunked", b"hello", 2)),
        ] {
            let name = format!("reader-error/{how}");
            ask(client, &name, &request);
            told(client, &name);
            logged(client, &name, 1);
        }
        for how in
            ["empty-write", "started", "all-written", "completed", "writer-completed", "before"]
        {
            let name = format!("throws/{how}");
            get(client, &name);
            logged(client, &name, 1);
        }
        get(client, "throws/null");
        told(client, "throws/null");
        logged(client, "throws/null", 1);
        get(client, "callbacks/");
        told(client, "callbacks/");
        logged(client, "callbacks/", 2);
        get(client, "unleased/");
        told(client, "unleased/");
        // Each failure ends a connection, and the next is another for who reads the log.
        let mut seen = std::collections::HashSet::new();
        for _ in 0..5 {
            let mut connection = client.connect();
            connection.send(Request::get("/bare/throws/started").to_bytes());
            answer(&mut connection);
            for _ in 0..2 {
                seen.insert(client.connect().get("/bare/trace/").ok().text());
            }
        }
        client.note("trace/", "distinct", &seen.len().to_string());
    });
}

#[test]
fn a_write_that_is_cancelled_halfway_is_no_whole_answer() {
    compare("bare cancelled writes", "Market", |client| {
        for how in ["stream", "pipe"] {
            let mut connection = client.connect();
            connection.send(Request::get(&format!("/bare/cancelled/{how}")).to_bytes());
            let head = connection.head();
            client.get(&format!("/bare/open/cancel-{how}"));
            told(client, &format!("cancelled/{how}"));
            let end = loop {
                match connection.try_piece() {
                    Ok(Some(_)) => {}
                    Ok(None) => break "whole",
                    Err(_) => break "broken",
                }
            };
            client.note(&format!("cancelled/{how}"), "end", &format!("{} {end}", head.status));
        }
    });
}

#[test]
fn readers_keep_to_the_rules_of_readers() {
    compare("bare readers", "Market", |client| {
        for how in ["try", "twice", "unread", "trailers"] {
            for chunked in [false, true] {
                let name = format!("reader/{how}{}", if chunked { "-chunked" } else { "" });
                let target = format!("/bare/reader/{how}");
                let request = match chunked {
                    true => Request::post_chunked(&target, b"hello, world", 5),
                    false => Request::post(&target, "hello, world"),
                };
                ask(client, &name, &request);
                told(client, &format!("reader/{how}"));
            }
        }
        for how in ["stream", "copy", "pipe"] {
            let mut connection = client.connect();
            connection.send(format!(
                "POST /bare/abort/{how} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
            ));
            told(client, &format!("abort/{how}"));
        }
        let mut connection = client.connect();
        connection.send(
            "POST /bare/reader/pending HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        );
        assert_eq!(connection.raw_head().status, 100);
        connection.send("h");
        connection.send("ello");
        note_answer(client, "reader/pending", &mut connection);
    });
}

#[test]
fn an_upgraded_connection_is_the_upgrade_s() {
    compare("bare upgrades", "Market", |client| {
        let mut connection = client.connect();
        connection.send(
            "GET /bare/upgraded/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n",
        );
        client.note("upgraded/", "status", &connection.raw_head().status.to_string());
        told(client, "upgraded/");
        connection.send("hello");
        client.note("upgraded/", "rest", &String::from_utf8_lossy(&connection.rest()));
    });
}
