//! The engine: sockets in, exchanges out.
//!
//! | file | what it holds |
//! |---|---|
//! | [`application`](Application) | the seam: what serves exchanges, and what it may answer |
//! | `engine` | start and drain of a set of lanes |
//! | `lane` | one thread's event loop |
//! | `handoff` | a lane whose application blocks goes on in another thread |
//! | `client` | a client's connection: requests in, responses out |
//! | `forward` | an exchange on its way through a backend |
//! | `exchange`, `ring` | memory of one exchange, shared with its handler |
//! | [`certificate`](CertificateField) | where a proxy tells of its client's certificate |
//! | [`limits`](Limit), [`filter`](Filter) | what there may only be so much of |
//! | `inbox` | what other threads say to a lane |
//! | [`host`] | the functions that a loadable handler calls |
//! | [`http1`] | the protocol, without sockets |
//! | [`websocket`] | where frames of a connection end that has left HTTP |

mod application;
mod body;
mod certificate;
mod client;
mod clock;
mod engine;
mod exchange;
mod filter;
mod forward;
mod handoff;
pub mod host;
pub mod http1;
mod inbox;
mod lane;
mod limits;
mod link;
mod outgoing;
mod response;
mod ring;
mod slab;
pub mod websocket;
mod wheel;

pub use application::{
    Answer, Application, Exchange, Forward, Outcome, Request, Upstream, UpstreamAddress,
    UpstreamFailure, UpstreamPhase,
};
pub use certificate::CertificateField;
pub use engine::{Drained, Engine, Gauges, Goodbye, Io, LaneEnd, Listener, Load, Options, Waker};
pub use filter::Filter;
pub use http1::certificate::{LONGEST as LONGEST_CERTIFICATE, Unfit};
pub use limits::{Limit, Noted, Seen, Tally};
