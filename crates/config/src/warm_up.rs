//! What is requested of an application before clients may come.

use serde::{Deserialize, Serialize};

/// The longest target that is accepted, in bytes; the engine takes 8 KiB of request line.
const LONGEST_TARGET: usize = 4096;
/// The longest name of a host that the domain name system knows, in bytes.
const LONGEST_HOST: usize = 253;

/// A page that is requested while the application starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Path and query as they stand in a request line.
    pub target: String,
    /// What the `Host` field says.
    pub host: String,
}

/// A page whose answer decides whether the application is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// The page.
    pub page: Page,
    /// The status that it has to give, 200 to 599.
    pub status: u16,
}

/// The text cannot stand in a request line, or in a `Host` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// A URL with scheme and host.
    #[error("it names a host")]
    Absolute,
    /// A control character, a fragment, or no text.
    #[error("it is no path")]
    Path,
    /// More than a request line should have.
    #[error("it is longer than {LONGEST_TARGET} bytes")]
    Long,
    /// Not a name, an address, or either with a port.
    #[error("it is no name of a host")]
    Host,
}

impl Page {
    /// The host of a page for which none is written, as under IIS.
    pub const HOST: &str = "localhost";

    /// A page from the texts of a configuration. A path is taken with and without its leading
    /// slash; what a request line cannot hold is encoded.
    ///
    /// # Errors
    /// Either text cannot be used.
    pub fn new(path: &str, host: Option<&str>) -> Result<Self, PageError> {
        let path = path.trim();
        let path = path.strip_prefix("~/").unwrap_or(path);
        if path.is_empty() || path.contains('#') || path.chars().any(char::is_control) {
            return Err(PageError::Path);
        }
        if path.contains("://") && !path.starts_with(['/', '?']) || path.starts_with("//") {
            return Err(PageError::Absolute);
        }
        let mut target = String::with_capacity(path.len() + 1);
        if !path.starts_with('/') {
            target.push('/');
        }
        for byte in path.bytes() {
            match byte {
                b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => target.push(byte.into()),
                _ => target.push_str(&format!("%{byte:02X}")),
            }
        }
        if target.len() > LONGEST_TARGET {
            return Err(PageError::Long);
        }
        let host = host.map(str::trim).filter(|host| !host.is_empty()).unwrap_or(Self::HOST);
        let is_host = host.len() <= LONGEST_HOST
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
        if !is_host {
            return Err(PageError::Host);
        }
        Ok(Self { target, host: host.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_a_request_line_can_hold() {
        let target = |path: &str| Page::new(path, None).map(|page| page.target);
        for (path, expected) in [
            ("/", "/"),
            ("/warm up?x=1&y=a b", "/warm%20up?x=1&y=a%20b"),
            ("warm", "/warm"),
            ("~/warm", "/warm"),
            ("/ü/%41", "/%C3%BC/%41"),
            ("/login?to=http://a/b", "/login?to=http://a/b"),
        ] {
            assert_eq!(target(path).as_deref(), Ok(expected), "{path}");
        }
        for (path, error) in [
            ("", PageError::Path),
            ("/a#b", PageError::Path),
            ("/a\r\nHost: b", PageError::Path),
            ("http://a/b", PageError::Absolute),
            ("//a/b", PageError::Absolute),
            (&"/a".repeat(3000), PageError::Long),
        ] {
            assert_eq!(target(path), Err(error), "{path}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        let host = |host: &str| Page::new("/", Some(host)).map(|page| page.host);
        for name in ["example.com", "a:8080", "[::1]:80", "10.0.0.1"] {
            assert_eq!(host(name).as_deref(), Ok(name));
        }
        assert_eq!(host(" ").as_deref(), Ok(Page::HOST));
        for name in ["a b", "a\r\nX: y", "http://a", "ä", &"a".repeat(254)] {
            assert_eq!(host(name), Err(PageError::Host), "{name}");
        }
    }
}
