//! Folders that are for one user alone, below places where others may be too.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// The user of this process.
///
/// # Errors
///
/// There is no `/proc`.
pub fn own_user() -> io::Result<u32> {
    fs::metadata("/proc/self").map(|metadata| metadata.uid())
}

/// Makes sure of a folder of this user in which nobody else can make, replace or remove anything.
/// It is made for this user alone; one that was there may let others in to look.
///
/// # Errors
///
/// It cannot be made, belongs to somebody else, is a link, or others may write to it.
pub fn folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != own_user()? {
        return Err(io::Error::other("it is not a folder of this user"));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others may write to it"));
    }
    Ok(())
}
