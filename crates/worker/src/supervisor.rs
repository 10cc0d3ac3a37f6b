//! The way to the supervisor. What it is told is in the debug log as well, when there is one.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use config::{App, DebugLevel, Env};
use control::ToSupervisor;
use lifecycle::event::Level;

use crate::debug_log::{DebugLog, Library};

/// Whom to tell what happens.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sender: control::Sender<ToSupervisor>,
    debug_log: OnceLock<DebugLog>,
}

impl Supervisor {
    pub(crate) fn new(sender: control::Sender<ToSupervisor>) -> Self {
        Self(Arc::new(Inner { sender, debug_log: OnceLock::new() }))
    }

    /// Opens the debug log of `app`, if one is wanted.
    pub(crate) fn open_debug_log(&self, app: &App) {
        let (log, told) = DebugLog::open(&Env::of_process(), app);
        if let Some(log) = log {
            let _ = self.0.debug_log.set(log);
        }
        told.iter().for_each(|message| self.pass(message));
    }

    /// Tells something of the worker itself.
    pub(crate) fn tell(&self, message: &ToSupervisor) {
        self.tell_of(Library::Host, message);
    }

    /// Tells something that a handler said.
    pub(crate) fn tell_of(&self, library: Library, message: &ToSupervisor) {
        if self.0.debug_log.get().is_some() {
            let (level, text) = in_words(message);
            self.debug(library, level, text);
        }
        self.pass(message);
    }

    /// A handler begins to write into the debug log.
    pub(crate) fn introduce(&self, library: Library, file: &Path) {
        let line = self.0.debug_log.get().and_then(|log| log.header(library, file));
        line.iter().for_each(|line| self.pass(line));
    }

    /// Something for the debug log alone.
    pub(crate) fn debug(&self, library: Library, level: DebugLevel, text: impl Display) {
        let line = self.0.debug_log.get().and_then(|log| log.write(library, level, text));
        line.iter().for_each(|line| self.pass(line));
    }

    fn pass(&self, message: &ToSupervisor) {
        // Without a supervisor there is nobody to tell.
        let _ = self.0.sender.send(message);
    }
}

fn in_words(message: &ToSupervisor) -> (DebugLevel, String) {
    let info = |text: String| (DebugLevel::Info, text);
    match message {
        ToSupervisor::Debug { line } => (DebugLevel::Trace, line.clone()),
        ToSupervisor::Drained { left: 0, .. } => info("drained".to_owned()),
        ToSupervisor::Drained { report, .. } => {
            (DebugLevel::Warning, format!("drained, with requests left: {report}"))
        }
        ToSupervisor::Failed { report } => {
            (DebugLevel::Error, format!("the start has failed: {report}"))
        }
        ToSupervisor::Load { in_flight, taken, .. } => {
            (DebugLevel::Trace, format!("{in_flight} request(s) in flight, {taken} taken so far"))
        }
        ToSupervisor::Log { event, level, text } => {
            let level = match level {
                Level::Error => DebugLevel::Error,
                Level::Warning => DebugLevel::Warning,
                Level::Information => DebugLevel::Info,
            };
            (level, format!("event {event}: {text}"))
        }
        ToSupervisor::Ready => info("requests are served".to_owned()),
        ToSupervisor::Snapshot { dir, files, bytes, took_ms } => {
            info(format!("snapshot: {files} files, {bytes} bytes, in {took_ms} ms, {dir}"))
        }
        ToSupervisor::Step { step } => info(format!("step: {step}")),
        ToSupervisor::Stopping { reason } => info(format!("stopping: {reason}")),
        ToSupervisor::Unhealthy => (DebugLevel::Warning, "health checks have failed".to_owned()),
    }
}
