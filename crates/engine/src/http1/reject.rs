//! Why a message is refused, and with which status.

use std::fmt;

/// A refusal. After it the connection cannot be trusted: answer and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Status of the answer.
    pub status: u16,
    /// The rule that was broken.
    pub cause: Cause,
}

impl From<Cause> for Reject {
    fn from(cause: Cause) -> Self {
        Self { status: cause.status(), cause }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for Reject {}

macro_rules! causes {
    ($($(#[doc = $doc:literal])* $name:ident $status:literal $text:literal;)*) => {
        /// One rule each; the text is a fragment for a sentence in a log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause { $($(#[doc = $doc])* $name,)* }

        impl Cause {
            /// All of them, for tests and counters.
            pub const ALL: &[Cause] = &[$(Cause::$name),*];

            /// Status that goes with the rule.
            pub const fn status(self) -> u16 {
                match self { $(Cause::$name => $status,)* }
            }

            const fn text(self) -> &'static str {
                match self { $(Cause::$name => $text,)* }
            }
        }
    };
}

causes! {
    /// [`super::request::Limits::request_line`].
    RequestLineTooLong 414 "request line over the limit";
    /// [`crate::Filter::url`]. IIS' number of the case is in the text: people search for it.
    UrlTooLong 404 "URL over the limit (404.14)";
    /// [`crate::Filter::query`].
    QueryTooLong 404 "query string over the limit (404.15)";
    /// [`crate::Options::path_base`].
    ElsewherePath 404 "path is not below that of the application";
    /// [`crate::Filter::fields`].
    FieldTooLong 431 "header field over its limit";
    /// [`super::request::Limits::head`].
    HeadTooLarge 431 "head over the limit";
    /// [`super::request::Limits::fields`].
    TooManyFields 431 "too many header fields";
    /// [`crate::Options::head_time`].
    HeadTooSlow 408 "the request head took too long";
    /// [`crate::Options::min_rate`].
    BodyTooSlow 408 "the request body came too slowly";
    /// The client went away before the end of the body; nobody reads this.
    BodyBrokenOff 400 "the request body breaks off";
    /// RFC 9112 7.1: found behind the head, where the rule itself is no longer known.
    BodyMalformed 400 "the request body is malformed";
    /// [`crate::Options::max_body`].
    BodyTooLarge 413 "request body over the limit";
    /// RFC 9112 2.2: more than the one empty line that old clients send after a body.
    LeadingLines 400 "empty lines before the request line";
    /// RFC 9112 3.1: the method is a token.
    Method 400 "method is not a token";
    /// RFC 9112 3: one space between the three parts of the request line, and nothing else.
    RequestLine 400 "malformed request line";
    /// RFC 9112 3.2: a byte that no target may contain: a control, a fragment, invalid UTF-8.
    TargetByte 400 "invalid byte in the request target";
    /// RFC 9112 3.2: a form of target that does not go with the method, or none at all.
    TargetForm 400 "request target of the wrong form";
    /// RFC 9110 7.2, RFC 9112 3.2.2: authority of an absolute target or of CONNECT.
    TargetAuthority 400 "invalid authority in the request target";
    /// A control character that was hidden behind an escape.
    TargetControl 400 "escaped control character in the path";
    /// RFC 9112 2.3: not `HTTP/` digit `.` digit.
    Version 400 "malformed protocol version";
    /// RFC 9110 15.6.6: neither 1.0 nor 1.1.
    VersionUnsupported 505 "unsupported protocol version";
    /// RFC 9112 4: not a status line of HTTP/1.
    StatusLine 400 "malformed status line";
    /// RFC 9112 2.2: a line ends with CR LF, never with LF alone.
    BareLf 400 "line feed without carriage return";
    /// RFC 9112 2.2: CR means nothing but the first half of a line end.
    BareCr 400 "carriage return without line feed";
    /// RFC 9112 5.2: a line that begins with white space.
    ObsFold 400 "folded header field";
    /// RFC 9112 5.1: a name is a token, with nothing between it and the colon.
    FieldName 400 "invalid header field name";
    /// RFC 9110 5.5: a control character in a value.
    FieldValue 400 "invalid header field value";
    /// RFC 9112 3.2: HTTP/1.1 without `Host`.
    HostMissing 400 "Host is missing";
    /// RFC 9112 3.2: more than one `Host`.
    HostDuplicate 400 "more than one Host";
    /// RFC 9112 3.2: `Host` is not a host with an optional port.
    HostInvalid 400 "invalid Host";
    /// RFC 9112 6.3: `Content-Length` is digits; signs, lists and spaces hide a second length.
    ContentLength 400 "invalid Content-Length";
    /// RFC 9112 6.3: repeated, even with the same value.
    ContentLengthDuplicate 400 "more than one Content-Length";
    /// RFC 9112 6.1, 7: malformed, repeated, or `chunked` not exactly once and last.
    TransferEncoding 400 "invalid Transfer-Encoding";
    /// RFC 9112 6.1: HTTP/1.0 has no transfer codings; whoever sends one was rewritten on the way.
    TransferEncodingOld 400 "Transfer-Encoding in HTTP/1.0";
    /// RFC 9112 6.1: a coding that nobody here knows.
    TransferCodingUnknown 501 "unknown transfer coding";
    /// RFC 9112 6.3: an answer with both framings; which one its sender meant is a guess.
    FramedTwice 400 "both Transfer-Encoding and Content-Length";
    /// RFC 9112 7.1: a chunk size is 1 to 16 hexadecimal digits, at most 2^63 - 1.
    ChunkSize 400 "invalid chunk size";
    /// RFC 9112 7.1.1: malformed chunk extension.
    ChunkExtension 400 "invalid chunk extension";
    /// RFC 9112 7.1.1: [`super::chunked::EXTENSION_LIMIT`]. 400 as every fault within a body: who
    /// reads it in process only learns that it is broken, and the status is one, however it came.
    ChunkExtensionTooLong 400 "chunk extensions over the limit";
    /// RFC 9112 7.1: CR LF right behind the data of a chunk.
    ChunkEnd 400 "chunk data without line end";
    /// RFC 9112 7.1.2: malformed trailer field.
    Trailer 400 "invalid trailer";
    /// RFC 9112 7.1.2: as much as a head, see [`super::request::Limits`].
    TrailerTooLarge 400 "trailers over the limit";
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
