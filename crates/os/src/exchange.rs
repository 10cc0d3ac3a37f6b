//! Two paths change places, and what was written is there to stay.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::check;

/// Has two files or folders of one file system change places, at once: nobody finds neither.
///
/// # Errors
///
/// Either does not exist, they are on different file systems, or theirs knows no such thing.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let one = CString::new(one.as_os_str().as_bytes())?;
    let other = CString::new(other.as_os_str().as_bytes())?;
    // SAFETY: both paths end with a zero and are only read.
    check(unsafe {
        libc::renameat2(
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    })?;
    Ok(())
}

/// Waits until everything that was written to the file system of `path` would outlast a loss of power.
/// One call for all of it, which is less than one for each of many files.
///
/// # Errors
///
/// There is no such path, or something could not be written.
pub fn settle(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // SAFETY: no pointers; the descriptor is open.
    check(unsafe { libc::syncfs(file.as_raw_fd()) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_change_places_with_all_that_is_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
        std::fs::create_dir(&one).unwrap();
        std::fs::write(one.join("file"), "").unwrap();
        assert!(exchange(&one, &other).is_err());
        std::fs::create_dir(&other).unwrap();
        exchange(&one, &other).unwrap();
        assert!(other.join("file").exists() && !one.join("file").exists());
        settle(&one).unwrap();
        assert!(settle(&dir.path().join("nothing")).is_err());
    }
}
