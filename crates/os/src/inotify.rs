//! Being woken when something in a folder changes.
//!
//! Only a hint: events get lost, and network file systems have none. Whoever uses this looks at
//! the folder itself, now and then without being woken.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::check;

/// Everything that changes what a folder has, and the end of every writing, but not the writing
/// itself: an application that writes to a file in its folder must not keep us awake.
const EVENTS: u32 = libc::IN_CREATE
    | libc::IN_DELETE
    | libc::IN_MOVED_FROM
    | libc::IN_MOVED_TO
    | libc::IN_CLOSE_WRITE
    | libc::IN_ATTRIB
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF;

/// A watch on folders; readable when something has happened in one of them.
#[derive(Debug)]
pub struct Inotify(OwnedFd);

impl Inotify {
    /// A watch on nothing so far.
    ///
    /// # Errors
    ///
    /// The process or the user is out of descriptors or watches.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the returned descriptor is ours alone.
        let fd = check(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
        // SAFETY: `fd` is open and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches the folder that is at `dir` now. Watching it again changes nothing.
    ///
    /// # Errors
    ///
    /// It is not there, is no folder, or the user is out of watches.
    pub fn watch(&self, dir: &Path) -> io::Result<()> {
        let path = CString::new(dir.as_os_str().as_bytes())?;
        let mask = EVENTS | libc::IN_ONLYDIR;
        // SAFETY: the path is a string that ends with a zero and outlives the call.
        check(unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) })?;
        Ok(())
    }

    /// Takes all that has been reported; `true` if there was anything.
    pub fn clear(&self) -> bool {
        let mut buffer = [0_u8; 4096];
        let mut any = false;
        loop {
            // SAFETY: the buffer is as long as we say, and writable.
            let count =
                unsafe { libc::read(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
            if count <= 0 {
                return any;
            }
            any = true;
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_comes_and_goes_is_noticed() {
        let dir = std::env::temp_dir().join(format!("ancm-inotify-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let inotify = Inotify::new().unwrap();
        inotify.watch(&dir).unwrap();
        assert!(!inotify.clear());
        fs::write(dir.join("a"), "").unwrap();
        assert!(inotify.clear());
        fs::rename(dir.join("a"), dir.join("b")).unwrap();
        assert!(inotify.clear());
        fs::remove_file(dir.join("b")).unwrap();
        assert!(inotify.clear());
        assert!(!inotify.clear());
        assert!(inotify.watch(&dir.join("b")).is_err());
        fs::remove_dir(&dir).unwrap();
    }
}
