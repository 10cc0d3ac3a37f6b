//! An application that runs inside this process, behind a loaded handler.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use abi::life;
use clr::locate::{self, HostFxr, LocateError};
use config::{App, Env};
use engine::Application;
use lifecycle::{Code, StartReport, Step};

use crate::handler::{NotFound, Search};
use crate::loaded::{LoadError, Loaded, is_known};
use crate::{handler, report};

/// What happens to the application, as the worker passes it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// A step of the start is done.
    Step(Step),
    /// Something to log, under the module's event number.
    Log {
        /// The number.
        event: u16,
        /// One line.
        text: String,
    },
    /// The application stops by itself.
    Stopping(String),
    /// The handler was found and is loaded next.
    Handler(PathBuf),
    /// What was found, for the debug log.
    Trace(String),
}

/// A running in-process application.
pub struct InProcess {
    loaded: Arc<Loaded>,
    state: Arc<State>,
}

/// Where the application is, as the handler tells it.
#[derive(Default)]
struct State {
    stage: Mutex<Stage>,
    changed: Condvar,
}

#[derive(Default)]
enum Stage {
    #[default]
    Starting,
    Ready,
    Failed(i32, String),
    Exited(i32),
}

impl InProcess {
    /// Loads the handler, starts the application and waits until it serves.
    ///
    /// # Errors
    /// The report of a start that failed; nothing can be started in this process after it.
    pub fn start(
        app: &App,
        addresses: &[String],
        worker_dir: &Path,
        on_life: impl Fn(Life) + Send + Sync + 'static,
    ) -> Result<Self, Box<StartReport>> {
        let env = Env::of_process();
        let host = find_runtime(app, &env)?;
        let library = host.library.display();
        on_life(Life::Trace(format!("hosting library {library}, found by {}", host.found_by)));
        let describe = |report| with_runtimes(report, &host);
        let version = app.settings.handler_settings.handler_version.as_deref();
        let search = Search {
            variable: env.non_empty(handler::VARIABLE),
            version,
            app_dir: app.code_dir(),
            worker_dir,
        };
        let file = search.find().map_err(|not_found| {
            Box::new(match not_found {
                NotFound::In(folders) => report::handler_missing(app, handler::FILE, &folders),
                NotFound::Version(installed) => {
                    report::handler_version(app, version.unwrap_or_default(), &installed)
                }
            })
        })?;

        on_life(Life::Trace(format!("arguments {:?}", host.argv)));
        on_life(Life::Handler(file.clone()));
        let state = Arc::new(State::default());
        let told = state.clone();
        let on_life = Box::new(move |kind: u32, code: i32, text: &str| {
            if let Some(life) = told.on_life(kind, code, text) {
                on_life(life);
            }
        });
        let properties = properties(app, addresses, &host);
        let loaded = Loaded::open(&file, properties, on_life).map_err(|error| {
            let words = chain(&error);
            let code = match error {
                LoadError::Version { .. } => Code::InProcessHandlerMissing,
                LoadError::Second => Code::SecondInProcessApp,
                LoadError::Library(_) | LoadError::NotAHandler(_) | LoadError::Refused(_) => {
                    Code::General
                }
            };
            let summary = format!("{} cannot be used: {words}", file.display());
            Box::new(describe(report::of_app(app, code, summary)))
        })?;
        let loaded = Arc::new(loaded);
        loaded.start();
        let limit = app.settings.startup_time_limit;
        match state.wait_for_start(limit) {
            Ok(()) => Ok(Self { loaded, state }),
            Err(None) => Err(Box::new(describe(report::time_limit(app, limit)))),
            Err(Some((substatus, text))) => {
                let (summary, words) = text.split_once('\n').unwrap_or((&text, ""));
                let mut report = report::of_app(app, code(substatus), summary);
                if !words.trim().is_empty() {
                    report = report.with_detail(words.trim());
                }
                Err(Box::new(describe(report)))
            }
        }
    }

    /// What the engine serves.
    pub fn application(&self) -> Arc<dyn Application> {
        self.loaded.clone()
    }

    /// Stops the application and waits until its entry point has returned: with which code. `None`
    /// when that did not happen within the deadline.
    pub fn stop(&self, deadline: Duration) -> Option<i32> {
        self.loaded.stop(u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX));
        self.state.wait_for_end(deadline)
    }
}

impl State {
    /// Takes what the handler tells; what the worker should hear of it.
    fn on_life(&self, kind: u32, code: i32, text: &str) -> Option<Life> {
        let stage = match kind {
            life::READY => Some(Stage::Ready),
            life::FAILED => Some(Stage::Failed(code, text.to_owned())),
            life::EXITED => Some(Stage::Exited(code)),
            _ => None,
        };
        if let Some(stage) = stage {
            *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
            self.changed.notify_all();
        }
        match kind {
            life::STEP => step(text).map(Life::Step),
            life::LOG => {
                Some(Life::Log { event: u16::try_from(code).unwrap_or(0), text: text.to_owned() })
            }
            life::STOPPING => Some(Life::Stopping(text.to_owned())),
            life::EXITED => Some(Life::Stopping(format!("Main returned {code}"))),
            kind if is_known(kind) => None,
            // A newer handler's word; it does without being heard.
            _ => None,
        }
    }

    fn wait_for_start(&self, limit: Duration) -> Result<(), Option<(i32, String)>> {
        let end = Instant::now() + limit;
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*stage {
                Stage::Ready => return Ok(()),
                Stage::Failed(code, text) => return Err(Some((*code, text.clone()))),
                Stage::Exited(_) => {
                    let text = "the app's Main returned before the server was ready";
                    return Err(Some((30, text.to_owned())));
                }
                Stage::Starting => {}
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(None);
            }
            let waited = self.changed.wait_timeout(stage, left);
            stage = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait_for_end(&self, limit: Duration) -> Option<i32> {
        let end = Instant::now() + limit;
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Stage::Exited(code) = *stage {
                return Some(code);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(stage, left);
            stage = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn find_runtime(app: &App, env: &Env) -> Result<HostFxr, Box<StartReport>> {
    let located = locate::locate(&locate::Request {
        process_path: &app.settings.process_path,
        arguments: &app.settings.arguments,
        dir: &app.dir,
        variable: &|name| env.non_empty(name).map(str::to_owned),
    });
    located.map_err(|error: LocateError| {
        let code = code(i32::from(error.substatus().sub));
        Box::new(report::of_app(app, code, error.to_string()).suggest(error.advice()))
    })
}

/// A report of `app`, completed with which runtimes it wants and which there are; unchanged when
/// it is no application of .NET.
pub fn with_runtimes_of(app: &App, report: StartReport) -> StartReport {
    match find_runtime(app, &Env::of_process()) {
        Ok(host) => with_runtimes(report, &host),
        Err(_) => report,
    }
}

/// Adds which runtimes are wanted and which there are: most failures are about that.
fn with_runtimes(mut report: StartReport, host: &HostFxr) -> StartReport {
    let config = host.app_dll.with_extension("runtimeconfig.json");
    if let Ok(config) = locate::RuntimeConfig::read(&config) {
        let wanted: Vec<_> = config
            .frameworks
            .iter()
            .map(|framework| format!("{} {}", framework.name, framework.version))
            .collect();
        report.runtime_wanted = (!wanted.is_empty()).then(|| wanted.join(", "));
    }
    if let Some(root) = &host.dotnet_root {
        report.runtimes_installed = locate::installed(root)
            .iter()
            .flat_map(|installed| {
                installed
                    .versions
                    .iter()
                    .map(move |version| format!("{} {version}", installed.name))
            })
            .collect();
    }
    report
}

fn properties(app: &App, addresses: &[String], host: &HostFxr) -> HashMap<String, String> {
    let mut properties = HashMap::new();
    let mut put = |name: &str, value: String| {
        properties.insert(name.to_owned(), value);
    };
    let path = |path: &Path| path.display().to_string();
    put("app.dir", path(&app.dir));
    if app.snapshot.is_some() {
        // Files that are looked for beside the application are found, and written, in its folder.
        put("app.base", format!("{}/", app.dir.display()));
    }
    put("app.dll", path(&host.app_dll));
    put("hostfxr.library", path(&host.library));
    put("hostfxr.arguments", host.argv.join("\0"));
    put(
        "hostfxr.kind",
        match host.kind {
            locate::Kind::FrameworkDependent => "framework-dependent".into(),
            locate::Kind::SelfContained => "self-contained".into(),
        },
    );
    if let Some(root) = &host.dotnet_root {
        put("dotnet.root", path(root));
    }
    if let Some(exe) = &host.dotnet_exe {
        put("dotnet.exe", path(exe));
    }
    if let Some(host_path) = &host.host_path {
        put("hostfxr.host_path", path(host_path));
    }
    put("addresses", addresses.join(";"));
    put("path.base", String::new());
    if let Some(limit) = app.settings.limits.max_allowed_content_length {
        put("body.limit", limit.to_string());
    }
    put("websockets", app.settings.web_sockets.to_string());
    put("host.version", env!("CARGO_PKG_VERSION").into());
    properties
}

/// What is behind us when the handler begins a step of that name.
fn step(name: &str) -> Option<Step> {
    match name {
        "load runtime" => Some(Step::HandlerLoaded),
        "start runtime" => Some(Step::HostInitialized),
        "prepare server" | "run app" => Some(Step::RuntimeStarted),
        "host built" => Some(Step::AppBuilt),
        _ => None,
    }
}

/// The failure behind a sub-status of 500.
fn code(substatus: i32) -> Code {
    match substatus {
        30 => Code::AppDidNotStart,
        31 => Code::FrameworkMissing,
        32 => Code::HostLibraryNotLoadable,
        33 => Code::InProcessHandlerMissing,
        35 => Code::SecondInProcessApp,
        37 => Code::StartTimeLimit,
        38 => Code::AppMissing,
        _ => Code::General,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
