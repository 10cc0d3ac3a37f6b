//! Engines over real sockets: start, exact bytes in, answers out.
//!
//! Every wait has a limit that fails the test with a message, so a hang is a finding.

pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod handler;
pub(crate) mod link;

use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ancm_engine::{Answer, Application, Engine, Exchange, Listener, Options, Outcome};

pub(crate) use client::{Client, Response};

/// How long anything may take before it counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An engine on a port of its own; dropped, it is cut off.
pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
}

impl Site {
    /// Two lanes with the usual options.
    pub(crate) fn start(application: impl Application) -> Self {
        Self::with(application, 2, |_| {})
    }

    pub(crate) fn with(
        application: impl Application,
        lanes: usize,
        adjust: impl FnOnce(&mut Options),
    ) -> Self {
        let mut options = Options::new(lanes);
        options.io = crate::IO;
        adjust(&mut options);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let listeners = (0..lanes)
            .map(|lane| Listener { socket: listener.try_clone().unwrap().into(), lane })
            .collect();
        let engine = Engine::start(listeners, Arc::new(application), options).unwrap();
        Self { engine, address }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Response {
        let mut client = self.connect();
        client.get(path);
        client.response()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.engine.drain(Duration::ZERO);
    }
}

/// An engine of one lane on a Unix socket: what is sent is there at once, and a socket takes no
/// more than a few hundred kilobytes.
pub(crate) struct UnixSite {
    pub(crate) engine: Engine,
    address: UnixAddress,
}

impl UnixSite {
    pub(crate) fn with(application: impl Application, adjust: impl FnOnce(&mut Options)) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ancm-engine-test-{}-{number}", std::process::id());
        let address = UnixAddress::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let listeners = vec![Listener { socket: listener.into(), lane: 0 }];
        let mut options = Options::new(1);
        adjust(&mut options);
        let engine = Engine::start(listeners, Arc::new(application), options).unwrap();
        Self { engine, address }
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect_addr(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for UnixSite {
    fn drop(&mut self) {
        self.engine.drain(Duration::ZERO);
    }
}

/// An application that is a function.
pub(crate) struct Does<F>(pub F);

impl<F> Application for Does<F>
where
    F: Fn(&mut Exchange<'_>) -> Outcome + Send + Sync + 'static,
{
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        self.0(exchange)
    }
}

/// Answers every request with method, path and number of fields.
pub(crate) fn echo() -> impl Application {
    Does(|exchange: &mut Exchange<'_>| {
        let request = exchange.request();
        let text = format!(
            "{} {}",
            String::from_utf8_lossy(request.method()),
            String::from_utf8_lossy(request.path()),
        );
        respond(exchange, 200, text)
    })
}

/// Answers with a text.
pub(crate) fn respond(
    exchange: &mut Exchange<'_>,
    status: u16,
    text: impl Into<String>,
) -> Outcome {
    exchange.respond(&Answer::text(status, text));
    Outcome::Done
}

/// Waits until `fact` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let began = Instant::now();
    while !fact() {
        assert!(began.elapsed() < PATIENCE, "this did not come true in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A door that threads wait at until it is opened.
#[derive(Default, Clone)]
pub(crate) struct Door(Arc<(std::sync::Mutex<bool>, std::sync::Condvar)>);

impl Door {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    #[track_caller]
    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
        assert!(*open, "a door stayed closed");
    }
}

/// Repeatable disorder.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Bytes whose position shows in their value.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}
