//! Clients that leave, or do not behave, as the functional tests of Kestrel have them.

use testkit::Request;

use crate::{
    bare::{ask, learned},
    client::Client,
    compare::compare,
};

fn wait_until(client: &Client, of: &str, start: &str) -> String {
    learned(client, "told", of, |text| text.starts_with(start))
}

fn raw(client: &mut Client, name: &str, head: &str) {
    raw_with(client, name, head, "");
}

/// The answer to a request that is the connection's last; why it was refused is in each one's words.
fn raw_with(client: &mut Client, name: &str, head: &str, body: &str) {
    let mut connection = client.connect();
    connection.send(format!("{head}Connection: close\r\n\r\n{body}"));
    let response = connection.response();
    let text = if response.status() == 200 { response.text() } else { String::new() };
    client.note(name, "answer", &format!("{} {text}", response.status()));
}

#[test]
fn an_application_hears_of_a_client_that_leaves() {
    compare("bare leaving", "Market", |client| {
        for (how, lines, more) in [
            ("waiting", "", ""),
            ("started", "", ""),
            ("late", "", ""),
            ("unread", "Content-Length: 100\r\n", "half"),
            ("upgraded", "Connection: Upgrade\r\nUpgrade: own\r\n", ""),
            ("upgraded-unread", "Connection: Upgrade\r\nUpgrade: own\r\n", "hello"),
            ("upgraded-read", "Connection: Upgrade\r\nUpgrade: own\r\n", "hello"),
        ] {
            for polite in [true, false] {
                let name = format!("leaving/{how}.{polite}");
                let mut connection = client.connect();
                connection
                    .send(format!("GET /bare/{name} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"));
                if how.starts_with("upgraded") {
                    connection.raw_head();
                }
                connection.send(more);
                wait_until(client, &name, "waiting");
                if polite {
                    connection.finish_sending();
                    let text = wait_until(client, &name, "over");
                    client.note(&name, "told", &text);
                } else {
                    drop(connection);
                    let text = wait_until(client, &name, "over");
                    client.note(&name, "told on leaving", &text);
                }
            }
        }
    });
}

#[test]
fn targets_are_read_alike() {
    compare("bare targets", "Market", |client| {
        for target in [
            "%41%CC%8A/A/../B/%41%CC%8A",
            "..",
            "./.",
            "../x",
            "path?foo=1&bar=2",
            "hello%20world?a=%20",
            "%2F",
            "%2f%5C",
            "a%2Fb/../c",
            "a/%2e%2e/c",
            "%7Bx%7D",
            "%zz",
            "%4",
            "%C3",
            "%C3%A9%FF",
            "%E2%82",
            "%ED%A0%80",
            "%C0%AF",
            "%F0%9F%98%80",
            "%2541",
            "a//b///c",
            "a;b=c",
            "??",
            "x?%00",
            "x?a=b?c",
            "a+b",
            "[x]|",
        ] {
            ask(client, target, &Request::get(&format!("/bare/target/{target}")));
        }
        let line = "GET /bare/target/x HTTP/1.1";
        for host in [
            "",
            "  a.example  ",
            "a:80",
            "a:",
            "[::1]:8080",
            "[::1]",
            "::1",
            "[::1",
            "a b",
            "a=b",
            "a@b",
            "a/b",
            "a:b",
            "a\r\nHost: a",
            "a,b",
            "..",
            "a_b",
            "a%20b",
            "*",
            "[fe80::1%25eth0]",
            "[]",
            ":80",
            "EXAMPLE.com:80",
            "\ta\t",
        ] {
            raw(client, host, &format!("{line}\r\nHost: {host}\r\n"));
        }
        raw(client, "no host", &format!("{line}\r\n"));
        raw(client, "bad old host", "GET /bare/target/x HTTP/1.0\r\nHost: a=b\r\n");
        let upgrade = "Host: a\r\nUpgrade: own\r\nConnection: Upgrade";
        for (name, line, fields, body) in [
            ("upgrade with a body", "POST", format!("{upgrade}\r\nContent-Length: 1"), "x"),
            ("upgrade with no body", "POST", format!("{upgrade}\r\nContent-Length: 0"), ""),
            (
                "upgrade chunked",
                "POST",
                format!("{upgrade}\r\nTransfer-Encoding: chunked"),
                "0\r\n\r\n",
            ),
            (
                "two lengths",
                "POST",
                "Host: a\r\nContent-Length: 1\r\nContent-Length: 1".to_owned(),
                "x",
            ),
            ("length list", "POST", "Host: a\r\nContent-Length: 1, 1".to_owned(), "x"),
            ("no length", "POST", "Host: a".to_owned(), ""),
            ("gzip", "POST", "Host: a\r\nTransfer-Encoding: gzip".to_owned(), ""),
            (
                "chunked last",
                "POST",
                "Host: a\r\nTransfer-Encoding: gzip, chunked".to_owned(),
                "0\r\n\r\n",
            ),
            (
                "chunked first",
                "POST",
                "Host: a\r\nTransfer-Encoding: chunked, gzip".to_owned(),
                "0\r\n\r\n",
            ),
            ("own method", "BREW", "Host: a".to_owned(), ""),
            ("small method", "get", "Host: a".to_owned(), ""),
        ] {
            let head = format!("{line} /bare/target/x HTTP/1.1\r\n{fields}\r\n");
            raw_with(client, name, &head, body);
        }
        for version in ["1.2", "3.0", "0.9"] {
            raw(client, version, &format!("GET /bare/target/x HTTP/{version}\r\nHost: a\r\n"));
        }
        raw(client, "connect", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n");
        raw(client, "options", "OPTIONS * HTTP/1.1\r\nHost: a\r\n");
    });
}
