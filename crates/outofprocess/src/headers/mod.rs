//! What of a message's head crosses to the other side: two tables and one function each way.
//!
//! Responsible for the forwarding rules of the module (which fields are dropped, which are added)
//! and for writing the head that the backend reads. Not for framing: body bytes are the engine's.
//! What a reader would get wrong: `X-Forwarded-*` values that a client sent are kept, unless trusted
//! proxies are named, and ours comes last; the middleware consumes only the last one, so a client
//! cannot speak for us.

mod claims;
mod field;
mod request;
mod response;

pub(crate) use claims::Policy;
pub(crate) use request::{RequestHead, is_connection_option, may_upgrade, write_request_head};
pub(crate) use response::ResponseRules;

/// Prefix of every field by which the module speaks to its middleware. A client that could send one
/// could stop the application or pretend to hold a certificate.
pub(crate) const MODULE_PREFIX: &str = "ms-aspnetcore";
