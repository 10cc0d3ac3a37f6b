use super::super::chunked::{Decoder, EXTENSION_LIMIT, Step};
use super::super::reject::Reject;
use super::super::request::Limits;
use super::table;

/// Body and number of bytes used, feeding `size` bytes at a time.
fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, Option<usize>), Reject> {
    let mut decoder = Decoder::default();
    let (mut body, mut used) = (Vec::new(), 0);
    for part in input.chunks(size.max(1)) {
        let mut part = part;
        loop {
            let (consumed, step) = decoder.step(part)?;
            used += consumed;
            part = &part[consumed..];
            match step {
                Step::Data(data) => body.extend_from_slice(data),
                Step::More => break assert!(part.is_empty()),
                Step::End => {
                    assert!(decoder.is_ended());
                    return Ok((body, Some(used)));
                }
            }
        }
    }
    Ok((body, None))
}

pub(super) fn verdict(input: &[u8]) -> String {
    let name = |size| match decode(input, size) {
        Ok((body, Some(used))) => format!("{} {used}", body.escape_ascii()),
        Ok((body, None)) => format!("{} more", body.escape_ascii()),
        Err(reject) => format!("{} {:?}", reject.status, reject.cause),
    };
    let whole = name(input.len());
    for size in [1, 2, 3, 7] {
        assert_eq!(name(size), whole, "{size} at a time: {}", input.escape_ascii());
    }
    whole
}

#[test]
fn chunks() {
    table(
        &[
            (b"", " more"),
            (b"0\r\n\r\n", " 5"),
            (b"0\r\n\r\nGET /", " 5"),
            (b"00000\r\n\r\n", " 9"),
            (b"3\r\nabc\r\n0\r\n\r\n", "abc 13"),
            (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789 35"),
            (b"3\r\n\r\n\r\r\n0\r\n\r\n", "\\r\\n\\r 13"),
            (b"3\r\nab", "ab more"),
            (b"0\r\n", " more"),
            (b"0\r\n\r", " more"),
            (b"0000000000000001\r\na\r\n0\r\n\r\n", "a 26"),
            (b"00000000000000001\r\na\r\n0\r\n\r\n", "400 ChunkSize"),
            (b"7fffffffffffffff\r\na", "a more"),
            (b"8000000000000000\r\na", "400 ChunkSize"),
            (b"ffffffffffffffff\r\na", "400 ChunkSize"),
            (b"10000000000000001\r\na", "400 ChunkSize"),
            (b"\r\n", "400 ChunkSize"),
            (b";x\r\n", "400 ChunkSize"),
            (b"+3\r\nabc\r\n", "400 ChunkSize"),
            (b"-3\r\nabc\r\n", "400 ChunkSize"),
            (b"0x3\r\nabc\r\n", "400 ChunkSize"),
            (b"1_0\r\nabc\r\n", "400 ChunkSize"),
            (b" 3\r\nabc\r\n", "400 ChunkSize"),
            (b"3 \r\nabc\r\n", "400 ChunkSize"),
            (b"3\t\r\nabc\r\n", "400 ChunkSize"),
            (b"3 ;x\r\nabc\r\n", "400 ChunkSize"),
            (b"g\r\n", "400 ChunkSize"),
            (b"3h\r\n", "400 ChunkSize"),
            (b"3\x00\r\n", "400 ChunkSize"),
            (b"3\xff\r\n", "400 ChunkSize"),
            (b"3,3\r\n", "400 ChunkSize"),
            (b"3\nabc\r\n0\r\n\r\n", "400 ChunkSize"),
            (b"3\rabc\r\n0\r\n\r\n", "400 BareCr"),
            (b"3\r\r\nabc\r\n", "400 BareCr"),
            (b"3\r\nabc\n0\r\n\r\n", "400 ChunkEnd"),
            (b"3\r\nabc\r0\r\n\r\n", "400 ChunkEnd"),
            (b"3\r\nabcd\r\n0\r\n\r\n", "400 ChunkEnd"),
            (b"3\r\nabc0\r\n\r\n", "400 ChunkEnd"),
            (b"3\r\nab\r\n0\r\n\r\n", "400 ChunkEnd"),
            (b"3\r\nabc\r\n\r\n0\r\n\r\n", "400 ChunkSize"),
            (b"0\n\n", "400 ChunkSize"),
            (b"0\r\n\n", "400 Trailer"),
            (b"0\r\n\rX", "400 BareCr"),
        ],
        verdict,
    );
}

#[test]
fn extensions() {
    table(
        &[
            (b"1;a\r\nx\r\n0;b\r\n\r\n", "x 15"),
            (b"1;a=b;c=\"d;e\"\r\nx\r\n0\r\n\r\n", "x 23"),
            (b"1;a=\"\\\"\\\\\"\r\nx\r\n0\r\n\r\n", "x 20"),
            (b"1;a=\"\";b\r\nx\r\n0\r\n\r\n", "x 18"),
            (b"1;\r\nx\r\n", "400 ChunkExtension"),
            (b"1;;\r\nx\r\n", "400 ChunkExtension"),
            (b"1;=a\r\nx\r\n", "400 ChunkExtension"),
            (b"1;a=\r\nx\r\n", "400 ChunkExtension"),
            (b"1;a=b=c\r\nx\r\n", "400 ChunkExtension"),
            (b"1;a b\r\nx\r\n", "400 ChunkExtension"),
            (b"1; a\r\nx\r\n", "400 ChunkExtension"),
            (b"1;a \r\nx\r\n", "400 ChunkExtension"),
            (b"1;a\nx\r\n", "400 ChunkExtension"),
            (b"1;\nx\r\n", "400 ChunkExtension"),
            (b"1;a\rx\r\n", "400 BareCr"),
            (b"1;a=b\nx\r\n", "400 ChunkExtension"),
            (b"1;a=\"b\nc\"\r\nx\r\n", "400 ChunkExtension"),
            (b"1;a=\"b\r\nc\"\r\nx\r\n", "400 ChunkExtension"),
            (b"1;a=\"b\\\r\n\"\r\nx\r\n", "400 ChunkExtension"),
            (b"1;a=\"b\"c\r\nx\r\n", "400 ChunkExtension"),
            (b"1;a\x00\r\nx\r\n", "400 ChunkExtension"),
            (b"0;a\n\r\n", "400 ChunkExtension"),
        ],
        verdict,
    );
    let one = b"1;abc\r\nx\r\n".repeat(EXTENSION_LIMIT as usize / 5);
    assert!(verdict(&one).ends_with("more"));
    let more = [one, b"1;abc\r\n".to_vec()].concat();
    assert_eq!(verdict(&more), "400 ChunkExtensionTooLong");
}

#[test]
fn trailers() {
    table(
        &[
            (b"0\r\nA: b\r\n\r\n", " 11"),
            (b"0\r\nA:\r\nB: c\td\r\n\r\nX", " 17"),
            (b"0\r\nA\r\n\r\n", "400 Trailer"),
            (b"0\r\n: b\r\n\r\n", "400 Trailer"),
            (b"0\r\nA : b\r\n\r\n", "400 Trailer"),
            (b"0\r\n A: b\r\n\r\n", "400 Trailer"),
            (b"0\r\nA: b\r\n c\r\n\r\n", "400 Trailer"),
            (b"0\r\nA: b\n\r\n", "400 Trailer"),
            (b"0\r\nA: b\rc\r\n\r\n", "400 Trailer"),
            (b"0\r\nA: \x00\r\n\r\n", "400 Trailer"),
            (b"0\r\nGET / HTTP/1.1\r\n", "400 Trailer"),
        ],
        verdict,
    );
    let fields = |count: usize| format!("0\r\n{}\r\n", "A:b\r\n".repeat(count));
    assert_eq!(verdict(fields(Limits::default().fields).as_bytes()), " 505");
    assert_eq!(verdict(fields(Limits::default().fields + 1).as_bytes()), "400 TrailerTooLarge");
    let long = format!("0\r\nA:{}\r\n\r\n", "b".repeat(Limits::default().head));
    assert_eq!(verdict(long.as_bytes()), "400 TrailerTooLarge");
}

#[test]
fn a_fault_is_final() {
    let mut decoder = Decoder::default();
    let first = decoder.step(b"x").unwrap_err();
    assert_eq!(decoder.step(b"0\r\n\r\n"), Err(first));
    assert!(!decoder.is_ended());
}
