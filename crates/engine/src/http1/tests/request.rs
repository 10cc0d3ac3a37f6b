use super::super::reject::{Cause, Reject};
use super::super::request::{Form, Framing, Head, Limits, parse};
use super::{both_ways, table};

const SMALL: Limits = Limits { request_line: 64, head: 512, fields: 6 };

pub(super) fn describe(head: &Head<'_>, headers: &[abi::Header]) -> String {
    let mut text = format!(
        "{} {} {:x} {:?}",
        head.method.escape_ascii(),
        head.target.escape_ascii(),
        head.version,
        head.framing
    );
    for (set, word) in [
        (head.form == Form::Absolute, " absolute"),
        (head.form == Form::Authority, " authority"),
        (head.form == Form::Asterisk, " asterisk"),
        (head.content_length_ignored, " cl-ignored"),
        (!head.keep_alive, " close"),
        (head.expect_continue, " expect"),
        (head.upgrade, " upgrade"),
    ] {
        if set {
            text.push_str(word);
        }
    }
    format!("{text} @{} #{} {}", head.host.escape_ascii(), headers.len(), head.len)
}

fn verdict_with(input: &[u8], limits: &Limits) -> String {
    both_ways(input, |bytes| {
        let mut headers = Vec::new();
        let head = parse(bytes, &mut headers, limits)?;
        Ok(head.map(|head| describe(&head, &headers)))
    })
}

fn verdict(input: &[u8]) -> String {
    verdict_with(input, &SMALL)
}

/// Each case is a head with the given fields behind a sound request line and `Host`.
fn fields(cases: &[(&str, &str)]) {
    let cases: Vec<_> = cases
        .iter()
        .map(|(lines, expected)| {
            (format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"), *expected)
        })
        .collect();
    let cases: Vec<_> = cases.iter().map(|(text, expected)| (text.as_bytes(), *expected)).collect();
    table(&cases, |input| {
        let verdict = verdict(input);
        verdict
            .strip_prefix("POST /x 101 ")
            .map_or(verdict.clone(), |rest| rest.split(" @").next().unwrap_or_default().to_owned())
    });
}

#[test]
fn request_lines() {
    table(
        &[
            (b"", "more"),
            (b"\r", "more"),
            (b"\r\n", "more"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", "more"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 101 None @a #1 27"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", "GET / 101 None @a #1 27"),
            (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 101 None @a #1 29"),
            (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 LeadingLines"),
            (b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 LeadingLines"),
            (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 BareLf"),
            (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 BareCr"),
            (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Method"),
            (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 Method"),
            (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 RequestLine"),
            (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "400 Version"),
            (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400 Version"),
            (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400 RequestLine"),
            (b"GET / HTTP/1.1\nHost: a\r\n\r\n", "400 BareLf"),
            (b"GET / HTTP/1.1\rHost: a\r\n\r\n", "400 BareCr"),
            (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "400 BareCr"),
            (b"GET /\r\n\r\n", "400 RequestLine"),
            (b"GET /\n", "400 RequestLine"),
            (b"GET\r\n\r\n", "400 Method"),
            (b"G@T / HTTP/1.1\r\n", "400 Method"),
            (b"\x16\x03\x01\x02\x00", "400 Method"),
            (b"G\x00T / HTTP/1.1\r\n", "400 Method"),
            (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "get / 101 None @a #1 27"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 VersionUnsupported"),
            (b"GET / HTTP/1.2\r\n", "505 VersionUnsupported"),
            (b"GET / HTTP/3.0\r\n", "505 VersionUnsupported"),
            (b"GET / HTTP/0.9\r\n", "505 VersionUnsupported"),
            (b"GET / http/1.1\r\n", "400 Version"),
            (b"GET / HTTP/1,1\r\n", "400 Version"),
            (b"GET / HTTP/1.\r\n", "400 Version"),
            (b"GET / HTTP/1.11\r\n", "400 RequestLine"),
            (b"GET / HTTP/x.1\r\n", "400 Version"),
            (b"GET / HTTPS/1.1\r\n", "400 Version"),
            (b"GET /\x00 HTTP/1.1\r\n", "400 TargetByte"),
            (b"GET /\x7f HTTP/1.1\r\n", "400 TargetByte"),
            (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetByte"),
            (b"GET /#top HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetByte"),
            (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\\xc3\\xa4 101 None @a #1 29"),
            (b"GET / HTTP/1.0\r\n\r\n", "GET / 100 None close @ #0 18"),
            (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 100 None @ #1 42"),
        ],
        verdict,
    );
}

#[test]
fn forms_of_target() {
    table(
        &[
            (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * 101 None asterisk @a #1 31"),
            (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm"),
            (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm"),
            (b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm"),
            (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm"),
            (b"GET http:/a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetForm"),
            (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetAuthority"),
            (b"GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetAuthority"),
            (b"GET http://b\\c/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 TargetAuthority"),
            (b"GET http://b/ HTTP/1.1\r\n\r\n", "400 HostMissing"),
            (b"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", "400 HostInvalid"),
            (
                b"GET HTTP://b:8/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET HTTP://b:8/x?y 101 None absolute @b:8 #1 40",
            ),
            // The authority is there as `Host`, as if the client had sent one.
            (b"GET https://b HTTP/1.0\r\n\r\n", "GET https://b 100 None absolute close @b #1 26"),
            (
                b"CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n",
                "CONNECT b:443 101 None authority @b:443 #1 35",
            ),
            (b"CONNECT b HTTP/1.1\r\nHost: b\r\n\r\n", "400 TargetAuthority"),
            (b"CONNECT :443 HTTP/1.1\r\nHost: b\r\n\r\n", "400 TargetAuthority"),
            (b"CONNECT http://b/ HTTP/1.1\r\nHost: b\r\n\r\n", "400 TargetAuthority"),
            (b"CONNECT / HTTP/1.1\r\nHost: b\r\n\r\n", "400 TargetForm"),
        ],
        verdict,
    );
}

#[test]
fn hosts() {
    let cases = [
        ("", "@ "),
        ("a.example:8080", "@a.example:8080 "),
        ("a_b-c~", "@a_b-c~ "),
        ("127.0.0.1", "@127.0.0.1 "),
        ("[::1]", "@[::1] "),
        ("[::1]:80", "@[::1]:80 "),
        ("\t a \t", "@a "),
        ("a:65535", "@a:65535 "),
        ("a:65536", "HostInvalid"),
        ("a:", "HostInvalid"),
        (":80", "HostInvalid"),
        ("a:+80", "HostInvalid"),
        ("a:8a", "HostInvalid"),
        ("a:80:80", "HostInvalid"),
        ("a b", "HostInvalid"),
        ("a/b", "HostInvalid"),
        ("a?b", "HostInvalid"),
        ("a#b", "HostInvalid"),
        ("a\\b", "HostInvalid"),
        ("u@a", "HostInvalid"),
        ("a,b", "HostInvalid"),
        ("a;b", "HostInvalid"),
        ("a%2eb", "HostInvalid"),
        ("\u{e4}", "HostInvalid"),
        ("<a>", "HostInvalid"),
        ("::1", "HostInvalid"),
        ("[::1", "HostInvalid"),
        ("[::1]x", "HostInvalid"),
        ("[a]", "HostInvalid"),
        ("[]", "HostInvalid"),
        ("[fe80::1%25eth0]", "HostInvalid"),
        ("a\r\nHost: a", "HostDuplicate"),
        ("a\r\nhOST: b", "HostDuplicate"),
    ];
    for (host, expected) in cases {
        let verdict = verdict(format!("GET / HTTP/1.1\r\nHost:{host}\r\n\r\n").as_bytes());
        assert!(verdict.contains(expected), "{host:?}: {verdict}");
    }
    assert_eq!(verdict(b"GET / HTTP/1.1\r\n\r\n"), "400 HostMissing");
    assert_eq!(verdict(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), "400 HostDuplicate");
}

#[test]
fn framing() {
    fields(&[
        ("X: y", "None"),
        ("Content-Length: 0", "Length(0)"),
        ("Content-Length: 5", "Length(5)"),
        ("Content-Length:5  ", "Length(5)"),
        ("content-LENGTH: 9223372036854775807", "Length(9223372036854775807)"),
        ("Content-Length: 9223372036854775808", "400 ContentLength"),
        ("Content-Length: 18446744073709551617", "400 ContentLength"),
        ("Content-Length:", "400 ContentLength"),
        ("Content-Length: +5", "400 ContentLength"),
        ("Content-Length: -5", "400 ContentLength"),
        ("Content-Length: 0x5", "400 ContentLength"),
        ("Content-Length: 5,5", "400 ContentLength"),
        ("Content-Length: 5, 6", "400 ContentLength"),
        ("Content-Length: 5 5", "400 ContentLength"),
        ("Content-Length: 1_0", "400 ContentLength"),
        ("Content-Length: \"5\"", "400 ContentLength"),
        ("Content-Length: 5;q=1", "400 ContentLength"),
        ("Content-Length: 5\r\nContent-Length: 5", "400 ContentLengthDuplicate"),
        ("Content-Length: 5\r\ncontent-length: 6", "400 ContentLengthDuplicate"),
        ("Content-Length : 5", "400 FieldName"),
        ("Transfer-Encoding: chunked", "Chunked"),
        ("transfer-encoding: CHUNKED", "Chunked"),
        ("Transfer-Encoding: gzip, chunked", "Chunked"),
        ("Transfer-Encoding: gzip ,\tchunked", "Chunked"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "Chunked cl-ignored close"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "Chunked cl-ignored close"),
        ("Content-Length: x\r\nTransfer-Encoding: chunked", "400 ContentLength"),
        ("Transfer-Encoding: chunked, chunked", "400 TransferEncoding"),
        ("Transfer-Encoding: chunked, gzip", "400 TransferEncoding"),
        ("Transfer-Encoding: gzip", "400 TransferEncoding"),
        ("Transfer-Encoding: ,chunked", "400 TransferEncoding"),
        ("Transfer-Encoding: chunked,", "400 TransferEncoding"),
        ("Transfer-Encoding:", "400 TransferEncoding"),
        ("Transfer-Encoding: \"chunked\"", "400 TransferEncoding"),
        ("Transfer-Encoding: chunked;q=1", "400 TransferEncoding"),
        ("Transfer-Encoding: chunked x", "400 TransferEncoding"),
        ("Transfer-Encoding: \u{a0}chunked", "400 TransferEncoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "400 TransferEncoding"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "400 TransferEncoding"),
        ("Transfer-Encoding: identity", "501 TransferCodingUnknown"),
        ("Transfer-Encoding: xchunked", "501 TransferCodingUnknown"),
        ("Transfer-Encoding: cow, chunked", "501 TransferCodingUnknown"),
        ("Transfer-Encoding: \x0bchunked", "400 FieldValue"),
        ("Transfer-Encoding: chunked\x0b", "400 FieldValue"),
        ("Transfer-Encoding : chunked", "400 FieldName"),
        ("Transfer-Encoding\t: chunked", "400 FieldName"),
        ("Transfer-Encoding:\r\n chunked", "400 ObsFold"),
        ("Transfer_Encoding: chunked", "None"),
    ]);
    assert_eq!(
        verdict(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        "400 TransferEncodingOld"
    );
    assert_eq!(
        verdict(b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"),
        "POST / 100 Length(3) close @ #1 38"
    );
}

#[test]
fn field_syntax() {
    fields(&[
        ("X:", "None"),
        ("X: \t ", "None"),
        ("X: a\tb", "None"),
        ("X: \u{e4}", "None"),
        ("!#$%&'*+-.^_`|~09: y", "None"),
        ("X: a\x00b", "400 FieldValue"),
        ("X: a\x1bb", "400 FieldValue"),
        ("X: a\x7fb", "400 FieldValue"),
        ("X: a\rb", "400 BareCr"),
        ("X: a\nY: b", "400 BareLf"),
        ("X:\nY: b", "400 BareLf"),
        ("X: a\r\n b", "400 ObsFold"),
        ("X: a\r\n\tb", "400 ObsFold"),
        (" X: a", "400 ObsFold"),
        (": a", "400 FieldName"),
        ("X", "400 FieldName"),
        ("X\nY: b", "400 FieldName"),
        ("X Y: a", "400 FieldName"),
        ("X\x00: a", "400 FieldName"),
        ("X\u{85}: a", "400 FieldName"),
        ("(X): a", "400 FieldName"),
        ("X: a\n", "400 BareLf"),
        ("X: a\n\nGET / HTTP/1.1", "400 BareLf"),
        // The first fault in the order of bytes counts.
        ("X: a\nY : b", "400 BareLf"),
        ("Content-Length: x\r\nX: a\nY: b", "400 BareLf"),
    ]);
    assert_eq!(verdict(b"GET / HTTP/1.1\r\nHost: a\r\n\n"), "400 BareLf");
    assert_eq!(verdict(b"GET / HTTP/1.1\r\nHost: a\r\n\rX"), "400 BareCr");
    assert_eq!(verdict(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"), "400 ObsFold");
}

#[test]
fn connection_options() {
    fields(&[
        ("Connection: close", "None close"),
        ("Connection: CLOSE , x", "None close"),
        ("Connection: keep-alive", "None"),
        ("Connection: keep-alive, close", "None close"),
        ("Connection: closed", "None"),
        ("Connection: x\r\nConnection: close", "None close"),
        ("Upgrade: websocket\r\nConnection: x, Upgrade", "None upgrade"),
        ("Upgrade: websocket", "None"),
        ("Connection: upgrade", "None"),
        ("Upgrade: w\r\nConnection: upgrade\r\nContent-Length: 1", "Length(1)"),
        ("Expect: 100-Continue\r\nContent-Length: 1", "Length(1) expect"),
        ("Expect: 100-continue\r\nTransfer-Encoding: chunked", "Chunked expect"),
        ("Expect: 100-continue", "None"),
        ("Expect: x\r\nContent-Length: 1", "Length(1)"),
    ]);
    assert_eq!(
        verdict(b"GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
        "GET / 100 Length(1) close @ #2 59"
    );
}

#[test]
fn limits_hold_to_the_byte() {
    let line = |len: usize| format!("GET /{} HTTP/1.1\r\n", "x".repeat(len - 16));
    let cases = [
        (format!("{}Host:a\r\n\r\n", line(64)), " @a #1 74"),
        (format!("{}Host:a\r\n\r\n", line(65)), "414 RequestLineTooLong"),
        (format!("\r\n{}Host:a\r\n\r\n", line(64)), " @a #1 76"),
        ("x".repeat(65), "414 RequestLineTooLong"),
        (format!("GET /{}", "x".repeat(60)), "414 RequestLineTooLong"),
        (format!("GET /{}\x01", "x".repeat(80)), "414 RequestLineTooLong"),
        (format!("{}{}\r\n", line(64), "A:b\r\n".repeat(6)), "400 HostMissing"),
        (format!("{}{}\r\n", line(64), "A:b\r\n".repeat(7)), "431 TooManyFields"),
        (format!("{}{}A", line(64), "A:b\r\n".repeat(6)), "431 TooManyFields"),
        (format!("{}Host:{}\r\n\r\n", line(64), " ".repeat(439)), " @ #1 512"),
        (format!("{}Host:{}\r\n\r\n", line(64), " ".repeat(440)), "431 HeadTooLarge"),
        (format!("{}Host:{}", line(64), " ".repeat(443)), "431 HeadTooLarge"),
        (format!("{}Host:{}\x01", line(64), " ".repeat(900)), "431 HeadTooLarge"),
    ];
    for (input, expected) in cases {
        let verdict = verdict(input.as_bytes());
        assert!(verdict.ends_with(expected), "{input:?}: {verdict}");
    }
}

#[test]
fn fields_beyond_the_usual_number_are_read_if_allowed() {
    let limits = Limits { fields: 300, ..Limits::default() };
    let input = format!("GET / HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(300));
    let mut headers = Vec::new();
    let head = parse(input.as_bytes(), &mut headers, &limits);
    assert!(matches!(head, Ok(Some(Head { framing: Framing::None, .. }))));
    assert_eq!(headers.len(), 300);
}

#[test]
fn host_field_follows_the_target() {
    let input = b"GET http://b/ HTTP/1.1\r\nA: b\r\nHost: a\r\n\r\n";
    let mut headers = Vec::new();
    let head = parse(input, &mut headers, &SMALL).unwrap().unwrap();
    assert_eq!(head.host, b"b");
    assert_eq!((headers[1].value.ptr, headers[1].value.len), (input[11..].as_ptr(), 1));
}

#[test]
fn a_refusal_names_its_rule() {
    for cause in Cause::ALL {
        let reject = Reject::from(*cause);
        assert!((400..=505).contains(&reject.status));
        assert!(!reject.to_string().is_empty() && !reject.to_string().ends_with('.'));
    }
}
