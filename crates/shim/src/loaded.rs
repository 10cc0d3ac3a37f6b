//! A handler behind the C contract, as an [`Application`] of the engine.
//!
//! The only unsafe file of this crate (`docs/decisions/0001-unsafe-in-the-loader.md`): whoever
//! loads foreign code has to call it. Everything it is given lives as long as the process, since
//! a handler with a runtime inside is never unloaded.

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::Path;
use std::sync::Mutex;

use abi::{
    CREATE_HANDLER, CreateHandler, Handler, Host, MAJOR, MINOR, Str, life, outcome, refusal,
};
use engine::{Application, Exchange, Outcome};
use os::library::{Library, Visibility};
use thiserror::Error;

/// A handler cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be loaded.
    #[error("the in-process handler cannot be loaded")]
    Library(#[from] os::library::LibraryError),
    /// The file is no handler.
    #[error("{0} does not export `ancm_create_handler`")]
    NotAHandler(String),
    /// There is an application in this process already.
    #[error("there is an application in this process already")]
    Second,
    /// Versions do not go together.
    #[error("the handler speaks version {found} of the contract, this worker {MAJOR}.{MINOR}")]
    Version {
        /// What the handler says of itself.
        found: String,
    },
    /// The handler's own reason.
    #[error("the handler refuses to work: code {0}")]
    Refused(i32),
}

/// What a handler tells of its life; kinds are of [`abi::life`].
pub(crate) type OnLife = Box<dyn Fn(u32, i32, &str) + Send + Sync>;

/// What the host's functions see through the table's context.
struct Context {
    properties: HashMap<String, String>,
    on_life: Mutex<OnLife>,
}

/// A loaded handler.
pub(crate) struct Loaded {
    handler: Handler,
}

// SAFETY: the contract says that a handler's functions may be called from any thread, and its
// context is only passed to them.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}

impl Loaded {
    /// Loads a handler and makes the tables known to each other.
    pub(crate) fn open(
        file: &Path,
        properties: HashMap<String, String>,
        on_life: OnLife,
    ) -> Result<Self, LoadError> {
        let library = Library::open(file, Visibility::Local)?;
        let create = library
            .symbol(CREATE_HANDLER)
            .ok_or_else(|| LoadError::NotAHandler(file.display().to_string()))?;
        // SAFETY: a library that exports this name promises this type; libraries are never
        // unloaded, so the function stays.
        let create = unsafe { std::mem::transmute::<*mut c_void, CreateHandler>(create.as_ptr()) };

        let context = Box::leak(Box::new(Context { properties, on_life: Mutex::new(on_life) }));
        let host = Box::leak(Box::new(Host {
            size: size_of::<Host>() as u32,
            major: MAJOR,
            minor: MINOR,
            context: std::ptr::from_mut(context).cast(),
            property,
            life: on_life_event,
            notify: engine::host::notify,
            grow: engine::host::grow,
            grow_head: engine::host::grow_head,
            read: engine::host::read,
        }));
        // A handler may fill less than the table, never more: `size` tells it how much there is.
        let mut handler = Handler {
            size: size_of::<Handler>() as u32,
            major: MAJOR,
            minor: MINOR,
            context: std::ptr::null_mut(),
            start: unset_start,
            dispatch: unset_dispatch,
            signal: unset_signal,
            stop: unset_stop,
        };
        // SAFETY: both tables are complete, and `host` lives as long as the process.
        let code = unsafe { create(host, &raw mut handler) };
        match code {
            _ if handler.major != MAJOR => {}
            refusal::VERSION => {}
            refusal::SECOND => return Err(LoadError::Second),
            0 => return Ok(Self { handler }),
            _ => return Err(LoadError::Refused(code)),
        }
        let found = format!("{}.{}", handler.major, handler.minor);
        Err(LoadError::Version { found })
    }

    /// Begins the start of the application; its outcome is told to `on_life`.
    pub(crate) fn start(&self) {
        // SAFETY: the handler filled its table; the contract has this called once, by its owner.
        unsafe { (self.handler.start)(self.handler.context) };
    }

    /// Asks the application to stop.
    pub(crate) fn stop(&self, deadline_ms: u32) {
        // SAFETY: the handler filled its table.
        unsafe { (self.handler.stop)(self.handler.context, deadline_ms) };
    }
}

impl Application for Loaded {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        // SAFETY: the handler filled its table, and the exchange is the engine's own.
        match unsafe { (self.handler.dispatch)(self.handler.context, exchange.as_abi()) } {
            outcome::DONE => Outcome::Done,
            _ => Outcome::Pending,
        }
    }

    fn signal(&self, exchange: *mut abi::Exchange, id: u64, events: u32) {
        // SAFETY: the handler filled its table; the engine vouches for the pointer.
        unsafe { (self.handler.signal)(self.handler.context, exchange, id, events) };
    }
}

unsafe extern "C" fn property(context: *mut c_void, name: Str) -> Str {
    // SAFETY: the context is the one of the table; the caller vouches for the text.
    let (context, name) = unsafe { (&*context.cast::<Context>(), text(&name)) };
    let value = context
        .properties
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(&name))
        .map(|(_, value)| value.as_str());
    match value {
        // Never null, not even when empty: that is how an absent one differs.
        Some(value) => Str { ptr: value.as_ptr(), len: value.len() },
        None => Str { ptr: std::ptr::null(), len: 0 },
    }
}

unsafe extern "C" fn on_life_event(context: *mut c_void, kind: u32, code: i32, words: Str) {
    // SAFETY: the context is the one of the table; the caller vouches for the text.
    let (context, words) = unsafe { (&*context.cast::<Context>(), text(&words)) };
    let on_life = context.on_life.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    on_life(kind, code, &words);
}

/// # Safety
/// `text` must describe readable bytes.
unsafe fn text(text: &Str) -> String {
    if text.len == 0 || text.ptr.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(text.ptr, text.len) };
    String::from_utf8_lossy(bytes).into_owned()
}

// What an entry does that an older handler does not know. All of version 1.0 is required, so
// these only run for a handler that breaks its promise; nothing then answers, visibly.
unsafe extern "C" fn unset_start(_: *mut c_void) {}
unsafe extern "C" fn unset_dispatch(_: *mut c_void, _: *mut abi::Exchange) -> u32 {
    outcome::PENDING
}
unsafe extern "C" fn unset_signal(_: *mut c_void, _: *mut abi::Exchange, _: u64, _: u32) {}
unsafe extern "C" fn unset_stop(_: *mut c_void, _: u32) {}

/// Names of [`life`] kinds, for reports about kinds that this worker does not know.
pub(crate) fn is_known(kind: u32) -> bool {
    (life::READY..=life::STOPPING).contains(&kind)
}
