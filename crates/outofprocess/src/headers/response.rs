//! From the backend to the client.

use super::field;

/// Fields of a response that end at this hop, or that the engine writes itself.
///
/// `Date` is here as in the module: the host's clock is the one that the client sees.
const DROPPED: &[&str] = &["date", "keep-alive", "proxy-connection", "transfer-encoding"];

/// Which response fields reach the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseRules {
    /// `forwardResponseConnectionHeader`: the backend decides about the client's connection.
    pub(crate) forward_connection: bool,
}

impl ResponseRules {
    /// Whether the client gets this field.
    ///
    /// `Upgrade` is part of an answer with 101 or 426, and the engine writes the `Connection` that
    /// belongs to it. An offer of HTTP/2 is about the backend's connection, not the client's.
    pub(crate) fn keep(self, name: &[u8], value: &[u8]) -> bool {
        if field::is(name, "upgrade") {
            return !field::names_http2(value);
        }
        if field::is(name, "connection") {
            return self.forward_connection;
        }
        !DROPPED.iter().any(|dropped| field::is(name, dropped)) && !field::is_module_own(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_at_this_hop_does_not_reach_the_client() {
        let rules = ResponseRules::default();
        for (name, kept) in [
            ("Content-Type", true),
            ("Content-Length", true),
            ("Server", true),
            ("Set-Cookie", true),
            ("Location", true),
            ("Trailer", true),
            ("WWW-Authenticate", true),
            ("D", true),
            ("Connection", false),
            ("CONNECTION", false),
            ("Keep-Alive", false),
            ("Transfer-Encoding", false),
            ("Date", false),
            ("Proxy-Connection", false),
            ("MS-ASPNETCORE-TOKEN", false),
            ("ms-aspnetcore-anything", false),
        ] {
            assert_eq!(rules.keep(name.as_bytes(), b"value"), kept, "{name}");
        }
    }

    #[test]
    fn a_change_of_protocols_is_answered_but_http2_is_not_offered() {
        let rules = ResponseRules::default();
        for (value, kept) in [("websocket", true), ("h2,h2c", false), ("H2C/1", false)] {
            assert_eq!(rules.keep(b"Upgrade", value.as_bytes()), kept, "{value}");
        }
    }

    #[test]
    fn connection_is_forwarded_when_the_setting_says_so() {
        let rules = ResponseRules { forward_connection: true };
        assert!(rules.keep(b"Connection", b"close"));
        assert!(!rules.keep(b"Keep-Alive", b"timeout=5"));
    }
}
