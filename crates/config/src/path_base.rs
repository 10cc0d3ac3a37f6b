//! The path below which an application is served.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::AspNetCore;

/// The longest path that is accepted, in bytes; more would leave little of a request line.
const LONGEST: usize = 1024;

/// The virtual path of an application, which is `PathBase` in its code: nothing at the root of the
/// site, else like `/shop` or `/a/b`, without escapes and without a slash at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PathBase(String);

/// Why a text is no path base.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathBaseError {
    /// It cannot be told from a folder or a host.
    #[error("expected a path from the root of the site, such as /shop")]
    NotRooted,
    /// A request never has such a segment, so nothing would be served.
    #[error("expected names between single slashes, no `.`, `..` or empty ones")]
    Segment,
    /// What ends a path, passes for a slash, or cannot be in a URL.
    #[error("`{0}` cannot be in a path base; non-ASCII letters and spaces are written as they are")]
    Character(char),
    /// More than a request line should have.
    #[error("expected at most {LONGEST} bytes")]
    Long,
}

impl PathBase {
    /// As an engine compares it: empty at the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As IIS calls it: `/` at the root.
    pub fn virtual_path(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }

    /// As it stands in a request line, empty at the root.
    pub fn encoded(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            match byte {
                b'!'..=b'~' if !b"\"<>^`{|}".contains(&byte) => text.push(byte.into()),
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
        text
    }

    /// `address` of a server, with this path as servers write it.
    pub fn below(&self, address: &str) -> String {
        let is_unix = address.starts_with("http://unix:") && !self.0.is_empty();
        format!("{address}{}{}", if is_unix { ":" } else { "" }, self.0)
    }
}

impl AspNetCore {
    /// Pages that the host itself requests are written as the application knows them.
    pub(crate) fn put_below(&mut self, base: &PathBase) {
        let handler = &mut self.handler_settings;
        let pages = self.initialization_pages.iter_mut();
        let readiness = handler.readiness.iter_mut().map(|readiness| &mut readiness.page);
        let health = handler.recycling.health_check.iter_mut().map(|check| &mut check.page);
        for page in pages.chain(readiness).chain(health) {
            page.target.insert_str(0, &base.encoded());
        }
    }
}

impl fmt::Display for PathBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.virtual_path())
    }
}

impl FromStr for PathBase {
    type Err = PathBaseError;

    fn from_str(text: &str) -> Result<Self, PathBaseError> {
        let rooted = text.strip_prefix('/').ok_or(PathBaseError::NotRooted)?;
        if text.len() > LONGEST {
            return Err(PathBaseError::Long);
        }
        let stranger = |c: &char| c.is_control() || "\\%?#;".contains(*c);
        if let Some(stranger) = text.chars().find(stranger) {
            return Err(PathBaseError::Character(stranger));
        }
        let path = rooted.strip_suffix('/').unwrap_or(rooted);
        if path.is_empty() && rooted.is_empty() {
            return Ok(Self::default());
        }
        if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(PathBaseError::Segment);
        }
        Ok(Self(format!("/{path}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_from_the_root() {
        for (text, base, encoded) in [
            ("/", "", ""),
            ("/shop", "/shop", "/shop"),
            ("/shop/", "/shop", "/shop"),
            ("/a/b", "/a/b", "/a/b"),
            ("/a b/ü", "/a b/ü", "/a%20b/%C3%BC"),
            ("/...", "/...", "/..."),
        ] {
            let read: PathBase = text.parse().unwrap();
            assert_eq!((read.as_str(), read.encoded().as_str()), (base, encoded), "{text}");
        }
    }

    #[test]
    fn nothing_that_no_request_would_match() {
        for (text, expected) in [
            ("", PathBaseError::NotRooted),
            ("shop", PathBaseError::NotRooted),
            ("http://host/shop", PathBaseError::NotRooted),
            ("//", PathBaseError::Segment),
            ("//host", PathBaseError::Segment),
            ("/a//b", PathBaseError::Segment),
            ("/a/../b", PathBaseError::Segment),
            ("/a/.", PathBaseError::Segment),
            ("/a\\b", PathBaseError::Character('\\')),
            ("/a%20b", PathBaseError::Character('%')),
            ("/a?b", PathBaseError::Character('?')),
            ("/a#b", PathBaseError::Character('#')),
            ("/a;b", PathBaseError::Character(';')),
            ("/a\nb", PathBaseError::Character('\n')),
        ] {
            assert_eq!(text.parse::<PathBase>(), Err(expected), "{text}");
        }
        assert_eq!(
            format!("/{}", "a".repeat(LONGEST)).parse::<PathBase>(),
            Err(PathBaseError::Long)
        );
    }

    #[test]
    fn addresses_have_it_behind_them() {
        let base: PathBase = "/shop".parse().unwrap();
        assert_eq!(base.below("http://[::1]:80"), "http://[::1]:80/shop");
        assert_eq!(base.below("http://unix:/run/s"), "http://unix:/run/s:/shop");
        assert_eq!(PathBase::default().below("http://unix:/run/s"), "http://unix:/run/s");
        assert_eq!(PathBase::default().to_string(), "/");
    }
}
