//! The in-process handler: hosts the CLR and the managed server in a worker.
//!
//! ```text
//! worker ── Host/Handler tables (crate abi) ──► this library ── Bridge ──► Ancm.Bootstrap, Ancm.Server
//!                                                  └── clr ──► hostfxr ──► the app's Main
//! ```
//!
//! It starts the app on a thread of its own, tells the worker how far the start has come, and
//! forwards requests to the managed server with one indirect call. It parses nothing, decides
//! nothing about failures, and owns no memory of a request. What a reader gets wrong first: there is
//! one runtime per process and no way to start a second, so everything here happens once.

mod bridge;
mod exports;
mod place;
mod properties;
mod start;

pub use exports::ancm_create_handler;
