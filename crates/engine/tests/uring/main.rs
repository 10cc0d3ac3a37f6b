//! Every test of the engine over real sockets once more, with transfers through io_uring.
//!
//! A kernel that refuses a ring fails the first test below; the others then say nothing new.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

#[path = "../sockets/main.rs"]
#[allow(dead_code, reason = "its own choice of the kernel's interface is not ours")]
mod sockets;

mod rings;

use sockets::support;

/// How the lanes of this program speak to the kernel.
pub(crate) const IO: ancm_engine::Io = ancm_engine::Io::Uring;
/// Whether exchanges go to backends over a link.
pub(crate) const LINKED: bool = false;
