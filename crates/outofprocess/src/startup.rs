//! A start, attempt by attempt, and the report of one that failed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::UpstreamAddress;
use lifecycle::exit::Ending;
use lifecycle::{Code, Journey, Route, StartReport, Step};

use config::paths::ProgramNotFound;
use config::{App, BackendTransport};
use os::process::SpawnError;

use crate::backend::{Backend, NotReady, Remains};
use crate::command::{Template, Variant};
use crate::events::Event;
use crate::output::Sink;
use crate::port::{PortChoice, PortError};
use crate::random;
use crate::readiness::{self, Warmth};
use crate::run_dir::RunDir;
use crate::stop::StopOrder;
use crate::transport::{Found, Places};

/// Numbers every socket that this process ever named: what a backend left is in nobody's way.
static SOCKETS: AtomicU64 = AtomicU64::new(1);

/// What a socket for links is called; another protocol will have another name.
const LINK: &str = "link";

/// What stays the same from start to start.
pub(crate) struct Startup {
    pub(crate) app: App,
    pub(crate) template: Template,
    pub(crate) sinks: fn() -> Vec<Box<dyn Sink>>,
    pub(crate) transport: BackendTransport,
    /// Where sockets are; `None` when nobody is to use one.
    pub(crate) run_dir: Option<RunDir>,
}

/// A backend that listens, and is ready.
pub(crate) struct Started {
    pub(crate) backend: Backend,
    pub(crate) address: UpstreamAddress,
    pub(crate) link: Option<PathBuf>,
    pub(crate) token: Option<String>,
}

/// Why a start failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the backend is not ready")]
    NotReady(#[from] NotReady),
    #[error("no port for the backend")]
    Port(#[from] PortError),
    #[error("no program for the backend")]
    Program(#[from] ProgramNotFound),
    #[error("the backend process cannot be started")]
    Spawn(#[from] SpawnError),
    #[error("no token can be made")]
    Token(#[source] std::io::Error),
}

impl StartError {
    /// The step, as the module's events name it.
    fn stage(&self) -> &'static str {
        match self {
            Self::NotReady(_) => "PostStartCheck",
            Self::Port(_) => "SetupListenPort",
            Self::Program(_) => "SetupCommandLine",
            Self::Spawn(_) => "CreateProcess",
            Self::Token(_) => "SetupAppToken",
        }
    }

    /// Whether the same attempt may succeed a moment later.
    fn may_pass(&self) -> bool {
        // What took the whole limit once would take it again; nobody waits twice that long.
        !matches!(
            self,
            Self::NotReady(
                NotReady::Cancelled | NotReady::NotListening { .. } | NotReady::Unready { .. }
            ) | Self::Port(PortError::OutOfRange { .. })
        )
    }
}

/// A start that failed: the error of its last attempt, and what that attempt left.
pub(crate) struct StartFailure {
    error: StartError,
    trace: Trace,
    /// Of all attempts.
    cpu: Duration,
}

impl StartFailure {
    /// The CPU time that all its attempts have taken.
    pub(crate) fn cpu(&self) -> Duration {
        self.cpu
    }

    /// Whether the process has ended by itself.
    fn has_exited(&self) -> bool {
        let StartError::NotReady(error) = &self.error else { return false };
        matches!(error, NotReady::Exited { .. } | NotReady::EndedUnready { .. })
    }

    /// What is left of a process that somebody has killed before it was ready.
    pub(crate) fn killed(&self) -> Option<&Remains> {
        let remains = self.trace.remains.as_ref().filter(|_| self.has_exited());
        remains.filter(|remains| remains.ending().is_some_and(Ending::is_by_hand))
    }

    /// Whether it was given up because the host stops.
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self.error, StartError::NotReady(NotReady::Cancelled))
    }

    /// The error and its causes in one line.
    fn reason(&self) -> String {
        match (&self.error, &self.trace.remains) {
            (StartError::NotReady(NotReady::Exited { places }), Some(remains)) => {
                format!("the process {} before it listened on {places}", words(remains))
            }
            (StartError::NotReady(NotReady::EndedUnready { path }), Some(remains)) => {
                let words = words(remains);
                format!(
                    "the process {words} before the readiness path {path} gave what is expected"
                )
            }
            (error, _) => chain(error),
        }
    }

    /// All that is known.
    pub(crate) fn report(&self, app: &App) -> StartReport {
        let mut report = StartReport::new(Code::BackendDidNotStart, self.reason());
        report.is_late = matches!(
            self.error,
            StartError::NotReady(
                NotReady::NotListening { .. } | NotReady::Unready { limit: Some(_), .. }
            )
        );
        report.reference = random::reference();
        report.journey = self.trace.journey.clone();
        report.command = self.trace.command.clone();
        report.app_dir = Some(app.dir.display().to_string());
        if let Some(remains) = &self.trace.remains {
            report.exit = self.has_exited().then(|| words(remains));
            report.stdout = remains.stdout.clone();
            report.stderr = remains.stderr.clone();
        }
        shim::with_runtimes_of(app, report)
    }
}

/// What a start must watch and whom it tells.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) stop: &'a StopOrder,
    pub(crate) tell: &'a dyn Fn(Event),
    pub(crate) warmth: &'a Warmth,
    /// The place of which it is.
    pub(crate) place: usize,
}

impl Startup {
    /// Starts a backend: attempts it as often as the settings say, each time on a new port and for up
    /// to the whole limit.
    pub(crate) fn start(&self, around: Surroundings<'_>) -> Result<Started, Box<StartFailure>> {
        let begun = Instant::now();
        // Made once: the second attempt has the same token, as in the module.
        let mut token = None;
        let mut cpu = Duration::ZERO;
        let mut attempts_left = self.app.settings.startup_attempts.max(1);
        loop {
            attempts_left -= 1;
            let mut trace = Trace::new(begun);
            let error = match self.attempt(&mut token, around, &mut trace) {
                Ok(started) => return Ok(started),
                Err(error) => error,
            };
            if !error.may_pass() {
                attempts_left = 0;
            }
            cpu += trace.remains.as_ref().map_or(Duration::ZERO, |remains| remains.cpu);
            let failure = Box::new(StartFailure { error, trace, cpu });
            if failure.is_cancelled() {
                return Err(failure);
            }
            let (stage, reason) = (failure.error.stage(), failure.reason());
            (around.tell)(Event::StartAttemptFailed { stage, reason, attempts_left });
            if attempts_left == 0 {
                return Err(failure);
            }
        }
    }

    fn attempt(
        &self,
        token: &mut Option<Option<String>>,
        around: Surroundings<'_>,
        trace: &mut Trace,
    ) -> Result<Started, StartError> {
        let token = match token {
            Some(token) => token,
            None => token.insert(self.token()?),
        };
        let places = self.places()?;
        let command =
            self.template.command(Variant { places: &places, token: token.as_deref() })?;
        trace.command = Some(command.to_string());
        let settings = &self.app.settings;
        let redirect = settings.handler_settings.enable_out_of_process_console_redirection;
        let sinks = redirect.then(self.sinks);
        let mut backend = Backend::spawn(command, places, token.clone(), sinks)?;
        trace.on_step(Step::BackendSpawned);
        let ready = backend.until_ready(settings.startup_time_limit, around.stop);
        let ready = ready.and_then(|Found { address, link, pid: listening_pid }| {
            let (pid, took) = (backend.pid(), backend.age());
            let place = address.clone();
            (around.tell)(Event::BackendStarted { pid, listening_pid, address: place, took });
            readiness::wait(&backend, &address, settings, token.as_deref(), around)?;
            Ok((address, link))
        });
        match ready {
            Ok((address, link)) => Ok(Started { backend, address, link, token: token.clone() }),
            Err(error) => {
                trace.remains = Some(backend.bury());
                Err(error.into())
            }
        }
    }

    /// Waits until one that listens anew may have requests.
    pub(crate) fn wait_until_warm(
        &self,
        started: &Started,
        around: Surroundings<'_>,
    ) -> Result<(), NotReady> {
        let Started { backend, address, token, .. } = started;
        readiness::wait(backend, address, &self.app.settings, token.as_deref(), around)
    }

    /// Where the next backend may listen. A port that `web.config` names is the only place.
    fn places(&self) -> Result<Places, PortError> {
        let variable = self.template.port_variable();
        let choice = PortChoice::of(variable, self.template.variable(variable))?;
        let wants_socket = match self.transport {
            BackendTransport::Auto => choice == PortChoice::Random && self.template.has_helper(),
            BackendTransport::Unix => true,
            BackendTransport::Tcp => false,
        };
        let run_dir = self.run_dir.as_ref().filter(|_| wants_socket);
        let socket = run_dir.map(|dir| dir.socket(SOCKETS.fetch_add(1, Ordering::Relaxed)));
        let takes_links = self.transport == BackendTransport::Auto && self.template.has_helper();
        let link = socket.as_ref().filter(|_| takes_links).map(|path| path.with_extension(LINK));
        Ok(Places { socket, link, port: choice.next()? })
    }

    /// What requests to the backend prove their origin by; `None` when it would not look.
    fn token(&self) -> Result<Option<String>, StartError> {
        let Some(variable) = self.template.token_variable() else { return Ok(None) };
        match self.template.variable(variable) {
            Some(written) => Ok(Some(written.to_owned())),
            None => random::token().map(Some).map_err(StartError::Token),
        }
    }
}

/// What an attempt leaves for its report.
struct Trace {
    begun: Instant,
    journey: Journey,
    command: Option<String>,
    remains: Option<Remains>,
}

impl Trace {
    fn new(begun: Instant) -> Self {
        let mut journey = Journey::new(Route::OutOfProcess);
        journey.on_step(Step::WorkerStarted, begun.elapsed());
        journey.on_step(Step::CodeSettled, begun.elapsed());
        Self { begun, journey, command: None, remains: None }
    }

    fn on_step(&mut self, step: Step) {
        self.journey.on_step(step, self.begun.elapsed());
    }
}

/// How a process ended.
pub(crate) fn words(remains: &Remains) -> String {
    remains.ending().map_or("ended".to_owned(), |ending| ending.to_string())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
