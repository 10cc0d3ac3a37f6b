//! The functions that the worker calls. Each is one call inside the trampoline.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use abi::{Exchange, Handler, Host, outcome, progress, refusal};

use crate::bridge::Link;
use crate::start;

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
        let is_host = at_least(host_size, Host::SIZE_1_0) && host_major == abi::MAJOR;
        if !is_host || !at_least(size, Handler::SIZE_1_0) || major != abi::MAJOR {
            // SAFETY: not null; these two are in the part that every version has. They tell the
            // host whom it has met.
            unsafe {
                (&raw mut (*handler).major).write(abi::MAJOR);
                (&raw mut (*handler).minor).write(abi::MINOR);
            }
            return refusal::VERSION;
        }
        let Some(link) = Link::create(host) else { return refusal::SECOND };
        let own_size = size_of::<Handler>();
        let table = Handler {
            size: u32::try_from(own_size).unwrap_or(0),
            major: abi::MAJOR,
            minor: abi::MINOR,
            context: std::ptr::from_ref(link).cast_mut().cast(),
            start,
            dispatch,
            signal,
            stop,
        };
        // An older host's table has no room for what came later.
        let room = usize::try_from(size).unwrap_or(0).min(own_size);
        // SAFETY: not null, and its size says that it holds at least this much; both are bytes of
        // a `repr(C)` struct of numbers and function pointers.
        unsafe {
            std::ptr::from_ref(&table).cast::<u8>().copy_to_nonoverlapping(handler.cast(), room);
        }
        0
    })
}

fn at_least(size: u32, least: usize) -> bool {
    usize::try_from(size).is_ok_and(|size| size >= least)
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
