//! The application `Pantry`: middleware as ordinary applications put it together.

use testkit::Request;

use crate::compare::compare;

fn text(target: &str, body: &str) -> Request {
    Request::post(target, body).header("Content-Type", "text/plain")
}

/// `body` packed by gzip, with stored blocks: nobody has to compress here.
fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let length = u16::try_from(body.len()).expect("a short body");
    packed.push(1);
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(body);
    let crc = body.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    packed.extend((!crc).to_le_bytes());
    packed.extend(u32::from(length).to_le_bytes());
    packed
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[0], &length[..], message].concat()
}

#[test]
fn middleware() {
    compare("middleware", "Pantry", |client| {
        for target in [
            "/forwarded",
            "/rewritten/old/place?x=1",
            "/rewritten/shelf/7?y=2",
            "/rewritten/shelf/x",
            "/based/inner/most",
            "/based/other",
            "/packed",
            "/developer",
            "/fails",
            "/status/404",
            "/status/418",
            "/status/503",
            "/status/x",
            "/nowhere/at/all",
            "/health",
            "/health/strict",
            "/callbacks",
            "/trailers",
        ] {
            client.get(target);
        }
        client.ask(
            Request::get("/forwarded")
                .header("X-Forwarded-For", "203.0.113.7, 10.0.0.1")
                .header("X-Forwarded-Proto", "https")
                .header("X-Forwarded-Host", "shop.example"),
        );
        client.ask(Request::post("/override", "").header("X-HTTP-Method-Override", "PATCH"));
        client.ask(Request::get("/override").header("X-HTTP-Method-Override", "PATCH"));
        client.ask(text(
            "/logged",
            "a line that is logged and comes back, longer than the limit of the log",
        ));
        client.ask(
            Request::post_chunked("/logged", b"pieces of text", 3)
                .header("Content-Type", "text/plain"),
        );
        client.ask(text("/replaced", "quiet"));
        client.ask(text("/replaced", ""));
        client.ask(text("/timed", "on time"));
        client.ask(Request::new("PROPFIND", "/any"));
        client.ask(Request::new("LOCK", "/any"));
        client.ask(Request::new("UNLOCK", "/any"));
        client.ask(Request::new("HEAD", "/health"));
        client.ask_in_vain(Request::get("/fails/late"));
        client.ask_in_vain(Request::get("/unfinished"));
        client.ask_in_vain(Request::get("/overfull"));
    });
}

#[test]
fn packed_bodies() {
    compare("packed bodies", "Pantry", |client| {
        for accept in ["gzip", "br", "deflate", "identity", "gzip;q=0, br;q=0", "*"] {
            client.ask(Request::get("/packed").header("Accept-Encoding", accept));
            client.ask(Request::get("/packed?flush").header("Accept-Encoding", accept));
        }
        client.ask(Request::new("HEAD", "/packed").header("Accept-Encoding", "gzip"));
        let body = gzip(b"unpacked by the application");
        for encoding in ["gzip", "GZIP", "br", "odd", "gzip, gzip"] {
            let request =
                Request::post("/unpacked", body.clone()).header("Content-Encoding", encoding);
            client.ask_in_vain(request);
        }
        let request = Request::post_chunked("/unpacked", &body, 7);
        client.ask(request.header("Content-Encoding", "gzip"));
        client.ask_in_vain(
            Request::post("/unpacked", &body[..20]).header("Content-Encoding", "gzip"),
        );
    });
}

#[test]
fn served_files() {
    compare("served files", "Pantry", |client| {
        for target in [
            "/served/docs",
            "/served/docs/",
            "/served/docs/notes.txt",
            "/served/docs/none.txt",
            "/served/docs/../docs/notes.txt",
            "/served/docs%2Fnotes.txt",
            "/served/%2e%2e/%2e%2e/Pantry.dll",
            "/file",
            "/bytes",
        ] {
            client.get(target);
        }
        for range in ["bytes=2-4", "bytes=-3", "bytes=5-", "bytes=50-60", "bytes=0-0,9-9"] {
            client.ask(Request::get("/file").header("Range", range));
            client.ask(Request::get("/served/docs/notes.txt").header("Range", range));
        }
        // No route takes HEAD; what the fallback writes then, Kestrel sends behind the head of an
        // answer that must have no body. So only where there is a file.
        client.ask(Request::new("HEAD", "/served/docs/notes.txt"));
    });
}

#[test]
fn bodies_of_all_kinds() {
    compare("bodies of all kinds", "Pantry", |client| {
        for target in [
            "/stock",
            "/stock/plums",
            "/stock/plums?count=3&note=ripe",
            "/stock/plums?count=many",
            "/stock/%C3%A4pfel%20rot",
        ] {
            client.get(target);
        }
        let large = "0123456789abcdef".repeat(20_000);
        let form = format!(
            "--line\r\nContent-Disposition: form-data; name=\"label\"\r\n\r\nplums\r\n\
             --line\r\nContent-Disposition: form-data; name=\"one\"; filename=\"a b.txt\"\r\n\
             Content-Type: text/plain\r\n\r\nsmall\r\n\
             --line\r\nContent-Disposition: form-data; name=\"two\"; filename=\"l.bin\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{large}\r\n--line--\r\n"
        );
        let kind = "multipart/form-data; boundary=line";
        client.ask(Request::post("/jars", form.clone()).header("Content-Type", kind));
        client.ask(
            Request::post_chunked("/jars", form.as_bytes(), 1000).header("Content-Type", kind),
        );
        client.ask_in_vain(
            Request::post("/jars", &form.as_bytes()[..300]).header("Content-Type", kind),
        );
        client.ask(Request::post("/jars", "x=1").header("Content-Type", "text/plain"));
        client.ask(text("/read-twice", "once"));
        client.ask(text("/read-twice", &large));
        client.ask(text("/pipe", &large));
        client.ask(Request::post_chunked("/pipe", large.as_bytes(), 8191));
        client.ask_in_vain(text("/sized", "ten bytes!"));
        client.ask_in_vain(text("/sized", "eleven byte"));
        client.ask_in_vain(Request::post_chunked("/sized", b"eleven byte", 4));
        let messages = [frame(b"one"), frame(b""), frame(&[7; 5000])].concat();
        client.ask(Request::post("/frames", messages.clone()));
        client.ask(Request::post_chunked("/frames", &messages, 100));
    });
}
