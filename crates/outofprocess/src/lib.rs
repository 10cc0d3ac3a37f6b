//! The out-of-process handler: owns the processes that an application runs in and says how requests
//! are forwarded to them.
//!
//! Starting, watching, restarting and stopping of processes is here, and so are the rules for
//! header fields. Sockets, framing and the pool of connections are the engine's. What a reader would
//! get wrong: no request starts a process. Backends are kept running by threads of their own, and a
//! request finds one, waits for one, or is told why there is none.
//!
//! Read `supervise` first, then `startup` and `backend`; `headers` stands alone.
#![forbid(unsafe_code)]

mod answers;
mod application;
mod ask;
mod backend;
mod board;
mod command;
mod doubt;
mod events;
mod failures;
mod headers;
mod hooks;
mod listening;
mod output;
mod port;
mod random;
mod readiness;
mod recovery;
mod rest;
mod rules;
mod run_dir;
mod shutdown_message;
mod startup;
mod stop;
mod supervise;
mod transport;
mod tree;

pub use application::{OutOfProcess, can_be_moved, start};
pub use events::{Event, Severity};
pub use rest::note_changing;
pub use tree::end_everything;

#[cfg(test)]
mod tests;
