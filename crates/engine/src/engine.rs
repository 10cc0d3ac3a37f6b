//! Start and stop of a set of lanes.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::application::Application;
use crate::handoff::{Crew, Runnable};
use crate::http1::request::Limits;
use crate::inbox::{Command, LaneShared};
use crate::lane::{Lane, LaneRun};

/// A listening socket and the lane that accepts from it.
#[derive(Debug)]
pub struct Listener {
    /// Bound and listening. May be shared with other processes, and is never closed by a drain
    /// in their view.
    pub socket: OwnedFd,
    /// Index of the lane, below the number of lanes.
    pub lane: usize,
}

/// How a lane speaks to the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Io {
    /// What is best here; today that is epoll everywhere.
    #[default]
    Auto,
    /// Readiness from epoll, and a system call per transfer.
    Epoll,
    /// Readiness from epoll, and the small transfers of a turn in one call through io_uring.
    Uring,
}

/// What can be set.
#[derive(Debug, Clone)]
pub struct Options {
    /// Lanes, each a thread with its own event loop. At least 1.
    pub lanes: usize,
    /// Most threads that lanes and blocked applications may use together. Each costs its touched
    /// stack; a lane that finds none left waits for its application.
    pub threads: usize,
    /// Limits of a request head.
    pub head: Limits,
    /// Value of the `Server` field; empty writes none.
    pub server: String,
    /// The application's virtual path: empty, or like `/app`.
    pub path_base: String,
    /// An idle connection is closed after this long (Kestrel's default).
    pub keep_alive: Duration,
    /// A request head must be complete after this long (Kestrel's default).
    pub head_time: Duration,
    /// Bytes per second that a client must send of a body that is being read, and take of an
    /// answer that waits for it (Kestrel's default, 240). A slower one is cut off.
    pub min_rate: u64,
    /// How long the rate may be missed at first (Kestrel's default, 5 s).
    pub rate_grace: Duration,
    /// Bytes that a request body may have, whatever the application allows; `None` leaves it to
    /// the application (IIS' `maxAllowedContentLength`).
    pub max_body: Option<u64>,
    /// Requests that one connection may carry. Closing now and then lets load spread anew.
    pub requests_per_connection: u64,
    /// How lanes speak to the kernel. Where it refuses a ring, they do without.
    pub io: Io,
    /// Connections of one lane; more wait in the accept queue.
    pub connections: usize,
}

impl Options {
    /// Defaults for a number of lanes.
    pub fn new(lanes: usize) -> Self {
        Self {
            lanes: lanes.max(1),
            threads: lanes.max(1) + 512,
            head: Limits::default(),
            server: "ancm".into(),
            path_base: String::new(),
            keep_alive: Duration::from_secs(130),
            head_time: Duration::from_secs(30),
            min_rate: 240,
            rate_grace: Duration::from_secs(5),
            max_body: None,
            requests_per_connection: 1_000_000,
            io: Io::Auto,
            connections: 100_000,
        }
    }
}

/// Running lanes.
pub struct Engine {
    waker: Waker,
    crew: Arc<Crew>,
    ends: Arc<Ends>,
    refusal: Option<io::Error>,
}

/// Asks lanes to offer the held exchanges to their application again.
#[derive(Clone)]
pub struct Waker {
    lanes: Arc<[Arc<LaneShared>]>,
}

impl Waker {
    /// Offers them. Cheap; from any thread.
    pub fn wake(&self) {
        for lane in self.lanes.iter() {
            lane.command(Command::Resume);
        }
    }
}

/// What the lanes left behind when they ended.
pub(crate) struct Ends {
    state: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Ends {
    /// A lane ended with this many exchanges unfinished.
    pub(crate) fn report(&self, left: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        state.1 += left;
        self.changed.notify_all();
    }
}

impl Engine {
    /// Starts the lanes; accepting begins at once.
    ///
    /// # Errors
    /// Descriptors or threads have run out, or a listener names a lane that does not exist.
    pub fn start(
        listeners: Vec<Listener>,
        application: Arc<dyn Application>,
        options: Options,
    ) -> io::Result<Self> {
        let lanes = options.lanes.max(1);
        let mut sockets: Vec<Vec<OwnedFd>> = (0..lanes).map(|_| Vec::new()).collect();
        for listener in listeners {
            os::socket::prepare_listener(std::os::fd::AsFd::as_fd(&listener.socket))?;
            let Some(place) = sockets.get_mut(listener.lane) else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("a listener names lane {} of {lanes}", listener.lane),
                ));
            };
            place.push(listener.socket);
        }
        let options = Arc::new(options);
        let crew = Crew::new(options.threads);
        let ends = Arc::new(Ends { state: Mutex::new((0, 0)), changed: Condvar::new() });
        let slots = Arc::new(AtomicUsize::new(0));
        let connections = Arc::new(std::sync::atomic::AtomicU64::new(1));
        let mut shared = Vec::new();
        let mut refusal = None;
        let mut runs: Vec<Arc<dyn Runnable>> = Vec::new();
        for sockets in sockets {
            let outside = Arc::new(LaneShared::new()?);
            shared.push(outside.clone());
            let mut lane = Lane::new(
                outside.clone(),
                application.clone(),
                options.clone(),
                sockets,
                slots.clone(),
                connections.clone(),
            )?;
            if options.io == Io::Uring && refusal.is_none() {
                refusal = lane.use_uring().err();
            }
            runs.push(Arc::new(LaneRun::new(
                lane,
                outside,
                application.clone(),
                crew.clone(),
                ends.clone(),
            )));
        }
        crew.start(&runs)?;
        Ok(Self { waker: Waker { lanes: shared.into() }, crew, ends, refusal })
    }

    /// Why not all lanes have the ring that [`Io::Uring`] asks for, if that is so.
    pub fn ring_refusal(&self) -> Option<&io::Error> {
        self.refusal.as_ref()
    }

    /// For offering held exchanges again.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Stops accepting, closes idle connections, lets what runs finish until `limit` has
    /// passed, then cuts it off. Returns the number of exchanges that were cut off.
    pub fn drain(&self, limit: Duration) -> usize {
        let deadline = Instant::now() + limit;
        for lane in self.waker.lanes.iter() {
            lane.command(Command::Drain(deadline));
        }
        let lanes = self.waker.lanes.len();
        let mut state = self.ends.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A lane that is stuck in its application at the limit cannot report; do not wait for it.
        let grace = deadline + Duration::from_millis(500);
        while state.0 < lanes {
            let now = Instant::now();
            if now >= grace {
                break;
            }
            state = self
                .ends
                .changed
                .wait_timeout(state, grace - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let left = state.1 + (lanes - state.0);
        drop(state);
        self.crew.stop();
        left
    }
}
