//! The handler: backends that are kept running, and the requests that are sent to them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use config::{App, BackendChoice, BackendTransport, Env};
use engine::{Application, Exchange, Outcome, Upstream};
use lifecycle::{Code, StartReport};

use crate::answers::Answers;
use crate::board::{Board, Choice, Order};
use crate::command::{self, Template};
use crate::events::Event;
use crate::failures::Failures;
use crate::output::{OwnStreams, Sink};
use crate::readiness::Warmth;
use crate::recovery::CrashCount;
use crate::run_dir::RunDir;
use crate::startup::Startup;
use crate::stop::StopOrder;
use crate::supervise::{Place, Shared};
use crate::transport;

/// The assembly that has .NET backends listen on a socket, below the folder of the worker.
const HELPER: &str = "outofprocess/Ancm.Backend.dll";

/// An application that runs in backend processes. Dropping it ends them without grace; see
/// [`OutOfProcess::stop`].
pub struct OutOfProcess {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Starts the backends of `app`, which clients reach by `addresses`, and waits until the first is
/// ready.
/// From then on they are kept running. `on_event` is called from the threads that do so.
/// `programs` is the folder of the worker, with what is put into backends beside it.
///
/// # Errors
///
/// The report of a start that failed; nothing is left running then.
pub fn start(
    app: &App,
    addresses: &[String],
    programs: &Path,
    on_event: Arc<dyn Fn(Event) + Send + Sync>,
) -> Result<Arc<OutOfProcess>, Box<StartReport>> {
    let helper = Some(programs.join(HELPER)).filter(|path| path.is_file());
    let process = Env::of_process();
    start_with(app, addresses, helper, on_event, &process, || vec![Box::new(OwnStreams::new())])
}

/// Whether the code of `app` can be executed from another folder than its own without the application
/// noticing. `programs` is the folder of the worker.
pub fn can_be_moved(app: &App, programs: &Path) -> bool {
    command::can_be_moved(app, &programs.join(HELPER), &Env::of_process())
}

pub(crate) fn start_with(
    app: &App,
    addresses: &[String],
    helper: Option<PathBuf>,
    on_event: Arc<dyn Fn(Event) + Send + Sync>,
    process: &Env,
    sinks: fn() -> Vec<Box<dyn Sink>>,
) -> Result<Arc<OutOfProcess>, Box<StartReport>> {
    let settings = &app.settings;
    let places = usize::try_from(settings.processes_per_application).unwrap_or(1).max(1);
    let system = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| {
            Box::new(StartReport::new(Code::BackendDidNotStart, format!("{what}: {error}")))
        }
    };
    os::process::tree::adopt_orphans(true).map_err(system("cannot adopt orphans"))?;
    let transport = transport::asked_for(settings, process);
    let order = match settings.handler_settings.backend_choice {
        BackendChoice::LeastInFlight => Order::LeastInFlight,
        BackendChoice::RoundRobin => Order::RoundRobin,
    };
    let run_dir = match transport {
        BackendTransport::Tcp => None,
        BackendTransport::Auto | BackendTransport::Unix => RunDir::new(process)
            .map_err(|error| on_event(Event::NoRunDirectory { reason: error.to_string() }))
            .ok(),
    };
    let shared = Arc::new(Shared {
        startup: Startup {
            app: app.clone(),
            template: Template::new(app, addresses, helper, process),
            sinks,
            transport,
            run_dir,
        },
        path_base: app.path_base.encoded(),
        board: Board::new(places, order),
        warmth: Warmth::new(),
        stop: StopOrder::new().map_err(system("cannot open a descriptor"))?,
        answers: Arc::new(Answers {
            detailed: settings.handler_settings.call_startup_hook
                && config::environment::detailed_errors(settings, process),
            blank: settings.disable_start_up_error_page,
        }),
        failures: Arc::new(
            Failures::told_by(Arc::clone(&on_event)).map_err(system("cannot start a thread"))?,
        ),
        crashes: Mutex::new(CrashCount::new(settings.rapid_fails_per_minute)),
        tell: on_event,
    });
    let handler = Arc::new(OutOfProcess { shared, threads: Mutex::new(Vec::new()) });
    let (sender, first) = channel();
    for number in 0..places {
        let place = Place::new(number, Arc::clone(&handler.shared), sender.clone());
        let thread = thread::Builder::new()
            .name(format!("backend-{number}"))
            .spawn(move || place.run())
            .map_err(system("cannot start a thread"))?;
        handler.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }
    drop(sender);
    let mut failed = None;
    // Ends after one answer per place, or sooner if the threads are gone.
    for result in first {
        match result {
            Ok(()) => return Ok(handler),
            Err(report) => failed = failed.or(Some(report)),
        }
    }
    handler.stop(Duration::ZERO);
    Err(Box::new(match failed {
        Some(report) => Arc::unwrap_or_clone(report),
        None => StartReport::new(Code::BackendDidNotStart, "the start was given up"),
    }))
}

impl OutOfProcess {
    /// Has `wake` called whenever requests that were held should be dispatched again.
    /// Only the first call counts.
    pub fn on_change(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.shared.board.on_change(Box::new(wake));
    }

    /// The pages that warm the application up were requested, and its readiness path has answered. Until
    /// then, if there is such a path, one backend has all requests.
    pub fn is_warm(&self) {
        self.shared.warmth.end();
    }

    /// Refuses further requests, ends the backends and waits until they are gone: gracefully for up
    /// to `deadline` or the application's `shutdownTimeLimit`, whichever is shorter. Requests that
    /// were forwarded before may finish meanwhile.
    pub fn stop(&self, deadline: Duration) {
        self.shared.board.stop();
        self.shared.stop.give(Instant::now() + deadline);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has killed its backend on the way.
            let _ = thread.join();
        }
        if let Some(run_dir) = &self.shared.startup.run_dir {
            run_dir.remove();
        }
    }
}

impl OutOfProcess {
    /// A backend for an exchange, which some may have failed.
    pub(crate) fn choose(
        &self,
        was_failed_by: impl Fn(u64) -> bool,
    ) -> Choice<Upstream, StartReport> {
        self.shared
            .board
            .choose(|upstream| !was_failed_by(upstream.id) && !upstream.rules.is_doubtful())
    }
}

impl Application for OutOfProcess {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let answers = &self.shared.answers;
        let answer = match self.choose(|id| exchange.was_failed_by(id)) {
            Choice::Forward(upstream) => return Outcome::Forward(upstream),
            Choice::Hold => return Outcome::Hold,
            Choice::Refuse(report) => {
                let accept = exchange.request().header("accept");
                answers.no_backend(&report, accept.and_then(|text| str::from_utf8(text).ok()))
            }
            Choice::Stopped => answers.stopping(),
        };
        exchange.respond(&answer);
        Outcome::Done
    }
}

impl Drop for OutOfProcess {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl fmt::Debug for OutOfProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutOfProcess").field("app", &self.shared.startup.app.name).finish()
    }
}
