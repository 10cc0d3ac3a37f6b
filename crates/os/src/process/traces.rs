//! What a .NET process leaves behind when it is killed: the socket and the pipes by which tools reach
//! it, in its folder for temporary files. Nobody else takes them away.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder that a process with `variable` for `TMPDIR` uses.
pub(super) fn folder(variable: Option<&OsStr>) -> PathBuf {
    variable.filter(|path| !path.is_empty()).map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

/// Removes them for the process that had the number, and began at that tick of the system: their names
/// have both, so nobody else's are meant, not even those of another container that shares the folder.
pub(super) fn remove(folder: &Path, pid: i32, started: u64) {
    for name in [
        format!("dotnet-diagnostic-{pid}-{started}-socket"),
        format!("clr-debug-pipe-{pid}-{started}-in"),
        format!("clr-debug-pipe-{pid}-{started}-out"),
    ] {
        // Usually there is none.
        let _ = fs::remove_file(folder.join(name));
    }
}
