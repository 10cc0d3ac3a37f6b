//! What a backend is told of the client: by which fields, and which of them the client may have
//! begun.

use std::net::SocketAddr;

use config::{ForwardedFields, TrustedProxies};

use super::field;
use super::request::RequestHead;

/// A field by which we tell of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    For,
    Forwarded,
    Host,
    Proto,
}

/// Which fields are written, whose word is kept in them, and what clients may ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) fields: ForwardedFields,
    pub(crate) trusted: TrustedProxies,
    /// No request changes the protocol.
    pub(crate) stays_http: bool,
}

impl Policy {
    pub(super) fn trusts(&self, client: Option<SocketAddr>) -> bool {
        self.trusted.contains(client.map(|address| address.ip()))
    }

    pub(super) fn writes(&self, claim: Claim) -> bool {
        match claim {
            Claim::For => self.fields.x_for,
            Claim::Forwarded => self.fields.forwarded,
            Claim::Host => self.fields.x_host,
            Claim::Proto => self.fields.x_proto,
        }
    }
}

/// Appends our fields. Of what a listed proxy tells in an `X-Forwarded-` field we have nothing to say: its
/// client is ours, and the framework's middleware reads the last value only. `kept`: behind what the client has sent under their names; `via`: the client
/// has sent a `Via`. `authority` takes the place of `Host`.
pub(super) fn write<'a>(
    request: &impl RequestHead<'a>,
    policy: &Policy,
    kept: bool,
    via: bool,
    authority: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    let fields = &policy.fields;
    let is_listed = matches!(policy.trusted, TrustedProxies::Listed { .. });
    if fields.x_for {
        let line = Line::begin("X-Forwarded-For", kept.then_some(request), out);
        if let Some(address) = request.remote().filter(|_| !(is_listed && line.is_begun())) {
            field::push_address(out, address);
        }
        // A client on a Unix socket has no address. What it said about its own clients stays.
        line.end(out);
    }
    if fields.x_proto {
        let line = Line::begin("X-Forwarded-Proto", kept.then_some(request), out);
        if !(is_listed && line.is_begun()) {
            out.extend_from_slice(request.scheme().as_bytes());
        }
        line.end(out);
    }
    let host = || {
        let mut headers = request.headers();
        let sent = headers.find(|(name, _)| field::is(name, "host")).map(|(_, value)| value);
        authority.or(sent).filter(|host| !host.is_empty())
    };
    if fields.x_host {
        let line = Line::begin("X-Forwarded-Host", kept.then_some(request), out);
        if !(is_listed && line.is_begun()) {
            out.extend_from_slice(host().unwrap_or_default());
        }
        line.end(out);
    }
    if fields.forwarded {
        let line = Line::begin("Forwarded", kept.then_some(request), out);
        push_forwarded(out, request, host());
        line.end(out);
    }
    if fields.via {
        let line = Line::begin("Via", via.then_some(request), out);
        let version: &[u8] = if request.version() == 0x0100 { b"1.0 ancm" } else { b"1.1 ancm" };
        out.extend_from_slice(version);
        line.end(out);
    }
}

/// An element of RFC 7239. What has a colon must be quoted.
fn push_forwarded<'a>(out: &mut Vec<u8>, request: &impl RequestHead<'a>, host: Option<&[u8]>) {
    match request.remote() {
        Some(address) => {
            out.extend_from_slice(b"for=\"");
            field::push_address(out, address);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"for=unknown"),
    }
    if let Some(host) = host {
        out.extend_from_slice(b";host=\"");
        for byte in host {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(request.scheme().as_bytes());
}

/// A field whose value may begin with the client's; left out when nothing comes of it.
struct Line {
    start: usize,
    value: usize,
    own: usize,
}

impl Line {
    /// Writes the name, and what `client` sent under it.
    fn begin<'a>(name: &str, client: Option<&impl RequestHead<'a>>, out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        let value = out.len();
        for (other, sent) in client.into_iter().flat_map(RequestHead::headers) {
            if other.eq_ignore_ascii_case(name.as_bytes()) && !sent.trim_ascii().is_empty() {
                out.extend_from_slice(sent);
                out.extend_from_slice(b", ");
            }
        }
        Self { start, value, own: out.len() }
    }

    /// Whether the client has said something.
    fn is_begun(&self) -> bool {
        self.own > self.value
    }

    fn end(self, out: &mut Vec<u8>) {
        if out.len() == self.own && self.is_begun() {
            out.truncate(self.own - b", ".len());
        }
        if out.len() == self.value {
            out.truncate(self.start);
        } else {
            out.extend_from_slice(b"\r\n");
        }
    }
}
