//! The runtime of this process.
//!
//! ```text
//! Runtime::initialize ──► set_property* ──► load_function* ──► run_app
//!                          (until the first load_function or run_app starts the CLR)
//! ```
//!
//! That there is a runtime is a value: whoever needs one takes it as an argument. There is at most
//! one successful initialisation in the life of a process, which hostfxr demands and a flag here
//! makes a plain error.

use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::codes::{HostStatus, Substatus};
use crate::library::{Arguments, HostFxrLibrary, LoadError};
use crate::locate::HostFxr;
use crate::{messages, raw};

/// Whether a runtime was initialised; never reset after a success.
static IS_INITIALIZED: AtomicBool = AtomicBool::new(false);

/// The runtime could not be initialised.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// This process has, or had, its runtime.
    #[error("there is a runtime in this process already")]
    AlreadyInitialized,
    /// hostfxr refuses.
    #[error("{status}")]
    Host {
        /// What it returned.
        status: HostStatus,
        /// What it said, one line per message.
        output: String,
    },
    /// The hosting library cannot be used.
    #[error("no hosting library")]
    Load(#[from] LoadError),
    /// A path or argument contains a NUL character.
    #[error("an argument contains a NUL character")]
    Nul,
}

impl InitError {
    /// The module's number for it.
    pub fn substatus(&self) -> Substatus {
        match self {
            Self::AlreadyInitialized => Substatus::SECOND_RUNTIME,
            Self::Host { status, .. } => status.substatus(),
            Self::Load(error) => error.substatus(),
            Self::Nul => Substatus::GENERAL,
        }
    }

    /// What hostfxr said, if it said anything.
    pub fn output(&self) -> Option<&str> {
        match self {
            Self::Host { output, .. } => Some(output).filter(|text| !text.is_empty()).map(|s| &**s),
            _ => None,
        }
    }
}

/// A runtime property could not be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// hostfxr refuses; most likely the runtime runs already.
    #[error("property {name}: {status}")]
    Host {
        /// The property.
        name: String,
        /// What hostfxr returned.
        status: HostStatus,
    },
    /// Name or value contains a NUL character.
    #[error("property {name} contains a NUL character")]
    Nul {
        /// The property.
        name: String,
    },
}

/// A managed function could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadFunctionError {
    /// The assembly, the type or the method is not there, or not of the right form.
    #[error("{type_name}.{method} of {} cannot be loaded ({result:#010x})", assembly.display())]
    Function {
        /// The assembly.
        assembly: PathBuf,
        /// The type.
        type_name: String,
        /// The method.
        method: String,
        /// The exception's number.
        result: i32,
    },
    /// A name contains a NUL character.
    #[error("a name contains a NUL character")]
    Nul,
    /// The runtime cannot be started.
    #[error("the runtime cannot be started: {status}")]
    Start {
        /// What hostfxr returned.
        status: HostStatus,
        /// What it said.
        output: String,
    },
}

impl LoadFunctionError {
    /// The module's number for it.
    pub fn substatus(&self) -> Substatus {
        match self {
            Self::Start { status, .. } => status.substatus(),
            Self::Function { .. } | Self::Nul => Substatus::START_FAILED,
        }
    }
}

/// The initialised runtime of this process, with its application not started yet.
#[derive(Debug)]
pub struct Runtime {
    library: HostFxrLibrary,
    handle: NonNull<c_void>,
}

// SAFETY: a host context is bound to no thread: hostfxr looks the handle up under its own lock, and
// its contract allows any thread to use it. The `Runtime` has the only copy.
unsafe impl Send for Runtime {}

impl Runtime {
    /// Loads the hosting library and resolves the application's frameworks and dependencies.
    ///
    /// # Errors
    ///
    /// The library cannot be loaded, hostfxr refuses, or there was a runtime before.
    pub fn initialize(host: &HostFxr) -> Result<Self, InitError> {
        let library = HostFxrLibrary::load(&host.library)?;
        let argv = Arguments::new(host.argv.iter().map(String::as_str)).ok_or(InitError::Nul)?;
        let host_path = text_of(host.host_path.as_deref()).ok_or(InitError::Nul)?;
        let dotnet_root = text_of(host.dotnet_root.as_deref()).ok_or(InitError::Nul)?;
        let or_null = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |t| t.as_ptr());
        let parameters = raw::InitializeParameters {
            size: size_of::<raw::InitializeParameters>(),
            host_path: or_null(&host_path),
            dotnet_root: or_null(&dotnet_root),
        };

        if IS_INITIALIZED.swap(true, Ordering::AcqRel) {
            return Err(InitError::AlreadyInitialized);
        }
        let mut handle = ptr::null_mut();
        let (status, output) = messages::collecting(library.set_error_writer, || {
            // SAFETY: `initialize` is hostfxr's export (see `HostFxrLibrary::load`); arguments,
            // parameters and the texts behind them live in this frame, and hostfxr keeps none of
            // them; `handle` is a place to write one pointer to. The flag above makes this the
            // only initialisation that can be under way.
            HostStatus::new(unsafe {
                (library.initialize)(
                    argv.count(),
                    argv.as_ptr(),
                    &raw const parameters,
                    &raw mut handle,
                )
            })
        });
        match NonNull::new(handle) {
            Some(handle) if status.is_success() => Ok(Self { library, handle }),
            handle => {
                if let Some(handle) = handle {
                    // SAFETY: hostfxr returned this handle just now and nobody else has it.
                    unsafe { (library.close)(handle.as_ptr()) };
                }
                // Nothing was started, so another attempt may succeed.
                IS_INITIALIZED.store(false, Ordering::Release);
                Err(InitError::Host { status, output })
            }
        }
    }

    /// Starts the runtime if it is not running, loads an assembly and finds a static method marked
    /// `[UnmanagedCallersOnly]`. `type_name` is assembly-qualified. The function stays valid until
    /// the process ends; its signature is the caller's to know.
    ///
    /// # Errors
    ///
    /// The runtime does not start, or there is no such method.
    pub fn load_function(
        &mut self,
        assembly: &Path,
        type_name: &str,
        method: &str,
    ) -> Result<*const c_void, LoadFunctionError> {
        let assembly_text = text_of(Some(assembly)).flatten().ok_or(LoadFunctionError::Nul)?;
        let type_text = CString::new(type_name).map_err(|_| LoadFunctionError::Nul)?;
        let method_text = CString::new(method).map_err(|_| LoadFunctionError::Nul)?;
        let load = self.loader()?;
        let mut function = ptr::null_mut();
        // SAFETY: `load` is the delegate that hostfxr returned for this kind; the texts live in
        // this frame; `function` is a place to write one pointer to. The delegate reports managed
        // exceptions as its result and does not unwind.
        let result = unsafe {
            load(
                assembly_text.as_ptr(),
                type_text.as_ptr(),
                method_text.as_ptr(),
                raw::UNMANAGED_CALLERS_ONLY_METHOD,
                ptr::null_mut(),
                &raw mut function,
            )
        };
        if result != 0 || function.is_null() {
            return Err(LoadFunctionError::Function {
                assembly: assembly.to_owned(),
                type_name: type_name.to_owned(),
                method: method.to_owned(),
                result,
            });
        }
        Ok(function.cast_const())
    }

    /// Sets a property that managed code reads with `AppContext.GetData`.
    ///
    /// # Errors
    ///
    /// The runtime runs already.
    pub fn set_property(&mut self, name: &str, value: &str) -> Result<(), PropertyError> {
        let nul = |_| PropertyError::Nul { name: name.to_owned() };
        let name_text = CString::new(name).map_err(nul)?;
        let value_text = CString::new(value).map_err(nul)?;
        // hostfxr prints its refusal, which the status says as well.
        let (status, _) = messages::collecting(self.library.set_error_writer, || {
            // SAFETY: the handle is open until `self` is dropped; the texts live in this frame and
            // hostfxr copies them.
            HostStatus::new(unsafe {
                (self.library.set_property)(
                    self.handle.as_ptr(),
                    name_text.as_ptr(),
                    value_text.as_ptr(),
                )
            })
        });
        let refused = || PropertyError::Host { name: name.to_owned(), status };
        if status.is_success() { Ok(()) } else { Err(refused()) }
    }

    /// The value of a property, if it is set.
    pub fn property(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        let mut value = ptr::null();
        let (status, _) = messages::collecting(self.library.set_error_writer, || {
            // SAFETY: the handle is open until `self` is dropped; `value` is a place to write one
            // pointer to.
            HostStatus::new(unsafe {
                (self.library.get_property)(self.handle.as_ptr(), name.as_ptr(), &raw mut value)
            })
        });
        if !status.is_success() || value.is_null() {
            return None;
        }
        // SAFETY: hostfxr keeps the text until the property changes, which takes `&mut self`.
        Some(unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned())
    }

    /// Runs the application's `Main` on this thread, and returns its exit code when it returns.
    /// A negative number is a status of hostfxr: `Main` was not reached.
    pub fn run_app(self) -> i32 {
        // SAFETY: the handle is open until `self` is dropped, at the end of this function. An
        // unhandled managed exception ends the process and does not unwind into this frame.
        unsafe { (self.library.run_app)(self.handle.as_ptr()) }
    }

    fn loader(&self) -> Result<raw::LoadAssemblyAndGetFunctionPointer, LoadFunctionError> {
        let mut delegate = ptr::null_mut();
        let (status, output) = messages::collecting(self.library.set_error_writer, || {
            // SAFETY: the handle is open until `self` is dropped; `delegate` is a place to write
            // one pointer to.
            HostStatus::new(unsafe {
                (self.library.get_delegate)(
                    self.handle.as_ptr(),
                    raw::LOAD_ASSEMBLY_AND_GET_FUNCTION_POINTER,
                    &raw mut delegate,
                )
            })
        });
        let delegate = NonNull::new(delegate).filter(|_| status.is_success());
        let delegate = delegate.ok_or(LoadFunctionError::Start { status, output })?;
        // SAFETY: for this kind hostfxr returns a function of exactly this signature, valid until
        // the process ends.
        Ok(unsafe {
            std::mem::transmute::<NonNull<c_void>, raw::LoadAssemblyAndGetFunctionPointer>(delegate)
        })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // SAFETY: the handle is open and this is its only owner. Closing ends the context, not a
        // runtime that runs.
        unsafe { (self.library.close)(self.handle.as_ptr()) };
    }
}

/// The text of a path for C; the outer `None` means that it contains a NUL character.
fn text_of(path: Option<&Path>) -> Option<Option<CString>> {
    use std::os::unix::ffi::OsStrExt;

    match path {
        Some(path) => CString::new(path.as_os_str().as_bytes()).ok().map(Some),
        None => Some(None),
    }
}
