//! Finds and starts the one .NET runtime that a process can host.
//!
//! [`locate()`] answers, from the file system and an environment passed in, which hostfxr runs an
//! application and with which arguments; it loads nothing. [`HostFxrLibrary`] and [`Runtime`] are
//! the loaded library and the initialised runtime: there is at most one [`Runtime`] in the life of a
//! process, because the CLR can be neither restarted nor unloaded.
//!
//! Unsafe code is in `raw`, `library` and `runtime` only.

mod codes;
mod library;
pub mod locate;
mod messages;
pub mod raw;
mod runtime;

pub use codes::{HostStatus, Substatus};
pub use library::{HostFxrLibrary, LoadError, SearchDirectoriesError};
pub use locate::{HostFxr, Kind, LocateError, Version, locate};
pub use runtime::{InitError, LoadFunctionError, PropertyError, Runtime};
