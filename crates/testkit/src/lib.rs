//! What the end-to-end tests stand on: real programs, real applications, exact bytes.
//!
//! * [`mod@env`]: what `cargo xtask test` provides.
//! * [`app`]: a copy of a published application, changed as a test wants it.
//! * [`site`]: `ancm run` on such a copy, its output and its end.
//! * [`systemd`]: the real one, with our unit templates.
//! * [`process`]: what `/proc` knows about a process.
//! * [`load`]: requests at a constant rate while something happens.
//! * [`http`]: an HTTP/1.1 client that sends what it is told, byte for byte.
//! * [`websocket`]: frames over such a connection.
//! * [`wait`]: waiting for something that can be observed; there are no sleeps in tests.
//! * [`hosting`]: one body, two hosting models.
//!
//! Everything here fails by panicking: a test has nothing better to do.

pub mod app;
pub mod env;
pub mod hosting;
pub mod http;
pub mod load;
pub mod process;
pub mod site;
pub mod systemd;
pub mod wait;
pub mod websocket;

pub use app::App;
pub use hosting::Model;
pub use http::{Connection, Request, Response};
pub use load::{Judge, Load, Tally};
pub use process::Process;
pub use site::{Ended, Site, Start};
pub use systemd::Systemd;
pub use wait::{eventually, patience};
pub use websocket::WebSocket;
