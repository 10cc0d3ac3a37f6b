//! Small questions about descriptors and files.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::check;

/// Standard output, which stays open as long as the process lives.
pub fn stdout() -> BorrowedFd<'static> {
    // SAFETY: nothing in our programs closes the standard streams.
    unsafe { BorrowedFd::borrow_raw(libc::STDOUT_FILENO) }
}

/// Standard error, which stays open as long as the process lives.
pub fn stderr() -> BorrowedFd<'static> {
    // SAFETY: nothing in our programs closes the standard streams.
    unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) }
}

pub(crate) fn open_null() -> io::Result<OwnedFd> {
    let file: File = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    Ok(file.into())
}

/// A duplicate with the lowest free number that is at least `least`, closed on exec.
pub(crate) fn duplicate_above(fd: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicates a descriptor that the borrow keeps open.
    let number = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) })?;
    // SAFETY: the number was opened by the call above and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

pub(crate) enum Executable {
    Missing,
    NoPermission,
    Yes,
}

/// Whether this process could execute `path`.
pub(crate) fn executable(path: &Path) -> Executable {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Executable::NoPermission;
        }
        Err(_) => return Executable::Missing,
        Ok(metadata) if metadata.is_dir() => return Executable::NoPermission,
        Ok(_) => {}
    }
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return Executable::Missing;
    };
    // SAFETY: the string ends with NUL and outlives the call.
    let code =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    if code == 0 { Executable::Yes } else { Executable::NoPermission }
}
