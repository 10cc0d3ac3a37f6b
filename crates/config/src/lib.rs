//! From the text of a `web.config` to a validated description of one application.
//!
//! The crate reads, merges, expands and checks what IIS' configuration system does for the module on
//! Windows, and reports everything that is wrong at once. It starts nothing and knows no handler.
//! Everything here is a function of its arguments: the process environment comes in as an [`Env`],
//! and only [`App::load`] and the functions in [`paths`] look at the file system.
//!
//! Three stages with three types: text → settings as written, with positions (`web_config`) →
//! [`AspNetCore`], in which nothing is optional that has a default. Code after start-up sees only
//! the last.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod environment;
pub mod expansion;
pub mod paths;
pub mod urls;

mod app;
mod debug_log;
mod env;
mod finding;
mod forwarded;
mod limits;
mod nearest;
mod path_base;
mod recycling;
mod settings;
mod warm_up;
mod web_config;

pub use app::{App, Loaded, Origin, Overrides, Source};
pub use debug_log::{DebugLevel, DebugLog};
pub use env::Env;
pub use finding::{Finding, Findings, Position, Severity};
pub use forwarded::{ForwardedFields, Network, NoNetwork, TrustedProxies, UnknownField};
pub use limits::Limits;
pub use path_base::{PathBase, PathBaseError};
pub use recycling::{HealthCheck, Recycling};
pub use settings::{
    AspNetCore, BackendChoice, BackendTransport, HandlerSettings, HostingModel, Platform,
    UnknownChoice, UnknownHostingModel, UnknownTransport,
};
pub use urls::{Host, ListenUrl, ListenUrlError, Scheme};
pub use warm_up::{Page, PageError, Readiness};
pub use web_config::read as read_web_config;
