//! From the client to the backend.

use std::net::SocketAddr;

use super::claims::{self, Claim, Policy};
use super::field;

/// What happens to a request field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Ends at this hop.
    Drop,
    /// Written by us from what the engine knows; the client's own line is not repeated.
    Framing,
    /// Says for whom the client speaks: kept from those who may, and joined with ours into one line
    /// where we write it.
    Claim(Option<Claim>),
    /// `Host`: kept, unless the target carried its own authority.
    Host,
    /// `TE`: only `trailers` may pass.
    Trailers,
    /// Kept on a request that changes protocols.
    Upgrade,
    /// The way that the request came; joined with ours if we write it.
    Via,
}

/// Every field that does not simply pass. A name that a gateway would fold to one of these (`_` for
/// `-`) is dropped: only the spelling in this table is the real one.
const RULES: &[(&str, Rule)] = &[
    ("client-cert", Rule::Claim(None)),
    ("client-cert-chain", Rule::Claim(None)),
    ("connection", Rule::Drop),
    ("content-length", Rule::Framing),
    // The one expectation there is is written by us, for a client that still waits.
    ("expect", Rule::Framing),
    ("forwarded", Rule::Claim(Some(Claim::Forwarded))),
    ("front-end-https", Rule::Claim(None)),
    ("host", Rule::Host),
    ("http2-settings", Rule::Drop),
    ("keep-alive", Rule::Drop),
    ("proxy-authenticate", Rule::Drop),
    ("proxy-authorization", Rule::Drop),
    ("proxy-connection", Rule::Drop),
    ("te", Rule::Trailers),
    ("transfer-encoding", Rule::Framing),
    ("true-client-ip", Rule::Claim(None)),
    ("upgrade", Rule::Upgrade),
    ("via", Rule::Via),
    ("x-client-ip", Rule::Claim(None)),
    ("x-forwarded-for", Rule::Claim(Some(Claim::For))),
    ("x-forwarded-host", Rule::Claim(Some(Claim::Host))),
    ("x-forwarded-proto", Rule::Claim(Some(Claim::Proto))),
    ("x-original-for", Rule::Claim(None)),
    ("x-original-host", Rule::Claim(None)),
    ("x-original-proto", Rule::Claim(None)),
    ("x-real-ip", Rule::Claim(None)),
];

/// Every name that begins so is a claim (`X-Forwarded-Ssl`, `-Port`, `-Client-Cert`, ...).
const CLAIMS: &str = "x-forwarded-";

/// What the rules need to know of a request.
pub(crate) trait RequestHead<'a> {
    fn method(&self) -> &'a [u8];
    fn target(&self) -> &'a [u8];
    fn version(&self) -> u16;
    fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])>;
    fn content_length(&self) -> Option<u64>;
    fn is_chunked(&self) -> bool;
    /// In DER.
    fn client_certificate(&self) -> Option<&'a [u8]>;
    fn remote(&self) -> Option<SocketAddr>;
    fn local(&self) -> Option<SocketAddr>;
    fn scheme(&self) -> &'a str;
    fn is_upgrade(&self) -> bool;
    fn expects_continue(&self) -> bool;
}

/// Appends the complete HTTP/1.1 head that the backend reads.
pub(crate) fn write_request_head<'a>(
    request: &impl RequestHead<'a>,
    policy: &Policy,
    token: Option<&str>,
    out: &mut Vec<u8>,
) {
    let is_trusted = policy.trusts(request.remote());
    let (target, authority) = origin_form(request.target());
    out.extend_from_slice(request.method());
    out.push(b' ');
    // An absolute target may have no path, or nothing but a query.
    if !target.starts_with(b"/") && target != b"*" && authority.is_some() {
        out.push(b'/');
    }
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");

    let seen = write_fields(request, authority, policy, is_trusted, out);
    if !seen.host {
        write_missing_host(request.local(), out);
    }
    if seen.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
    if seen.te_trailers {
        out.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n");
    }
    write_framing(request, out);
    let kept = seen.claims && is_trusted;
    claims::write(request, policy, kept, seen.via, authority, out);
    if let Some(token) = token {
        field::push(out, b"MS-ASPNETCORE-TOKEN", token.as_bytes());
        // For the middleware that asks for the token, as that is.
        if let Some(der) = request.client_certificate() {
            out.extend_from_slice(b"MS-ASPNETCORE-CLIENTCERT: ");
            field::push_base64(out, der);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// What the client's fields contained, as far as our own depend on it.
#[derive(Default)]
struct Seen {
    host: bool,
    upgrade: bool,
    te_trailers: bool,
    claims: bool,
    via: bool,
}

fn write_fields<'a>(
    request: &impl RequestHead<'a>,
    authority: Option<&[u8]>,
    policy: &Policy,
    is_trusted: bool,
    out: &mut Vec<u8>,
) -> Seen {
    let has_options = connection_options(request).any(names_a_field);
    let may_upgrade = !policy.stays_http && may_upgrade(request);
    let mut seen = Seen::default();
    if let Some(authority) = authority {
        field::push(out, b"Host", authority);
        seen.host = true;
    }
    for (name, value) in request.headers() {
        if field::is_module_own(name) {
            continue;
        }
        let Some(rule) = rule_of(name) else {
            if !(has_options && is_connection_option(request, name)) {
                field::push(out, name, value);
            }
            continue;
        };
        match rule {
            Rule::Drop | Rule::Framing => {}
            Rule::Claim(claim) if claim.is_some_and(|claim| policy.writes(claim)) => {
                seen.claims = true;
            }
            Rule::Via if policy.fields.via => seen.via = true,
            Rule::Claim(_) if !is_trusted => {}
            Rule::Claim(_) | Rule::Via => field::push(out, name, value),
            Rule::Host if seen.host => {}
            Rule::Host => {
                field::push(out, b"Host", value);
                seen.host = true;
            }
            Rule::Trailers => {
                seen.te_trailers |=
                    field::elements(value).any(|coding| field::is(coding, "trailers"));
            }
            Rule::Upgrade if may_upgrade => {
                field::push(out, b"Upgrade", value);
                seen.upgrade = true;
            }
            Rule::Upgrade => {}
        }
    }
    seen
}

fn rule_of(name: &[u8]) -> Option<Rule> {
    // Most names are dismissed by their first byte and length.
    if !matches!(
        name.first()?.to_ascii_lowercase(),
        b'c' | b'e' | b'f' | b'h' | b'k' | b'p' | b't' | b'u' | b'v' | b'x'
    ) {
        return None;
    }
    let (known, rule) = match RULES.iter().find(|(known, _)| field::resembles(name, known)) {
        Some((known, rule)) => (*known, *rule),
        None if field::resembles_prefix(name, CLAIMS) => (CLAIMS, Rule::Claim(None)),
        None => return None,
    };
    Some(if field::is(&name[..known.len()], known) { rule } else { Rule::Drop })
}

/// Whether a `Connection` field names this field as one for this hop only. Asked only for fields
/// that are in no table, so a client cannot make us lose `Host` or the framing; and for trailers.
pub(crate) fn is_connection_option<'a>(request: &impl RequestHead<'a>, name: &[u8]) -> bool {
    connection_options(request).any(|option| option.eq_ignore_ascii_case(name))
}

fn connection_options<'a>(request: &impl RequestHead<'a>) -> impl Iterator<Item = &'a [u8]> {
    let fields = request.headers().filter(|(name, _)| field::is(name, "connection"));
    fields.flat_map(|(_, value)| field::elements(value))
}

/// Whether a connection option can mean a field that is in no table. The options that nearly every
/// client sends cannot, so nearly no request has its fields compared with options.
fn names_a_field(option: &[u8]) -> bool {
    !["keep-alive", "close", "upgrade"].iter().any(|known| field::is(option, known))
}

/// Whether the backend is asked to change protocols, which it may not do otherwise.
pub(crate) fn may_upgrade<'a>(request: &impl RequestHead<'a>) -> bool {
    request.is_upgrade() && !asks_for_h2c(request)
}

/// A tunnel to HTTP/2 would carry requests past every rule in this file.
fn asks_for_h2c<'a>(request: &impl RequestHead<'a>) -> bool {
    request
        .headers()
        .filter(|(name, _)| field::is(name, "upgrade"))
        .any(|(_, value)| field::names_http2(value))
}

/// The target without scheme and authority, and the authority if there was one. It takes the place
/// of `Host`, as RFC 9112 3.2.2 demands.
fn origin_form(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after_scheme = ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        field::is(start, scheme).then_some(rest)
    });
    let Some(rest) = after_scheme else { return (target, None) };
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit(|b| *b == b'@').next().unwrap_or(authority);
    (path, Some(host))
}

/// HTTP/1.0 clients may leave out `Host`; the request that we send is HTTP/1.1 and may not.
fn write_missing_host(local: Option<SocketAddr>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Host: ");
    match local {
        Some(address) => field::push_address(out, address),
        None => out.extend_from_slice(b"localhost"),
    }
    out.extend_from_slice(b"\r\n");
}

fn write_framing<'a>(request: &impl RequestHead<'a>, out: &mut Vec<u8>) {
    // INVARIANT: the engine puts chunks on exactly the bodies that have this flag.
    if request.is_chunked() {
        // With the codings below the chunks, which the engine takes off and puts on again.
        let mut fields = request.headers();
        let codings = fields.find(|(name, _)| field::is(name, "transfer-encoding"));
        field::push(out, b"Transfer-Encoding", codings.map_or(b"chunked", |(_, value)| value));
    } else if let Some(length) = request.content_length() {
        out.extend_from_slice(b"Content-Length: ");
        field::push_decimal(out, length);
        out.extend_from_slice(b"\r\n");
    }
    if request.expects_continue() {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
