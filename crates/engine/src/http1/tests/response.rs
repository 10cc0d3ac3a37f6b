use super::super::request::Limits;
use super::super::response::{BadHead, BodyFraming, HeadContext, encode_head, write_head};
use super::super::upstream::parse_response;

const CURRENT: HeadContext<'static> = HeadContext {
    version: 0x0101,
    is_head: false,
    is_connect: false,
    keep_alive: true,
    date: b"",
    server: b"",
};
const OLD: HeadContext<'static> = HeadContext { version: 0x0100, ..CURRENT };
const HEAD: HeadContext<'static> = HeadContext { is_head: true, ..CURRENT };
const CONNECT: HeadContext<'static> = HeadContext { is_connect: true, ..CURRENT };

type Fields<'f> = &'f [(&'f str, &'f str)];

fn encoded(status: u16, reason: &str, length: Option<u64>, fields: Fields) -> Vec<u8> {
    let mut out = b"left over".to_vec();
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    encode_head(status, reason, length, fields, &mut out);
    out
}

/// Fields as written, without the status line, joined; then framing and whether to go on.
fn check(context: HeadContext, status: u16, length: Option<u64>, fields: Fields, expected: &str) {
    let mut out = b"before".to_vec();
    let written = write_head(&encoded(status, "", length, fields), &context, &mut out);
    let text = String::from_utf8_lossy(&out);
    let actual = match written {
        Ok(written) => {
            assert_eq!(written.status, status);
            let (_, text) = text.split_once("\r\n").expect("a status line");
            let text = text.strip_suffix("\r\n\r\n").unwrap_or("");
            let close = if written.keep_alive { "" } else { " close" };
            format!("{}| {:?}{close}", text.replace("\r\n", "|"), written.framing)
        }
        Err(error) => {
            assert_eq!(text, "before");
            format!("{error:?}")
        }
    };
    assert_eq!(actual, expected, "{status} {length:?} {fields:?}");
}

#[test]
fn framing_follows_status_method_and_version() {
    let chunked = "Transfer-Encoding: chunked| Chunked";
    check(CURRENT, 200, None, &[], chunked);
    check(CURRENT, 200, Some(5), &[], "Content-Length: 5| Length(5)");
    check(CURRENT, 200, Some(0), &[], "Content-Length: 0| Length(0)");
    check(CURRENT, 200, None, &[("content-length", "3")], "Content-Length: 3| Length(3)");
    check(CURRENT, 200, Some(3), &[("Content-Length", "3")], "Content-Length: 3| Length(3)");
    check(CURRENT, 200, Some(4), &[("Content-Length", "3")], "ContentLength");
    check(CURRENT, 200, None, &[("Content-Length", "+3")], "ContentLength");
    let twice = [("Content-Length", "3"), ("Content-Length", "3")];
    check(CURRENT, 200, None, &twice, "ContentLength");

    check(OLD, 200, None, &[], "Connection: close| UntilClose close");
    check(OLD, 200, Some(5), &[], "Content-Length: 5|Connection: keep-alive| Length(5)");
    let closing = HeadContext { keep_alive: false, ..CURRENT };
    check(closing, 200, Some(1), &[], "Content-Length: 1|Connection: close| Length(1) close");

    check(HEAD, 200, None, &[("A", "b")], "A: b| None");
    check(HEAD, 200, Some(5), &[("A", "b")], "Content-Length: 5|A: b| None");
    check(CURRENT, 304, None, &[("A", "b")], "A: b| None");
    check(CURRENT, 304, Some(5), &[], "Content-Length: 5| None");
    check(CURRENT, 204, None, &[("A", "b")], "A: b| None");
    check(CURRENT, 204, Some(0), &[("A", "b")], "A: b| None");
    check(CURRENT, 204, Some(1), &[], "BodyForbidden");
    check(CURRENT, 205, None, &[], "Content-Length: 0| None");
    check(CURRENT, 205, Some(1), &[], "BodyForbidden");
    check(OLD, 204, None, &[], "Connection: keep-alive| None");

    let dated = HeadContext { date: b"now", server: b"us", keep_alive: false, ..CURRENT };
    check(dated, 103, None, &[("Link", "x")], "Link: x| None close");
    check(CURRENT, 103, Some(1), &[], "BodyForbidden");
    check(CONNECT, 200, None, &[("A", "b")], "A: b| Upgrade close");
    check(CONNECT, 200, Some(1), &[], "BodyForbidden");
    check(CONNECT, 403, None, &[], chunked);
    check(
        CURRENT,
        101,
        None,
        &[("Upgrade", "websocket"), ("Connection", "x"), ("Transfer-Encoding", "chunked")],
        "Connection: Upgrade|Upgrade: websocket| Upgrade close",
    );
}

#[test]
fn the_application_may_frame_its_own_bytes() {
    let chunked = [("Transfer-Encoding", "chunked"), ("Content-Length", "3")];
    check(CURRENT, 200, None, &chunked, "Transfer-Encoding: chunked| AppFramed");
    check(
        CURRENT,
        200,
        None,
        &[("Transfer-Encoding", "gzip")],
        "Connection: close|Transfer-Encoding: gzip| AppFramed close",
    );
    check(HEAD, 200, None, &chunked[..1], "Transfer-Encoding: chunked| None");
    check(CURRENT, 204, None, &[("Transfer-Encoding", "chunked"), ("A", "b")], "A: b| None");
    let twice = [chunked[0], chunked[0]];
    check(CURRENT, 200, None, &twice, "TransferEncoding");
}

#[test]
fn fields_of_the_connection_are_ours() {
    check(
        CURRENT,
        200,
        Some(7),
        &[("Connection", "Close"), ("Keep-Alive", "x"), ("Proxy-Connection", "x"), ("A", "b")],
        "Content-Length: 7|Connection: close|A: b| Length(7) close",
    );
    let said = "Content-Length: 7|Connection: keep-alive| Length(7)";
    check(CURRENT, 200, Some(7), &[("Connection", "Keep-Alive")], said);
    let closing = HeadContext { keep_alive: false, ..CURRENT };
    let but = "Content-Length: 7|Connection: close| Length(7) close";
    check(closing, 200, Some(7), &[("Connection", "keep-alive")], but);
    check(
        CURRENT,
        426,
        Some(7),
        &[("Upgrade", "TLS/1.3")],
        "Content-Length: 7|Connection: Upgrade|Upgrade: TLS/1.3| Length(7)",
    );
    let named = HeadContext { date: b"now", server: b"us", ..CURRENT };
    check(named, 200, Some(7), &[], "Content-Length: 7|Date: now|Server: us| Length(7)");
    check(
        named,
        200,
        Some(7),
        &[("date", "then"), ("SERVER", "them")],
        "Content-Length: 7|date: then|SERVER: them| Length(7)",
    );
    check(named, 200, Some(7), &[("Server", "")], "Content-Length: 7|Date: now| Length(7)");
}

#[test]
fn our_fields_are_where_kestrel_has_them() {
    let named = HeadContext { date: b"now", server: b"us", ..CURRENT };
    let fields = [
        ("Content-Type", "t"),
        ("ETag", "e"),
        ("Set-Cookie", "c"),
        ("Trailer", "T"),
        ("Vary", "v"),
        ("X", "x"),
    ];
    let signed = "Content-Type: t|Date: now|Server: us|ETag: e|Set-Cookie: c|Trailer: T|";
    let framed = format!("{signed}Transfer-Encoding: chunked|Vary: v|X: x| Chunked");
    check(named, 200, None, &fields, &framed);
    let closing = HeadContext { keep_alive: false, ..named };
    let whole =
        format!("Content-Length: 7|Connection: close|{signed}Vary: v|X: x| Length(7) close");
    check(closing, 200, Some(7), &fields, &whole);

    // The application's own wish comes first among its fields.
    let wish = [("Connection", "close"), ("Content-Type", "t"), ("X", "x")];
    let closed = "Content-Length: 7|Connection: close|Content-Type: t|Date: now|Server: us|X: x|";
    check(closing, 200, Some(7), &wish, &format!("{closed} Length(7) close"));

    let tail = "Transfer-Encoding: chunked|X: x| Chunked";
    check(named, 200, None, &[("X", "x")], &format!("Date: now|Server: us|{tail}"));
    let then = [("Date", "then"), ("X", "x")];
    check(named, 200, None, &then, &format!("Date: then|Server: us|{tail}"));
    let them = [("Content-Type", "t"), ("Server", "them"), ("X", "x")];
    check(named, 200, None, &them, &format!("Content-Type: t|Date: now|Server: them|{tail}"));
    check(
        named,
        101,
        None,
        &[("Upgrade", "w"), ("X", "x")],
        "Connection: Upgrade|Date: now|Server: us|Upgrade: w|X: x| Upgrade close",
    );
}

#[test]
fn nothing_can_be_split() {
    for name in ["", "a b", "a:", "a\r\nb", "a\0", "\u{e4}"] {
        check(CURRENT, 200, None, &[(name, "x")], "Name");
    }
    for value in ["\r\nSet-Cookie: x", "a\nb", "a\rb", "a\0b", "a\x1bb", "\x7f"] {
        check(CURRENT, 200, None, &[("A", value)], "Value");
    }
    check(CURRENT, 200, Some(7), &[("A", "\t\u{e4}")], "Content-Length: 7|A: \t\u{e4}| Length(7)");
    check(CURRENT, 99, None, &[], "Status");
    check(CURRENT, 1000, None, &[], "Status");
    let mut out = Vec::new();
    let bad = encoded(200, "OK\r\nA: b", None, &[]);
    assert_eq!(write_head(&bad, &CURRENT, &mut out), Err(BadHead::Reason));
}

#[test]
fn a_head_that_is_cut_or_extended_is_refused() {
    let whole = encoded(200, "Fine", Some(3), &[("A", "bc"), ("D", "")]);
    let mut out = Vec::new();
    for len in 0..whole.len() {
        let written = write_head(&whole[..len], &CURRENT, &mut out);
        assert_eq!(written, Err(BadHead::Encoding), "{len} bytes");
    }
    let longer = [&whole[..], b"x"].concat();
    assert_eq!(write_head(&longer, &CURRENT, &mut out), Err(BadHead::Encoding));
    let mut huge = whole.clone();
    huge[abi::head::SIZE + 4 + 2..abi::head::SIZE + 4 + 6].fill(0xff);
    assert_eq!(write_head(&huge, &CURRENT, &mut out), Err(BadHead::Encoding));
    assert!(out.is_empty());
}

#[test]
fn status_lines() {
    for (status, reason, expected) in [
        (200, "", "HTTP/1.1 200 OK\r\n"),
        (200, "Fine", "HTTP/1.1 200 Fine\r\n"),
        (404, "", "HTTP/1.1 404 Not Found\r\n"),
        (431, "", "HTTP/1.1 431 Request Header Fields Too Large\r\n"),
        (299, "", "HTTP/1.1 299 \r\n"),
        (999, "Odd", "HTTP/1.1 999 Odd\r\n"),
    ] {
        let mut out = Vec::new();
        write_head(&encoded(status, reason, Some(0), &[]), &CURRENT, &mut out).unwrap();
        assert!(out.starts_with(expected.as_bytes()), "{}", out.escape_ascii());
    }
}

/// What we write, we would accept.
#[test]
fn own_heads_pass_the_strict_parser() {
    for (status, length) in [(200, Some(5)), (200, None), (404, Some(0)), (299, None)] {
        let mut out = Vec::new();
        let head = encoded(status, "", length, &[("A", ""), ("B", "c")]);
        let context = HeadContext { date: &[b'd'; 29], server: b"us", ..CURRENT };
        let written = write_head(&head, &context, &mut out).unwrap();
        let mut headers = Vec::new();
        let read = parse_response(&out, false, false, &mut headers, &Limits::default());
        let read = read.unwrap().unwrap();
        assert_eq!((read.status, read.len, read.framing), (status, out.len(), written.framing));
        assert_eq!(headers.len(), 5);
        assert!(read.keep_alive && read.framing != BodyFraming::UntilClose);
    }
}
