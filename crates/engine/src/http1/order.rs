//! Names of response fields that matter here, and the order that Kestrel writes fields in.
//!
//! The order means nothing in HTTP, but answers are to be the same as Kestrel's. Its own come from
//! a backend in this order, and the managed server sorts those of an application in its process.

/// A name that the host has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Connection,
    ContentLength,
    ContentType,
    Date,
    Server,
    TransferEncoding,
    Upgrade,
    /// Others that are about the connection.
    OfConnection,
    Other,
}

impl Known {
    #[inline]
    pub(super) fn from(name: &[u8]) -> Self {
        // Nearly every response has these, spelled so.
        match name {
            b"Content-Type" => Known::ContentType,
            b"Date" => Known::Date,
            b"Server" => Known::Server,
            _ => Self::in_any_case(name),
        }
    }

    fn in_any_case(name: &[u8]) -> Self {
        let (known, spelling): (_, &[u8]) = match name.len() {
            4 => (Known::Date, b"date"),
            6 => (Known::Server, b"server"),
            7 => (Known::Upgrade, b"upgrade"),
            10 if name.eq_ignore_ascii_case(b"keep-alive") => return Known::OfConnection,
            10 => (Known::Connection, b"connection"),
            12 => (Known::ContentType, b"content-type"),
            14 => (Known::ContentLength, b"content-length"),
            16 => (Known::OfConnection, b"proxy-connection"),
            17 => (Known::TransferEncoding, b"transfer-encoding"),
            _ => return Known::Other,
        };
        if name.eq_ignore_ascii_case(spelling) { known } else { Known::Other }
    }

    /// The host writes it, or none.
    pub(super) fn is_ours(self) -> bool {
        matches!(
            self,
            Known::Connection
                | Known::ContentLength
                | Known::TransferEncoding
                | Known::OfConnection
        )
    }
}

/// Whether a field, none of the host's, comes behind `Transfer-Encoding`: `Upgrade`, `Vary`, `Via`,
/// `Warning`, `WWW-Authenticate`, and all that Kestrel does not know.
pub(super) fn follows_transfer_encoding(name: &[u8]) -> bool {
    let before: &[&[u8]] = match name.len() {
        3 => &[b"age"],
        4 => &[b"date", b"etag"],
        5 => &[b"allow"],
        6 => &[b"server", b"pragma"],
        7 => &[b"expires", b"trailer", b"alt-svc"],
        8 => &[b"location"],
        10 => &[b"set-cookie"],
        11 => &[b"content-md5", b"retry-after"],
        12 => &[b"content-type"],
        13 => &[
            b"cache-control",
            b"last-modified",
            b"content-range",
            b"accept-ranges",
            b"grpc-encoding",
        ],
        16 => &[b"content-encoding", b"content-language", b"content-location"],
        18 => &[b"proxy-authenticate"],
        22 => &[b"access-control-max-age"],
        27 => &[b"access-control-allow-origin"],
        28 => &[b"access-control-allow-headers", b"access-control-allow-methods"],
        29 => &[b"access-control-expose-headers"],
        32 => &[b"access-control-allow-credentials"],
        _ => &[],
    };
    !before.iter().any(|known| name.eq_ignore_ascii_case(known))
}
