//! The shim: what a worker does for an application before any request is served, and when none
//! can be.
//!
//! It finds and loads the in-process handler, waits until the application serves, and turns
//! every way in which that can fail into one [`lifecycle::StartReport`], which [`page`] renders
//! and [`failed()`] serves. The out-of-process handler stands beside it in the worker; the shim
//! does not know it. What a reader gets wrong first: the shim is not on the request path.

pub mod handler;
pub mod page;
pub mod report;

mod failed;
mod halted;
mod in_process;
mod loaded;
mod offline;

pub use failed::{Failed, failed};
pub use halted::halted;
pub use in_process::{InProcess, Life, with_runtimes_of};
pub use loaded::LoadError;
pub use offline::offline;
