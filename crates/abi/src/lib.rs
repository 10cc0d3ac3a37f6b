//! The contract between the shim's side of a worker and a loadable request handler.
//!
//! Plain C layouts and nothing else: no behaviour, no allocation, no dependency. The engine lays
//! its exchanges out in these types, a handler library written in any language reads and fills
//! them, and the managed server sees the very same bytes. `include/ancm_handler.h` and the C#
//! mirror `Abi.g.cs` are rendered from the declarations here ([`describe`]), so they cannot drift.
//!
//! Rules that keep an old handler working with a new host and the reverse:
//!
//! * every struct that crosses begins with its `size`; what lies beyond it does not exist;
//! * structs and tables grow only at their end, flags and events only by new bits;
//! * [`MAJOR`] differs: refuse, naming both versions. [`MINOR`] differs: the smaller one counts;
//! * start parameters travel as names and values ([`Host::property`]); unknown names are ignored.

#![allow(unsafe_code, reason = "function pointers in a C contract are `unsafe extern` by nature")]

mod declare;
pub mod describe;
mod exchange;
mod table;

pub use exchange::{
    Address, Block, Connection, Exchange, Header, Str, event, head, method, progress, request,
    waiting,
};
pub use table::{CreateHandler, Handler, Host, life, outcome, read, refusal};

/// Version that must be equal on both sides.
pub const MAJOR: u16 = 1;
/// Version of additions; the smaller of both sides' is in force.
pub const MINOR: u16 = 4;
/// Name of the function that a handler library exports, of type [`CreateHandler`].
pub const CREATE_HANDLER: &std::ffi::CStr = c"ancm_create_handler";
