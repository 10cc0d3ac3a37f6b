//! Addresses to listen on, as `ASPNETCORE_URLS` and `--url` write them.
//!
//! The syntax is Kestrel's: `*`, `+` and any name that is neither an address nor `localhost` mean
//! every address, and a Unix socket is written `http://unix:/path`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const FORMS: &str = "http://ADDRESS:PORT, http://*:PORT or http://unix:/PATH";

/// How the protocol is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In the clear.
    Http,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// Every address, of IPv6 and of IPv4.
    Any,
    /// This address.
    Ip(IpAddr),
    /// The loopback addresses of both families.
    Localhost,
    /// A host name. The name selects nothing: as in Kestrel it means every address.
    Name(String),
    /// A Unix socket at this absolute path.
    Unix(PathBuf),
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ListenUrl {
    /// How the protocol is secured.
    pub scheme: Scheme,
    /// Where to listen.
    pub host: Host,
    /// The port; zero lets the system choose. Zero and meaningless for a Unix socket.
    pub port: u16,
}

/// The text is not an address that we can listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenUrlError {
    /// There is no address in the text.
    #[error("there is no URL; expected {FORMS}")]
    Empty,
    /// TLS is not supported yet.
    #[error("`{url}`: https is not supported yet; use http, behind something that ends TLS")]
    Https {
        /// The text.
        url: String,
    },
    /// An application is served at the root.
    #[error("`{url}`: a path is not supported here; write `{without}`")]
    Path {
        /// The text.
        url: String,
        /// The same without its path.
        without: String,
    },
    /// The port is not a number below 65536.
    #[error("`{url}`: `{port}` is not a port; expected a number from 0 to 65535")]
    Port {
        /// The text.
        url: String,
        /// What stands in the place of the port.
        port: String,
    },
    /// The path of the Unix socket does not begin with a slash.
    #[error("`{url}`: a Unix socket needs an absolute path; expected http://unix:/PATH")]
    RelativeSocket {
        /// The text.
        url: String,
    },
    /// Anything else.
    #[error("`{url}` is not a URL to listen on; expected {FORMS}")]
    Syntax {
        /// The text.
        url: String,
    },
}

impl ListenUrl {
    /// The addresses in a list separated by `;`; empty items are skipped.
    ///
    /// # Errors
    ///
    /// The first item that is no address; `Empty` when there is no item.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ListenUrlError> {
        let urls: Result<Vec<Self>, _> =
            text.split(';').map(str::trim).filter(|url| !url.is_empty()).map(str::parse).collect();
        urls.and_then(|urls| if urls.is_empty() { Err(ListenUrlError::Empty) } else { Ok(urls) })
    }

    /// The socket addresses to bind, the more general first; none for a Unix socket. After `[::]`,
    /// which takes IPv4 as well unless the socket is told otherwise, `0.0.0.0` is for hosts without
    /// IPv6.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let ips: Vec<IpAddr> = match &self.host {
            Host::Any | Host::Name(_) => {
                vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()]
            }
            Host::Ip(ip) => vec![*ip],
            Host::Localhost => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Host::Unix(_) => Vec::new(),
        };
        ips.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect()
    }
}

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = || text.to_owned();
        let (scheme, rest) = text.split_once("://").ok_or(ListenUrlError::Syntax { url: url() })?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(ListenUrlError::Https { url: url() });
        }
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(ListenUrlError::Syntax { url: url() });
        }
        if let Some(path) = rest.strip_prefix("unix:") {
            if !path.starts_with('/') || path.len() < 2 || path.contains('\0') {
                return Err(ListenUrlError::RelativeSocket { url: url() });
            }
            return Ok(Self { scheme: Scheme::Http, host: Host::Unix(path.into()), port: 0 });
        }

        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(path, "" | "/") {
            let without = format!("http://{authority}");
            return Err(ListenUrlError::Path { url: url(), without });
        }
        let (host, port) = split_port(authority).ok_or(ListenUrlError::Syntax { url: url() })?;
        let port = match port {
            None => 80,
            Some(port) => {
                let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                let number = port.parse().ok().filter(|_| digits);
                number.ok_or_else(|| ListenUrlError::Port { url: url(), port: port.to_owned() })?
            }
        };
        let host = parse_host(host).ok_or(ListenUrlError::Syntax { url: url() })?;
        Ok(Self { scheme: Scheme::Http, host, port })
    }
}

/// Host and port of an authority; the colons of a bracketed IPv6 address separate nothing.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let (host, rest) = authority.split_at(authority.find(']')? + 1);
        return match rest {
            "" => Some((host, None)),
            rest => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

fn parse_host(host: &str) -> Option<Host> {
    if let Some(inner) = host.strip_prefix('[') {
        let ip: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Ip(ip.into()));
    }
    if matches!(host, "*" | "+") {
        return Some(Host::Any);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Host::Localhost);
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Some(Host::Ip(ip.into()));
    }
    let is_name = !host.is_empty()
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_'));
    is_name.then(|| Host::Name(host.to_owned()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Localhost => f.write_str("localhost"),
            Self::Name(name) => f.write_str(name),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Unix(_) => write!(f, "http://{}", self.host),
            host => write!(f, "http://{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nat_01_what_is_accepted_prints_in_one_form() {
        for (text, expected) in [
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
            ("HTTP://LocalHost:5000", "http://localhost:5000"),
            ("http://localhost", "http://localhost:80"),
            ("http://*:80", "http://*:80"),
            ("http://+:0", "http://*:0"),
            ("http://[::]:80", "http://[::]:80"),
            ("http://[::1]", "http://[::1]:80"),
            ("http://example.com:8080", "http://example.com:8080"),
            ("http://unix:/run/app.sock", "http://unix:/run/app.sock"),
        ] {
            let url: ListenUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), expected, "{text}");
            assert_eq!(expected.parse::<ListenUrl>().unwrap(), url);
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        for (text, part) in [
            ("https://localhost:5001", "https is not supported yet"),
            ("http://localhost:5000/app", "write `http://localhost:5000`"),
            ("http://localhost:5000?x", "a path is not supported"),
            ("http://localhost:65536", "`65536` is not a port"),
            ("http://localhost:", "`` is not a port"),
            ("http://localhost:+80", "`+80` is not a port"),
            ("http://[::1:80", "is not a URL"),
            ("http://[::1]80", "is not a URL"),
            ("http://", "is not a URL"),
            ("http://a b:80", "is not a URL"),
            ("localhost:5000", "is not a URL"),
            ("ftp://localhost", "is not a URL"),
            ("http://unix:app.sock", "absolute path"),
            ("", "is not a URL"),
        ] {
            let error = text.parse::<ListenUrl>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn lists_are_separated_by_semicolons() {
        let urls = ListenUrl::parse_list(" http://*:80 ;;http://localhost:81;").unwrap();
        assert_eq!(urls.len(), 2);
        assert_eq!(ListenUrl::parse_list(" ; "), Err(ListenUrlError::Empty));
        assert_eq!(urls[1].addresses().len(), 2);
    }
}
