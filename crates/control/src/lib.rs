//! What crosses between supervisor and worker: messages, their encoding, and the socket; and in
//! [`operator`] what crosses between an operator's command and the supervisor.
//!
//! The conversation: the supervisor says [`ToWorker::Start`] once; the worker reports steps, then
//! `Ready` or `Failed`; the supervisor says `Drain` or `Stop`; the worker answers `Drained` and
//! ends. The end of the socket means that the other process is gone. A message that is too long or
//! not understood ends the conversation: both programs come from one build.
#![forbid(unsafe_code)]

mod codec;
mod connection;
mod message;
pub mod operator;

pub use codec::{CodecError, Decoder, MAX_MESSAGE_BYTES, encode};
pub use connection::{Connection, ConnectionError, Receiver, Sender, pair};
pub use message::{Io, Listener, Payload, Start, ToSupervisor, ToWorker};

/// The descriptor under which a worker finds its end of the socket.
pub const CONTROL_DESCRIPTOR: i32 = 3;
/// The descriptor of a worker's first listening socket; the others follow.
pub const FIRST_LISTENER: i32 = 4;
