//! The two tables of functions, and the words that travel through them.

use std::ffi::c_void;

use crate::declare::{abi_constants, abi_struct};
use crate::{Block, Exchange, Str};

abi_struct! {
    /// What a worker offers to a handler. Lives as long as the process.
    /// All functions may be called from any thread and never block.
    pub struct Host {
        /// `sizeof` this struct as the host knows it.
        pub size: u32,
        /// `MAJOR` of the host.
        pub major: u16,
        /// `MINOR` of the host.
        pub minor: u16,
        /// First argument of `property` and `life`.
        pub context: *mut c_void,
        /// Looks a start parameter up by name (case-insensitive); an absent one gives a null
        /// `ptr`. The bytes live as long as the process.
        pub property: unsafe extern "C" fn(context: *mut c_void, name: Str) -> Str,
        /// Reports a step of the handler's life: a number of `life`, a code, a text.
        /// The text is copied before the call returns.
        pub life: unsafe extern "C" fn(context: *mut c_void, kind: u32, code: i32, text: Str),
        /// Tells the lane of an exchange that there is something to do. Call it when exchanging
        /// `signal` with 1 gave 0, and only then.
        pub notify: unsafe extern "C" fn(exchange: *mut Exchange),
        /// Gives the exchange a new current block of at least `min` bytes, linked behind the
        /// present one, and returns it.
        pub grow: unsafe extern "C" fn(exchange: *mut Exchange, min: u32) -> *mut Block,
        /// Makes room for `min` bytes in `head`, keeping what is in use, and returns it.
        pub grow_head: unsafe extern "C" fn(exchange: *mut Exchange, min: u32) -> *mut u8,
        /// Copies body bytes that follow `body` to `into`: a count above 0, or a number of `read`.
        /// One reader at a time. After `WOULD_BLOCK` an event `READABLE` follows.
        pub read: unsafe extern "C" fn(exchange: *mut Exchange, id: u64, into: *mut u8, len: u32) -> i64,
    }
}

abi_struct! {
    /// What a handler offers to a worker. Filled by `ancm_create_handler`; `size`, `major` and
    /// `minor` are set by the host before the call and by the handler to its own during it.
    pub struct Handler {
        /// `sizeof` this struct as the handler knows it.
        pub size: u32,
        /// `MAJOR` of the handler.
        pub major: u16,
        /// `MINOR` of the handler.
        pub minor: u16,
        /// First argument of all functions.
        pub context: *mut c_void,
        /// Begins to start the application and returns at once. The outcome arrives as
        /// `life::READY`, `life::FAILED` or `life::EXITED`. Called once.
        pub start: unsafe extern "C" fn(context: *mut c_void),
        /// Runs one request on the calling lane: a number of `outcome`. May block, at the price
        /// of a thread: the lane moves on without it.
        pub dispatch: unsafe extern "C" fn(context: *mut c_void, exchange: *mut Exchange) -> u32,
        /// Delivers bits of `event` for an exchange that is pending. Must not block or run
        /// application code, unless `event::YIELDED` is one of them; an id that is over is ignored.
        pub signal: unsafe extern "C" fn(context: *mut c_void, exchange: *mut Exchange, id: u64, events: u32),
        /// Asks the application to stop within `deadline_ms` and returns at once;
        /// `life::EXITED` follows.
        pub stop: unsafe extern "C" fn(context: *mut c_void, deadline_ms: u32),
    }
}

impl Host {
    /// Its size in version 1.0: what every host of this major version has.
    pub const SIZE_1_0: usize = 64;
}

impl Handler {
    /// Its size in version 1.0: what every handler of this major version has.
    pub const SIZE_1_0: usize = 48;
}

/// The function that a handler library exports under the name `ancm_create_handler`.
/// Returns 0, or a number that the host reports (those of `refusal` in words); the host then
/// unloads nothing and starts nothing. A handler that refuses a version names its own all the same.
pub type CreateHandler = unsafe extern "C" fn(host: *const Host, handler: *mut Handler) -> i32;

abi_constants! {
    /// Answers of `ancm_create_handler` other than 0.
    pub mod refusal: i32 {
        /// The other side is of a version that does not fit, or a table is missing.
        VERSION = 1;
        /// There is an application in this process already.
        SECOND = 2;
        /// A bug of the handler.
        BUG = 3;
    }
}

abi_constants! {
    /// Answers of `dispatch`.
    pub mod outcome: u32 {
        /// The response is ended and the exchange released; nothing was or will be notified.
        DONE = 0;
        /// The handler goes on by itself and notifies.
        PENDING = 1;
    }
}

abi_constants! {
    /// Answers of `read` that are not a count of bytes.
    pub mod read: i64 {
        /// The body is over.
        END = 0;
        /// Nothing there yet; the engine has been told that the handler waits.
        WOULD_BLOCK = -1;
        /// The client went away before the end of the body.
        DISCONNECTED = -2;
        /// The framing of the body is broken; the connection will be closed.
        MALFORMED = -3;
        /// The exchange is over: the caller is late.
        STALE = -4;
        /// The body comes too slowly; the client is told so, and the connection will be closed.
        TOO_SLOW = -5;
    }
}

abi_constants! {
    /// Steps of a handler's life.
    pub mod life: u32 {
        /// The application serves; text: nothing.
        READY = 1;
        /// The start failed; code: the sub-status of 500 (30 means 500.30); text: the detail.
        FAILED = 2;
        /// The application's entry point returned; code: its exit code.
        EXITED = 3;
        /// A step of the start begins; text: its name.
        STEP = 4;
        /// Something to log; code: event number of the module; text: the message.
        LOG = 5;
        /// The application asked to stop, by itself; the worker should drain and be replaced.
        STOPPING = 6;
    }
}
