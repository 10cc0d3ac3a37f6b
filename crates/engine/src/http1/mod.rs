//! HTTP/1 as state machines over buffers: no sockets, no clock, no unsafe.
//!
//! | file | from | to |
//! |---|---|---|
//! | [`request`] | bytes of a client | head of a request |
//! | [`target`] | request target | path base, path, query |
//! | [`chunked`] | bytes behind a head | body bytes |
//! | [`certificate`] | field of a proxy | certificate of its client |
//! | [`trailers`] | lines behind the last chunk | fields that may be there |
//! | [`response`] | encoded head of a handler | bytes for the client |
//! | [`upstream`] | bytes of a backend | head of a response |
//!
//! `httparse` reads the syntax; what it tolerates and others might read differently is refused on
//! top of it ([`reject`] names every rule). A message that two parsers could split in two ways
//! never gets past this module.

pub mod certificate;
pub mod chunked;
pub mod date;
pub mod reject;
pub mod request;
pub mod response;
pub mod target;
pub mod trailers;
pub mod upstream;

mod encoded;
mod fields;
mod order;
mod plan;
mod scan;
pub mod status;

#[cfg(test)]
mod tests;
