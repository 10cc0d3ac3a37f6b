//! Child processes: prepared before the fork, watched by descriptor, waited for one by one.
//!
//! Nothing here waits for "any child": a runtime in the same process has children of its own.

mod child;
mod command;
mod exec;
mod traces;
pub mod tree;

pub use child::{Child, Pid};
pub use command::{Command, Group, SpawnError, Stream};

#[cfg(test)]
mod tests;

/// Ends this process at once: no destructor, no exit handler of a library whose threads still run.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: `_exit` has no precondition and does not return; nothing runs after it that could
    // see state left half-way.
    unsafe { libc::_exit(i32::from(code)) }
}
