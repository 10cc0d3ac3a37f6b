//! hostfxr, loaded.
//!
//! Loading it starts nothing; it stays loaded until the process ends.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use os::library::{Library, LibraryError, Visibility};

use crate::codes::{HostStatus, Substatus};
use crate::locate::HostFxr;
use crate::{messages, raw};

/// Room for the first answer about search directories; hostfxr says when it needs more.
const FIRST_BUFFER_BYTES: usize = 4096;

/// The hosting library cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The loader refuses it.
    #[error("the hosting library cannot be loaded")]
    Library(#[from] LibraryError),
    /// It is too old, or something else by that name.
    #[error("{} has no function {name}; .NET 5 or later is needed", path.display())]
    MissingFunction {
        /// The library.
        path: PathBuf,
        /// The function.
        name: String,
    },
}

impl LoadError {
    /// The module's number for it.
    pub fn substatus(&self) -> Substatus {
        Substatus::LIBRARY
    }
}

/// The native search directories of an application are not available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchDirectoriesError {
    /// hostfxr cannot resolve the application's frameworks or dependencies.
    #[error("{status}")]
    Host {
        /// What it returned.
        status: HostStatus,
        /// What it said.
        output: String,
    },
    /// An argument contains a NUL character.
    #[error("an argument contains a NUL character")]
    Nul,
}

impl SearchDirectoriesError {
    /// The module's number for it.
    pub fn substatus(&self) -> Substatus {
        Substatus::DEPENDENCIES
    }
}

/// The functions of one hostfxr.
#[derive(Debug)]
pub struct HostFxrLibrary {
    pub(crate) initialize: raw::InitializeForDotnetCommandLine,
    pub(crate) set_property: raw::SetRuntimePropertyValue,
    pub(crate) get_property: raw::GetRuntimePropertyValue,
    pub(crate) get_delegate: raw::GetRuntimeDelegate,
    pub(crate) run_app: raw::RunApp,
    pub(crate) close: raw::Close,
    pub(crate) set_error_writer: raw::SetErrorWriter,
    get_search_directories: raw::GetNativeSearchDirectories,
    /// Keeps what the functions above point into.
    _library: Library,
}

impl HostFxrLibrary {
    /// Loads the library.
    ///
    /// # Errors
    ///
    /// It cannot be loaded, or lacks a function.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        make_libm_global();
        let library = Library::open(path, Visibility::Local)?;
        let function = |name: &CStr| -> Result<NonNull<c_void>, LoadError> {
            library.symbol(name).ok_or_else(|| LoadError::MissingFunction {
                path: path.to_owned(),
                name: name.to_string_lossy().into_owned(),
            })
        };
        let initialize = function(c"hostfxr_initialize_for_dotnet_command_line")?;
        let set_property = function(c"hostfxr_set_runtime_property_value")?;
        let get_property = function(c"hostfxr_get_runtime_property_value")?;
        let get_delegate = function(c"hostfxr_get_runtime_delegate")?;
        let run_app = function(c"hostfxr_run_app")?;
        let close = function(c"hostfxr_close")?;
        let set_error_writer = function(c"hostfxr_set_error_writer")?;
        let get_search_directories = function(c"hostfxr_get_native_search_directories")?;
        // SAFETY: each address is the export whose name stands above, and hostfxr has kept the
        // signature behind each name since it introduced it; `raw` declares those. A function
        // pointer and a data pointer have the same representation on every Linux. The addresses
        // stay valid because `Library` is never unloaded.
        unsafe {
            use std::mem::transmute;
            Ok(Self {
                initialize: transmute::<NonNull<c_void>, raw::InitializeForDotnetCommandLine>(
                    initialize,
                ),
                set_property: transmute::<NonNull<c_void>, raw::SetRuntimePropertyValue>(
                    set_property,
                ),
                get_property: transmute::<NonNull<c_void>, raw::GetRuntimePropertyValue>(
                    get_property,
                ),
                get_delegate: transmute::<NonNull<c_void>, raw::GetRuntimeDelegate>(get_delegate),
                run_app: transmute::<NonNull<c_void>, raw::RunApp>(run_app),
                close: transmute::<NonNull<c_void>, raw::Close>(close),
                set_error_writer: transmute::<NonNull<c_void>, raw::SetErrorWriter>(
                    set_error_writer,
                ),
                get_search_directories: transmute::<NonNull<c_void>, raw::GetNativeSearchDirectories>(
                    get_search_directories,
                ),
                _library: library,
            })
        }
    }

    /// The folders in which the application's runtime looks for native libraries, in order. Starts
    /// no runtime.
    ///
    /// # Errors
    ///
    /// hostfxr cannot resolve the application's frameworks or dependencies.
    pub fn native_search_directories(
        &self,
        host: &HostFxr,
    ) -> Result<Vec<PathBuf>, SearchDirectoriesError> {
        let (folders, output) =
            messages::collecting(self.set_error_writer, || self.search_directories(host));
        match folders {
            Err(SearchDirectoriesError::Host { status, .. }) => {
                Err(SearchDirectoriesError::Host { status, output })
            }
            other => other,
        }
    }

    fn search_directories(&self, host: &HostFxr) -> Result<Vec<PathBuf>, SearchDirectoriesError> {
        // This function wants the whole command line, with the host in front: from its folder
        // hostfxr concludes which installation is meant.
        let muxer = host.dotnet_root.as_ref().map(|root| root.join("dotnet"));
        let program = host.host_path.clone().or(muxer).unwrap_or_default();
        let program = program.display().to_string();
        // A self-contained program is its application, which is not named once more.
        let skipped = usize::from(host.host_path.is_some());
        let argv = std::iter::once(program.as_str())
            .chain(host.argv.iter().skip(skipped).map(String::as_str));
        let argv = Arguments::new(argv).ok_or(SearchDirectoriesError::Nul)?;

        let mut buffer = vec![0_u8; FIRST_BUFFER_BYTES];
        loop {
            let size = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
            let mut required = 0;
            // SAFETY: `get_search_directories` is hostfxr's export (see `load`); `argv` holds
            // `argc` texts for the length of the call; the buffer has `size` bytes, and hostfxr
            // writes no more than that.
            let status = HostStatus::new(unsafe {
                (self.get_search_directories)(
                    argv.count(),
                    argv.as_ptr(),
                    buffer.as_mut_ptr().cast(),
                    size,
                    &raw mut required,
                )
            });
            let required = usize::try_from(required).unwrap_or(0);
            if status == HostStatus::BUFFER_TOO_SMALL && required >= buffer.len() {
                buffer = vec![0; required + 1];
                continue;
            }
            if status != HostStatus::SUCCESS {
                return Err(SearchDirectoriesError::Host { status, output: String::new() });
            }
            let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
            let text = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).into_owned();
            return Ok(text.split(':').filter(|f| !f.is_empty()).map(PathBuf::from).collect());
        }
    }
}

/// `libSystem.IO.Compression.Native.so` uses `log2` without naming libm: the official hosts link
/// it. Ours does not, and GZip would die with an undefined symbol. Remove when the oldest supported
/// runtime names its dependency.
fn make_libm_global() {
    // Without libm hostfxr itself does not load, and says so better than we could here.
    drop(Library::open(Path::new("libm.so.6"), Visibility::Global));
}

/// A C argument vector and the texts that it points to.
pub(crate) struct Arguments {
    pointers: Vec<*const c_char>,
    _texts: Vec<CString>,
}

impl Arguments {
    /// `None` when a text contains a NUL character.
    pub(crate) fn new<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let texts: Result<Vec<CString>, _> = arguments.into_iter().map(CString::new).collect();
        let texts = texts.ok()?;
        // The heap memory of a `CString` does not move with the vector that owns it.
        let pointers = texts.iter().map(|text| text.as_ptr()).collect();
        Some(Self { pointers, _texts: texts })
    }

    pub(crate) fn count(&self) -> c_int {
        c_int::try_from(self.pointers.len()).unwrap_or(c_int::MAX)
    }

    pub(crate) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}
