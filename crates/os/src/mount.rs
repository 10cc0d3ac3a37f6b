//! What the file system of a path permits.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::check;

/// How a file system is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Nobody writes to it.
    pub is_read_only: bool,
    /// Code of its files is not executed, neither as programs nor as libraries.
    pub is_no_exec: bool,
}

/// How the file system that has `path` is mounted.
///
/// # Errors
///
/// The path cannot be reached.
pub fn of(path: &Path) -> io::Result<Mount> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends with a zero, and `found` is a place for the answer.
    check(unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) })?;
    // SAFETY: the call has filled it.
    let flags = unsafe { found.assume_init() }.f_flag;
    let has = |flag| flags & flag != 0;
    Ok(Mount { is_read_only: has(libc::ST_RDONLY), is_no_exec: has(libc::ST_NOEXEC) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_this_test_runs_programs_are_executed() {
        assert!(!of(&std::env::current_exe().unwrap()).unwrap().is_no_exec);
        assert!(of(Path::new("/no/such/path")).is_err());
    }
}
