//! Versions as .NET names its folders: semantic versions, a pre-release below its release.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// `major.minor.patch`, optionally `-prerelease`; build metadata does not count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Incompatible changes.
    pub major: u32,
    /// Compatible additions.
    pub minor: u32,
    /// Corrections.
    pub patch: u32,
    /// The dotted text after `-`; `None` for a release.
    pub prerelease: Option<String>,
}

/// The text is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a version such as 9.0.7")]
pub struct NotAVersion {
    /// The text.
    pub text: String,
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| NotAVersion { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Version> {
    let without_build = text.split_once('+').map_or(text, |(version, _)| version);
    let (core, prerelease) = match without_build.split_once('-') {
        Some((core, prerelease)) => (core, Some(prerelease)),
        None => (without_build, None),
    };
    let mut parts = core.split('.');
    let mut number = || {
        let part = parts.next()?;
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| is_number)
    };
    let (major, minor, patch) = (number()?, number()?, number()?);
    let is_valid = |text: &&str| {
        text.split('.').all(|identifier| {
            !identifier.is_empty()
                && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    };
    if parts.next().is_some() || prerelease.is_some_and(|text| !is_valid(&text)) {
        return None;
    }
    Some(Version { major, minor, patch, prerelease: prerelease.map(str::to_owned) })
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| match (&self.prerelease, &other.prerelease) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(a), Some(b)) => compare_prereleases(a, b),
            })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn compare_prereleases(a: &str, b: &str) -> Ordering {
    let compare = |(a, b): (&str, &str)| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        // Numbers sort below words.
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    };
    let differing = a.split('.').zip(b.split('.')).map(compare).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.split('.').count().cmp(&b.split('.').count()))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        match &self.prerelease {
            Some(prerelease) => write!(f, "-{prerelease}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_semantic_versions_do() {
        let ascending = [
            "8.0.19",
            "9.0.0-preview.2.1",
            "9.0.0-preview.10.1",
            "9.0.0-rc.1",
            "9.0.0-rc.1.2",
            "9.0.0",
            "9.0.7",
            "9.0.10",
            "10.0.0-alpha",
            "10.0.0",
        ];
        let versions: Vec<Version> = ascending.iter().map(|text| text.parse().unwrap()).collect();
        assert!(versions.is_sorted_by(|a, b| a < b));
        assert_eq!(versions.iter().map(Version::to_string).collect::<Vec<_>>(), ascending);
        assert_eq!("1.2.3+build.5".parse::<Version>().unwrap().to_string(), "1.2.3");
    }

    #[test]
    fn other_names_are_no_versions() {
        for text in ["", "9", "9.0", "9.0.7.1", "v9.0.7", "9.0.x", "9.0.7-", "9.0.7-a..b", "9.+0.1"]
        {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
