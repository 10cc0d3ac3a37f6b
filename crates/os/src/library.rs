//! Loading shared libraries into this process, for good.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// A shared library. It is never unloaded: runtimes leave threads and handlers behind that would
/// run into nothing.
#[derive(Debug)]
pub struct Library {
    handle: NonNull<c_void>,
}

// SAFETY: the handle is an immutable token for a library that stays loaded until the process ends;
// the loader takes its own lock in every call.
unsafe impl Send for Library {}
// SAFETY: as above; `symbol` only reads.
unsafe impl Sync for Library {}

/// Who may find the symbols of a library by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every library that is loaded afterwards.
    Global,
    /// Only who asks through [`Library::symbol`].
    Local,
}

/// The library could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load {}: {reason}", .path.display())]
pub struct LibraryError {
    /// The file.
    pub path: PathBuf,
    /// What the loader said.
    pub reason: String,
}

impl Library {
    /// Loads the library and everything that it needs, and runs its initialisers.
    ///
    /// # Errors
    ///
    /// What the loader says: a missing file, a wrong architecture, a missing dependency.
    pub fn open(path: &Path, visibility: Visibility) -> Result<Self, LibraryError> {
        let failed = |reason: String| LibraryError { path: path.to_owned(), reason };
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| failed("the path contains a NUL character".to_owned()))?;
        let visible = match visibility {
            Visibility::Global => libc::RTLD_GLOBAL,
            Visibility::Local => libc::RTLD_LOCAL,
        };
        // SAFETY: the name ends with NUL. Initialisers of the library run here; whoever names a
        // library to load trusts it as much as a program to execute. The error text belongs to this
        // thread and is copied before the next call.
        let handle = unsafe {
            libc::dlerror();
            libc::dlopen(name.as_ptr(), libc::RTLD_NOW | visible)
        };
        NonNull::new(handle).map(|handle| Self { handle }).ok_or_else(|| failed(last_error()))
    }

    /// The address of an exported symbol.
    pub fn symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the handle is of a library that stays loaded; the name ends with NUL.
        NonNull::new(unsafe { libc::dlsym(self.handle.as_ptr(), name.as_ptr()) })
    }
}

fn last_error() -> String {
    // SAFETY: the text, if there is one, stays valid until this thread's next call of the loader.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            "unknown reason".to_owned()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_found_in_a_library_of_the_system() {
        let library = Library::open(Path::new("libc.so.6"), Visibility::Local).unwrap();
        assert!(library.symbol(c"strlen").is_some());
        assert!(library.symbol(c"no_such_symbol").is_none());
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = Library::open(Path::new("/no/such.so"), Visibility::Global).unwrap_err();
        assert!(error.to_string().starts_with("cannot load /no/such.so: "), "{error}");
    }
}
