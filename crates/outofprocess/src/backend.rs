//! One backend process, from its start to the last trace of it.
//!
//! Whoever holds a [`Backend`] owns the process and everything that it started: the value is used
//! up by [`Backend::stop`] or [`Backend::bury`], and dropping it kills. Must be started and held by
//! a thread that lives as long as the backend may: the kernel kills the backend when that thread
//! ends, which is what ends it when the worker dies.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use engine::UpstreamAddress;
use lifecycle::exit::Ending;
use os::eventfd::EventFd;
use os::poll::{Readiness, poll};
use os::process::{Child, Group, SpawnError, Stream};
use os::signal::Signal;

use crate::command::Command;
use crate::events::Event;
use crate::listening::{self, Listener};
use crate::output::{Output, Sink, Source};
use crate::shutdown_message;
use crate::stop::StopOrder;
use crate::transport::{Found, Look, Places};
use crate::tree::{self, BACKENDS, HAD_BACKENDS, Tree};

/// First and longest pause between two looks at the port.
const PROBE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// How long output that is still on its way is waited for after the end of a process: as the
/// module's `ASPNETCORE_OUTPUT_REDIRECTION_TERMINATION_TIMEOUT_MS`.
const OUTPUT_LIMIT: Duration = Duration::from_secs(2);

/// At most how long the answer to the shutdown message is waited for. A backend that is not
/// ASP.NET Core may never answer, and needs the rest of the time to act on the signal.
const MESSAGE_LIMIT: Duration = Duration::from_secs(3);
/// How long before its deadline one that has accepted the message is told by SIGTERM, too.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Of the backends of this process.
static BRANDS: AtomicU32 = AtomicU32::new(1);

/// Why a process that was started is not ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("the start was given up because the host stops")]
    Cancelled,
    #[error("the process ended before it listened on {places}")]
    Exited { places: Places },
    #[error("nothing listened on {places} within {limit:?}")]
    NotListening { places: Places, limit: Duration },
    #[error("the process ended before the readiness path {path} gave what is expected")]
    EndedUnready { path: String },
    #[error(
        "the readiness path {path} gave {gave}, expected {expected}{}",
        limit.map_or_else(String::new, |limit| format!(" within {limit:?}"))
    )]
    Unready { path: String, gave: String, expected: u16, limit: Option<Duration> },
    #[error("port {port} is held by another process")]
    PortTaken { port: u16 },
}

/// What is left of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    pub(crate) pid: i32,
    /// `None` when the system would not tell.
    pub(crate) status: Option<ExitStatus>,
    /// Whether the system killed it for lack of memory.
    pub(crate) lacked_memory: bool,
    /// The CPU time that it has taken, with all that it had started.
    pub(crate) cpu: Duration,
    /// Since its start.
    pub(crate) lived: Duration,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Remains {
    pub(crate) fn ending(&self) -> Option<Ending> {
        let ending = self.status.map(Ending::new);
        ending.map(|ending| ending.for_lack_of_memory(self.lacked_memory))
    }
}

/// What woke a wait for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Ended,
    StopOrdered,
    /// Perhaps it does not listen any more.
    Doubted,
    TimedOut,
}

/// A backend process.
pub(crate) struct Backend {
    child: Child,
    tree: Tree,
    output: Option<Output>,
    places: Places,
    /// Once it listens.
    address: Option<UpstreamAddress>,
    /// That listen on its port, as they were when they were known to be its own.
    sockets: BTreeSet<String>,
    /// Of the messages that it understands; `None` when it knows none.
    token: Option<String>,
    started: Instant,
    is_buried: bool,
}

impl Backend {
    /// Starts the process.
    ///
    /// # Errors
    ///
    /// There is no process then.
    pub(crate) fn spawn(
        command: Command,
        places: Places,
        token: Option<String>,
        sinks: Option<Vec<Box<dyn Sink>>>,
    ) -> Result<Self, SpawnError> {
        let stream = if sinks.is_some() { Stream::Pipe } else { Stream::Null };
        let program = command.program.clone();
        let brand = BRANDS.fetch_add(1, Ordering::Relaxed);
        let mut backends = BACKENDS.lock().unwrap_or_else(PoisonError::into_inner);
        HAD_BACKENDS.store(true, Ordering::Relaxed);
        let mut child = os::process::Command::new(command.program)
            .args(command.arguments)
            .envs(command.environment.iter())
            .current_dir(command.directory)
            .stdout(stream)
            .stderr(stream)
            .group(Group::New)
            .signal_on_parent_death(Signal::KILL)
            .brand(brand)
            .spawn()?;
        let root = child.pid().number();
        backends.insert(root);
        drop(backends);
        let streams = child.stdout.take().zip(child.stderr.take()).zip(sinks);
        let mut backend = Self {
            child,
            tree: Tree { root, mark: command.mark, brand },
            output: None,
            places,
            address: None,
            sockets: BTreeSet::new(),
            token,
            started: Instant::now(),
            is_buried: false,
        };
        if let Some(((stdout, stderr), sinks)) = streams {
            // On failure the drop of `backend` ends the process.
            let output = Output::drain(stdout, stderr, sinks).map_err(|source| {
                SpawnError::Fork { path: program, step: "reading its output", source }
            })?;
            backend.output = Some(output);
        }
        Ok(backend)
    }

    /// Waits until the backend listens. Returns where, and the process that does.
    ///
    /// # Errors
    ///
    /// It ended, the port is another's, the limit has passed or the host stops. A limit of zero
    /// means one look.
    pub(crate) fn until_ready(
        &mut self,
        limit: Duration,
        stop: &StopOrder,
    ) -> Result<Found, NotReady> {
        let exited = |backend: &Self| NotReady::Exited { places: backend.places.clone() };
        let deadline = self.started + limit;
        let (mut pause, longest) = PROBE;
        loop {
            match self.places.look(&self.tree) {
                Look::Nobody => {}
                Look::Stranger => return Err(NotReady::PortTaken { port: self.places.port }),
                // A process that has ended has no tables, and somebody else accepted.
                Look::Found(_) if self.child.has_ended() => return Err(exited(self)),
                Look::Found(found) => {
                    self.address = Some(found.address.clone());
                    return Ok(found);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.wait(stop, Some(pause.min(left))) {
                Woken::Ended => return Err(exited(self)),
                Woken::StopOrdered => return Err(NotReady::Cancelled),
                Woken::TimedOut if left.is_zero() => {
                    return Err(NotReady::NotListening { places: self.places.clone(), limit });
                }
                Woken::TimedOut | Woken::Doubted => pause = (pause * 3 / 2).min(longest),
            }
        }
    }

    /// Waits for the end of the process or the order to stop.
    pub(crate) fn wait(&self, stop: &StopOrder, limit: Option<Duration>) -> Woken {
        self.wait_or_doubt(stop, None, limit)
    }

    /// The same, or for `doubt` whether it still listens.
    pub(crate) fn wait_or_doubt(
        &self,
        stop: &StopOrder,
        doubt: Option<&EventFd>,
        limit: Option<Duration>,
    ) -> Woken {
        let watched = [self.child.as_fd(), stop.as_fd()].into_iter().chain(doubt.map(AsFd::as_fd));
        let watched: Vec<_> = watched.map(|fd| (fd, Readiness::READ)).collect();
        let found = poll(&watched, limit).unwrap_or_else(|_| {
            // Out of memory in the kernel; a short pause keeps us from spinning.
            thread::sleep(PROBE.1);
            vec![Readiness::default(); watched.len()]
        });
        match (found[0].readable, found[1].readable) {
            (true, _) => Woken::Ended,
            (_, true) => Woken::StopOrdered,
            _ if found.get(2).is_some_and(|doubt| doubt.readable) => Woken::Doubted,
            _ => Woken::TimedOut,
        }
    }

    /// Whether it takes connections where it was found.
    pub(crate) fn is_listening(&mut self) -> bool {
        self.address.as_ref().is_some_and(Places::is_open) && !self.is_supplanted()
    }

    /// Whether its port is somebody else's now, who must not be told its token.
    pub(crate) fn is_supplanted(&mut self) -> bool {
        let port = self.places.port;
        if !matches!(self.address, Some(UpstreamAddress::Tcp(_))) {
            return false;
        }
        let sockets = listening::sockets(port, self.tree.root);
        if sockets == self.sockets {
            return false;
        }
        match listening::listener(port, &self.tree) {
            Listener::Stranger => return true,
            Listener::Own(_) => self.sockets = sockets,
            Listener::Unknown => {}
        }
        false
    }

    /// The start is over: its output need not be kept any more.
    pub(crate) fn forget_beginning(&self) {
        if let Some(output) = &self.output {
            output.forget_beginning();
        }
    }

    /// Asks the backend to end, then tells it to, and after `limit` makes it.
    ///
    /// 1. The module's shutdown message, which ASP.NET Core answers with 202.
    /// 2. Whoever does not answer so, or would not understand it, gets SIGTERM; and towards the end who is
    ///    still there: the message stops one host of several.
    /// 3. Whoever is there after `limit` gets SIGKILL, together with all that it started.
    ///
    /// The deadline of `order` counts as well, as soon as it is given.
    pub(crate) fn stop(
        mut self,
        limit: Duration,
        order: &StopOrder,
        path_base: &str,
        tell: &dyn Fn(Event),
    ) -> Remains {
        let pid = self.pid();
        let deadline = Instant::now() + limit;
        let mut is_told_twice = false;
        // Who listens in its place, if anybody does, has no business with its token.
        let token = self.token.take().filter(|_| !limit.is_zero() && self.is_listening());
        if let Some(address) = &self.address
            && !limit.is_zero()
            && !self.child.has_ended()
        {
            let status = token.as_ref().and_then(|token| {
                let patience = (limit / 3).min(MESSAGE_LIMIT);
                let status = shutdown_message::send(address, path_base, token, patience).ok();
                tell(Event::ShutdownMessageSent { pid, status });
                status
            });
            if status != Some(shutdown_message::ACCEPTED) {
                // To all: a shell that waits for the program would not pass it on. Can fail only for
                // a process that changed its user; the limit applies then.
                let _ = self.child.kill_group(Signal::TERM);
                self.wait_for_end(deadline, Duration::ZERO, order);
                // Who wraps the program may be gone before it.
                while self.tree.is_alive() && !left(deadline, order).is_zero() {
                    thread::sleep(tree::LOOK);
                }
            } else {
                self.wait_for_end(deadline, LAST_WORD.min(limit / 4), order);
                is_told_twice = !self.child.has_ended();
                if is_told_twice {
                    let _ = self.child.kill_group(Signal::TERM);
                    self.wait_for_end(deadline, Duration::ZERO, order);
                }
            }
        }
        let has_ended = self.child.has_ended();
        let remains = self.bury();
        // Whoever leaves at the second word as .NET does without a host was not on its way.
        let is_graceful = !is_told_twice || remains.status.is_some_and(|it| it.success());
        if !has_ended || !is_graceful {
            tell(Event::GracefulStopFailed { pid, limit });
        }
        remains
    }

    /// Kills what is left of the process and its group, and collects what is to be known.
    pub(crate) fn bury(mut self) -> Remains {
        let lived = self.started.elapsed();
        // It has waited for no one who is still there.
        let others = self.tree.members().into_iter().filter(|it| it.pid != self.tree.root);
        let others: Duration = others.map(|it| it.cpu_time()).sum();
        let status = self.end_now();
        let (pid, lacked_memory) = (self.pid(), self.child.was_killed_for_memory());
        let cpu = others + self.child.cpu_time();
        let mut remains = Remains { pid, status, lacked_memory, cpu, lived, ..Remains::default() };
        if let Some(output) = &mut self.output {
            output.finish(OUTPUT_LIMIT);
            remains.stdout = output.text(Source::Stdout);
            remains.stderr = output.text(Source::Stderr);
        }
        remains
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.pid().number()
    }

    /// Whether its process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.child.has_ended()
    }

    /// Since its start.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until so long before the deadline.
    fn wait_for_end(&self, deadline: Instant, before: Duration, order: &StopOrder) {
        loop {
            let left = left(deadline, order).saturating_sub(before);
            // Once it is given it has no more to tell.
            let order = Some(order.as_fd()).filter(|_| order.deadline().is_none());
            let watched = [self.child.as_fd()].into_iter().chain(order);
            let watched: Vec<_> = watched.map(|fd| (fd, Readiness::READ)).collect();
            let ended = poll(&watched, Some(left));
            if left.is_zero() || ended.is_ok_and(|found| found[0].readable) {
                return;
            }
        }
    }

    /// INVARIANT: the group is killed before its leader is waited for; afterwards its number may
    /// belong to others.
    fn end_now(&mut self) -> Option<ExitStatus> {
        self.is_buried = true;
        let _ = self.child.kill_group(Signal::KILL);
        self.tree.kill();
        let status = self.child.wait().ok();
        BACKENDS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.tree.root);
        self.places.clean_up();
        status
    }
}

/// Until `deadline`, or that of `order` once it is given.
fn left(deadline: Instant, order: &StopOrder) -> Duration {
    let deadline = order.deadline().map_or(deadline, |at| at.min(deadline));
    deadline.saturating_duration_since(Instant::now())
}

impl Drop for Backend {
    fn drop(&mut self) {
        if !self.is_buried {
            self.end_now();
        }
    }
}
