//! What an operator's command says to the supervisor of an application, and where it finds it.
//!
//! A command connects to a Unix socket that its user (or root) alone may enter, says one
//! [`Request`] as a line of JSON and reads [`Answer`]s, a line each, until the supervisor closes the
//! connection. Old commands and new supervisors meet when programs are upgraded: a request names
//! its [`VERSION`], and another version is refused in words.
//!
//! * [`Command`], [`Answer`], [`Status`]: what is said.
//! * [`Place`]: where sockets are.
//! * [`Desk`]: the supervisor's end, which waits for nobody.
//! * [`call()`]: the command's end, which waits.

mod call;
mod desk;
mod message;
mod place;

pub use call::{Call, CallError, call, supervisors_of};
pub use desk::{ClientId, Desk, Source};
pub use message::{
    Answer, Asked, BackendEnds, Command, Failure, GenerationStatus, ProcessStatus,
    RefusedConfiguration, RefusedPart, Request, Serves, Shortage, SiteState, Stage, Status, Stream,
    VERSION,
};
pub use place::{Place, Variables};

/// The longest request in bytes, its end included.
pub const MAX_REQUEST_BYTES: usize = 16 << 10;
