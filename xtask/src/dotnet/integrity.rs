//! Digests: the registry's integrity strings, and the stamps that say what was built from what.

use std::{fmt::Write as _, fs::File, io, path::Path};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256, Sha512};

/// A sha512 digest, as in `sha512-<base64>`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Integrity([u8; 64]);

impl Integrity {
    /// Reads an integrity string; only sha512 is accepted.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let digest = text
            .strip_prefix("sha512-")
            .and_then(decode_base64)
            .and_then(|bytes| bytes.try_into().ok())
            .with_context(|| format!("\"{text}\" is no sha512 integrity"))?;
        Ok(Integrity(digest))
    }

    /// Fails unless the file's bytes have this digest.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        let mut hasher = Sha512::new();
        let mut file =
            File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        io::copy(&mut file, &mut hasher)?;
        let found: [u8; 64] = hasher.finalize().into();
        ensure!(
            found == self.0,
            "{} is damaged or not the file it should be: its sha512 differs from the pinned one",
            path.display()
        );
        Ok(())
    }
}

/// Collects what something was built from into one short text.
pub(super) struct Stamp(Sha256);

impl Stamp {
    pub(super) fn new() -> Self {
        Stamp(Sha256::new())
    }

    /// Adds a part. Each carries its length, so that two parts are never mistaken for one.
    pub(super) fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    pub(super) fn finish(self) -> String {
        self.0.finalize().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String does not fail");
            text
        })
    }
}

/// Standard base64 with padding; `None` for anything else.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for &digit in group {
            bits = bits << 6 | u32::from(value(digit)?);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dotnet::packages::PACKAGES;

    #[test]
    fn base64_is_decoded_or_refused() {
        assert_eq!(decode_base64("TWFu").as_deref(), Some(&b"Man"[..]));
        assert_eq!(decode_base64("TWE=").as_deref(), Some(&b"Ma"[..]));
        assert_eq!(decode_base64("TQ==").as_deref(), Some(&b"M"[..]));
        for bad in ["TQ=", "T===", "T!Fu", "TWFuT"] {
            assert_eq!(decode_base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_pinned_digest_is_well_formed() {
        for package in &PACKAGES {
            Integrity::parse(package.integrity).expect(package.name);
        }
    }

    #[test]
    fn only_whole_sha512_digests_are_accepted() {
        for bad in ["", "sha512-", "sha512-TWFu", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="] {
            assert!(Integrity::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stamp_tells_where_a_part_ends() {
        let of = |parts: &[&str]| {
            let mut stamp = Stamp::new();
            parts.iter().for_each(|part| stamp.add(part));
            stamp.finish()
        };
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    }
}
