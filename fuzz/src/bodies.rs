//! Bodies in chunks.

use engine::http1::chunked::{Decoder, Step};
use engine::http1::request::Limits;
use engine::http1::trailers::Trailers;

/// What a body turned out to be: its bytes, and its end and trailers if it has ended.
type Verdict = Result<(Vec<u8>, Option<(usize, Trailers)>), engine::http1::reject::Reject>;

/// Decodes a body at once, byte by byte, and in two pieces cut where the first byte says.
pub fn chunked(data: &[u8]) {
    let whole = decode(&[data]);
    let single: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(decode(&single), whole, "byte by byte");
    let cut = data.first().map_or(0, |byte| usize::from(*byte) % data.len());
    let (first, second) = data.split_at(cut);
    assert_eq!(decode(&[first, second]), whole, "cut at {cut}");
    if let Ok((body, Some((end, trailers)))) = whole {
        assert!(body.len() < end && end <= data.len());
        check(&trailers, &data[body.len()..end]);
    }
}

/// Trailers can be written behind any body as they are, and steer nothing.
fn check(trailers: &Trailers, section: &[u8]) {
    let mut bytes = 0;
    let mut count = 0;
    for (name, value) in trailers.fields() {
        count += 1;
        bytes += name.len() + value.len();
        let token = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
        assert!(!name.is_empty() && name.iter().all(token), "{}", name.escape_ascii());
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        let lower = name.to_ascii_lowercase();
        assert!(
            ![&b"content-length"[..], b"transfer-encoding", b"host", b"te"].contains(&&lower[..])
        );
        assert!(!lower.starts_with(b"ms-aspnetcore") && !lower.starts_with(b"x-forwarded-"));
    }
    let limits = Limits::default();
    assert!(count <= limits.fields && bytes <= limits.head.min(section.len()));
}

/// The body, and where it ends if it does.
fn decode(pieces: &[&[u8]]) -> Verdict {
    let mut decoder = Decoder::default();
    let mut body = Vec::new();
    let mut read = 0;
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let (consumed, step) = decoder.step(rest)?;
            rest = &rest[consumed..];
            read += consumed;
            match step {
                Step::Data(data) => body.extend_from_slice(data),
                Step::More => break,
                Step::End => return Ok((body, Some((read, decoder.take_trailers())))),
            }
        }
    }
    Ok((body, None))
}
