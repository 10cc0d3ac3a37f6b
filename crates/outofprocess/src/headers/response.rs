//! From the backend to the client.

use super::field;

/// Fields of a response that end at this hop, or that the engine writes itself.
///
/// `Date` is here as in the module: the host's clock is the one that the client sees.
const DROPPED: &[&str] =
    &["date", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// Which response fields reach the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseRules {
    /// `forwardResponseConnectionHeader`: the backend decides about the client's connection.
    pub(crate) forward_connection: bool,
}

impl ResponseRules {
    /// Whether the client gets this field.
    pub(crate) fn keep(self, name: &[u8], _value: &[u8]) -> bool {
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
            ("Upgrade", false),
            ("MS-ASPNETCORE-TOKEN", false),
            ("ms-aspnetcore-anything", false),
        ] {
            assert_eq!(rules.keep(name.as_bytes(), b"value"), kept, "{name}");
        }
    }

    #[test]
    fn connection_is_forwarded_when_the_setting_says_so() {
        let rules = ResponseRules { forward_connection: true };
        assert!(rules.keep(b"Connection", b"close"));
        assert!(!rules.keep(b"Keep-Alive", b"timeout=5"));
    }
}
