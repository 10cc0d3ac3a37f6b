//! What backends are told about clients by fields of the request, and whose word is passed on.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The fields by which a backend is told of the client that we see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardedFields {
    /// `X-Forwarded-For`: its address and port.
    pub x_for: bool,
    /// `X-Forwarded-Host`: the `Host` that it asked for.
    pub x_host: bool,
    /// `X-Forwarded-Proto`: `http` or `https`.
    pub x_proto: bool,
    /// `Forwarded` (RFC 7239): all three.
    pub forwarded: bool,
    /// `Via` (RFC 9110 7.6.3): that the request came through us.
    pub via: bool,
}

impl Default for ForwardedFields {
    /// Those of the module.
    fn default() -> Self {
        Self { x_for: true, x_host: false, x_proto: true, forwarded: false, via: false }
    }
}

/// The text is no list of such fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of x-forwarded-for, x-forwarded-host, x-forwarded-proto, forwarded, via")]
pub struct UnknownField;

impl FromStr for ForwardedFields {
    type Err = UnknownField;

    /// Names with commas between, in any casing; nothing means none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields =
            Self { x_for: false, x_host: false, x_proto: false, forwarded: false, via: false };
        for name in elements(text) {
            let field = match name.to_ascii_lowercase().as_str() {
                "x-forwarded-for" => &mut fields.x_for,
                "x-forwarded-host" => &mut fields.x_host,
                "x-forwarded-proto" => &mut fields.x_proto,
                "forwarded" => &mut fields.forwarded,
                "via" => &mut fields.via,
                _ => return Err(UnknownField),
            };
            *field = true;
        }
        Ok(fields)
    }
}

/// Clients that may say for whom they speak.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustedProxies {
    /// Every one, as in the module: what a client says is kept, and what we see comes last.
    #[default]
    All,
    /// These; what others say is dropped.
    Listed {
        /// Addresses.
        networks: Vec<Network>,
        /// Whoever comes over a Unix socket.
        unix: bool,
    },
}

impl TrustedProxies {
    /// Whether the client at this address, `None` over a Unix socket, is one of them.
    pub fn contains(&self, client: Option<IpAddr>) -> bool {
        match (self, client) {
            (Self::All, _) => true,
            (Self::Listed { unix, .. }, None) => *unix,
            (Self::Listed { networks, .. }, Some(client)) => {
                let client = client.to_canonical();
                networks.iter().any(|network| network.contains(client))
            }
        }
    }
}

/// The text is no list of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of addresses, networks such as 10.0.0.0/8, and `unix`; nor `*`")]
pub struct NoNetwork;

impl FromStr for TrustedProxies {
    type Err = NoNetwork;

    /// `*`, or elements with commas between; nothing means nobody.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "*" {
            return Ok(Self::All);
        }
        let (mut networks, mut unix) = (Vec::new(), false);
        for element in elements(text) {
            match element.eq_ignore_ascii_case("unix") {
                true => unix = true,
                false => networks.push(element.parse()?),
            }
        }
        Ok(Self::Listed { networks, unix })
    }
}

/// Addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// One of them.
    pub address: IpAddr,
    /// How many bits are the same.
    pub bits: u8,
}

impl Network {
    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |one: u128, other: u128, width: u32| {
            let shift = width.saturating_sub(u32::from(self.bits));
            // A shift by all bits is none.
            shift >= width || one >> shift == other >> shift
        };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(own.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| NoNetwork)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.trim().parse().map_err(|_| NoNetwork))?;
        if bits > width { Err(NoNetwork) } else { Ok(Self { address, bits }) }
    }
}

fn elements(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_everybody_nobody_or_in_a_list() {
        for (written, inside, outside) in [
            ("*", "10.1.2.3 ::1 -", ""),
            ("", "", "10.1.2.3 ::1 -"),
            ("10.0.0.0/8", "10.1.2.3 10.255.0.1 ::ffff:10.0.0.1", "11.0.0.1 ::1 -"),
            ("192.0.2.7, unix", "192.0.2.7 -", "192.0.2.8"),
            ("0.0.0.0/0", "1.2.3.4 255.255.255.255", ":: -"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1 127.0.0.1"),
            ("::/0,127.0.0.1/32", "::1 127.0.0.1", "127.0.0.2"),
        ] {
            let proxies: TrustedProxies = written.parse().unwrap();
            let of = |text: &str| (text != "-").then(|| text.parse().unwrap());
            for client in inside.split_whitespace() {
                assert!(proxies.contains(of(client)), "{client} in {written:?}");
            }
            for client in outside.split_whitespace() {
                assert!(!proxies.contains(of(client)), "{client} in {written:?}");
            }
        }
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0", "10.0.0.0/-1", "proxy", "*, ::1", "/8"] {
            assert_eq!(wrong.parse::<TrustedProxies>(), Err(NoNetwork), "{wrong}");
        }
    }

    #[test]
    fn fields_are_named() {
        let none: ForwardedFields = "".parse().unwrap();
        assert_eq!(none, ForwardedFields { x_for: false, x_proto: false, ..Default::default() });
        assert_eq!("X-Forwarded-For, x-forwarded-proto".parse(), Ok(ForwardedFields::default()));
        let all = "x-forwarded-for,x-forwarded-host,x-forwarded-proto,Forwarded,via".parse();
        let all: ForwardedFields = all.unwrap();
        assert!(all.x_for && all.x_host && all.x_proto && all.forwarded && all.via);
        assert_eq!("for".parse::<ForwardedFields>(), Err(UnknownField));
    }
}
