//! Status codes of hostfxr and hostpolicy, and the module's numbers for what they mean.

use std::fmt;

use serde::Serialize;

/// A status code with the module's sub-status, the number that people search for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Substatus {
    /// The HTTP status.
    pub status: u16,
    /// What tells one cause from another; never on the wire, only in logs and page texts.
    pub sub: u16,
}

impl Substatus {
    /// 500.0: process path, `dotnet` or arguments are wrong.
    pub const GENERAL: Self = Self { status: 500, sub: 0 };
    /// 500.30: the application did not start.
    pub const START_FAILED: Self = Self { status: 500, sub: 30 };
    /// 500.31: frameworks or dependencies were not found, or the argument is no application.
    pub const DEPENDENCIES: Self = Self { status: 500, sub: 31 };
    /// 500.32: the hosting library cannot be loaded.
    pub const LIBRARY: Self = Self { status: 500, sub: 32 };
    /// 500.35: there is a runtime in this process already.
    pub const SECOND_RUNTIME: Self = Self { status: 500, sub: 35 };
    /// 500.38: the application's assembly is missing.
    pub const ASSEMBLY: Self = Self { status: 500, sub: 38 };
}

impl fmt::Display for Substatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.status, self.sub)
    }
}

/// What a function of hostfxr returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostStatus(i32);

struct Entry {
    code: u32,
    text: &'static str,
    substatus: Substatus,
}

const fn entry(code: u32, substatus: Substatus, text: &'static str) -> Entry {
    Entry { code, text, substatus }
}

/// The codes worth a text of their own, ascending.
const TABLE: &[Entry] = &[
    entry(0x8000_8081, Substatus::START_FAILED, "an argument of the hosting library is invalid"),
    entry(0x8000_8082, Substatus::LIBRARY, "a hosting library cannot be loaded"),
    entry(0x8000_8083, Substatus::LIBRARY, "a hosting library is missing"),
    entry(0x8000_8084, Substatus::LIBRARY, "a hosting library lacks an entry point"),
    entry(0x8000_8085, Substatus::LIBRARY, "the hosting library cannot find its own location"),
    entry(0x8000_8087, Substatus::START_FAILED, "the runtime library was not found"),
    entry(0x8000_8088, Substatus::START_FAILED, "the runtime library cannot be loaded"),
    entry(0x8000_8089, Substatus::START_FAILED, "the runtime cannot be initialised"),
    entry(0x8000_808b, Substatus::DEPENDENCIES, "the list of dependencies cannot be read"),
    entry(0x8000_808c, Substatus::DEPENDENCIES, "a dependency was not found"),
    entry(0x8000_8092, Substatus::START_FAILED, "the command line is invalid"),
    entry(0x8000_8093, Substatus::DEPENDENCIES, "runtimeconfig.json is invalid"),
    entry(0x8000_8094, Substatus::DEPENDENCIES, "the argument is not an application"),
    entry(0x8000_8096, Substatus::DEPENDENCIES, "a framework is missing"),
    entry(0x8000_8097, Substatus::DEPENDENCIES, "native search directories are unavailable"),
    entry(0x8000_8098, Substatus::START_FAILED, "the buffer is too small"),
    entry(0x8000_809a, Substatus::ASSEMBLY, "the application's assembly is missing"),
    entry(0x8000_809c, Substatus::DEPENDENCIES, "the frameworks asked for are incompatible"),
    entry(0x8000_80a1, Substatus::START_FAILED, "a runtime property is set twice"),
    entry(
        0x8000_80a2,
        Substatus::START_FAILED,
        "the version of the hosting interface is not supported",
    ),
    entry(
        0x8000_80a3,
        Substatus::START_FAILED,
        "the hosting library is in another state than needed",
    ),
    entry(0x8000_80a4, Substatus::START_FAILED, "there is no such runtime property"),
    entry(0x8000_80a5, Substatus::SECOND_RUNTIME, "incompatible with the runtime loaded already"),
    entry(0x8000_80a6, Substatus::START_FAILED, "the hosting library does not support this"),
];

impl HostStatus {
    /// Success.
    pub const SUCCESS: Self = Self(0);
    /// The buffer passed in is too small; ask again with the size that was returned.
    pub const BUFFER_TOO_SMALL: Self = Self(0x8000_8098_u32.cast_signed());
    /// The argument is no application that could be run.
    pub const NOT_AN_APP: Self = Self(0x8000_8094_u32.cast_signed());

    /// The status that a function returned.
    pub fn new(code: i32) -> Self {
        Self(code)
    }

    /// The number as returned.
    pub fn code(self) -> i32 {
        self.0
    }

    /// Whether the call succeeded; one and two are successes with something to tell.
    pub fn is_success(self) -> bool {
        (0..=2).contains(&self.0)
    }

    /// What the code means, if it is a known one.
    pub fn text(self) -> Option<&'static str> {
        self.entry().map(|entry| entry.text)
    }

    /// The module's number for it; 500.30 for codes that we do not know.
    pub fn substatus(self) -> Substatus {
        self.entry().map_or(Substatus::START_FAILED, |entry| entry.substatus)
    }

    fn entry(self) -> Option<&'static Entry> {
        TABLE.iter().find(|entry| entry.code == self.0.cast_unsigned())
    }
}

impl fmt::Display for HostStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => write!(f, "{text} ({:#010x})", self.0),
            None => write!(f, "status {:#010x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_text_and_number() {
        let missing = HostStatus::new(0x8000_8096_u32.cast_signed());
        assert_eq!(missing.to_string(), "a framework is missing (0x80008096)");
        assert_eq!(missing.substatus().to_string(), "500.31");
        assert!(!missing.is_success());
        assert!(HostStatus::SUCCESS.is_success());
        let unknown = HostStatus::new(-1);
        assert_eq!(unknown.to_string(), "status 0xffffffff");
        assert_eq!(unknown.substatus(), Substatus::START_FAILED);
        assert!(TABLE.is_sorted_by_key(|entry| entry.code));
    }
}
