//! The escapes of the case files, in both directions.

/// Bytes of a text with `\r`, `\n`, `\t`, `\0`, `\xNN`, `\\`, `\{`, and `{...*N}` for N times.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '{']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let special = &rest[at..];
        let used = if special.starts_with('{') {
            let end = special.find('}').ok_or_else(|| format!("no }} in {special:?}"))?;
            let (what, count) = special[1..end]
                .rsplit_once('*')
                .ok_or_else(|| format!("no *N in {:?}", &special[..=end]))?;
            let count = count.parse().map_err(|_| format!("{count:?} is no number"))?;
            out.extend(unescape(what)?.repeat(count));
            end + 1
        } else {
            let (byte, used) = escape_at(special)?;
            out.push(byte);
            used
        };
        rest = &special[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// The byte of the escape at the start, and how long the escape is.
fn escape_at(text: &str) -> Result<(u8, usize), String> {
    let unknown = || format!("unknown escape at {text:?}");
    Ok(match text.as_bytes().get(1).ok_or_else(unknown)? {
        b'r' => (b'\r', 2),
        b'n' => (b'\n', 2),
        b't' => (b'\t', 2),
        b'0' => (0, 2),
        special @ (b'\\' | b'{') => (*special, 2),
        b'x' => {
            let digits = text.get(2..4).ok_or_else(unknown)?;
            (u8::from_str_radix(digits, 16).map_err(|_| unknown())?, 4)
        }
        _ => return Err(unknown()),
    })
}

/// Bytes as a person reads them, one line per line; very long ones are cut.
pub(crate) fn show(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(2000)];
    let text = shown.escape_ascii().to_string().replace("\\n", "\\n\n      ");
    let more = bytes.len() - shown.len();
    if more == 0 { text } else { format!("{text}... and {more} bytes") }
}

#[test]
fn escapes_are_read() {
    let bytes = unescape(r"a\r\n\x85\\\{b}{x\t*3}{ab*2}\0").unwrap();
    assert_eq!(bytes, b"a\r\n\x85\\{b}x\tx\tx\tabab\0");
    for bad in [r"\q", r"\x8", "{a*}", "{a", r"\", "{a*b}"] {
        assert!(unescape(bad).is_err(), "{bad}");
    }
}
