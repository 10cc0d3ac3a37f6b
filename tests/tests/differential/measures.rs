//! The application `Market`: what hosting measures and traces of requests is the same, whoever serves.

use testkit::{Request, eventually};

use crate::{client::Client, compare::compare};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What hosting has measured and traced of requests with this name, once it is complete.
fn observed(client: &mut Client, name: &str) {
    let mut connection = client.connect();
    let target = format!("/observed?of={name}");
    let is_silent = name == "silent";
    let text = eventually("the end of the request", || {
        let text = connection.get(&target).ok().text();
        ((is_silent || text.contains("measured")) && text.contains("stopped")).then_some(text)
    });
    // A proxy may send a request a second time when a backend breaks off without a word.
    let lines = text.lines().take(if is_silent { 1 } else { 2 });
    client.note(name, "observed", &lines.collect::<Vec<_>>().join("\n"));
}

fn named(request: Request, name: &str) -> Request {
    request.header("X-Seen", name).header("traceparent", PARENT)
}

/// Whatever has become of requests, the one that asks is the only one now.
fn all_are_over(client: &mut Client) {
    let mut connection = client.connect();
    let text = eventually("the end of all requests", || {
        let text = connection.get("/observed/active").ok().text();
        let counts = text.lines().filter_map(|line| line.rsplit_once(": "));
        let sum: i32 = counts.map(|(_, count)| count.parse::<i32>().expect("a number")).sum();
        (sum == 1).then_some(text)
    });
    client.note("/observed/active", "active", &text);
}

#[test]
fn requests_are_measured_and_traced() {
    compare("market measures", "Market", |client| {
        for (name, target) in [
            ("plain", "/bound/item/7"),
            ("missing", "/nothing/here"),
            ("failing", "/throws/plain"),
            ("page", "/page/home"),
            ("action", "/api/fruit/1"),
            ("tagged", "/measured/tagged"),
            ("silent", "/measured/silent"),
            ("aborted", "/odd/aborted"),
            ("aborted-throws", "/odd/aborted-throws"),
            ("aborted-cancelled", "/odd/aborted-cancelled"),
            ("aborted-lost", "/odd/aborted-lost"),
        ] {
            let request = named(Request::get(target), name);
            match name.starts_with("aborted") {
                true => client.ask_nobody(request),
                false => drop(client.ask(request)),
            }
            observed(client, name);
        }
        all_are_over(client);
    });
}

#[test]
fn requests_of_other_methods_and_versions_are_measured() {
    compare("market measured methods", "Market", |client| {
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW", "get"] {
            let name = format!("method-{method}");
            drop(client.ask(named(Request::new(method, "/measured/anything/a"), &name)));
            observed(client, &name);
        }
        let mut old = client.connect();
        old.send(format!(
            "GET /measured/anything/1.0 HTTP/1.0\r\nHost: a\r\nX-Seen: old\r\ntraceparent: {PARENT}\r\n\r\n"
        ));
        drop(old.rest());
        observed(client, "old");
        all_are_over(client);
    });
}

#[test]
fn requests_that_come_to_another_end_are_measured() {
    compare("market measured ends", "Market", |client| {
        let large = Request::post("/measured/limited", "more than five bytes");
        drop(client.ask(named(large, "large")));
        observed(client, "large");
        client.ask_in_vain(named(Request::get("/measured/late"), "late"));
        observed(client, "late");

        let mut left = client.connect();
        left.send(named(Request::get("/measured/left"), "left").to_bytes());
        assert_eq!(left.head().status, 200);
        drop(left);
        observed(client, "left");
        let mut left = client.connect();
        left.send(named(Request::get("/measured/left-before"), "left-before").to_bytes());
        // It has come to the application when that counts it.
        eventually("the request", || {
            let text = client.connect().get("/observed/active").ok().text();
            text.contains(": 2").then_some(())
        });
        drop(left);
        observed(client, "left-before");

        let mut tunnel = client.connect();
        let upgrade = Request::get("/measured/upgraded").header("Connection", "Upgrade");
        tunnel.send(named(upgrade.header("Upgrade", "echo"), "upgraded").to_bytes());
        assert_eq!(tunnel.raw_head().status, 101);
        tunnel.send("there and back");
        assert_eq!(tunnel.take(14), b"there and back");
        tunnel.finish_sending();
        drop(tunnel.rest());
        observed(client, "upgraded");
        all_are_over(client);
    });
}
