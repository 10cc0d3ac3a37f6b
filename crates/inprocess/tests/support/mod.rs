//! A worker of one lane without a network: real runtime, real app, exchanges made by hand.

#![allow(dead_code, unreachable_pub, reason = "every test program uses its part")]
#![allow(unsafe_code, reason = "the other side of a C contract")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use abi::{Exchange, Handler, Host, Str, life};

mod exchange;

pub use exchange::{Answer, Kept, Request};

/// Longest wait for anything that a test expects.
const PATIENCE: Duration = Duration::from_secs(60);

/// A report of the handler.
#[derive(Debug)]
pub struct Life {
    pub kind: u32,
    pub code: i32,
    pub text: String,
}

/// The handler under test, started with the sample app.
pub struct Worker {
    handler: Handler,
    reports: Receiver<Life>,
    pub seen: Vec<Life>,
}

struct World {
    properties: HashMap<String, String>,
    reports: Mutex<Sender<Life>>,
}

static WORLD: OnceLock<World> = OnceLock::new();

/// What a test needs from its environment, for the sample app with these arguments.
pub fn properties(arguments: &[&str]) -> HashMap<String, String> {
    let [root, samples, bin] = ["DOTNET_ROOT", "ANCM_TEST_SAMPLES", "ANCM_TEST_BIN"].map(|name| {
        let value = std::env::var(name);
        PathBuf::from(value.unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`")))
    });
    let app = samples.join("hello");
    let server = bin.join("inprocess").join(env!("CARGO_PKG_VERSION"));
    let host = std::fs::read_dir(root.join("host/fxr")).unwrap().map(|entry| entry.unwrap().path());
    let fxr = host.max().unwrap().join("libhostfxr.so");
    std::env::set_current_dir(&app).unwrap();
    let text = |path: PathBuf| path.display().to_string();
    HashMap::from([
        ("app.dll".to_owned(), text(app.join("Hello.dll"))),
        ("app.arguments".to_owned(), arguments.join("\0")),
        ("hostfxr.library".to_owned(), text(fxr)),
        ("hostfxr.kind".to_owned(), "framework-dependent".to_owned()),
        ("dotnet.root".to_owned(), text(root)),
        ("server.dir".to_owned(), text(server)),
        ("addresses".to_owned(), "http://127.0.0.1:7100".to_owned()),
    ])
}

impl Worker {
    pub fn start(properties: HashMap<String, String>) -> Self {
        let (sender, reports) = channel();
        let world = World { properties, reports: Mutex::new(sender) };
        assert!(WORLD.set(world).is_ok(), "one worker per process");
        let host: &'static Host = Box::leak(Box::new(Host {
            size: size_of::<Host>().try_into().unwrap(),
            major: abi::MAJOR,
            minor: abi::MINOR,
            context: std::ptr::null_mut(),
            property,
            life: on_life,
            notify: exchange::notify,
            grow: exchange::grow,
            grow_head: exchange::grow_head,
            read: exchange::read,
        }));
        // SAFETY: all zero is a valid table but for the functions, which are written before use.
        let mut handler = std::mem::MaybeUninit::<Handler>::zeroed();
        // SAFETY: in bounds of the struct.
        unsafe {
            (&raw mut (*handler.as_mut_ptr()).size).write(size_of::<Handler>().try_into().unwrap());
            (&raw mut (*handler.as_mut_ptr()).major).write(abi::MAJOR);
        }
        // SAFETY: both tables are complete as far as the contract wants; the host's is leaked.
        let result = unsafe { ancm_inprocess::ancm_create_handler(host, handler.as_mut_ptr()) };
        assert_eq!(result, 0);
        // SAFETY: filled by the call that succeeded.
        let handler = unsafe { handler.assume_init() };
        // SAFETY: as the contract says, once.
        unsafe { (handler.start)(handler.context) };
        Self { handler, reports, seen: Vec::new() }
    }

    /// The next report of this kind; what comes before is kept in `seen`.
    pub fn wait_for(&mut self, kind: u32) -> Life {
        loop {
            let report = self.reports.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("no report {kind}; seen: {:#?}", self.seen);
            });
            if report.kind == kind {
                return report;
            }
            self.seen.push(report);
        }
    }

    /// The start must end well.
    pub fn wait_until_ready(&mut self) {
        while let Ok(report) = self.reports.recv_timeout(PATIENCE) {
            match report.kind {
                life::READY => return,
                life::FAILED => panic!("{report:#?}"),
                _ => self.seen.push(report),
            }
        }
        panic!("not ready; seen: {:#?}", self.seen);
    }

    /// Runs one request as a lane would.
    pub fn send(&self, request: Request) -> Answer {
        exchange::run(&self.handler, request)
    }

    pub fn get(&self, target: &str) -> Answer {
        self.send(Request::get(target))
    }

    /// An exchange on a slot of its own that is used more than once.
    pub fn keep(&self, target: &str) -> Kept<'_> {
        Kept::new(&self.handler, Request { slot: 77, ..Request::get(target) })
    }

    pub fn stop(&self) {
        // SAFETY: as the contract says.
        unsafe { (self.handler.stop)(self.handler.context, 10_000) };
    }
}

unsafe extern "C" fn property(_context: *mut c_void, name: Str) -> Str {
    // SAFETY: the caller's text lives during the call.
    let name = unsafe { text(&name) };
    match WORLD.get().and_then(|world| world.properties.get(name)) {
        Some(value) => Str { ptr: value.as_ptr(), len: value.len() },
        None => Str { ptr: std::ptr::null(), len: 0 },
    }
}

unsafe extern "C" fn on_life(_context: *mut c_void, kind: u32, code: i32, message: Str) {
    // SAFETY: the caller's text lives during the call.
    let text = unsafe { text(&message) }.to_owned();
    let world = WORLD.get().unwrap();
    // A test that has ended does not listen any more.
    let _ = world.reports.lock().unwrap().send(Life { kind, code, text });
}

unsafe fn text<'a>(value: &Str) -> &'a str {
    if value.ptr.is_null() {
        return "";
    }
    // SAFETY: the caller vouches for the bytes.
    std::str::from_utf8(unsafe { std::slice::from_raw_parts(value.ptr, value.len) }).unwrap()
}

/// Reads progress the way the engine does.
fn progress(exchange: &Exchange) -> u32 {
    exchange.progress.load(Ordering::Acquire)
}
