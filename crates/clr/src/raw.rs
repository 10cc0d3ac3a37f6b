//! The functions of hostfxr that we call, as types; see hostfxr's own header for their contracts.
//!
//! All texts are UTF-8 with a NUL at the end. hostfxr keeps none of the pointers passed to it
//! beyond the call.

use std::ffi::{c_char, c_int, c_void};

/// An initialised host context. Owned by hostfxr, ended by `hostfxr_close`.
pub type Handle = *mut c_void;

/// `hostfxr_initialize_parameters`.
#[repr(C)]
#[derive(Debug)]
pub struct InitializeParameters {
    /// The size of this struct, by which hostfxr knows its version.
    pub size: usize,
    /// The program that hosts; null for the running one.
    pub host_path: *const c_char,
    /// The installation; null when self-contained.
    pub dotnet_root: *const c_char,
}

/// Receives one line of an error text. Called on the thread that registered it.
pub type ErrorWriter = unsafe extern "C" fn(message: *const c_char);

/// `hostfxr_initialize_for_dotnet_command_line`: once per process.
pub type InitializeForDotnetCommandLine = unsafe extern "C" fn(
    argc: c_int,
    argv: *const *const c_char,
    parameters: *const InitializeParameters,
    handle: *mut Handle,
) -> i32;

/// `hostfxr_set_runtime_property_value`: until the runtime starts. A null value removes.
pub type SetRuntimePropertyValue =
    unsafe extern "C" fn(handle: Handle, name: *const c_char, value: *const c_char) -> i32;

/// `hostfxr_get_runtime_property_value`: the text belongs to hostfxr until the property changes.
pub type GetRuntimePropertyValue =
    unsafe extern "C" fn(handle: Handle, name: *const c_char, value: *mut *const c_char) -> i32;

/// `hostfxr_get_runtime_delegate`: starts the runtime if it is not running yet.
pub type GetRuntimeDelegate =
    unsafe extern "C" fn(handle: Handle, kind: c_int, delegate: *mut *mut c_void) -> i32;

/// `hostfxr_run_app`: returns when `Main` has returned, with its exit code.
pub type RunApp = unsafe extern "C" fn(handle: Handle) -> i32;

/// `hostfxr_close`.
pub type Close = unsafe extern "C" fn(handle: Handle) -> i32;

/// `hostfxr_set_error_writer`: for the calling thread; returns the one before.
pub type SetErrorWriter = unsafe extern "C" fn(writer: Option<ErrorWriter>) -> Option<ErrorWriter>;

/// `hostfxr_get_native_search_directories`: `required` is set when the buffer is too small.
pub type GetNativeSearchDirectories = unsafe extern "C" fn(
    argc: c_int,
    argv: *const *const c_char,
    buffer: *mut c_char,
    buffer_size: i32,
    required: *mut i32,
) -> i32;

/// The delegate `load_assembly_and_get_function_pointer`.
pub type LoadAssemblyAndGetFunctionPointer = unsafe extern "C" fn(
    assembly_path: *const c_char,
    type_name: *const c_char,
    method_name: *const c_char,
    delegate_type_name: *const c_char,
    reserved: *mut c_void,
    function: *mut *mut c_void,
) -> c_int;

/// The kind of that delegate.
pub const LOAD_ASSEMBLY_AND_GET_FUNCTION_POINTER: c_int = 5;

/// In the place of a delegate type: the method is `[UnmanagedCallersOnly]`.
pub const UNMANAGED_CALLERS_ONLY_METHOD: *const c_char = std::ptr::without_provenance(usize::MAX);
