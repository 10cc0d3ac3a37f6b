//! `ancm run`: from the command line to a supervised site.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use config::{App, Env, Finding, ListenUrl, Loaded, Overrides, Severity};
use lifecycle::event::Event;
use lifecycle::exit;
use os::signal::{Signal, Signals};

use crate::cli;
use crate::listen::Sockets;
use crate::output::Output;
use crate::service;
use crate::supervisor::explain::chain;
use crate::supervisor::{Launch, Reload, Supervisor};

/// The program that serves a generation; it is installed beside this one.
const WORKER: &str = "ancm-worker";
const URLS: &str = "ASPNETCORE_URLS";
const DEFAULT_URL: &str = "http://127.0.0.1:5000";

/// Serves one application until a signal ends it; answers the exit code.
pub(crate) fn run(arguments: cli::Run) -> u8 {
    let mut output = Output::new();
    let code = prepare(arguments, &mut output).and_then(|(launch, signals, reload)| {
        let told = Output::for_service(&launch.env, &launch.app.name);
        Supervisor::new(launch, signals, told, reload)
            .and_then(Supervisor::run)
            .map_err(|error| refuse(&mut output, exit::SYSTEM, error))
    });
    output.finish();
    code.unwrap_or_else(|code| code)
}

/// Everything that can be refused before the first process is started.
fn prepare(arguments: cli::Run, output: &mut Output) -> Result<(Launch, Signals, Reload), u8> {
    // Before anything that a second signal could interrupt.
    let signals =
        Signals::open(&[Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP, Signal::CHLD])
            .map_err(|error| refuse(output, exit::SYSTEM, error))?;
    let worker =
        find_worker().map_err(|error| refuse(output, exit::INSTALLATION, chain(&error)))?;

    let env = Env::of_process();
    let overrides = Overrides {
        hosting_model: arguments.hosting_model,
        environment: arguments.environment.clone(),
        path_base: arguments.path_base.clone(),
    };
    let load = {
        let (dir, env) = (arguments.dir.clone(), env.clone());
        move || App::load(&dir, overrides.clone(), &env)
    };
    let app = accept(load(), output).map_err(|_| exit::REFUSED)?;

    let urls = urls(&arguments.urls, &env)
        .map_err(|error| refuse(output, exit::USAGE, format_args!("{URLS}: {error}")))?;
    let lanes = arguments.lanes.or(available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let mut sockets = match service::passed_sockets(&env) {
        0 => Sockets::open(&urls, lanes).map_err(|error| refuse(output, exit::ADDRESS, error)),
        count => {
            if !arguments.urls.is_empty() {
                output.tell("--url is not used: the service manager has passed its own sockets");
            }
            Sockets::passed(count, lanes).map_err(|error| {
                let text = format!("a socket that was passed (LISTEN_FDS={count}): {error}");
                refuse(output, exit::ADDRESS, text)
            })
        }
    }?;
    for address in &mut sockets.addresses {
        *address = app.path_base.below(address);
    }

    let reload: Reload = Box::new(move |output| {
        accept(load(), output).inspect_err(|errors| {
            output.tell(Event::ConfigurationRefused { errors: errors.len() });
        })
    });
    let dir = arguments.dir.clone();
    Ok((Launch { worker, dir, app, env, sockets, lanes, io: arguments.io }, signals, reload))
}

/// The application, unless findings prevent its start; those, then. What matters is told.
fn accept(loaded: Loaded, output: &mut Output) -> Result<App, Vec<Finding>> {
    let told = |finding: &&Finding| finding.severity > Severity::Note;
    for finding in loaded.findings.iter().filter(told) {
        output.tell(finding);
    }
    loaded.app.ok_or_else(|| {
        let findings = loaded.findings.into_iter();
        findings.filter(|finding| finding.severity == Severity::Error).collect()
    })
}

fn urls(written: &[ListenUrl], env: &Env) -> Result<Vec<ListenUrl>, config::ListenUrlError> {
    match env.non_empty(URLS) {
        _ if !written.is_empty() => Ok(written.to_vec()),
        Some(list) => ListenUrl::parse_list(list),
        None => ListenUrl::parse_list(DEFAULT_URL),
    }
}

#[derive(Debug, thiserror::Error)]
enum NoWorker {
    #[error("{WORKER} is missing: it belongs beside ancm, at {}; install both", .0.display())]
    Missing(PathBuf),
    #[error("cannot tell where this program is, so {WORKER} is not found beside it")]
    Unknown(#[from] std::io::Error),
}

fn find_worker() -> Result<PathBuf, NoWorker> {
    let path = std::env::current_exe()?.with_file_name(WORKER);
    if path.is_file() { Ok(path) } else { Err(NoWorker::Missing(path)) }
}

/// Tells why there will be no site; answers the exit code.
fn refuse(output: &mut Output, code: u8, reason: impl std::fmt::Display) -> u8 {
    output.tell(reason);
    code
}
