//! The tests of forwarding once more, with a link between the engine and the backends, and those of
//! links themselves.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
pub(crate) mod support;

/// How the lanes of this program speak to the kernel.
pub(crate) const IO: ancm_engine::Io = ancm_engine::Io::Epoll;
/// Whether exchanges go to backends over a link.
pub(crate) const LINKED: bool = true;

#[path = "../sockets/forwarding.rs"]
mod forwarding;
#[path = "../sockets/hops.rs"]
mod hops;
#[path = "../sockets/hostile.rs"]
mod hostile;
#[path = "../sockets/interim.rs"]
mod interim;
mod links;
#[path = "../sockets/pools.rs"]
mod pools;
#[path = "../sockets/trailers.rs"]
mod trailers;
#[path = "../sockets/upgrades.rs"]
mod upgrades;
#[path = "../sockets/upstreams.rs"]
mod upstreams;
