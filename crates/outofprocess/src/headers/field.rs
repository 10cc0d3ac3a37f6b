//! Field names: compared without regard to casing, and with `_` for `-` where a backend might.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::MODULE_PREFIX;

/// Whether two names are one, casing aside.
pub(super) fn is(name: &[u8], lower: &str) -> bool {
    name.len() == lower.len() && name.eq_ignore_ascii_case(lower.as_bytes())
}

/// Whether a backend that folds `_` to `-` (every CGI-like gateway does) would take `name` for
/// `lower`. True for the name itself too.
pub(super) fn resembles(name: &[u8], lower: &str) -> bool {
    name.len() == lower.len() && resembles_prefix(name, lower)
}

/// Whether `name` is one of the module's own, or would be taken for one.
pub(super) fn is_module_own(name: &[u8]) -> bool {
    // The first byte decides for nearly every field that real clients send.
    matches!(name.first(), Some(b'm' | b'M')) && resembles_prefix(name, MODULE_PREFIX)
}

/// As [`resembles`], of the start of `name`.
pub(super) fn resembles_prefix(name: &[u8], lower: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() >= lower.len() && name.iter().zip(lower.bytes()).all(|(a, b)| fold(*a) == b)
}

/// The comma-separated elements of a field value, blanks trimmed, empty ones left out.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Whether an `Upgrade` value names HTTP/2 in the clear, with or without a version.
pub(super) fn names_http2(value: &[u8]) -> bool {
    elements(value).any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or(protocol);
        is(name, "h2c") || is(name, "h2")
    })
}

/// Appends one field line.
pub(super) fn push(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a decimal number; formatting through `fmt` costs several times as much.
pub(super) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends base64 with its padding (RFC 4648 4).
pub(super) fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        let digits = [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize]);
        let (digits, padding) = (&digits[..=group.len()], &b"=="[group.len() - 1..]);
        out.extend_from_slice(digits);
        out.extend_from_slice(padding);
    }
}

/// `ip:port`, IPv6 in brackets and without its zone; an IPv4 client of a dual-stack socket as IPv4.
pub(super) fn push_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                push_decimal(out, octet.into());
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(ip) => drop(write!(out, "[{ip}]")),
    }
    out.push(b':');
    push_decimal(out, address.port().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_gateway_would_fold_are_recognised() {
        for (name, own) in [
            ("MS-ASPNETCORE-TOKEN", true),
            ("ms-aspnetcore-token", true),
            ("Ms_AspNetCore_Token", true),
            ("MS-ASPNETCORE_EVENT", true),
            ("MS-ASPNETCORE", true),
            ("MS-ASPNETCOREX", true),
            ("MS-ASPNETCOR", false),
            ("X-MS-ASPNETCORE-TOKEN", false),
            ("M", false),
            ("", false),
        ] {
            assert_eq!(is_module_own(name.as_bytes()), own, "{name}");
        }
        assert!(resembles(b"X_Forwarded-FOR", "x-forwarded-for"));
        assert!(!resembles(b"X-Forwarded-Fo", "x-forwarded-for"));
        assert!(!is(b"X_Forwarded-For", "x-forwarded-for"));
    }

    #[test]
    fn elements_are_trimmed_and_never_empty() {
        let found: Vec<_> = elements(b" close ,, Upgrade,\t").collect();
        assert_eq!(found, [&b"close"[..], b"Upgrade"]);
    }

    /// The vectors of RFC 4648 10, and the digits that are no letters.
    #[test]
    fn bytes_are_written_in_base64() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (b"\xfb\xff\xfe", "+//+"),
        ] {
            let mut out = Vec::new();
            push_base64(&mut out, bytes);
            assert_eq!(out, expected.as_bytes());
        }
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 255, 65_535, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
