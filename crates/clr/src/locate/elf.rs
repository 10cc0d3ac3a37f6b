//! Whether a library is one that this process could load, told from the head of the file.
//!
//! The loader would refuse it as well, with a text that names neither architecture.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Machines by their number in the ELF header.
const MACHINES: &[(u16, &str)] = &[
    (3, "x86"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (258, "loongarch64"),
];

/// What the head of a file says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// An ELF file for this machine.
    Native,
    /// An ELF file for another machine.
    Foreign {
        /// 32 or 64.
        bits: u8,
        /// The machine's name, or its number.
        machine: String,
    },
    /// A library of Windows.
    Windows,
    /// Anything else, an empty file included.
    Unknown,
}

impl Image {
    /// Looks at the head of a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut head = Vec::with_capacity(64);
        File::open(path)?.take(64).read_to_end(&mut head)?;
        Ok(Self::of_head(&head))
    }

    fn of_head(head: &[u8]) -> Self {
        let [0x7f, b'E', b'L', b'F', class, order, ..] = *head else {
            return if head.starts_with(b"MZ") { Self::Windows } else { Self::Unknown };
        };
        let Some(&[low, high]) = head.get(18..20) else { return Self::Unknown };
        let number = match order {
            2 => u16::from_be_bytes([low, high]),
            _ => u16::from_le_bytes([low, high]),
        };
        let bits = if class == 1 { 32 } else { 64 };
        let known = MACHINES.iter().find(|(known, _)| *known == number);
        let machine = known.map_or_else(|| format!("machine {number}"), |(_, name)| (*name).into());
        let is_native = machine == std::env::consts::ARCH && u32::from(bits) == usize::BITS;
        if is_native { Self::Native } else { Self::Foreign { bits, machine } }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("a library for this machine"),
            Self::Foreign { bits, machine } => write!(f, "a {bits}-bit library for {machine}"),
            Self::Windows => f.write_str("a library for Windows"),
            Self::Unknown => f.write_str("not a library"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(class: u8, machine: u8) -> Vec<u8> {
        let mut head = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
        head.resize(18, 0);
        head.extend([machine, 0]);
        head
    }

    #[test]
    fn images_are_told_apart() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(Image::of(&own).unwrap(), Image::Native);
        assert_eq!(Image::of_head(b"MZ\x90"), Image::Windows);
        assert_eq!(Image::of_head(b""), Image::Unknown);
        assert_eq!(Image::of_head(b"\x7fELF\x02\x01"), Image::Unknown);
        assert_eq!(Image::of_head(&head(1, 40)).to_string(), "a 32-bit library for arm");
        assert_eq!(Image::of_head(&head(2, 99)).to_string(), "a 64-bit library for machine 99");
    }
}
