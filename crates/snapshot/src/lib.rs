//! What a generation executes is its own: a snapshot of the application's code.
//!
//! Linux lets anybody overwrite a library that is mapped, and the process that has mapped it then
//! runs what is there: it crashes, much later and for no reason that it could tell. So assemblies,
//! native libraries and what says how they are run are copied (as references to the same blocks
//! where the file system can), and executed from the copy. All else in the snapshot is a link into
//! the application's folder, so that whoever looks for a file beside its assembly finds it.
//!
//! A snapshot has one owner, which holds a lock on it for as long as it lives. Nobody ever runs from
//! another's, so one that was interrupted needs no more than to be found without an owner, and goes.
//! What has not changed since the snapshot before was complete is shared with that one.
#![forbid(unsafe_code)]

mod before;
mod place;
mod plan;
mod take;

pub use place::{beside, clear, is_one, own_folder, places, sweep};
pub use plan::{DEEPEST, MOST_ENTRIES, MOST_LOOKS, is_code, is_data};
pub use take::{Refusal, Request, Snapshot};
