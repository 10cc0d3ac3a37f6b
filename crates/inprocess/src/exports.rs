//! The functions that the worker calls. Each is one call inside the trampoline.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use abi::{Exchange, Handler, Host, outcome, progress};

use crate::bridge::Link;
use crate::start;

/// Answers of [`ancm_create_handler`] other than success.
mod refusal {
    /// A table is missing, or of another major version.
    pub(super) const VERSION: i32 = 1;
    /// There is a handler in this process already.
    pub(super) const SECOND: i32 = 2;
    /// A bug of this library.
    pub(super) const BUG: i32 = 3;
}

/// Runs `body`; a panic becomes `fallback`. No unwinding reaches a foreign frame.
pub(crate) fn trampoline<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    // The panic hook has written the message; there is no state here that a panic could leave half
    // done, only atomics.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// Fills `handler` with the functions of this library.
///
/// # Safety
///
/// Both pointers are null or lead to tables that begin as `abi` declares; `host` and what it points
/// to live as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ancm_create_handler(host: *const Host, handler: *mut Handler) -> i32 {
    trampoline(refusal::BUG, || {
        if host.is_null() || handler.is_null() {
            return refusal::VERSION;
        }
        // SAFETY: not null; size and versions are the part that every version has.
        let ((host_size, host_major), (size, major)) =
            unsafe { (((*host).size, (*host).major), ((*handler).size, (*handler).major)) };
        let fits = size_fits::<Host>(host_size) && size_fits::<Handler>(size);
        if !fits || host_major != abi::MAJOR || major != abi::MAJOR {
            return refusal::VERSION;
        }
        let Some(link) = Link::create(host) else { return refusal::SECOND };
        let table = Handler {
            size: u32::try_from(size_of::<Handler>()).unwrap_or(0),
            major: abi::MAJOR,
            minor: abi::MINOR,
            context: std::ptr::from_ref(link).cast_mut().cast(),
            start,
            dispatch,
            signal,
            stop,
        };
        // SAFETY: not null, and its size says that it holds at least this table.
        unsafe { handler.write(table) };
        0
    })
}

fn size_fits<T>(size: u32) -> bool {
    usize::try_from(size).is_ok_and(|size| size >= size_of::<T>())
}

/// The link behind the context that this library gave out.
///
/// # Safety
///
/// `context` is the one in the table that `ancm_create_handler` filled.
unsafe fn link(context: *mut c_void) -> &'static Link {
    // SAFETY: it was made from a `&'static Link`.
    unsafe { &*context.cast_const().cast::<Link>() }
}

unsafe extern "C" fn start(context: *mut c_void) {
    trampoline((), || {
        // SAFETY: the worker passes the table's context, as the contract says.
        start::spawn(unsafe { link(context) });
    });
}

unsafe extern "C" fn dispatch(context: *mut c_void, exchange: *mut Exchange) -> u32 {
    trampoline(outcome::DONE, || {
        // SAFETY: the worker passes the table's context, as the contract says.
        if let Some(dispatch) = unsafe { link(context) }.dispatch() {
            // SAFETY: a function of the managed server, which catches everything; the exchange is
            // the worker's and passes through untouched.
            return unsafe { dispatch(exchange) };
        }
        // Before READY there is nobody to ask, and the worker should not have asked.
        let refused = progress::ABORT | progress::ENDED | progress::RELEASED;
        // SAFETY: the exchange is valid during dispatch and `progress` is the handler's to set.
        unsafe { (*exchange).progress.fetch_or(refused, Ordering::Release) };
        outcome::DONE
    })
}

unsafe extern "C" fn signal(context: *mut c_void, exchange: *mut Exchange, id: u64, events: u32) {
    trampoline((), || {
        // SAFETY: the worker passes the table's context, as the contract says.
        if let Some(signal) = unsafe { link(context) }.signal() {
            // SAFETY: a function of the managed server, which catches everything and checks the id
            // before it touches the exchange.
            unsafe { signal(exchange, id, events) };
        }
    });
}

unsafe extern "C" fn stop(context: *mut c_void, deadline_ms: u32) {
    trampoline((), || {
        // SAFETY: the worker passes the table's context, as the contract says.
        if let Some(stop) = unsafe { link(context) }.stop() {
            // SAFETY: a function of the managed server, which catches everything and only queues.
            unsafe { stop(deadline_ms) };
        }
    });
}
