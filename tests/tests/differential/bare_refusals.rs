//! What is refused before an application hears of it: lines, targets and fields as the parsing tests
//! of Kestrel have them. The wording is each server's own.

use crate::{client::Client, compare::compare};

const POST: &str = "POST /bare/behind/read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

/// The status of a connection's first answer.
fn status(client: &mut Client, name: &str, text: &str) {
    let mut connection = client.connect();
    connection.send(text);
    let said = connection.rest();
    let said = String::from_utf8_lossy(&said);
    client.note(
        &name.escape_debug().to_string(),
        "status",
        said.split(' ').nth(1).unwrap_or("none"),
    );
}

#[test]
fn request_lines() {
    compare("bare request lines", "Market", |client| {
        for line in [
            "GET",
            "GET ",
            "GET /",
            "GET / ",
            "GET/HTTP/1.1",
            " ",
            "/ HTTP/1.1",
            " / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET  HTTP/1.1",
            "GET / HTTP/1.1\ra",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.1a",
            "GET / HTTP/1.1ab",
            "GET / hello",
            "GET / http/1.1",
            "GET / HTTP/1.2",
            "GET? / HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET@ / HTTP/1.1",
            "G\0T / HTTP/1.1",
            "GET ? HTTP/1.1",
            "GET %2F HTTP/1.1",
            "GET /?a=b c HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "GET /?\0=a HTTP/1.1",
            "GET /%00 HTTP/1.1",
            "GET /%E8%00%84 HTTP/1.1",
            "GET /%F3%85%82%00 HTTP/1.1",
            "GET /%25%30%30 HTTP/1.1",
            "GET /%%2000 HTTP/1.1",
            "GET /?%A HTTP/1.1",
            "GET /?%00 HTTP/1.1",
            "GET ../../ HTTP/1.1",
            "GET ..\\. HTTP/1.1",
            "GET http:// HTTP/1.1",
            "GET http:/ HTTP/1.1",
            "GET http:/// HTTP/1.1",
            "GET http://:80/abc HTTP/1.1",
            "GET http://a%20b/abc HTTP/1.1",
            "GET other://a/ HTTP/1.1",
            "GET ws://a/ HTTP/1.1",
            "GET https://a/ HTTP/1.1",
            "GET http://a HTTP/1.1",
            "GET http://a?p=/a/../b HTTP/1.1",
            "GET http://a:80/ HTTP/1.1",
            "GET https://a:443/ HTTP/1.1",
            "OPTIONS ** HTTP/1.1",
            "CONNECT a HTTP/1.1",
            "CONNECT a:443 HTTP/1.1",
        ] {
            status(client, line, &format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n"));
        }
    });
}

#[test]
fn fields() {
    compare("bare fields", "Market", |client| {
        for fields in [
            "A: b\r\n c",
            "A: b\r\n\tc",
            "A: b\r\n \t c",
            "A: b\r\n C: d",
            "A: b\r",
            "A: b\rc",
            "A: b\rC: d",
            "A b",
            "A",
            " A: b",
            "\tA: b",
            "A : b",
            "A\t: b",
            "A\r: b",
            "A B: c",
            "A\0: b",
            "A: b\0",
            "\u{80}: b",
            ": b",
            ":",
            "A:",
            "A:b",
            "A:  b  ",
            "A:\tb\t",
            "A(: b",
            "Content-Length: NaN",
            "Content-Length: -1",
            "Content-Length:",
            "Content-Length: 0x1",
            "Content-Length: 1 2",
            "Content-Length: 99999999999999999999",
            "Content-Length: 0\r\nContent-Length: 0",
            "Content-Length: 0\r\nContent-Length: 1",
            "A: b\r\n\r ",
        ] {
            status(
                client,
                fields,
                &format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n\r\n"),
            );
        }
    });
}

#[test]
fn an_empty_line_is_between_requests() {
    compare("bare gaps", "Market", |client| {
        for between in ["", "\r\n"] {
            let mut connection = client.connect();
            connection.send(format!("{POST}{between}"));
            let first = connection.response().status();
            connection.send(POST);
            let second = connection.response().status();
            connection.send(between);
            connection.finish_sending();
            let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
            let name = between.escape_debug().to_string();
            client.note(&name, "answers", &format!("{first} {second} {rest:?}"));
        }
    });
}
