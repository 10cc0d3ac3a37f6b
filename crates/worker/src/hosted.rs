//! What this worker serves: an application of either hosting model, or why there is none.

use std::sync::Arc;
use std::time::Duration;

use config::{App, DebugLevel, Env, HostingModel};
use control::{Payload, Start, ToSupervisor};
use engine::Application;
use lifecycle::event::Level;
use lifecycle::{Code, StartReport, Step};
use outofprocess::{OutOfProcess, Severity};
use shim::{InProcess, Life};
use snapshot::Snapshot;

use crate::code;
use crate::debug_log::Library;
use crate::gate;
use crate::orders::Orders;
use crate::supervisor::Supervisor;

/// For a generation that serves a page.
const PAGE_STOP_LIMIT: Duration = Duration::from_secs(2);

/// The application object of this process.
pub(crate) struct Hosted {
    kind: Kind,
    /// `None` for a page.
    app: Option<App>,
    /// Ours while this lives.
    _snapshot: Option<Snapshot>,
    stop_limit: Duration,
    shutdown_delay: Duration,
}

enum Kind {
    Page(Arc<dyn Application>),
    InProcess(InProcess),
    OutOfProcess(Arc<OutOfProcess>),
}

impl Hosted {
    /// Starts what `start` describes and waits until it can serve.
    pub(crate) fn start(
        start: &Start,
        supervisor: &Supervisor,
        orders: Orders,
    ) -> Result<Self, Box<StartReport>> {
        let application = match &start.payload {
            Payload::Failed { report } => {
                return Ok(Self::page(shim::failed((**report).clone(), start.disclosure)));
            }
            Payload::Halted => return Ok(Self::page(shim::halted())),
            Payload::Offline { dir } => return Ok(Self::page(shim::offline(dir.into()))),
            Payload::Run { application } => application,
        };
        let mut app: App = serde_json::from_str(application).map_err(|error| {
            let summary = format!("the supervisor's description is not understood: {error}");
            Box::new(StartReport::new(Code::General, summary))
        })?;
        if let Err(text) = gate::wait(&Env::of_process()) {
            supervisor.tell(&ToSupervisor::Log { event: 1026, level: Level::Warning, text });
        }
        supervisor.open_debug_log(&app);
        supervisor.debug(Library::Host, DebugLevel::Info, in_words(start, &app));
        let snapshot = code::settle(&mut app, supervisor)?;
        supervisor.tell(&ToSupervisor::Step { step: Step::CodeSettled });
        let kind = match app.settings.hosting_model {
            HostingModel::InProcess => in_process(&app, start, supervisor.clone(), orders)?,
            HostingModel::OutOfProcess => out_of_process(&app, start, supervisor.clone())?,
        };
        Ok(Self {
            kind,
            stop_limit: app.settings.shutdown_time_limit,
            shutdown_delay: app.settings.handler_settings.shutdown_delay,
            app: Some(app),
            _snapshot: snapshot,
        })
    }

    fn page(application: Arc<dyn Application>) -> Self {
        Self {
            kind: Kind::Page(application),
            app: None,
            _snapshot: None,
            stop_limit: PAGE_STOP_LIMIT,
            shutdown_delay: Duration::ZERO,
        }
    }

    /// What the engine serves.
    pub(crate) fn application(&self) -> Arc<dyn Application> {
        match &self.kind {
            Kind::Page(application) => application.clone(),
            Kind::InProcess(application) => application.application(),
            Kind::OutOfProcess(application) => application.clone(),
        }
    }

    /// The application; none behind a page.
    pub(crate) fn app(&self) -> Option<&App> {
        self.app.as_ref()
    }

    /// Has `wake` called when requests that were held may be served.
    pub(crate) fn on_change(&self, wake: impl Fn() + Send + Sync + 'static) {
        if let Kind::OutOfProcess(application) = &self.kind {
            application.on_change(wake);
        }
    }

    /// The application is warmed up, and clients may come.
    pub(crate) fn is_warm(&self) {
        if let Kind::OutOfProcess(application) = &self.kind {
            application.is_warm();
        }
    }

    /// Stops the application: what its `Main` has returned, if it runs here. `None` when it has not
    /// stopped within the limit.
    pub(crate) fn stop(&self, limit: Duration) -> Option<i32> {
        match &self.kind {
            Kind::Page(_) => Some(0),
            Kind::InProcess(application) => application.stop(limit),
            Kind::OutOfProcess(application) => {
                application.stop(limit);
                // What no backend could be held to account for.
                outofprocess::end_everything();
                Some(0)
            }
        }
    }

    /// How long a stop may take when nobody says otherwise.
    pub(crate) const fn stop_limit(&self) -> Duration {
        self.stop_limit
    }

    /// Of the `limit` for a stop, how long requests may finish before the application is told.
    ///
    /// In-process the application itself waits for its requests, so it is told early: long-lived
    /// ones end only with its help. Many a backend ends on the spot and takes its requests along,
    /// so it is told late.
    pub(crate) fn shutdown_delay(&self, limit: Duration) -> Duration {
        let delay = match self.kind {
            Kind::OutOfProcess(_) => self.shutdown_delay.max(limit / 4 * 3),
            Kind::Page(_) | Kind::InProcess(_) => self.shutdown_delay,
        };
        delay.min(limit)
    }
}

fn in_process(
    app: &App,
    start: &Start,
    supervisor: Supervisor,
    orders: Orders,
) -> Result<Kind, Box<StartReport>> {
    let on_life = move |life| {
        let message = match life {
            Life::Handler(file) => return supervisor.introduce(Library::InProcess, &file),
            Life::Log { event, text } => ToSupervisor::Log { event, level: level_of(event), text },
            Life::Step(step) => ToSupervisor::Step { step },
            Life::Stopping(reason) => {
                supervisor.debug(Library::InProcess, DebugLevel::Info, &reason);
                return orders.on_app_stopping(reason);
            }
            Life::Trace(text) => return supervisor.debug(Library::Host, DebugLevel::Trace, text),
        };
        supervisor.tell_of(Library::InProcess, &message);
    };
    let started = InProcess::start(app, &start.addresses, &crate::own_folder(), on_life);
    started.map(Kind::InProcess)
}

fn out_of_process(
    app: &App,
    start: &Start,
    supervisor: Supervisor,
) -> Result<Kind, Box<StartReport>> {
    let program = std::env::current_exe().unwrap_or_default();
    supervisor.introduce(Library::OutOfProcess, &program);
    let on_event = move |event: outofprocess::Event| {
        let level = match event.severity() {
            Severity::Error => Level::Error,
            Severity::Information => Level::Information,
            Severity::Warning => Level::Warning,
        };
        let text = event.to_string();
        let message = ToSupervisor::Log { event: event.id(), level, text };
        supervisor.tell_of(Library::OutOfProcess, &message);
    };
    outofprocess::start(app, &start.addresses, &crate::own_folder(), Arc::new(on_event))
        .map(Kind::OutOfProcess)
        .map_err(|report| Box::new(StartReport::clone(&report)))
}

/// What is started, for the debug log.
fn in_words(start: &Start, app: &App) -> String {
    format!(
        "generation {} of {} ({}) on {}: {} {:?}",
        start.generation,
        app.dir.display(),
        app.settings.hosting_model,
        start.addresses.join(" "),
        app.settings.process_path,
        app.settings.arguments,
    )
}

/// The module's level of an event of the in-process handler.
const fn level_of(event: u16) -> Level {
    match event {
        1025 | 1032 | 1033 => Level::Information,
        1007 | 1010 | 1011 | 1018 | 1027 | 1031 | 1035 => Level::Error,
        _ => Level::Warning,
    }
}
