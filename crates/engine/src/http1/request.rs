//! Head of a request.

use std::mem::MaybeUninit;

use super::fields::{Authority, Steering, abi_str, authority, collect, transfer_coding};
use super::reject::{Cause, Reject};
use super::scan::{Kind, Scan, leading_line, scan};

/// Bounds on a head. The defaults are Kestrel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line with its line end (`MaxRequestLineSize`).
    pub request_line: usize,
    /// Bytes of the whole head, request line and blank line included: a buffer of this size is
    /// always enough to come to a verdict (`MaxRequestHeadersTotalSize`, which leaves the request
    /// line out).
    pub head: usize,
    /// Number of fields (`MaxRequestHeaderCount`).
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { request_line: 8 * 1024, head: 32 * 1024, fields: 100 }
    }
}

/// How the body of a request ends (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After this many bytes; may be 0 when declared so.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// Form of a request target (RFC 9112 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, of CONNECT only. [`super::target::split`] refuses it: it has no path.
    Authority,
    /// `*`, of OPTIONS only.
    Asterisk,
}

/// A complete, valid head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'b> {
    /// Method as received.
    pub method: &'b [u8],
    /// One of [`abi::method`], 0 if it is none of them.
    pub method_id: u16,
    /// Target as received.
    pub target: &'b [u8],
    /// Form of `target`.
    pub form: Form,
    /// 0x0100 or 0x0101.
    pub version: u16,
    /// Bytes of the head, the blank line included.
    pub len: usize,
    /// How the body ends.
    pub framing: Framing,
    /// `Transfer-Encoding` came with a `Content-Length`, which must not be believed (RFC 9112
    /// 6.3): hide the field from the application, close after the response.
    pub content_length_ignored: bool,
    /// The client allows another request on this connection.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The client asks to switch protocols and may be answered 101: HTTP/1.1, both fields, no body.
    pub upgrade: bool,
    /// Authority of the target if it has one, else `Host`; empty if there is none. The value of
    /// `Host` among the fields is the same.
    pub host: &'b [u8],
}

/// Parses the head at the start of `buf`; `Ok(None)` asks for more bytes. `headers` is cleared and
/// filled with fields that point into `buf`.
pub fn parse<'b>(
    buf: &'b [u8],
    headers: &mut Vec<abi::Header>,
    limits: &Limits,
) -> Result<Option<Head<'b>>, Reject> {
    headers.clear();
    let start = match buf.first() {
        Some(b'\r' | b'\n') => leading_line(buf)?,
        Some(_) => 0,
        None => return Ok(None),
    };
    let parsed = with_slots(limits.fields, |slots| {
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(&buf[start..], slots) {
            Ok(httparse::Status::Complete(len)) => read(buf, start, len, &request, headers, limits),
            Ok(httparse::Status::Partial) | Err(_) => None,
        }
    });
    match parsed {
        Some(head) => head.map(Some).map_err(Reject::from),
        None => undecided(Kind::Request, buf, headers, limits),
    }
}

/// For a head that is not complete, or not right: `Ok(None)` or the fault.
#[cold]
pub(super) fn undecided<T>(
    kind: Kind,
    buf: &[u8],
    headers: &mut Vec<abi::Header>,
    limits: &Limits,
) -> Result<Option<T>, Reject> {
    headers.clear();
    match scan(kind, buf, limits) {
        Scan::Incomplete => Ok(None),
        Scan::Fault(cause) => Err(cause.into()),
        // Two parsers that disagree are the very danger; there is no known input that does this.
        Scan::Complete(_) => Err(Cause::FieldValue.into()),
    }
}

/// Room for the usual number of fields lives on the stack, without being written first.
pub(super) fn with_slots<'b, R>(
    fields: usize,
    run: impl FnOnce(&mut [MaybeUninit<httparse::Header<'b>>]) -> R,
) -> R {
    const USUAL: usize = 128;
    if fields <= USUAL {
        let mut slots = [const { MaybeUninit::uninit() }; USUAL];
        run(&mut slots[..fields])
    } else {
        let mut slots = Vec::new();
        slots.resize_with(fields, MaybeUninit::uninit);
        run(&mut slots)
    }
}

/// `None` if the head breaks a rule that [`scan`] names.
fn read<'b>(
    buf: &'b [u8],
    start: usize,
    len: usize,
    request: &httparse::Request<'_, 'b>,
    headers: &mut Vec<abi::Header>,
    limits: &Limits,
) -> Option<Result<Head<'b>, Cause>> {
    let (method, target) = (request.method?.as_bytes(), request.path?.as_bytes());
    let len = start + len;
    // The two spaces and the version are all that the line has besides.
    let line = method.len() + target.len() + " HTTP/1.1 \r\n".len();
    if line > limits.request_line || len > limits.head || target.contains(&b'#') {
        return None;
    }
    let version = if request.version? == 1 { 0x0101 } else { 0x0100 };
    Some(match collect(&buf[..len], request.headers, headers)? {
        Ok(steering) => interpret(method, target, version, len, &steering, headers),
        Err(cause) => Err(cause),
    })
}

/// The rules beyond syntax.
fn interpret<'b>(
    method: &'b [u8],
    target: &'b [u8],
    version: u16,
    len: usize,
    steering: &Steering<'b>,
    headers: &mut Vec<abi::Header>,
) -> Result<Head<'b>, Cause> {
    let method_id = method_id(method);
    let (form, authority) = form(method_id, target)?;
    let host = host(version, authority, steering, headers)?;

    let is_current = version == 0x0101;
    let framing = match (steering.transfer_encoding, steering.content_length) {
        (Some(_), _) if !is_current => return Err(Cause::TransferEncodingOld),
        (Some(codings), _) => {
            transfer_coding(codings)?;
            Framing::Chunked
        }
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::None,
    };
    let content_length_ignored = framing == Framing::Chunked && steering.content_length.is_some();
    let has_body = !matches!(framing, Framing::None | Framing::Length(0));

    let connection = steering.connection;
    let keep_alive =
        !connection.close && !content_length_ignored && (is_current || connection.keep_alive);
    Ok(Head {
        method,
        method_id,
        target,
        form,
        version,
        len,
        framing,
        content_length_ignored,
        keep_alive,
        // RFC 9110 10.1.1: not in HTTP/1.0, and there must be something to continue with.
        expect_continue: steering.expect_continue && is_current && has_body,
        // RFC 9110 7.8: Upgrade may always be ignored. With a body in between, it is unclear
        // where the new protocol begins.
        upgrade: steering.upgrade && connection.upgrade && is_current && !has_body,
        host,
    })
}

fn method_id(method: &[u8]) -> u16 {
    match method {
        b"GET" => abi::method::GET,
        b"HEAD" => abi::method::HEAD,
        b"POST" => abi::method::POST,
        b"PUT" => abi::method::PUT,
        b"DELETE" => abi::method::DELETE,
        b"OPTIONS" => abi::method::OPTIONS,
        b"PATCH" => abi::method::PATCH,
        b"TRACE" => abi::method::TRACE,
        b"CONNECT" => abi::method::CONNECT,
        _ => 0,
    }
}

/// Form of the target (RFC 9112 3.2), with its authority if it has one.
fn form(method_id: u16, target: &[u8]) -> Result<(Form, Option<&[u8]>), Cause> {
    if method_id == abi::method::CONNECT {
        return match authority(target) {
            Some(Authority { is_empty: false, has_port: true }) => {
                Ok((Form::Authority, Some(target)))
            }
            _ if target.starts_with(b"/") || target == b"*" => Err(Cause::TargetForm),
            _ => Err(Cause::TargetAuthority),
        };
    }
    if target.starts_with(b"/") {
        return Ok((Form::Origin, None));
    }
    if target == b"*" && method_id == abi::method::OPTIONS {
        return Ok((Form::Asterisk, None));
    }
    let (name, _) = split_absolute(target).ok_or(Cause::TargetForm)?;
    match authority(name) {
        Some(Authority { is_empty: false, .. }) => Ok((Form::Absolute, Some(name))),
        _ => Err(Cause::TargetAuthority),
    }
}

/// Authority, and path with query, of a target in absolute form.
pub(super) fn split_absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let scheme = target.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = target.split_at(scheme);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = rest.strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// RFC 9112 3.2: exactly one valid `Host` in HTTP/1.1. What the target says replaces it
/// (3.2.2), also among the fields, so that nobody behind us can read the other one.
fn host<'b>(
    version: u16,
    target: Option<&'b [u8]>,
    steering: &Steering<'b>,
    headers: &mut Vec<abi::Header>,
) -> Result<&'b [u8], Cause> {
    if steering.hosts > 1 {
        return Err(Cause::HostDuplicate);
    }
    let Some((value, index)) = steering.host else {
        return if version == 0x0101 {
            Err(Cause::HostMissing)
        } else {
            // There is one after all, and whoever reads the fields must find it.
            headers.extend(
                target.map(|target| abi::Header { name: abi_str(b"Host"), value: abi_str(target) }),
            );
            Ok(target.unwrap_or_default())
        };
    };
    if authority(value).is_none() {
        return Err(Cause::HostInvalid);
    }
    let Some(target) = target else { return Ok(value) };
    if let Some(field) = headers.get_mut(index) {
        field.value = abi_str(target);
    }
    Ok(target)
}
