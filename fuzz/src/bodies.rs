//! Bodies in chunks.

use engine::http1::chunked::{Decoder, Step};

/// What a body turned out to be.
type Verdict = Result<(Vec<u8>, Option<usize>), engine::http1::reject::Reject>;

/// Decodes a body at once, byte by byte, and in two pieces cut where the first byte says.
pub fn chunked(data: &[u8]) {
    let whole = decode(&[data]);
    let single: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(decode(&single), whole, "byte by byte");
    let cut = data.first().map_or(0, |byte| usize::from(*byte) % data.len());
    let (first, second) = data.split_at(cut);
    assert_eq!(decode(&[first, second]), whole, "cut at {cut}");
    if let Ok((body, Some(end))) = whole {
        assert!(body.len() < end && end <= data.len());
    }
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
                Step::End => return Ok((body, Some(read))),
            }
        }
    }
    Ok((body, None))
}
