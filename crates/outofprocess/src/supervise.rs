//! The life of one place for a backend, on a thread of its own.
//!
//! ```text
//!            start fails                    ends unasked
//!   ┌─ pause ◄─────────┐           ┌─────────────────────────┐
//!   ▼                  │           ▼                         │
//! starting ────────────┴──► ready ─┴─► crash ─► pause ─► starting
//!   │ stop               │ stop                  │ stop
//!   ▼                    ▼                       ▼
//!  over ◄──────────── stopping                  over
//! ```
//!
//! The thread starts every backend of its place and outlives each of them, as the kernel's
//! parent-death signal wants. It waits for three things only: the end of the process, the order to
//! stop, and doubt: a connection that was refused or lost. A process that is there but does not listen
//! any more (its server has stopped, or what listened was its child) is stopped and counts as a crash,
//! unless it listens again in a moment: some run one server after the other.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lifecycle::exit::Ending;
use lifecycle::report::printable;
use lifecycle::restart::{LONGEST_CHANGE, Pause, Wait};
use lifecycle::{Code, StartReport};

use engine::{Upstream, UpstreamAddress};
use os::eventfd::EventFd;
use os::poll::{Readiness, poll};

use crate::answers::Answers;
use crate::backend::{Backend, Remains, Woken};
use crate::board::{Board, State};
use crate::events::Event;
use crate::failures::Failures;
use crate::random;
use crate::readiness::Warmth;
use crate::recovery::{CrashCount, Next, Recovery};
use crate::rest;
use crate::rules::Rules;
use crate::startup::{StartFailure, Started, Startup, Surroundings, words};
use crate::stop::StopOrder;
use crate::tree;

/// Names every backend that this process ever had: the engine reuses connections within one name,
/// so it must not come back, not even in another handler.
static INCARNATIONS: AtomicU64 = AtomicU64::new(1);

/// How often is looked for what backends have started and left, and what has ended since.
const REAP: Duration = Duration::from_secs(5);

/// How long one that listens no more may take to end by itself, or to listen again.
const BETWEEN_SERVERS: Duration = Duration::from_secs(2);
/// How often is looked whether it does.
const LOOK_AT_SILENCE: Duration = Duration::from_millis(20);

/// How long after a look another doubt is not worth one.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How often is looked whether a change is over.
const LOOK_AT_REST: Duration = Duration::from_millis(50);

/// Lines of its own that the event of a backend's end has.
const LAST_LINES: usize = 10;

/// What all places of an application share.
pub(crate) struct Shared {
    pub(crate) startup: Startup,
    pub(crate) path_base: String,
    pub(crate) board: Board<Upstream, StartReport>,
    pub(crate) stop: StopOrder,
    pub(crate) warmth: Warmth,
    pub(crate) answers: Arc<Answers>,
    pub(crate) failures: Arc<Failures>,
    pub(crate) crashes: Mutex<CrashCount>,
    pub(crate) tell: Arc<dyn Fn(Event) + Send + Sync>,
}

/// What becomes of a place.
enum Then {
    /// Its backend is gone: the pause before the next one, if there will be one.
    Over(Option<Pause>),
    /// Its backend listens anew.
    Again(Box<Started>),
}

/// One place.
pub(crate) struct Place {
    number: usize,
    shared: Arc<Shared>,
    recovery: Recovery,
    /// Who waits for the result of the first start.
    first: Option<Sender<Result<(), Arc<StartReport>>>>,
}

impl Place {
    pub(crate) fn new(
        number: usize,
        shared: Arc<Shared>,
        first: Sender<Result<(), Arc<StartReport>>>,
    ) -> Self {
        // A hint for pauses, not a secret: any number will do when the kernel gives none.
        let seed = random::below(u32::MAX).unwrap_or_default();
        Self { number, shared, recovery: Recovery::new(seed.into()), first: Some(first) }
    }

    /// Keeps a backend running until the order to stop.
    pub(crate) fn run(mut self) {
        while let Some(pause) = self.one_backend() {
            let length = if pause.why == Wait::Change { Duration::ZERO } else { pause.length };
            if self.is_stopped_within(length) || self.is_stopped_before_rest() {
                return;
            }
        }
    }

    /// Starts a backend and stays with it until it is gone. Returns the pause before the next one;
    /// `None` when there will be none.
    fn one_backend(&mut self) -> Option<Pause> {
        let shared = Arc::clone(&self.shared);
        // The one before, if there was one, leads no more.
        shared.warmth.leave(self.number);
        let around = Surroundings {
            stop: &shared.stop,
            tell: &*shared.tell,
            warmth: &shared.warmth,
            place: self.number,
        };
        let mut started = match shared.startup.start(around) {
            Ok(started) => started,
            Err(failure) if failure.is_cancelled() => return None,
            Err(failure) => return Some(self.on_start_failed(&failure)),
        };
        loop {
            let ready = Instant::now();
            started = match self.serve(started, ready) {
                Then::Over(pause) => return pause,
                Then::Again(started) => *started,
            };
            // Another server, which has not been asked yet.
            if shared.startup.wait_until_warm(&started, around).is_err() {
                let Started { backend, .. } = started;
                return self.on_silent(backend, ready.elapsed());
            }
        }
    }

    /// Stays with a backend as long as it listens.
    fn serve(&mut self, started: Started, ready: Instant) -> Then {
        let Started { mut backend, address, link, token } = started;
        self.recovery.on_started();
        // Without descriptors nothing could be looked at either.
        let doubt = EventFd::new().ok().map(Arc::new);
        let upstream = self.upstream(address.clone(), link.clone(), token.clone(), doubt.clone());
        self.shared.board.publish(self.number, State::Ready(upstream));
        backend.forget_beginning();
        self.tell_first(Ok(()));
        let mut looked = None::<Instant>;
        loop {
            let rested = looked.map_or(LOOK_AGAIN, |at| at.elapsed());
            let (doubted, limit) = match LOOK_AGAIN.checked_sub(rested) {
                Some(left) if !left.is_zero() => (None, left),
                _ => (doubt.as_deref(), REAP),
            };
            match backend.wait_or_doubt(&self.shared.stop, doubted, Some(limit)) {
                Woken::Ended => {
                    // INVARIANT: nobody is sent to a backend that is gone while we look at its remains.
                    self.shared.board.publish(self.number, State::Starting);
                    return Then::Over(Some(self.on_crash(backend.bury(), ready.elapsed())));
                }
                Woken::Doubted => {
                    if let Some(doubt) = &doubt {
                        doubt.clear();
                    }
                    looked = Some(Instant::now());
                    if !backend.is_listening() {
                        self.shared.board.publish(self.number, State::Starting);
                        if !self.listens_again(&mut backend) {
                            return Then::Over(self.on_silent(backend, ready.elapsed()));
                        }
                        return Then::Again(Box::new(Started { backend, address, link, token }));
                    }
                }
                Woken::StopOrdered => {
                    self.stop(backend);
                    return Then::Over(None);
                }
                Woken::TimedOut => {
                    tree::reap_strays();
                    // Nobody doubts who takes connections, whoever it is.
                    if backend.is_supplanted() {
                        self.shared.board.publish(self.number, State::Starting);
                        return Then::Over(self.on_silent(backend, ready.elapsed()));
                    }
                }
            }
        }
    }

    fn upstream(
        &self,
        address: UpstreamAddress,
        link: Option<PathBuf>,
        token: Option<String>,
        doubt: Option<Arc<EventFd>>,
    ) -> Arc<Upstream> {
        let settings = &self.shared.startup.app.settings;
        let id = INCARNATIONS.fetch_add(1, Ordering::Relaxed);
        let rules = Rules::new(
            token,
            settings,
            Arc::clone(&self.shared.answers),
            Arc::clone(&self.shared.failures),
            doubt,
        );
        Arc::new(Upstream { id, address, link, rules: Arc::new(rules) })
    }

    fn on_start_failed(&mut self, failure: &StartFailure) -> Pause {
        let shared = &self.shared;
        if let Some(remains) = failure.killed() {
            let mut crashes = shared.crashes.lock().unwrap_or_else(PoisonError::into_inner);
            if self.recovery.forgives_killed_start(Instant::now(), &mut crashes) {
                let (pid, exit) = (remains.pid, words(remains));
                let (served_for, restart_after) = (Duration::ZERO, Pause::NONE);
                let last_lines = self.last_lines(remains);
                (shared.tell)(Event::BackendExited {
                    pid,
                    exit,
                    served_for,
                    restart_after,
                    last_lines,
                });
                return restart_after;
            }
        }
        let pause = self.recovery.on_start_failed(failure.cpu());
        let report = Arc::new(failure.report(&shared.startup.app));
        shared.board.publish(self.number, State::Failed(Arc::clone(&report)));
        let retry_after = self.first.is_none().then_some(pause);
        (shared.tell)(Event::StartFailed { report: Arc::clone(&report), retry_after });
        self.tell_first(Err(report));
        pause
    }

    /// Whether one that has closed its socket opens it again soon. Requests wait meanwhile.
    fn listens_again(&self, backend: &mut Backend) -> bool {
        let end = Instant::now() + BETWEEN_SERVERS;
        while Instant::now() < end {
            match backend.wait(&self.shared.stop, Some(LOOK_AT_SILENCE)) {
                Woken::Ended | Woken::StopOrdered => return false,
                Woken::TimedOut | Woken::Doubted if backend.is_listening() => return true,
                Woken::TimedOut | Woken::Doubted => {}
            }
        }
        false
    }

    /// It runs and cannot be reached. What it still answers, it may; requests wait for the next one.
    fn on_silent(&mut self, backend: Backend, served_for: Duration) -> Option<Pause> {
        let shared = Arc::clone(&self.shared);
        // Many a backend closes its socket on the way out: then that is what there is to tell.
        match backend.wait(&shared.stop, Some(Duration::ZERO)) {
            Woken::StopOrdered => {
                self.stop(backend);
                return None;
            }
            Woken::Ended => return Some(self.on_crash(backend.bury(), served_for)),
            Woken::TimedOut | Woken::Doubted => {}
        }
        (shared.tell)(Event::BackendSilent { pid: backend.pid() });
        let limit = shared.startup.app.settings.shutdown_time_limit;
        let remains = backend.stop(limit, &shared.stop, &shared.path_base, &*shared.tell);
        Some(self.on_crash(remains, served_for))
    }

    fn on_crash(&mut self, remains: Remains, served_for: Duration) -> Pause {
        let shared = Arc::clone(&self.shared);
        let next = {
            let mut crashes = shared.crashes.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            match remains.ending().is_some_and(Ending::is_by_hand) {
                true => Recovery::on_kill(now, &mut crashes),
                false => self.recovery.on_crash(served_for, remains.cpu, now, &mut crashes),
            }
        };
        let (Next::Break { mut pause } | Next::Refuse { mut pause } | Next::Restart { mut pause }) =
            next;
        // It may have ended because of what somebody does to it.
        self.is_stopped_within(rest::time_of_news());
        if rest::is_changing() && pause.length < LONGEST_CHANGE {
            pause = Pause::CHANGE;
        }
        let (pid, exit) = (remains.pid, words(&remains));
        let last_lines = self.last_lines(&remains);
        (shared.tell)(Event::BackendExited {
            pid,
            exit,
            served_for,
            restart_after: pause,
            last_lines,
        });
        let per_minute = shared.startup.app.settings.rapid_fails_per_minute;
        match next {
            Next::Restart { .. } => {}
            Next::Refuse { .. } => {
                self.refuse(Code::KeepsCrashing, "backend processes keep ending", remains);
            }
            Next::Break { .. } => {
                let often =
                    format!("backend processes ended more than {per_minute} times a minute");
                let report = self.refuse(Code::BackendDidNotStart, &often, remains);
                let retry_after = pause;
                (shared.tell)(Event::RapidFailLimitExceeded { per_minute, report, retry_after });
            }
        }
        pause
    }

    /// What it said last, if the log does not tell it from what others have said.
    fn last_lines(&self, remains: &Remains) -> Vec<String> {
        if self.shared.startup.app.settings.processes_per_application < 2 {
            return Vec::new();
        }
        let text = if remains.stderr.trim().is_empty() { &remains.stdout } else { &remains.stderr };
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| printable(line)).collect()
    }

    /// Has requests answered with what is known of the last backend.
    fn refuse(&self, code: Code, what: &str, remains: Remains) -> Arc<StartReport> {
        let exit = words(&remains);
        let mut report = StartReport::new(code, format!("{what}; the last one {exit}"));
        report.app_dir = Some(self.shared.startup.app.dir.display().to_string());
        report.reference = random::reference();
        report.exit = Some(exit);
        report.stdout = remains.stdout;
        report.stderr = remains.stderr;
        let report = Arc::new(report);
        self.shared.board.publish(self.number, State::Failed(Arc::clone(&report)));
        report
    }

    fn stop(&self, backend: Backend) {
        let shared = &self.shared;
        let left = shared.stop.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let limit = shared.startup.app.settings.shutdown_time_limit;
        let limit = limit.min(left.unwrap_or(limit));
        backend.stop(limit, &shared.stop, &shared.path_base, &*shared.tell);
    }

    fn is_stopped_within(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let stop = (std::os::fd::AsFd::as_fd(&self.shared.stop), Readiness::READ);
            if poll(&[stop], Some(left)).is_ok_and(|found| found[0].readable) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// Waits while somebody writes to what is started.
    fn is_stopped_before_rest(&self) -> bool {
        let end = Instant::now() + LONGEST_CHANGE;
        while rest::is_changing() && Instant::now() < end {
            if self.is_stopped_within(LOOK_AT_REST) {
                return true;
            }
        }
        false
    }

    fn tell_first(&mut self, result: Result<(), Arc<StartReport>>) {
        if let Some(first) = self.first.take() {
            // Nobody waits any more when another place was ready sooner.
            let _ = first.send(result);
        }
    }
}

/// However the thread ends, nobody is sent to its backend afterwards.
impl Drop for Place {
    fn drop(&mut self) {
        self.shared.board.publish(self.number, State::Stopped);
    }
}
