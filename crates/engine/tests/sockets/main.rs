//! The engine over real sockets, with applications of the test's own.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
pub(crate) mod support;

/// How the lanes of this program speak to the kernel.
pub(crate) const IO: ancm_engine::Io = ancm_engine::Io::Epoll;
/// Whether exchanges go to backends over a link.
pub(crate) const LINKED: bool = false;

mod asynchronous;
mod bodies;
mod clocks;
mod connections;
mod draining;
mod fairness;
mod forwarding;
mod goodbyes;
mod handoff;
mod hops;
mod hostile;
mod interim;
mod limits;
mod pools;
mod stress;
mod trailers;
mod tunnels;
mod upgrades;
mod upstreams;
