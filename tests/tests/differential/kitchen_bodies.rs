//! Request bodies of the application `Kitchen`.

use testkit::Request;

use crate::{client::Client, compare::compare};

const FORM: &str = "application/x-www-form-urlencoded";

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn multipart(client: &mut Client, target: &str, large: usize, chunked: bool) {
    const BOUNDARY: &str = "----kitchen";
    let mut body = Vec::new();
    let mut part = |disposition: &str, content: &[u8]| {
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    };
    part("name=\"note\"", "grüße".as_bytes());
    part("name=\"file\"; filename=\"a ü.bin\"\r\nContent-Type: image/odd", &pattern(large));
    part("name=\"second\"; filename=\"b.txt\"\r\nContent-Type: text/plain", b"b");
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = if chunked {
        Request::post_chunked(target, &body, 5000)
    } else {
        Request::post(target, body)
    };
    client.ask(request.header("Content-Type", &kind));
}

#[test]
fn bodies() {
    compare("bodies", "Kitchen", |client| {
        client.ask(
            Request::post("/form", "a=1&b=two+words&c=%C3%BC&a=2").header("Content-Type", FORM),
        );
        client.ask(Request::post_chunked("/form", b"a=1&b=2", 2).header("Content-Type", FORM));
        client.ask(Request::post("/form", "").header("Content-Type", FORM));
        client.ask(Request::post("/form", "a=1"));
        for (large, chunked) in [(10, false), (200_000, false), (200_000, true)] {
            multipart(client, "/upload", large, chunked);
        }
        multipart(client, "/bind-file", 1000, false);
        client.ask(
            Request::post("/bind-file", "")
                .header("Content-Type", "multipart/form-data; boundary=x"),
        );
        client.ask(
            Request::post("/json", r#"{"a":1,"b":2}"#).header("Content-Type", "application/json"),
        );
        client.ask(Request::post("/json", r#"{"a":"#).header("Content-Type", "application/json"));
        client.ask(Request::post("/json", r#"{"a":1}"#));
        for target in ["/echo", "/echo-pipe", "/as-stream", "/late", "/sync-allowed"] {
            for length in [0, 1, 4096, 100_000] {
                let body = vec![b'x'; length];
                client.ask(Request::post(target, body.clone()).header("Content-Type", "text/x"));
                client.ask(
                    Request::post_chunked(target, &body, 3000).header("Content-Type", "text/x"),
                );
            }
        }
        for target in ["/buffered", "/examined", "/at-least", "/unread", "/hash", "/wrapped"] {
            for length in [0, 10, 2000, 100_000] {
                client.ask(Request::post(target, vec![b'y'; length]));
                client.ask(Request::post_chunked(target, &vec![b'y'; length], 1000));
            }
        }
        client.ask(Request::post("/hash", pattern(10_000_000)));
        client.ask(Request::post("/sync-read", "abc"));
        client.ask(Request::post("/limit-late", "abc"));
        client.ask(Request::post("/lines", "one\ntwo\nthree\n"));
        client.ask(Request::post("/trailers", "abc"));
        client.ask(Request::post_chunked("/trailers", b"abc", 2));
        for method in ["GET", "POST", "PUT"] {
            client.ask(Request::new(method, "/can-have-body"));
            client.ask(Request::new(method, "/can-have-body").header("Content-Length", "0"));
        }
        client.ask(Request::post("/can-have-body", "x"));
        client.ask(Request::post_chunked("/can-have-body", b"", 1));
        // Each on a connection of its own: a server may close when it does not read the rest.
        for request in [
            Request::post("/limit?limit=3", "abc"),
            Request::post("/limit?limit=3", "abcd"),
            Request::post_chunked("/limit?limit=3", b"abcd", 1),
            Request::post_chunked("/limit?limit=0", b"a", 1),
            Request::post("/limit?limit=0", ""),
            Request::post("/partly", "12345"),
            Request::post("/partly", "1234"),
            Request::post("/partly", vec![b'1'; 100]),
        ] {
            client.ask_in_vain(request);
        }
    });
}

#[test]
fn bodies_byte_by_byte() {
    compare("bodies byte by byte", "Kitchen", |client| {
        // Lines come back one at a time while the request is still being sent.
        let mut connection = client.connect();
        connection
            .send("POST /lines HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.send_chunk(b"first\n");
        let head = connection.head();
        client.note("lines", "status", &head.status.to_string());
        let mut got = String::new();
        for line in ["", "second\n", "third\n"] {
            for byte in line.bytes() {
                connection.send_chunk(&[byte]);
            }
            let expected = got.matches('\n').count() + 1;
            while got.matches('\n').count() < expected {
                let piece = connection.piece().expect("a line comes back");
                got.push_str(&String::from_utf8_lossy(&piece.bytes));
            }
        }
        connection.send_chunk(b"");
        while let Some(piece) = connection.piece() {
            got.push_str(&String::from_utf8_lossy(&piece.bytes));
        }
        client.note("lines", "body", &got);

        // 100-continue is sent when somebody reads, and not otherwise.
        for (target, expect) in [("/echo", true), ("/unread", false)] {
            let mut connection = client.connect();
            connection.send(format!(
                "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
            ));
            let head = connection.raw_head();
            client.note(target, "first answer", &head.status.to_string());
            if expect {
                connection.send("body");
                let response = connection.response();
                client.note(
                    target,
                    "answer",
                    &format!("{} {}", response.status(), response.text()),
                );
            }
        }

        // A request trickles in.
        let mut connection = client.connect();
        let request = Request::post("/echo", "slowly").to_bytes();
        for byte in request {
            connection.send([byte]);
        }
        client.note("trickle", "answer", &connection.response().text());

        // Trailers.
        let mut connection = client.connect();
        connection.send(
            "POST /trailers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n",
        );
        client.note("trailers", "answer", &connection.response().text());

        for (what, body) in [
            ("bad chunk size", "zz\r\nabc\r\n0\r\n\r\n"),
            ("no line end", "3\r\nabcXX0\r\n\r\n"),
            ("chunk extension", "3;a=b\r\nabc\r\n0\r\n\r\n"),
        ] {
            let head =
                "POST /hash HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
            client.send_raw(what, format!("{head}{body}").as_bytes());
        }
    });
}
