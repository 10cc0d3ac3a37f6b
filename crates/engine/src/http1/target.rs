//! Request target to path base, path and query.

use super::reject::{Cause, Reject};
use super::request::split_absolute;

/// A request target, taken apart. Slices of the target itself or of the scratch space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The application's own part of the path, in the client's spelling; empty at the root or if
    /// the path is outside.
    pub path_base: &'a [u8],
    /// The rest, decoded; valid UTF-8.
    pub path: &'a [u8],
    /// Query with its `?`, as received; empty if there is none.
    pub query: &'a [u8],
}

impl Target<'_> {
    /// What CONNECT has, and `OPTIONS *`.
    pub const EMPTY: Target<'static> = Target { path_base: b"", path: b"", query: b"" };
}

/// Takes a target in origin, absolute or asterisk form apart. `base` is the application's virtual
/// path, empty or like `/app`; a path that is not below it is refused. `scratch` is overwritten.
pub fn split<'a>(
    target: &'a [u8],
    base: &[u8],
    scratch: &'a mut Vec<u8>,
) -> Result<Target<'a>, Reject> {
    let relative = match target {
        [b'/', ..] => target,
        b"*" => return Ok(Target::EMPTY),
        _ => split_absolute(target).ok_or(Cause::TargetForm)?.1,
    };
    let mut end = relative.len();
    let mut is_plain = true;
    let mut seen = 0;
    let mut previous = 0;
    for (at, byte) in relative.iter().copied().enumerate() {
        seen |= byte;
        match byte {
            b'?' => {
                end = at;
                break;
            }
            0..=b' ' | b'#' | 0x7f => return Err(Cause::TargetByte.into()),
            b'%' => is_plain = false,
            b'.' if previous == b'/' => is_plain = false,
            _ => {}
        }
        previous = byte;
    }
    let (path, query) = relative.split_at(end);
    for byte in query {
        seen |= byte;
        if matches!(*byte, 0..=b' ' | b'#' | 0x7f) {
            return Err(Cause::TargetByte.into());
        }
    }
    if !seen.is_ascii() && std::str::from_utf8(relative).is_err() {
        return Err(Cause::TargetByte.into());
    }
    let path = if path.is_empty() {
        // Of an absolute target (RFC 9110 4.2.3).
        b"/"
    } else if is_plain {
        path
    } else {
        scratch.clear();
        scratch.reserve(path.len());
        decode(path, scratch)?;
        scratch.as_slice()
    };
    let base_len = base_len(path, base).ok_or(Cause::ElsewherePath)?;
    let (path_base, path) = path.split_at(base_len);
    Ok(Target { path_base, path, query })
}

/// Decodes escapes once and removes dot segments on the way (RFC 3986 5.2.4).
fn decode(path: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
    let mut segment = 0;
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'/' => {
                close_segment(out, segment, true);
                segment = out.len();
            }
            b'%' => rest = decode_escape(rest, out)?,
            _ => out.push(*byte),
        }
    }
    close_segment(out, segment, false);
    Ok(())
}

/// Ends the segment that begins at `start`, behind its slash. The slash before a dropped one stays
/// as the last byte, so `/a/.` is `/a/` and `/a/..` is `/`.
fn close_segment(out: &mut Vec<u8>, start: usize, slash: bool) {
    match &out[start..] {
        // Nothing is above the root. The first slash of the path closes nothing.
        b"." if start > 0 => out.truncate(start),
        b".." if start > 0 => {
            let parent = out[..start - 1].iter().rposition(|byte| *byte == b'/');
            out.truncate(parent.unwrap_or(0) + 1);
        }
        _ => {
            if slash {
                out.push(b'/');
            }
        }
    }
}

/// Decodes what follows a `%`. Left as they are: invalid escapes; a slash, which would make
/// another path of it; bytes that are not UTF-8.
fn decode_escape<'p>(rest: &'p [u8], out: &mut Vec<u8>) -> Result<&'p [u8], Reject> {
    let Some(byte) = hex_pair(rest) else {
        out.push(b'%');
        return Ok(rest);
    };
    match byte {
        b'/' => {
            out.push(b'%');
            out.extend_from_slice(&rest[..2]);
            Ok(&rest[2..])
        }
        0..=0x1f | 0x7f => Err(Cause::TargetControl.into()),
        0x20..=0x7e => {
            out.push(byte);
            Ok(&rest[2..])
        }
        _ => {
            let mut sequence = [byte, 0, 0, 0];
            let len = match byte {
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => 1,
            };
            for (index, slot) in sequence.iter_mut().enumerate().take(len).skip(1) {
                let next = rest.get(index * 3 - 1..).unwrap_or_default();
                *slot = match next {
                    [b'%', pair @ ..] => hex_pair(pair).unwrap_or(0),
                    _ => 0,
                };
            }
            if std::str::from_utf8(&sequence[..len]).is_ok() {
                out.extend_from_slice(&sequence[..len]);
                Ok(&rest[len * 3 - 1..])
            } else {
                out.push(b'%');
                Ok(rest)
            }
        }
    }
}

fn hex_pair(text: &[u8]) -> Option<u8> {
    let [high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// How much of `path` is `base`, which must end at a slash or with the path, if it begins with it. Case is ignored for
/// ASCII. Inside the base, `\`, `%2F` and repeated slashes pass for a slash, as for http.sys, which
/// does the same split for the module.
fn base_len(path: &[u8], base: &[u8]) -> Option<usize> {
    let base = base.strip_suffix(b"/").unwrap_or(base);
    if base.is_empty() {
        return Some(0);
    }
    let mut rest = path;
    let mut previous = 0;
    for byte in base.iter().copied() {
        if byte == b'/' {
            rest = strip_slash(rest)?;
        } else {
            while previous == b'/'
                && let Some(tail) = strip_slash(rest)
            {
                rest = tail;
            }
            rest = rest.split_first().filter(|(first, _)| first.eq_ignore_ascii_case(&byte))?.1;
        }
        previous = byte;
    }
    matches!(rest, [] | [b'/', ..]).then(|| path.len() - rest.len())
}

fn strip_slash(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'/' | b'\\', rest @ ..] | [b'%', b'2', b'F' | b'f', rest @ ..] => Some(rest),
        _ => None,
    }
}
