//! Start and stop of a set of lanes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use os::socket::Socket;

use crate::application::Application;
use crate::certificate::CertificateField;
use crate::exchange::{Rate, Rates};
use crate::filter::Filter;
use crate::handoff::{Crew, Runnable};
use crate::http1::request::Limits;
use crate::inbox::{Command, LaneShared};
use crate::lane::{Common, Lane, LaneRun};
use crate::limits::Tally;

/// Beyond the limit of a drain, how long lanes have to say what they leave.
const GRACE: Duration = Duration::from_millis(500);

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
    /// [`Io::Uring`] where the kernel permits it, which costs less per request, else [`Io::Epoll`].
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
    /// Stack of each thread that the application is called on, in bytes. Memory is reserved for it,
    /// and only touched pages are used.
    pub stack: usize,
    /// Limits of a request head.
    pub head: Limits,
    /// Value of the `Server` field; empty writes none.
    pub server: String,
    /// The application's virtual path: empty, or like `/app`. Requests of other paths are refused.
    pub path_base: String,
    /// An idle connection is closed after this long (Kestrel's default).
    pub keep_alive: Duration,
    /// A request head must be complete after this long (Kestrel's default).
    pub head_time: Duration,
    /// Bytes per second that a client must send of a body that is being read, and take of an
    /// answer that waits for it (Kestrel's default, 240). A slower one is cut off; 0 asks nothing.
    pub min_rate: u64,
    /// How long the rate may be missed at first (Kestrel's default, 5 s).
    pub rate_grace: Duration,
    /// Bytes that a request body may have, whatever the application allows; `None` leaves it to
    /// the application (IIS' `maxAllowedContentLength`).
    pub max_body: Option<u64>,
    /// Lengths of other parts of a request.
    pub filter: Filter,
    /// Where a proxy in front tells of its client's certificate. `None`: such a field is one as any
    /// other.
    pub certificate_field: Option<CertificateField>,
    /// How long the rest of a request is read and dropped behind an answer (Kestrel's 5 s).
    pub linger: Duration,
    /// How long after the beginning of a drain a connection may still begin a request: one that
    /// crossed with the drain would be lost otherwise. One that has not had any has 750 ms. By
    /// default less than the second after which an application hears of a stop: what its clients
    /// do about that must not come back to it.
    pub last_request: Duration,
    /// Requests that one connection may carry. Closing now and then lets load spread anew.
    pub requests_per_connection: u64,
    /// How lanes speak to the kernel. Where it refuses a ring, they do without.
    pub io: Io,
    /// Connections of all lanes together, each lane having an equal part; more wait in the accept
    /// queue.
    pub connections: usize,
    /// Requests that may wait for an application that takes none at the moment, in all lanes
    /// together; more are answered with 503 (IIS' queue length).
    pub queue: usize,
    /// How long a request may wait there for a thread before it is answered with 503 (as long as
    /// HTTP.sys waits for a worker). Held ones have the application's patience.
    pub queue_time: Duration,
    /// Requests that the application may have at once, in all lanes together, those excepted that
    /// were upgraded; more are answered with 503 (IIS' `appConcurrentRequestLimit`).
    pub concurrent: usize,
}

impl Options {
    /// Defaults for a number of lanes.
    pub fn new(lanes: usize) -> Self {
        Self {
            lanes: lanes.max(1),
            threads: lanes.max(1) + 512,
            // As large as the main thread's usually is.
            stack: 8 << 20,
            head: Limits::default(),
            server: "ancm".into(),
            path_base: String::new(),
            keep_alive: Duration::from_secs(130),
            head_time: Duration::from_secs(30),
            min_rate: 240,
            rate_grace: Duration::from_secs(5),
            max_body: None,
            filter: Filter::default(),
            certificate_field: None,
            linger: Duration::from_secs(5),
            last_request: Duration::from_millis(750),
            requests_per_connection: 1_000_000,
            io: Io::Auto,
            connections: 100_000,
            queue: 1000,
            queue_time: Duration::from_secs(120),
            concurrent: 5000,
        }
    }

    /// How slow clients may be.
    pub(crate) fn rates(&self) -> Rates {
        let bytes = u32::try_from(self.min_rate).unwrap_or(u32::MAX);
        let grace = u32::try_from(self.rate_grace.as_millis()).unwrap_or(u32::MAX);
        let rate = Rate { bytes, grace };
        Rates { body: rate, answer: rate }
    }
}

/// Running lanes.
pub struct Engine {
    waker: Waker,
    common: Common,
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

/// Looks at what the application has to do.
#[derive(Clone)]
pub struct Gauges {
    lanes: Arc<[Arc<LaneShared>]>,
}

/// What the application has to do, and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that it has, or that wait for it; one that is answered at once is in neither.
    pub in_flight: usize,
    /// Connections that it has taken over for another protocol.
    pub upgraded: usize,
    /// Requests that it was given since the start.
    pub taken: u64,
}

impl Gauges {
    /// How things are now; lanes that are busy tell what they knew some milliseconds ago.
    pub fn load(&self) -> Load {
        self.lanes.iter().fold(Load::default(), |load, lane| Load {
            in_flight: load.in_flight
                + lane.gauge.inside.load(Ordering::Relaxed)
                + lane.gauge.waiting.load(Ordering::Relaxed),
            upgraded: load.upgraded + lane.gauge.upgraded.load(Ordering::Relaxed),
            taken: load.taken + lane.gauge.taken.load(Ordering::Relaxed),
        })
    }
}

/// Why WebSockets are closed that a drain leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// Nobody will serve them (1001).
    GoingAway,
    /// Another generation does: clients may come back at once (1012).
    Restart,
}

impl Goodbye {
    /// The code of RFC 6455, or of its registry.
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Restart => 1012,
        }
    }
}

/// What a drain left unfinished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drained {
    /// One entry per lane, in their order; `None` for a lane that could not even say.
    pub lanes: Vec<Option<LaneEnd>>,
}

/// What a lane left unfinished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneEnd {
    /// Connections of clients.
    pub connections: usize,
    /// Requests that were read and not answered to their end.
    pub requests: usize,
    /// The oldest of them: its age, and in words what it is and where it was.
    pub oldest: Option<(Duration, String)>,
}

impl Drained {
    /// Whether nothing was left.
    pub fn is_clean(&self) -> bool {
        self.lanes.iter().all(|lane| lane.as_ref().is_some_and(|end| end.requests == 0))
    }

    /// Requests that were cut off. A lane that could not say had one at least.
    pub fn requests(&self) -> usize {
        self.lanes.iter().map(|lane| lane.as_ref().map_or(1, |end| end.requests)).sum()
    }
}

/// One line: what was left, lane by lane.
impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.lanes.iter().enumerate();
        let left = left.filter(|(_, lane)| lane.as_ref().is_none_or(|end| end.connections > 0));
        for (count, (number, lane)) in left.enumerate() {
            let separator = if count == 0 { "" } else { "; " };
            write!(f, "{separator}lane {number}: ")?;
            let Some(end) = lane else {
                f.write_str("held up by the application, which returns from no call")?;
                continue;
            };
            write!(f, "{} request(s) on {} connection(s)", end.requests, end.connections)?;
            if let Some((age, request)) = &end.oldest {
                write!(f, ", the oldest for {:.1} s: {request}", age.as_secs_f64())?;
            }
        }
        Ok(())
    }
}

/// How far a lane is.
#[derive(Clone)]
enum Stage {
    /// It has requests, or may get some.
    Busy,
    /// All that is left are connections that have left HTTP.
    Quiet,
    /// It has ended, and left this behind.
    Ended(LaneEnd),
}

/// How far the lanes are with a drain.
pub(crate) struct Ends {
    stages: Mutex<Vec<Stage>>,
    changed: Condvar,
}

impl Ends {
    fn of(lanes: usize) -> Self {
        Self { stages: Mutex::new(vec![Stage::Busy; lanes]), changed: Condvar::new() }
    }

    /// The requests of a lane are answered. `true`: and so are those of all others, from now on.
    pub(crate) fn report_quiet(&self, lane: usize) -> bool {
        self.report(lane, Stage::Quiet)
    }

    /// A lane ended; as [`Self::report_quiet`].
    pub(crate) fn report_end(&self, lane: usize, end: LaneEnd) -> bool {
        self.report(lane, Stage::Ended(end))
    }

    fn report(&self, lane: usize, stage: Stage) -> bool {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let are_quiet = |stages: &[Stage]| !stages.iter().any(|it| matches!(it, Stage::Busy));
        let were_quiet = are_quiet(&stages);
        stages[lane] = stage;
        self.changed.notify_all();
        !were_quiet && are_quiet(&stages)
    }

    /// Waits until `fact` holds for all lanes, or `limit` has passed; how they are then.
    fn wait(&self, limit: Duration, fact: impl Fn(&Stage) -> bool) -> Vec<Stage> {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |stages: &mut Vec<Stage>| !stages.iter().all(&fact);
        let ended = self.changed.wait_timeout_while(stages, limit, waits);
        ended.unwrap_or_else(PoisonError::into_inner).0.clone()
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
        let sockets = by_lane(listeners, lanes)?;
        let crew = Crew::new(options.threads, lanes, options.stack);
        let ends = Arc::new(Ends::of(lanes));
        let shared: io::Result<Vec<_>> =
            (0..lanes).map(|_| LaneShared::new().map(Arc::new)).collect();
        let lanes: Arc<[_]> = shared?.into();
        let common = Common {
            options: Arc::new(options),
            tally: Arc::default(),
            lanes: lanes.clone(),
            crew,
            ends,
            slot_numbers: Arc::default(),
            connection_numbers: Arc::new(AtomicU64::new(first_connection())),
        };
        let io = common.options.io;
        let mut refusal = None;
        let mut runs: Vec<Arc<dyn Runnable>> = Vec::new();
        for (number, sockets) in sockets.into_iter().enumerate() {
            let mut lane = Lane::new(number, application.clone(), common.clone(), sockets)?;
            if io != Io::Epoll && refusal.is_none() {
                refusal = lane.use_uring().err();
            }
            runs.push(Arc::new(LaneRun::new(lane)));
        }
        common.crew.start(&runs)?;
        // Who has no preference is not told that this is the second best.
        let refusal = refusal.filter(|_| io == Io::Uring);
        Ok(Self { waker: Waker { lanes }, common, refusal })
    }

    /// Begins to accept from these sockets as well.
    ///
    /// # Errors
    /// A listener is no socket, or names a lane that does not exist; none is accepted from then.
    pub fn listen(&self, listeners: Vec<Listener>) -> io::Result<()> {
        let lanes = &self.waker.lanes;
        for (lane, sockets) in lanes.iter().zip(by_lane(listeners, lanes.len())?) {
            lane.command(Command::Listen(sockets));
        }
        Ok(())
    }

    /// Serves a connected stream socket that was accepted elsewhere.
    ///
    /// # Errors
    /// The descriptor cannot be made non-blocking.
    pub fn serve(&self, connection: OwnedFd, remote: Option<SocketAddr>) -> io::Result<()> {
        os::socket::prepare(connection.as_fd())?;
        self.waker.lanes[0].command(Command::Serve(Socket::from_fd(connection), remote));
        Ok(())
    }

    /// Why not all lanes have the ring that [`Io::Uring`] asks for, if that is so.
    pub fn ring_refusal(&self) -> Option<&io::Error> {
        self.refusal.as_ref()
    }

    /// How often each limit was hit.
    pub fn tally(&self) -> Arc<Tally> {
        self.common.tally.clone()
    }

    /// For looking at what the application has to do.
    pub fn gauges(&self) -> Gauges {
        Gauges { lanes: self.waker.lanes.clone() }
    }

    /// For offering held exchanges again.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Stops accepting, closes idle connections, lets what runs finish until `limit` has
    /// passed, then cuts it off. Returns what was cut off.
    pub fn drain(&self, limit: Duration) -> Drained {
        self.drain_saying(limit, Goodbye::GoingAway)
    }

    /// The same, with other last words to WebSockets than that the server goes away. They are said
    /// a second before the limit, or in its last quarter, and at a frame's end only.
    pub fn drain_saying(&self, limit: Duration, goodbye: Goodbye) -> Drained {
        let deadline = Instant::now() + limit;
        for lane in self.waker.lanes.iter() {
            lane.command(Command::Drain(deadline, goodbye));
        }
        // A lane that is stuck in its application at the limit cannot report; do not wait for it.
        let grace = (deadline + GRACE).saturating_duration_since(Instant::now());
        let stages = self.common.ends.wait(grace, |stage| matches!(stage, Stage::Ended(_)));
        self.common.crew.stop();
        let end_of = |stage| match stage {
            Stage::Ended(end) => Some(end),
            Stage::Busy | Stage::Quiet => None,
        };
        Drained { lanes: stages.into_iter().map(end_of).collect() }
    }

    /// Says that the application hears of the drain from now on.
    pub fn application_hears(&self) {
        let now = Instant::now();
        for lane in self.waker.lanes.iter() {
            lane.command(Command::Told(now));
        }
    }

    /// Of a drain that another thread has begun, or is about to: waits until nothing is left of it
    /// but connections that have left HTTP, or `limit` has passed.
    pub fn wait_for_requests(&self, limit: Duration) {
        self.common.ends.wait(limit, |stage| !matches!(stage, Stage::Busy));
    }
}

/// Where connections are counted from: the time, in .NET's ticks, as Kestrel does. Logs of several
/// workers, or of one after another, tell their requests apart.
fn first_connection() -> u64 {
    const TICK: u128 = 100;
    const UNIX_EPOCH_TICKS: u64 = 621_355_968_000_000_000;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH_TICKS + (since.as_nanos() / TICK) as u64
}

/// The sockets of each lane, ready to be accepted from.
fn by_lane(listeners: Vec<Listener>, lanes: usize) -> io::Result<Vec<Vec<OwnedFd>>> {
    let mut sockets: Vec<Vec<OwnedFd>> = (0..lanes).map(|_| Vec::new()).collect();
    for listener in listeners {
        os::socket::prepare(listener.socket.as_fd())?;
        let Some(place) = sockets.get_mut(listener.lane) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a listener names lane {} of {lanes}", listener.lane),
            ));
        };
        place.push(listener.socket);
    }
    Ok(sockets)
}
