//! An HTTP/1.1 client for tests: exact bytes out, and a parser that accepts only what is right.
//!
//! A response that breaks the rules is a finding, so the parser panics where others shrug.

mod connection;
mod request;
mod response;

pub use connection::Connection;
pub use request::Request;
pub use response::{Head, Piece, Response};
