//! Certificates that proxies tell of.

use engine::LONGEST_CERTIFICATE;
use engine::http1::certificate::decode;

/// Reads the value of a field, and what was read, written in every form.
pub fn certificate(data: &[u8]) {
    let mut der = b"before".to_vec();
    if decode(data, &mut der).is_err() {
        assert!(der.is_empty(), "a certificate that does not count");
        return;
    }
    assert!(!der.is_empty() && der.len() <= LONGEST_CERTIFICATE);
    let base64 = base64(&der);
    let bare = data.strip_prefix(b":").and_then(|text| text.strip_suffix(b":")).unwrap_or(data);
    if !bare.starts_with(b"-") && !bare.starts_with(b"%") {
        assert_eq!(bare, base64.as_bytes(), "another spelling of one certificate");
    }
    let lines = |end: &str| {
        let lines: String = base64
            .as_bytes()
            .chunks(64)
            .map(|line| format!("{}{end}", line.escape_ascii()))
            .collect();
        format!("-----BEGIN CERTIFICATE-----{end}{lines}-----END CERTIFICATE-----{end}")
    };
    let forms =
        [format!(":{base64}:"), lines("%0A"), lines("%0d%0a").replace(' ', "%20"), lines(" ")];
    for form in forms {
        let mut again = Vec::new();
        assert_eq!(decode(form.as_bytes(), &mut again), Ok(()), "{form}");
        assert_eq!(again, der, "{form}");
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { digit.into() } else { '=' });
        }
    }
    text
}
