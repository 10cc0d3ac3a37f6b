//! Two paths change places.

use std::ffi::CString;
use std::io;
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
    }
}
