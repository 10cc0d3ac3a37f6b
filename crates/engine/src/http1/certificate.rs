//! A client's certificate as proxies write it into a field of the request, in the forms that are in
//! use, each read strictly: what two readers could take for two certificates is none.

/// Bytes that a certificate may have.
pub const LONGEST: usize = 8 * 1024;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// Why a field gives no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unfit {
    /// Its word does not count.
    #[error("its sender is not trusted")]
    Untrusted,
    /// Which one counts would be a guess.
    #[error("it came more than once in a request")]
    Repeated,
    /// See [`decode`].
    #[error("its value is in none of the accepted forms")]
    Form,
    /// Longer than [`LONGEST`].
    #[error("the certificate is too long")]
    TooLong,
    /// Something else, or a part of one.
    #[error("what it holds is no X.509 certificate")]
    Content,
}

impl Unfit {
    /// All of them, in the order in which they are counted.
    pub const ALL: &[Self] =
        &[Self::Untrusted, Self::Repeated, Self::Form, Self::TooLong, Self::Content];
}

/// Replaces `der` by the certificate in the value of a field: base64 of its DER, also between
/// colons (RFC 9440); or PEM, percent-encoded or with blanks for its line ends.
///
/// # Errors
///
/// What is wrong with the value; `der` is empty then. What the certificate says is not looked at.
pub fn decode(value: &[u8], der: &mut Vec<u8>) -> Result<(), Unfit> {
    der.clear();
    let decoded = match value {
        [b':', text @ .., b':'] => base64(text, der),
        [b'%', ..] => pem(value, der),
        _ if value.starts_with(b"-----") => pem(value, der),
        _ => base64(value, der),
    };
    let verdict = match decoded {
        Ok(()) if !is_certificate(der) => Err(Unfit::Content),
        verdict => verdict,
    };
    if verdict.is_err() {
        der.clear();
    }
    verdict
}

fn pem(value: &[u8], der: &mut Vec<u8>) -> Result<(), Unfit> {
    let mut text = unescape(value).ok_or(Unfit::Form)?;
    let lines = text.trim_ascii().strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END));
    let lines = lines.ok_or(Unfit::Form)?;
    text = lines.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    base64(&text, der)
}

/// What is percent-encoded, decoded; a `+` is itself, being a digit of base64.
fn unescape(value: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    loop {
        match rest {
            [] => return Some(text),
            [b'%', high, low, after @ ..] => {
                let byte = digit(*high)? << 4 | digit(*low)?;
                text.push(u8::try_from(byte).ok()?);
                rest = after;
            }
            [b'%', ..] => return None,
            [byte, after @ ..] => {
                text.push(*byte);
                rest = after;
            }
        }
    }
}

/// As RFC 4648 4 has it: padded, and nothing in the bits that mean nothing.
fn base64(text: &[u8], der: &mut Vec<u8>) -> Result<(), Unfit> {
    let (groups, rest) = text.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Unfit::Form);
    }
    for (index, group) in groups.iter().enumerate() {
        let padding = match group {
            [_, _, b'=', b'='] => 2,
            [_, _, _, b'='] => 1,
            _ => 0,
        };
        if padding > 0 && index + 1 < groups.len() {
            return Err(Unfit::Form);
        }
        let mut bits = 0;
        for byte in &group[..4 - padding] {
            bits = bits << 6 | u32::from(digit(*byte).ok_or(Unfit::Form)?);
        }
        let [_, bytes @ ..] = (bits << (6 * padding)).to_be_bytes();
        let (bytes, nothing) = bytes.split_at(3 - padding);
        if nothing.iter().any(|byte| *byte != 0) {
            return Err(Unfit::Form);
        }
        der.extend_from_slice(bytes);
        if der.len() > LONGEST {
            return Err(Unfit::TooLong);
        }
    }
    Ok(())
}

const fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Whether this is one certificate on the outside (RFC 5280 4.1), and nothing behind it. Readers of
/// certificates take other things as well: bundles, and files with private keys.
fn is_certificate(der: &[u8]) -> bool {
    let parts = |der| {
        let (content, after) = element(SEQUENCE, der)?;
        let (_signed, rest) = element(SEQUENCE, content)?;
        let (_algorithm, rest) = element(SEQUENCE, rest)?;
        let (_signature, rest) = element(BIT_STRING, rest)?;
        Some((after, rest))
    };
    matches!(parts(der), Some(([], [])))
}

/// The content of the element at the front, if it has this tag, and what is behind it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [found, first, rest @ ..] = der else { return None };
    let (length, rest) = match (first, rest) {
        (0..=0x7f, _) => (usize::from(*first), rest),
        (0x81, [low @ 0x80..=0xff, rest @ ..]) => (usize::from(*low), rest),
        (0x82, [high @ 1..=0xff, low, rest @ ..]) => {
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        // Longer ones cannot be here.
        _ => return None,
    };
    let parts = rest.split_at_checked(length);
    parts.filter(|_| *found == tag)
}
