use super::super::request::Limits;
use super::super::upstream::parse_response;
use super::{both_ways, table};

const SMALL: Limits = Limits { request_line: 64, head: 256, fields: 4 };

fn verdict_to(input: &[u8], head: bool, connect: bool) -> String {
    both_ways(input, |bytes| {
        let mut headers = Vec::new();
        let response = parse_response(bytes, head, connect, &mut headers, &SMALL)?;
        Ok(response.map(|response| {
            format!(
                "{} {:?} {:x} {:?}{} {:?} #{} {}",
                response.status,
                String::from_utf8_lossy(response.reason),
                response.version,
                response.framing,
                if response.keep_alive { "" } else { " close" },
                response.content_length,
                headers.len(),
                response.len,
            )
        }))
    })
}

#[test]
fn answers_of_a_backend() {
    table(
        &[
            (b"", "more"),
            (b"HTTP/1.1 200 OK\r\n", "more"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                "200 \"OK\" 101 Length(2) Some(2) #1 38",
            ),
            (b"HTTP/1.1 200 OK\r\n\r\n", "200 \"OK\" 101 UntilClose close None #0 19"),
            (b"HTTP/1.1 200\r\n\r\n", "200 \"\" 101 UntilClose close None #0 16"),
            (b"HTTP/1.1 299 \r\n\r\n", "299 \"\" 101 UntilClose close None #0 17"),
            (
                b"HTTP/1.1 404 nicht \xc3\xa4\r\n\r\n",
                "404 \"nicht \u{e4}\" 101 UntilClose close None #0 25",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                "200 \"OK\" 101 Chunked None #1 47",
            ),
            (
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                "200 \"OK\" 101 Length(0) close Some(0) #2 57",
            ),
            (
                b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
                "200 \"OK\" 100 Length(0) close Some(0) #1 38",
            ),
            (
                b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
                "200 \"OK\" 100 Length(0) Some(0) #2 62",
            ),
            (b"HTTP/1.1 100 Continue\r\n\r\n", "100 \"Continue\" 101 None None #0 25"),
            (b"HTTP/1.1 204 No\r\n\r\n", "204 \"No\" 101 None None #0 19"),
            (
                b"HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
                "304 \"N\" 101 None close Some(9) #1 37",
            ),
            (b"HTTP/1.1 101 Up\r\n\r\n", "101 \"Up\" 101 Upgrade close None #0 19"),
            // Refused.
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
                "400 FramedTwice",
            ),
            (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "400 TransferEncodingOld"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                "501 TransferCodingUnknown",
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "400 TransferEncoding"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n", "400 ContentLength"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
                "400 ContentLengthDuplicate",
            ),
            (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "400 Version"),
            (b"hi", "400 Version"),
            (b"HTTP/2.0 200 OK\r\n\r\n", "505 VersionUnsupported"),
            (b"HTTP/1.1  200 OK\r\n\r\n", "400 StatusLine"),
            (b"HTTP/1.1 099 OK\r\n\r\n", "400 StatusLine"),
            (b"HTTP/1.1 20 OK\r\n\r\n", "400 StatusLine"),
            (b"HTTP/1.1 2000 OK\r\n\r\n", "400 StatusLine"),
            (b"HTTP/1.1 2x0 OK\r\n\r\n", "400 StatusLine"),
            (b"HTTP/1.1 200 O\x00K\r\n\r\n", "400 StatusLine"),
            (b"HTTP/1.1 200 OK\n\r\n", "400 BareLf"),
            (b"HTTP/1.1 200\n\r\n", "400 BareLf"),
            (b"HTTP/1.1 200 O\rK\r\n\r\n", "400 BareCr"),
            (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", "400 BareLf"),
            (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "400 FieldName"),
            (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "400 ObsFold"),
            (b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", "400 FieldValue"),
            (b"HTTP/1.1 200 OK\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\n\r\n", "431 TooManyFields"),
            (&[b'H'; 300], "400 Version"),
        ],
        |input| verdict_to(input, false, false),
    );
    let long = format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(60));
    assert_eq!(verdict_to(long.as_bytes(), false, false), "414 RequestLineTooLong");
    let large = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(250));
    assert_eq!(verdict_to(large.as_bytes(), false, false), "431 HeadTooLarge");
}

#[test]
fn what_was_asked_decides_about_the_body() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(verdict_to(answer, true, false), "200 \"OK\" 101 None close Some(2) #1 38");
    assert_eq!(verdict_to(answer, false, true), "200 \"OK\" 101 Upgrade close Some(2) #1 38");
    let refused = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(verdict_to(refused, false, true), "403 \"No\" 101 Length(2) Some(2) #1 38");
}
