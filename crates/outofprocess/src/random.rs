//! Unpredictable bytes from the kernel.

use std::fs::File;
use std::io::{self, Read};

/// A fresh secret of 128 bits in hexadecimal, as long as the GUID that the module makes.
///
/// # Errors
///
/// The kernel's device cannot be read.
pub(crate) fn token() -> io::Result<String> {
    Ok(hexadecimal(&bytes::<16>()?))
}

/// A short name under which a person finds a report in the log; empty when the kernel gives nothing.
pub(crate) fn reference() -> String {
    bytes::<4>().map(|bytes| hexadecimal(&bytes)).unwrap_or_default()
}

/// A number below `bound`, which is not zero.
///
/// # Errors
///
/// The kernel's device cannot be read.
pub(crate) fn below(bound: u32) -> io::Result<u32> {
    // The bias of the remainder is below one in a hundred million for the bounds in use.
    let number = u64::from_ne_bytes(bytes()?) % u64::from(bound);
    Ok(u32::try_from(number).unwrap_or_default())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_fresh() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
        assert!(one.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
