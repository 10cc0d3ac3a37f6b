//! Certificates in the forms that proxies write, and what only looks like one.

use crate::http1::certificate::{LONGEST, Unfit, decode};

const PEM: &str = include_str!("../../../../../tests/e2e/client.pem");

/// The base64 of a certificate.
fn base64() -> String {
    PEM.lines().filter(|line| !line.starts_with('-')).collect()
}

fn verdict(value: &str) -> Result<Vec<u8>, Unfit> {
    let mut der = b"before".to_vec();
    let verdict = decode(value.as_bytes(), &mut der);
    assert_eq!(verdict.is_err(), der.is_empty(), "{value}");
    verdict.map(|()| der)
}

/// Every byte but letters and digits, as nginx does it.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// DER of this tag around `content`.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let [_, _, _, _, _, _, high, low] = length.to_be_bytes();
    let head = match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&head[..], content].concat()
}

fn to_base64(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let mut bytes = [0; 4];
        bytes[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bytes);
        for place in 0..4 {
            let digit = bits >> (18 - 6 * place) & 63;
            let is_there = place <= group.len();
            text.push(if is_there { DIGITS[digit as usize].into() } else { '=' });
        }
    }
    text
}

#[test]
fn a_certificate_is_the_same_in_every_form() {
    let base64 = base64();
    let whole = verdict(&base64).unwrap();
    assert_eq!(to_base64(&whole), base64);
    let forms = [
        format!(":{base64}:"),
        escaped(PEM),
        escaped(PEM.trim_end()),
        escaped(&PEM.replace('\n', "\r\n")),
        // As AWS has it: only what cannot be in a field.
        PEM.replace(' ', "%20").replace('\n', "%0A"),
        // As some servers unfold it.
        PEM.trim_end().replace('\n', " "),
        escaped(PEM).replace('-', "%2d"),
    ];
    for form in forms {
        assert_eq!(verdict(&form).as_ref(), Ok(&whole), "{form}");
    }
}

#[test]
fn what_is_in_no_form_is_not_guessed_at() {
    let base64 = base64();
    let url_safe = base64.replace('+', "-").replace('/', "_");
    assert_ne!(url_safe, base64);
    let wrong = [
        ":".to_owned(),
        "(null)".to_owned(),
        format!(":{base64}"),
        format!("{base64}:"),
        format!(":{base64}:;a=1"),
        format!("::{base64}::"),
        format!(" {base64}"),
        format!("{base64}, {base64}"),
        format!("{base64}{base64}"),
        format!("{base64}===="),
        format!("={}", &base64[1..]),
        base64.trim_end_matches('=').to_owned(),
        base64[..base64.len() - 1].to_owned(),
        // Bits that mean nothing, and are something.
        base64.replace("Q==", "R=="),
        url_safe,
        format!("{base64}\0\0\0\0"),
        base64.replace('+', "%2B"),
        escaped(PEM).replace("CERTIFICATE", "PRIVATE%20KEY"),
        escaped(PEM).replace("-----END", "----END"),
        escaped(PEM).replace("%20", "+"),
        escaped(&format!("{PEM}{PEM}")),
        escaped(PEM) + "%",
        escaped(PEM) + "%0",
        escaped(PEM) + "%0g",
        escaped(PEM) + "x",
        escaped(PEM).replace("%0A", "%250A"),
        escaped(PEM).replace("%0A", "%00"),
        "-----BEGIN CERTIFICATE-----".to_owned(),
        "-----BEGIN CERTIFICATE----------END CERTIFICATE".to_owned(),
        format!("Hash=00;Cert=\"{}\"", escaped(PEM)),
    ];
    for value in wrong {
        assert_eq!(verdict(&value), Err(Unfit::Form), "{value}");
    }
}

#[test]
fn what_is_no_certificate_is_not_passed_on() {
    let part = |tag| der(tag, b"x");
    let whole = |parts: &[Vec<u8>]| der(0x30, &parts.concat());
    let good = whole(&[part(0x30), part(0x30), part(0x03)]);
    assert_eq!(verdict(&to_base64(&good)), Ok(good.clone()));
    let long = |tag: u8| [&[tag, 0x81, 1][..], b"x"].concat();
    let wrong = [
        b"not a certificate".to_vec(),
        whole(&[]),
        whole(&[part(0x30), part(0x30)]),
        whole(&[part(0x30), part(0x30), part(0x03), part(0x03)]),
        // PKCS 12 begins with a number, PKCS 7 with the name of what it holds.
        whole(&[part(0x02), part(0x30), part(0x30)]),
        whole(&[part(0x06), part(0xa0)]),
        whole(&[part(0x30), part(0x30), part(0x04)]),
        // Lengths that DER has in one way only, and those of BER.
        whole(&[part(0x30), part(0x30), long(0x03)]),
        whole(&[part(0x30), part(0x30), vec![0x03, 0x80, b'x', 0, 0]]),
        [&good[..], b"x"].concat(),
        good[..good.len() - 1].to_vec(),
        good[..1].to_vec(),
    ];
    for der in wrong {
        assert_eq!(verdict(&to_base64(&der)), Err(Unfit::Content), "{}", der.escape_ascii());
    }
    for empty in ["", "::", "-----BEGIN CERTIFICATE----------END CERTIFICATE-----", "null"] {
        assert_eq!(verdict(empty), Err(Unfit::Content), "{empty}");
    }
}

#[test]
fn a_certificate_has_an_end() {
    let of = |length: usize| {
        let parts =
            |filling| [der(0x30, &vec![0; filling]), der(0x30, b""), der(0x03, b"")].concat();
        let around = der(0x30, &parts(length)).len() - length;
        der(0x30, &parts(length - around))
    };
    let (longest, longer) = (of(LONGEST), of(LONGEST + 1));
    assert_eq!((longest.len(), longer.len()), (LONGEST, LONGEST + 1));
    assert_eq!(verdict(&to_base64(&longest)), Ok(longest));
    assert_eq!(verdict(&to_base64(&longer)), Err(Unfit::TooLong));
}
