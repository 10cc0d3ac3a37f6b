//! Fields behind the last chunk (RFC 9112 7.1.2), and which of them mean anything there.

use super::fields::trim;

/// The trailer section of one body. Its syntax was checked by
/// [`Decoder`](super::chunked::Decoder).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailers {
    lines: Vec<u8>,
}

impl Trailers {
    /// From whole lines with their line ends, without the empty one.
    pub(super) fn new(lines: Vec<u8>) -> Self {
        Self { lines }
    }

    /// Whether there is no field at all, permitted or not.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Names and values in wire order. A field that must not come behind a body is left out: it
    /// would be read by nobody, or by somebody who should not believe it.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
            is_permitted(name).then_some((name, value))
        })
    }
}

/// Names that must not be trailers (RFC 9110 6.5.1): framing, routing, authentication, modifiers of
/// the request, control data of the response, and what says how to read the body.
const FORBIDDEN: &[&str] = &[
    "age",
    "authorization",
    "cache-control",
    "client-cert",
    "client-cert-chain",
    "connection",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "warning",
    "www-authenticate",
];

/// Families of the same, among them what a proxy in front says and what the module says itself.
const FORBIDDEN_FAMILIES: &[&str] = &[
    "content-",
    "if-",
    "ms-aspnetcore",
    "proxy-",
    "x-forwarded-",
    "x-http-method",
    "x-method-override",
    "x-original-",
    "x-real-ip",
    "x-rewrite-url",
];

/// Digests are what trailers are for (RFC 9530 6.2).
const PERMITTED: &[&str] = &["content-digest"];

/// `_` counts as `-`: whoever reads trailers like a gateway's variables takes them for one.
fn is_permitted(name: &[u8]) -> bool {
    let starts = |lower: &&str| {
        let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        name.len() >= lower.len() && name.iter().map(fold).zip(lower.bytes()).all(|(a, b)| a == b)
    };
    let is = |lower: &&str| name.len() == lower.len() && starts(lower);
    PERMITTED.iter().any(|permitted| name.eq_ignore_ascii_case(permitted.as_bytes()))
        || !(FORBIDDEN.iter().any(is) || FORBIDDEN_FAMILIES.iter().any(starts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_lose_white_space() {
        let trailers = Trailers::new(b"B: 1\r\na:\t2 3 \r\nB:\r\n".to_vec());
        let fields: Vec<_> = trailers.fields().collect();
        let expected: &[(&[u8], &[u8])] = &[(b"B", b"1"), (b"a", b"2 3"), (b"B", b"")];
        assert_eq!(fields, expected);
        assert!(!trailers.is_empty() && Trailers::default().is_empty());
    }

    #[test]
    fn what_steers_a_message_is_no_trailer() {
        for (name, permitted) in [
            ("X-Checksum", true),
            ("grpc-status", true),
            ("Server-Timing", true),
            ("ETag", true),
            ("Content-Digest", true),
            ("Content_Digest", false),
            ("Content-Length", false),
            ("CONTENT_LENGTH", false),
            ("Content-Anything", false),
            ("Transfer-Encoding", false),
            ("transfer_encoding", false),
            ("Host", false),
            ("Hosts", true),
            ("TE", false),
            ("Trailer", false),
            ("If-None-Match", false),
            ("Authorization", false),
            ("Cookie", false),
            ("Client-Cert", false),
            ("Client_Cert_Chain", false),
            ("Client-Certs", true),
            ("Set-Cookie", false),
            ("Proxy-Anything", false),
            ("X-Forwarded-For", false),
            ("X_Forwarded_For", false),
            ("MS-ASPNETCORE-TOKEN", false),
            ("Ms_AspNetCore_Event", false),
        ] {
            assert_eq!(is_permitted(name.as_bytes()), permitted, "{name}");
        }
    }
}
