//! What the managed side sees of this library, and what it leaves here.
//!
//! The bridge is private: library and assemblies ship together. Its C# mirrors are `Bridge.cs` of
//! Ancm.Bootstrap and `NativeApi.cs` of Ancm.Server; managed code finds it by the runtime property
//! [`PROPERTY`], the address in hex.
//!
//! There is one per process, for the one runtime, hence the static. Who writes what:
//! `attach` stores the entry points once, with `dispatch` last and released; every lane reads them.
//! `stage` only moves forward.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

use abi::{Exchange, Host, Str, life};

use crate::exports::trampoline;

/// Name of the runtime property that carries the address of the [`Bridge`].
pub(crate) const PROPERTY: &str = "ANCM_HOST";

const VERSION: u32 = 1;

/// Managed function that runs a request; an answer of `abi::outcome`.
pub(crate) type Dispatch = unsafe extern "C" fn(exchange: *mut Exchange) -> u32;
/// Managed function that delivers events to a pending request.
pub(crate) type Signal = unsafe extern "C" fn(exchange: *mut Exchange, id: u64, events: u32);
/// Managed function that asks the app to stop.
pub(crate) type Stop = unsafe extern "C" fn(deadline_ms: u32);

/// The table that managed code reads.
#[repr(C)]
struct Bridge {
    size: u32,
    version: u32,
    host: *const Host,
    attach: unsafe extern "C" fn(Dispatch, Signal, Stop) -> i32,
    life: unsafe extern "C" fn(kind: u32, code: i32, text: Str),
    is_ready: extern "C" fn() -> u32,
}

/// How far the app has come. Failed and ready exclude each other; the first one stays.
mod stage {
    pub(super) const STARTING: u32 = 0;
    pub(super) const READY: u32 = 1;
    pub(super) const FAILED: u32 = 2;
}

/// The handler's side of the bridge: the host's table and the managed entry points.
pub(crate) struct Link {
    bridge: Bridge,
    stage: AtomicU32,
    steps: AtomicI32,
    host_was_built: AtomicBool,
    dispatch: AtomicPtr<c_void>,
    signal: AtomicPtr<c_void>,
    stop: AtomicPtr<c_void>,
}

// SAFETY: the raw pointers inside are the host's table, which `Host` promises to live and to be
// callable from any thread for the life of the process, and function pointers, which are data.
unsafe impl Send for Link {}
// SAFETY: as above; everything that changes is atomic.
unsafe impl Sync for Link {}

static LINK: OnceLock<Link> = OnceLock::new();

impl Link {
    /// Makes the one link of this process; `None` when there is one already.
    pub(crate) fn create(host: *const Host) -> Option<&'static Self> {
        let bridge = Bridge {
            size: u32::try_from(size_of::<Bridge>()).unwrap_or(0),
            version: VERSION,
            host,
            attach,
            life,
            is_ready,
        };
        let link = Self {
            bridge,
            stage: AtomicU32::new(stage::STARTING),
            steps: AtomicI32::new(0),
            host_was_built: AtomicBool::new(false),
            dispatch: AtomicPtr::new(ptr::null_mut()),
            signal: AtomicPtr::new(ptr::null_mut()),
            stop: AtomicPtr::new(ptr::null_mut()),
        };
        let mut link = Some(link);
        let made = LINK.get_or_init(|| link.take().expect("the first caller brings its own"));
        link.is_none().then_some(made)
    }

    /// The value of the runtime property [`PROPERTY`].
    pub(crate) fn address(&self) -> String {
        format!("{:x}", ptr::from_ref(&self.bridge).addr())
    }

    /// Looks a start parameter up.
    pub(crate) fn property(&self, name: &str) -> Option<&'static str> {
        let host = self.host();
        // SAFETY: the host's function, with its own context and a text that lives during the call.
        let value =
            unsafe { (host.property)(host.context, Str { ptr: name.as_ptr(), len: name.len() }) };
        // SAFETY: the table's contract: the bytes live as long as the process, and there are `len`.
        unsafe { text(&value) }
    }

    /// The app serves.
    pub(crate) fn is_ready(&self) -> bool {
        self.stage.load(Ordering::Acquire) == stage::READY
    }

    /// The app has built a host, web server or not.
    pub(crate) fn host_was_built(&self) -> bool {
        self.host_was_built.load(Ordering::Relaxed)
    }

    /// A step of the start begins.
    pub(crate) fn step(&self, name: &str) {
        let number = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        self.tell(life::STEP, number, name);
    }

    /// The start failed. Only the first reason counts, and none after the app was ready.
    pub(crate) fn fail(&self, substatus: i32, text: &str) {
        if self.leave_start(stage::FAILED) {
            self.tell(life::FAILED, substatus, text);
        }
    }

    /// The app's entry point returned.
    pub(crate) fn exited(&self, code: i32) {
        self.tell(life::EXITED, code, "");
    }

    /// The managed function, once the server has attached.
    pub(crate) fn dispatch(&self) -> Option<Dispatch> {
        let function = self.dispatch.load(Ordering::Acquire);
        // SAFETY: `attach` is the only writer and stores a `Dispatch`; null is `None`.
        unsafe { std::mem::transmute::<*mut c_void, Option<Dispatch>>(function) }
    }

    /// As [`Self::dispatch`].
    pub(crate) fn signal(&self) -> Option<Signal> {
        let function = self.signal.load(Ordering::Acquire);
        // SAFETY: `attach` is the only writer and stores a `Signal`; null is `None`.
        unsafe { std::mem::transmute::<*mut c_void, Option<Signal>>(function) }
    }

    /// As [`Self::dispatch`].
    pub(crate) fn stop(&self) -> Option<Stop> {
        let function = self.stop.load(Ordering::Acquire);
        // SAFETY: `attach` is the only writer and stores a `Stop`; null is `None`.
        unsafe { std::mem::transmute::<*mut c_void, Option<Stop>>(function) }
    }

    fn host(&self) -> &Host {
        // SAFETY: `ancm_create_handler` checked pointer and version; the table lives for ever.
        unsafe { &*self.bridge.host }
    }

    fn leave_start(&self, to: u32) -> bool {
        let (from, order) = (stage::STARTING, Ordering::AcqRel);
        self.stage.compare_exchange(from, to, order, Ordering::Acquire).is_ok()
    }

    fn tell(&self, kind: u32, code: i32, text: &str) {
        let host = self.host();
        let text = Str { ptr: text.as_ptr(), len: text.len() };
        // SAFETY: the host's function, with its own context; it copies the text before it returns.
        unsafe { (host.life)(host.context, kind, code, text) };
    }

    /// A report of the managed side.
    fn hear(&self, kind: u32, code: i32, text: &str) {
        match kind {
            life::READY if self.leave_start(stage::READY) => self.tell(life::READY, 0, ""),
            life::READY => {}
            life::FAILED => self.fail(code, text),
            life::STEP => {
                if text == "host built" {
                    self.host_was_built.store(true, Ordering::Relaxed);
                }
                self.step(text);
            }
            _ => self.tell(kind, code, text),
        }
    }
}

/// The text of a `Str`, or `None` if it is absent or not UTF-8.
///
/// # Safety
///
/// The bytes live and do not change for `'a`.
unsafe fn text<'a>(value: &Str) -> Option<&'a str> {
    if value.ptr.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller vouches for the bytes.
    let bytes = unsafe { std::slice::from_raw_parts(value.ptr, value.len) };
    std::str::from_utf8(bytes).ok()
}

unsafe extern "C" fn attach(dispatch: Dispatch, signal: Signal, stop: Stop) -> i32 {
    trampoline(-1, || {
        let Some(link) = LINK.get() else { return -1 };
        link.signal.store(signal as *mut c_void, Ordering::Release);
        link.stop.store(stop as *mut c_void, Ordering::Release);
        link.dispatch.store(dispatch as *mut c_void, Ordering::Release);
        0
    })
}

unsafe extern "C" fn life(kind: u32, code: i32, message: Str) {
    trampoline((), || {
        let Some(link) = LINK.get() else { return };
        // SAFETY: the managed caller keeps the bytes in place until this call returns.
        let message = unsafe { text(&message) };
        link.hear(kind, code, message.unwrap_or_default());
    });
}

extern "C" fn is_ready() -> u32 {
    trampoline(0, || u32::from(LINK.get().is_some_and(Link::is_ready)))
}
