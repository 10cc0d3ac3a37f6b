//! Everything a generation is started with.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use clr::locate;
use config::environment::{self, Identity};
use config::{App, Env, HostingModel, Platform};
use control::{CONTROL_DESCRIPTOR, FIRST_LISTENER, Start, ToSupervisor, ToWorker};
use lifecycle::generation::Payload;
use lifecycle::report::StartReport;
use lifecycle::{Disclosure, GenerationId};
use os::process::{Child, Command, SpawnError, Stream};

use crate::listen::Sockets;
use crate::service;

/// The conversation with a worker.
pub(super) type Connection = control::Connection<ToWorker, ToSupervisor>;

/// What all generations have in common; the application may be replaced between two of them.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The program of the worker.
    pub(crate) worker: PathBuf,
    /// The application's folder as it was named; what a link leads to may change.
    pub(crate) dir: PathBuf,
    /// The application.
    pub(crate) app: App,
    /// The environment of this process.
    pub(crate) env: Env,
    /// Where to listen.
    pub(crate) sockets: Sockets,
    /// How many lanes a worker has.
    pub(crate) lanes: usize,
    /// How they speak to the kernel.
    pub(crate) io: control::Io,
}

/// Why there is no process for a generation.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    /// The application cannot be described to a worker.
    #[error("the application cannot be passed on")]
    Describe(#[from] serde_json::Error),
    /// No descriptor is left.
    #[error("no descriptor for the worker")]
    Descriptors(#[from] io::Error),
    /// The first message cannot be sent.
    #[error("the worker cannot be told what to serve")]
    Message(#[from] control::ConnectionError),
    /// The process cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl Launch {
    /// Starts a worker and tells it what to serve: the application, or the page of `report`.
    pub(super) fn start(
        &self,
        id: GenerationId,
        payload: Payload,
        report: Option<&StartReport>,
    ) -> Result<(Child, Connection), LaunchError> {
        let payload = match (payload, report) {
            (Payload::Halted, _) => control::Payload::Halted,
            (Payload::Offline, _) => {
                control::Payload::Offline { dir: self.dir.display().to_string() }
            }
            (Payload::Page, Some(report)) => {
                control::Payload::Failed { report: Box::new(report.clone()) }
            }
            _ => control::Payload::Run { application: serde_json::to_string(&self.app)? },
        };
        let (mut connection, theirs) = control::pair()?;
        let mut command = self.command(&payload).descriptor(theirs, CONTROL_DESCRIPTOR);
        for (socket, number) in self.sockets.descriptors.iter().zip(FIRST_LISTENER..) {
            command = command.descriptor(socket.try_clone()?, number);
        }
        let child = command.spawn()?;
        let sent = connection.send(&ToWorker::Start(Box::new(Start {
            generation: id,
            payload,
            listeners: self.sockets.listeners.clone(),
            addresses: self.sockets.addresses.clone(),
            lanes: self.lanes,
            io: self.io,
            disclosure: self.disclosure(),
        })));
        if let Err(error) = sent {
            return Err(abandon(child, error));
        }
        Ok((child, connection))
    }

    /// Every path that may lead to the .NET of the application, whether it is there or not.
    pub(super) fn dotnet_places(&self) -> Vec<PathBuf> {
        let settings = &self.app.settings;
        let identity = Identity::of(&self.app);
        let own = match (settings.platform, settings.hosting_model) {
            (Platform::Http, _) => return Vec::new(),
            (_, HostingModel::InProcess) => {
                environment::for_in_process(settings, &identity, &self.env)
            }
            (_, HostingModel::OutOfProcess) => {
                environment::for_out_of_process(settings, &identity, &self.env)
            }
        };
        let variable = |name: &str| {
            let own = own.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
            own.or_else(|| self.env.get(name)).map(str::to_owned)
        };
        locate::places(&locate::Request {
            process_path: &settings.process_path,
            arguments: &settings.arguments,
            dir: &self.app.dir,
            variable: &variable,
        })
    }

    fn disclosure(&self) -> Disclosure {
        let settings = &self.app.settings;
        let is_detailed = environment::detailed_errors(settings, &self.env);
        if settings.disable_start_up_error_page {
            return Disclosure::Status;
        }
        // Who turned the module's startup hook off wants no exceptions on pages.
        match settings.handler_settings.call_startup_hook && is_detailed {
            true => Disclosure::Everything,
            false => Disclosure::Reference,
        }
    }

    /// The worker as a process: its own group, so that signals of the terminal reach us alone.
    /// For an application in this process the environment is complete at birth: changing it later
    /// would race with the threads of the runtime.
    fn command(&self, payload: &control::Payload) -> Command {
        let command = Command::new(&self.worker)
            .envs(std::env::vars_os().filter(|(name, _)| !is_for_us(name)))
            .stdout(Stream::Pipe)
            .stderr(Stream::Pipe);
        let settings = &self.app.settings;
        let is_run = matches!(payload, control::Payload::Run { .. });
        if !is_run || settings.hosting_model != HostingModel::InProcess {
            return command;
        }
        let identity = Identity::of(&self.app);
        let command = command.envs(environment::for_in_process(settings, &identity, &self.env));
        match settings.handler_settings.set_current_directory {
            true => command.current_dir(&self.app.dir),
            false => command,
        }
    }
}

/// Whether a variable is what the service manager has to say to this process alone.
fn is_for_us(name: &OsStr) -> bool {
    service::VARIABLES.iter().any(|ours| name == *ours)
}

/// Ends a worker that cannot be told what it is for.
fn abandon(mut child: Child, error: control::ConnectionError) -> LaunchError {
    // It has just been started and has nothing to lose; the wait is as short as a kill takes.
    let _ = child.kill_group(os::signal::Signal::KILL);
    let _ = child.wait();
    error.into()
}
