//! The port on which a backend is told to listen.
//!
//! Written in `web.config` or drawn at random. A drawn port is free when we look and may be taken a
//! moment later; whoever starts the backend draws again. What a reader would get wrong: the range
//! stays below the one from which the kernel takes source ports, because there any outgoing
//! connection may sit on the port.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use crate::random;

/// Ports that `web.config` may name.
pub(crate) const EXPLICIT: RangeInclusive<u16> = 1025..=48_000;

/// Ports that are drawn, as the module does since 8.0.
const RANDOM: RangeInclusive<u16> = 10_000..=48_000;

/// How often a port is drawn before we give up; the module's number is 10, which a busy host uses
/// up when a test suite runs on it.
const DRAWS: u32 = 32;

/// Where the kernel says which ports it gives to outgoing connections.
const LOCAL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// No port can be given to the backend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    #[error("every one of {DRAWS} ports drawn in {}-{} is in use", .range.start(), .range.end())]
    NoneFree { range: RangeInclusive<u16> },
    #[error(
        "{variable} is `{written}`, which is not a port in {}-{}",
        EXPLICIT.start(),
        EXPLICIT.end()
    )]
    OutOfRange { variable: &'static str, written: String },
    #[error("no random number could be had")]
    Random(#[source] io::Error),
}

/// Where the port comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortChoice {
    /// `web.config` names it.
    Explicit(u16),
    /// Drawn at every start.
    Random,
}

impl PortChoice {
    /// Reads what `web.config` gives `variable`; unset and empty mean that a port is drawn.
    pub(crate) fn of(variable: &'static str, written: Option<&str>) -> Result<Self, PortError> {
        let Some(text) = written.filter(|text| !text.is_empty()) else { return Ok(Self::Random) };
        let port = text.trim().parse().ok().filter(|port| EXPLICIT.contains(port));
        let wrong = || PortError::OutOfRange { variable, written: text.to_owned() };
        port.map(Self::Explicit).ok_or_else(wrong)
    }

    /// The port of the next start.
    ///
    /// An explicit one is not checked: the backend of a moment ago may hold it still, and the next
    /// one will say itself what it thinks of that.
    pub(crate) fn next(self) -> Result<u16, PortError> {
        match self {
            Self::Explicit(port) => Ok(port),
            Self::Random => draw(&random_range(), is_free),
        }
    }
}

fn draw(range: &RangeInclusive<u16>, is_free: impl Fn(u16) -> bool) -> Result<u16, PortError> {
    let size = u32::from(range.end() - range.start()) + 1;
    for _ in 0..DRAWS {
        let offset = random::below(size).map_err(PortError::Random)?;
        let port = range.start() + u16::try_from(offset).unwrap_or_default();
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(PortError::NoneFree { range: range.clone() })
}

/// Free on every address: a listener elsewhere on the port would be found by the wrong clients.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

fn random_range() -> RangeInclusive<u16> {
    outside_of(&std::fs::read_to_string(LOCAL_RANGE).unwrap_or_default())
}

/// The larger part of the module's range that is not in `local`, `first last`.
fn outside_of(local: &str) -> RangeInclusive<u16> {
    let mut numbers = local.split_ascii_whitespace().map(str::parse::<u16>);
    let (Some(Ok(first)), Some(Ok(last))) = (numbers.next(), numbers.next()) else {
        return RANDOM;
    };
    let below = *RANDOM.start()..=first.saturating_sub(1).min(*RANDOM.end());
    let above = last.saturating_add(1).max(*RANDOM.start())..=*RANDOM.end();
    let larger = if below.len() >= above.len() { below } else { above };
    // Where nearly everything is given away, collisions with connections are the smaller evil.
    if larger.len() >= 1000 { larger } else { RANDOM }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_port_must_be_in_the_modules_range() {
        for (written, expected) in [
            (None, Some(PortChoice::Random)),
            (Some(""), Some(PortChoice::Random)),
            (Some("1025"), Some(PortChoice::Explicit(1025))),
            (Some("48000"), Some(PortChoice::Explicit(48_000))),
            (Some("1024"), None),
            (Some("48001"), None),
            (Some("0"), None),
            (Some("-1"), None),
            (Some("99999"), None),
            (Some("http"), None),
        ] {
            assert_eq!(PortChoice::of("ASPNETCORE_PORT", written).ok(), expected, "{written:?}");
        }
        let error = PortChoice::of("ASPNETCORE_PORT", Some("80")).unwrap_err();
        assert_eq!(error.to_string(), "ASPNETCORE_PORT is `80`, which is not a port in 1025-48000");
    }

    #[test]
    fn the_local_range_of_the_kernel_is_avoided() {
        for (local, expected) in [
            ("32768\t60999\n", 10_000..=32_767),
            ("1024 20000", 20_001..=48_000),
            ("15000 61000", 10_000..=14_999),
            ("50000 60999", 10_000..=48_000),
            ("1024 65535", 10_000..=48_000),
            ("10500 65535", 10_000..=48_000),
            ("", 10_000..=48_000),
            ("x y", 10_000..=48_000),
        ] {
            assert_eq!(outside_of(local), expected, "{local}");
        }
    }

    #[test]
    fn a_port_in_use_is_not_drawn() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
        let drawn = draw(&(20_000..=20_001), |port| port == 20_001).unwrap();
        assert_eq!(drawn, 20_001);
        assert!(matches!(draw(&(1..=2), |_| false), Err(PortError::NoneFree { .. })));
        assert!(is_free(PortChoice::Random.next().unwrap()));
    }
}
