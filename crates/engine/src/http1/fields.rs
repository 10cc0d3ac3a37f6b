//! What requests and responses have in common: characters, and the fields that steer framing.

use super::reject::Cause;

/// Classes of a byte, one bit each.
const TOKEN: u8 = 1;
const TEXT: u8 = 2;
const HOST: u8 = 4;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        let word = byte.is_ascii_alphanumeric();
        if word
            || matches!(
                byte,
                b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
            )
        {
            classes[index] |= TOKEN;
        }
        if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
            classes[index] |= TEXT;
        }
        if word || matches!(byte, b'!' | b'$' | b'&'..=b')' | b'-' | b'.' | b'_' | b'~') {
            classes[index] |= HOST;
        }
        index += 1;
    }
    classes
};

#[inline]
fn is(class: u8, byte: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// RFC 9110 5.6.2.
#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    is(TOKEN, byte)
}

/// RFC 9110 5.6.2.
#[inline]
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// RFC 9110 5.5: anything but controls; HTAB is none.
#[inline]
pub(super) fn is_text_byte(byte: u8) -> bool {
    is(TEXT, byte)
}

/// RFC 9110 5.5. Looks at every byte, so that the compiler can look at many at once.
#[inline]
pub(super) fn is_text(text: &[u8]) -> bool {
    !text
        .iter()
        .fold(false, |bad, byte| bad | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7f))
}

/// RFC 9110 5.6.3: spaces and tabs around, and nothing else that others call white space.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Options of `Connection` (RFC 9110 7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

impl Connection {
    pub(super) fn note(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',') {
            let option = trim(option);
            match option.len() {
                5 => self.close |= option.eq_ignore_ascii_case(b"close"),
                7 => self.upgrade |= option.eq_ignore_ascii_case(b"upgrade"),
                10 => self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive"),
                _ => {}
            }
        }
    }
}

/// RFC 9110 8.6, bounded by what the contract's signed length can carry.
pub(super) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let mut length = 0u64;
    for byte in value {
        if !byte.is_ascii_digit() {
            return None;
        }
        length = length.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    i64::try_from(length).is_ok().then_some(length)
}

/// RFC 9112 6.1: the body is chunked if that is the last coding. The others, applied before, are
/// the application's to undo.
pub(super) fn transfer_coding(value: &[u8]) -> Result<(), Cause> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut chunked = false;
    for coding in value.split(|byte| *byte == b',') {
        let coding = trim(coding);
        // Also an empty element: `,chunked` is where parsers part ways.
        if chunked || !is_token(coding) {
            return Err(Cause::TransferEncoding);
        }
        chunked = coding.eq_ignore_ascii_case(b"chunked");
        let known: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
        if !chunked && !known.iter().any(|name| coding.eq_ignore_ascii_case(name)) {
            return Err(Cause::TransferCodingUnknown);
        }
    }
    if chunked { Ok(()) } else { Err(Cause::TransferEncoding) }
}

/// Whether this is `host` or `host:port` (RFC 9110 7.2), and which. In names only what http.sys and
/// Kestrel take: not `*+,;=%`, which RFC 3986 allows and lists and escapes abuse.
pub(super) fn authority(text: &[u8]) -> Option<Authority> {
    let (host, rest) = if let [b'[', inner @ ..] = text {
        let end = inner.iter().position(|byte| *byte == b']')?;
        let address = std::str::from_utf8(&inner[..end]).ok()?;
        address.parse::<std::net::Ipv6Addr>().ok()?;
        text.split_at(end + 2)
    } else {
        text.split_at(text.iter().position(|byte| !is(HOST, *byte)).unwrap_or(text.len()))
    };
    let has_port = match rest {
        [] => false,
        [b':', port @ ..] => {
            let number = std::str::from_utf8(port).ok()?;
            if !port.iter().all(u8::is_ascii_digit) || number.parse::<u16>().is_err() {
                return None;
            }
            true
        }
        _ => return None,
    };
    if host.is_empty() && has_port {
        return None;
    }
    Some(Authority { is_empty: host.is_empty(), has_port })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) is_empty: bool,
    pub(super) has_port: bool,
}

/// The fields that decide about the message itself.
#[derive(Default)]
pub(super) struct Steering<'b> {
    pub(super) hosts: u32,
    /// Value and index of the first `Host`.
    pub(super) host: Option<(&'b [u8], usize)>,
    pub(super) content_length: Option<u64>,
    pub(super) transfer_encoding: Option<&'b [u8]>,
    pub(super) connection: Connection,
    pub(super) expect_continue: bool,
    pub(super) upgrade: bool,
}

impl<'b> Steering<'b> {
    /// Takes note of field number `index`.
    #[inline]
    pub(super) fn note(&mut self, index: usize, name: &[u8], value: &'b [u8]) -> Result<(), Cause> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                self.host.get_or_insert((value, index));
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.expect_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection.note(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = content_length(value).ok_or(Cause::ContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(Cause::ContentLengthDuplicate);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let earlier = self.transfer_encoding.replace(value);
                // Twice is legal for a list, and who sends it hopes that somebody reads one only.
                if earlier.is_some() {
                    return Err(Cause::TransferEncoding);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Points into bytes that outlive the exchange's use of it.
#[inline]
pub(super) fn abi_str(bytes: &[u8]) -> abi::Str {
    abi::Str { ptr: bytes.as_ptr(), len: bytes.len() }
}

/// Reads parsed fields: fills `headers`, collects what steers, and makes sure that every line
/// above them and of theirs ended with CR LF, for `httparse` takes a bare LF. `None` if not.
#[inline]
pub(super) fn collect<'b>(
    head: &'b [u8],
    parsed: &[httparse::Header<'b>],
    headers: &mut Vec<abi::Header>,
) -> Option<Result<Steering<'b>, Cause>> {
    let base = head.as_ptr().addr();
    let mut steering = Steering::default();
    headers.reserve(parsed.len());
    for (index, field) in parsed.iter().enumerate() {
        let start = field.name.as_ptr().addr() - base;
        if head.get(start.wrapping_sub(2)) != Some(&b'\r') {
            return None;
        }
        if let Err(cause) = steering.note(index, field.name.as_bytes(), field.value) {
            // A fault of syntax further down comes first, as it does when bytes trickle in.
            return lines_end(head, &parsed[index..]).then_some(Err(cause));
        }
        let (name, value) = (abi_str(field.name.as_bytes()), abi_str(field.value));
        headers.push(abi::Header { name, value });
    }
    head.ends_with(b"\r\n\r\n").then_some(Ok(steering))
}

#[cold]
fn lines_end(head: &[u8], parsed: &[httparse::Header<'_>]) -> bool {
    let base = head.as_ptr().addr();
    let ends = |at: usize| head.get(at.wrapping_sub(2)) == Some(&b'\r');
    parsed.iter().all(|field| ends(field.name.as_ptr().addr() - base))
        && head.ends_with(b"\r\n\r\n")
}
