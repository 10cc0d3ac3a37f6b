//! What may differ from Kestrel, and why.

use testkit::Model;

use crate::server::Place;

/// One aspect of one answer.
pub(crate) struct Difference {
    /// The conversation.
    pub(crate) topic: &'static str,
    /// The server that is different.
    pub(crate) place: Place,
    /// Method and target.
    pub(crate) asked: &'static str,
    /// `status`, `body`, `header name`, `names`.
    pub(crate) aspect: &'static str,
    /// Why that is right.
    #[allow(dead_code, reason = "for whoever reads the table")]
    pub(crate) reason: &'static str,
}

const IN: Place = Place::Ancm(Model::InProcess);
const OUT: Place = Place::Ancm(Model::OutOfProcess);

const fn differs(
    topic: &'static str,
    place: Place,
    asked: &'static str,
    aspect: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { topic, place, asked, aspect, reason }
}

/// What the host refuses by itself it explains; Kestrel leaves the body empty.
const EXPLAINED: &str = "a refusal names its cause";
const PROXIED: &str = "a proxy rewrites the target to the form that servers get";

const UTF_8: &str = "header values are UTF-8 and checked less, as under IIS";

const EMPTY: &str = "an empty header is not sent, as under IIS";

const FRAMED: &str =
    "a limit of the body counts the body, not the framing of its chunks, as under IIS";
const BROKEN_OFF: &str = "a body that its writer completes with an error is not whole";
const HOP_BY_HOP: &str = "what is between two neighbours ends at a proxy";

const BASE: &str =
    "the exception is that of Microsoft.AspNetCore.Http, of which Kestrel has a kind of its own";
const HALF: &str = "a client that has ended its side may wait for the answer, and gets it";
const VERSION: &str = "a proxy speaks its own version to servers";
const FORWARDED: &str = "the page shows the headers that the proxy adds";

const CLOSES: &str = "a connection that ends says so, whatever the application says of it";
const OLD: &str = "HTTP/1.0 does not know chunks: behind them its connection ends";
const UNKNOWN: &str = "a coding that the proxy cannot undo is refused";
const REPLACED: &str = "headers that the application puts in place of the response's are sent";

const GRAMMAR: &str = "lines and names keep to the grammar of RFC 9112";
const AUTHORITY: &str = "a target that names the host counts, and that of CONNECT has a port";

/// All of them. An entry that no longer differs fails its test.
pub(crate) const DIFFERENCES: &[Difference] = &[
    differs("bare codings", IN, "gzip.keep-alive 1.1", "all", CLOSES),
    differs("bare codings", IN, "chunked 1.0", "all", OLD),
    differs("bare codings", OUT, "gzip 1.1", "all", UNKNOWN),
    differs("bare codings", OUT, "gzip.keep-alive 1.1", "all", UNKNOWN),
    differs("bare codings", OUT, "chunked 1.0", "all", OLD),
    differs("bare connection field", OUT, "fields/both", "answer", HOP_BY_HOP),
    differs("bare connection field", OUT, "fields/ends", "answer", HOP_BY_HOP),
    differs("bare connection field", OUT, "fields/kept", "answer", HOP_BY_HOP),
    differs("bare connection field", OUT, "fields/other", "answer", HOP_BY_HOP),
    differs("bare early ends", IN, "early/async-error", "answer", BROKEN_OFF),
    differs("bare early ends", IN, "early/async-error", "told", BROKEN_OFF),
    differs("bare early ends", IN, "early/async-error-status", "answer", BROKEN_OFF),
    differs("bare early ends", IN, "early/async-error-status", "told", BROKEN_OFF),
    differs("bare fields", IN, "A(: b", "status", GRAMMAR),
    differs("bare fields", OUT, "A(: b", "status", GRAMMAR),
    differs("bare leftovers", IN, "headers", "all", REPLACED),
    differs("bare leftovers", IN, "headers-written", "all", REPLACED),
    differs("bare request lines", IN, "GET /  HTTP/1.1", "status", GRAMMAR),
    differs("bare request lines", OUT, "GET /  HTTP/1.1", "status", GRAMMAR),
    differs("bare request lines", IN, "GET / http/1.1", "status", GRAMMAR),
    differs("bare request lines", OUT, "GET / http/1.1", "status", GRAMMAR),
    differs("bare request lines", IN, "CONNECT a HTTP/1.1", "status", AUTHORITY),
    differs("bare request lines", OUT, "CONNECT a HTTP/1.1", "status", AUTHORITY),
    differs("bare request lines", IN, "CONNECT a:443 HTTP/1.1", "status", AUTHORITY),
    differs("bare request lines", OUT, "CONNECT a:443 HTTP/1.1", "status", AUTHORITY),
    differs("contexts", IN, "no host", "body", EXPLAINED),
    differs("contexts", OUT, "no host", "body", EXPLAINED),
    differs("contexts", IN, "two hosts", "body", EXPLAINED),
    differs("contexts", OUT, "two hosts", "body", EXPLAINED),
    differs("contexts", IN, "bad version", "body", EXPLAINED),
    differs("contexts", OUT, "bad version", "body", EXPLAINED),
    differs("contexts", IN, "nul", "body", EXPLAINED),
    differs("contexts", OUT, "nul", "body", EXPLAINED),
    differs("contexts", OUT, "GET http://other.example/request?x=1", "body", PROXIED),
    differs("market headers", OUT, "GET /headers/all?hop", "body", HOP_BY_HOP),
    differs("market measured ends", IN, "large", "observed", BASE),
    differs("market measured ends", IN, "left-before", "observed", HALF),
    differs("market measured methods", OUT, "old", "observed", VERSION),
    differs("market uploads", IN, "POST /uploads/limited?framed", "body", FRAMED),
    differs("market uploads", IN, "POST /uploads/limited?framed", "header cache-control", FRAMED),
    differs("market uploads", IN, "POST /uploads/limited?framed", "header expires", FRAMED),
    differs("market uploads", IN, "POST /uploads/limited?framed", "header connection", FRAMED),
    differs("market uploads", IN, "POST /uploads/limited?framed", "header content-length", FRAMED),
    differs("market uploads", IN, "POST /uploads/limited?framed", "header pragma", FRAMED),
    differs(
        "market uploads",
        IN,
        "POST /uploads/limited?framed",
        "header transfer-encoding",
        FRAMED,
    ),
    differs("market uploads", IN, "POST /uploads/limited?framed", "names", FRAMED),
    differs("market uploads", IN, "POST /uploads/limited?framed", "reason", FRAMED),
    differs("market uploads", IN, "POST /uploads/limited?framed", "status", FRAMED),
    differs("market pipes", IN, "GET /odd/completed-writer/error", "end", BROKEN_OFF),
    differs("middleware", OUT, "GET /developer", "body", FORWARDED),
    differs("responses", IN, "GET /null-headers", "header x-empty", EMPTY),
    differs("responses", IN, "GET /null-headers", "names", EMPTY),
    differs("responses", IN, "GET /bad-header", "body", UTF_8),
    differs("responses", IN, "GET /bad-header", "header x-accent", UTF_8),
    differs("responses", IN, "GET /bad-header", "names", UTF_8),
    differs("responses", IN, "GET /redirect", "header location", UTF_8),
    differs("responses", IN, "GET /redirect", "names", UTF_8),
    differs("responses", IN, "GET /redirect", "reason", UTF_8),
    differs("responses", IN, "GET /redirect", "status", UTF_8),
    differs("bodies byte by byte", IN, "bad chunk size", "body", EXPLAINED),
    differs("bodies byte by byte", OUT, "bad chunk size", "body", EXPLAINED),
    differs("bodies byte by byte", IN, "no line end", "body", EXPLAINED),
    differs("bodies byte by byte", OUT, "no line end", "body", EXPLAINED),
];
