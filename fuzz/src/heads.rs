//! Heads and targets.

use engine::http1::request::{self, Limits};
use engine::http1::response::{BodyFraming, HeadContext, encode_head, write_head};
use engine::http1::target;
use engine::http1::upstream::parse_response;

/// Longest input whose every prefix is looked at.
const EVERY_PREFIX: usize = 2000;

/// Parses the head of a request, whole and as it would trickle in.
pub fn request_head(data: &[u8]) {
    let limits = Limits { request_line: 200, head: 1000, fields: 10 };
    let mut headers = Vec::new();
    let verdict = |data: &[u8], headers: &mut Vec<abi::Header>| {
        request::parse(data, headers, &limits)
            .map(|head| head.map(|head| (head.len, head.framing, head.keep_alive, head.method_id)))
    };
    let whole = verdict(data, &mut headers);
    if let Ok(Some((len, ..))) = whole {
        assert!(len <= data.len() && data[..len].ends_with(b"\r\n\r\n"));
        assert!(headers.len() <= limits.fields + 1, "the authority of a target, and the limit");
    }
    for end in 0..data.len().min(EVERY_PREFIX) {
        match verdict(&data[..end], &mut headers) {
            Ok(None) => {}
            // What is known early is known for good.
            early => {
                assert_eq!(early, whole, "after {end} bytes");
                break;
            }
        }
    }
}

/// Writes what an encoded head says, reads what was written; and reads what a backend wrote.
pub fn response_head(data: &[u8]) {
    let [choices, data @ ..] = data else { return };
    let is = |bit: u8| choices & bit != 0;
    let limits = Limits { request_line: usize::MAX, head: usize::MAX, fields: 200 };
    let mut headers = Vec::new();
    let context = HeadContext {
        version: if is(1) { 0x0101 } else { 0x0100 },
        is_head: is(2),
        is_connect: is(4),
        keep_alive: is(8),
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        server: b"ancm",
    };
    let mut out = b"before".to_vec();
    match write_head(data, &context, &mut out) {
        Err(_) => assert_eq!(out, b"before"),
        Ok(written) => {
            let bytes = &out[b"before".len()..];
            check_written(bytes, &context, written.framing, written.status);
        }
    }
    // As from a backend, and on to the client.
    if let Ok(Some(head)) = parse_response(data, is(2), false, &mut headers, &limits) {
        let fields = headers.iter().map(|field| {
            // SAFETY: the parser has just pointed these into `data`.
            unsafe {
                (
                    std::slice::from_raw_parts(field.name.ptr, field.name.len),
                    std::slice::from_raw_parts(field.value.ptr, field.value.len),
                )
            }
        });
        let kept = fields.filter(|(name, _)| {
            !name.eq_ignore_ascii_case(b"content-length")
                && !name.eq_ignore_ascii_case(b"transfer-encoding")
        });
        let mut encoded = Vec::new();
        encode_head(head.status, head.reason, head.content_length, kept, &mut encoded);
        let mut out = Vec::new();
        if let Ok(written) = write_head(&encoded, &context, &mut out) {
            check_written(&out, &context, written.framing, written.status);
        }
    }
}

fn check_written(bytes: &[u8], context: &HeadContext<'_>, framing: BodyFraming, status: u16) {
    let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    assert_eq!(end, Some(bytes.len() - 4), "one head, whole");
    // An application that frames its own bytes may use codings that a backend may not.
    if framing == BodyFraming::AppFramed {
        return;
    }
    let mut headers = Vec::new();
    let has_codings =
        bytes.to_ascii_lowercase().windows(20).any(|b| b == b"\r\ntransfer-encoding:");
    // What is added on the way may be more than a head may have on its way in.
    let limits = Limits { request_line: usize::MAX, head: usize::MAX, fields: 10_000 };
    let read = parse_response(bytes, context.is_head, context.is_connect, &mut headers, &limits);
    let Ok(read) = read else {
        assert!(has_codings, "unreadable: {read:?}");
        return;
    };
    let Some(read) = read else { panic!("incomplete") };
    assert_eq!((read.status, read.len), (status, bytes.len()));
    if framing != BodyFraming::None {
        assert_eq!(read.framing, framing, "two readers find two bodies");
    }
}

/// Takes a target apart. The first line is the path base.
pub fn target_split(data: &[u8]) {
    let (base, data) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&b""[..], data),
    };
    let base = if base.starts_with(b"/") && !base.contains(&b'%') { base } else { b"" };
    let mut scratch = Vec::new();
    let Ok(found) = target::split(data, base, &mut scratch) else { return };
    let whole = [found.path_base, found.path].concat();
    assert!(std::str::from_utf8(&whole).is_ok());
    assert!(!whole.iter().any(|byte| *byte < b' ' || *byte == 0x7f), "a hidden control");
    assert!(whole.is_empty() || whole.starts_with(b"/") || whole.starts_with(b"\\"));
    if data != b"*" {
        let climbs = |segment: &[u8]| matches!(segment, b"." | b"..");
        assert!(!whole.split(|byte| *byte == b'/').any(climbs), "a path that climbs");
    }
    assert!(found.query.is_empty() || found.query.starts_with(b"?"));
}
