//! The field of a request in which a proxy that ends TLS tells of its client's certificate.
//!
//! Whoever holds the private key has shown it to the proxy, not to us: the field is worth as much as
//! the word of the one who sends it. So it counts from those alone who are trusted, and what does not
//! count does not reach the application in any spelling.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::http1::certificate::{Unfit, decode};

/// Ending of the name of a field that has the issuers of a certificate (RFC 9440 2.3).
const CHAIN: &[u8] = b"-Chain";

/// Which field it is, and whose word counts.
#[derive(Clone)]
pub struct CertificateField {
    name: Box<[u8]>,
    trusts: Arc<dyn Fn(Option<IpAddr>) -> bool + Send + Sync>,
}

impl CertificateField {
    /// The field `name`, in any letter case. `trusts` is told the address at the other end of a
    /// connection, `None` over a Unix socket.
    pub fn new(
        name: &str,
        trusts: impl Fn(Option<IpAddr>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.as_bytes().into(), trusts: Arc::new(trusts) }
    }

    /// Puts the certificate that a request comes with into `der`, which is empty when there is none.
    /// What is not believed is taken out of `headers`, and so is whatever resembles it.
    ///
    /// # Errors
    ///
    /// Why the field that is there does not count. An empty one says that there is no certificate.
    pub(crate) fn take(
        &self,
        client: Option<SocketAddr>,
        headers: &mut Vec<abi::Header>,
        der: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        der.clear();
        let (mut count, mut told, mut others) = (0, &b""[..], false);
        for (name, value) in fields(headers) {
            if name.eq_ignore_ascii_case(&self.name) {
                count += 1;
                told = value;
            } else {
                others |= self.is_resembled_by(name);
            }
        }
        if count == 0 && !others {
            return Ok(());
        }
        let verdict = match count {
            0 => Ok(()),
            _ if !(self.trusts)(client.map(|client| client.ip())) => Err(Unfit::Untrusted),
            1 if told.is_empty() => Ok(()),
            1 => decode(told, der),
            _ => Err(Unfit::Repeated),
        };
        let counts = !der.is_empty();
        headers.retain(|field| {
            let (name, _) = parts(field);
            !self.is_resembled_by(name) || counts && !name.contains(&b'_')
        });
        verdict
    }

    /// Whether a gateway that folds `_` to `-` would take `name` for the field, or for its chain.
    fn is_resembled_by(&self, name: &[u8]) -> bool {
        let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        let alike = |one: &[u8], other: &[u8]| one.iter().map(fold).eq(other.iter().map(fold));
        let Some((front, end)) = name.split_at_checked(self.name.len()) else { return false };
        (end.is_empty() || alike(end, CHAIN)) && alike(front, &self.name)
    }
}

impl fmt::Debug for CertificateField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateField({})", self.name.escape_ascii())
    }
}

/// Names and values of fields.
pub(crate) fn fields(headers: &[abi::Header]) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.iter().map(parts)
}

fn parts(field: &abi::Header) -> (&[u8], &[u8]) {
    // SAFETY: the fields were just parsed and point into the input, which is alive.
    unsafe {
        (
            std::slice::from_raw_parts(field.name.ptr, field.name.len),
            std::slice::from_raw_parts(field.value.ptr, field.value.len),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("../../../tests/e2e/client.pem");

    /// What is told of a request with these fields, and the names that are left of them.
    fn taken(client: Option<&str>, sent: &[(&str, &str)]) -> (Result<bool, Unfit>, String) {
        let field = CertificateField::new("Client-Cert", |client| {
            client.is_some_and(|address| address.to_canonical().is_loopback())
        });
        let text = |text: &str| abi::Str { ptr: text.as_ptr(), len: text.len() };
        let mut headers: Vec<_> = sent
            .iter()
            .map(|(name, value)| abi::Header { name: text(name), value: text(value) })
            .collect();
        let mut der = b"of the request before".to_vec();
        let client = client.map(|address| SocketAddr::new(address.parse().unwrap(), 1));
        let verdict = field.take(client, &mut headers, &mut der).map(|()| !der.is_empty());
        let names = fields(&headers).map(|(name, _)| std::str::from_utf8(name).unwrap());
        (verdict, names.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_field_counts_once_and_from_those_who_are_trusted() {
        let value: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
        let (own, chain) = (("client-CERT", &*value), ("Client-Cert-Chain", ":AA==:"));
        let (host, folded) = (("Host", "a"), ("Client_Cert", &*value));
        let near = ("Client-Certs", "kept");
        let lookalikes = [("Client-Cert_Chain", "a"), ("CLIENT_CERT_CHAIN", "a"), folded];
        for (client, sent, verdict, names) in [
            (Some("127.0.0.1"), &[host, own, near][..], Ok(true), "Host client-CERT Client-Certs"),
            (Some("::ffff:127.0.0.1"), &[own, chain], Ok(true), "client-CERT Client-Cert-Chain"),
            (Some("127.0.0.1"), &[folded, own, chain], Ok(true), "client-CERT Client-Cert-Chain"),
            (Some("127.0.0.1"), &[own, lookalikes[0], lookalikes[1]], Ok(true), "client-CERT"),
            (Some("127.0.0.1"), &[host, near], Ok(false), "Host Client-Certs"),
            (Some("127.0.0.1"), &[("Client-Cert", ""), host, chain], Ok(false), "Host"),
            (Some("127.0.0.1"), &[folded, chain], Ok(false), ""),
            (Some("127.0.0.1"), &[own, host, own], Err(Unfit::Repeated), "Host"),
            (Some("127.0.0.1"), &[own, ("Client-Cert", "")], Err(Unfit::Repeated), ""),
            (Some("127.0.0.1"), &[("Client-Cert", "?"), chain, host], Err(Unfit::Form), "Host"),
            (
                Some("192.0.2.1"),
                &[own, host, chain, near],
                Err(Unfit::Untrusted),
                "Host Client-Certs",
            ),
            (Some("192.0.2.1"), &[host, near], Ok(false), "Host Client-Certs"),
            (Some("192.0.2.1"), &lookalikes, Ok(false), ""),
            (None, &[own, host], Err(Unfit::Untrusted), "Host"),
        ] {
            assert_eq!(taken(client, sent), (verdict, names.to_owned()), "{client:?} {sent:?}");
        }
    }
}
