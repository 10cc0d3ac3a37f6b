//! The debug log of a generation: what the worker and its handlers do, for whoever looks for a
//! fault. Off unless `debugLevel` or `ASPNETCORE_MODULE_DEBUG` ask for it.
//!
//! The environment is read first, so that it works with a `web.config` that cannot be changed; what
//! `web.config` says is added. A line is one write to a file that is only appended to: generations
//! share it.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use config::{App, DebugLevel, DebugLog as Wish, Env};
use control::ToSupervisor;
use lifecycle::event::Level;
use lifecycle::time::utc_with_milliseconds;

/// The module's name for a file that is wanted and not named.
const DEFAULT_FILE: &str = "aspnetcore-debug.log";
const LEVEL_VARIABLE: &str = "ASPNETCORE_MODULE_DEBUG";
const FILE_VARIABLE: &str = "ASPNETCORE_MODULE_DEBUG_FILE";

/// Who writes a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    Host,
    InProcess,
    OutOfProcess,
}

impl Library {
    const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::InProcess => "inprocess",
            Self::OutOfProcess => "outofprocess",
        }
    }
}

/// The log, open.
#[derive(Debug)]
pub(crate) struct DebugLog {
    wish: Wish,
    file: Mutex<Option<(PathBuf, File)>>,
}

impl DebugLog {
    /// The log that the environment and the application want, and the lines to pass on from its
    /// beginning; `None` when nothing is to be told.
    pub(crate) fn open(env: &Env, app: &App) -> (Option<Self>, Vec<ToSupervisor>) {
        let from_env = Wish::parse(env.non_empty(LEVEL_VARIABLE).unwrap_or_default()).0;
        let settings = &app.settings.handler_settings;
        let mut log = Self { wish: from_env, file: Mutex::new(None) };
        let mut told = Vec::new();
        let named = env.non_empty(FILE_VARIABLE).map(PathBuf::from);
        let file = named.or_else(|| from_env.to_file.then(|| DEFAULT_FILE.into()));
        if let Some(file) = file.filter(|_| from_env.level.is_some()) {
            told.extend(log.change_file(&app.dir.join(file)));
        }
        log.wish = from_env.and(settings.debug_level);
        if log.wish.level.is_none() {
            return (None, told);
        }
        let default = || log.wish.to_file.then(|| DEFAULT_FILE.into());
        let file = settings.debug_file.clone().or_else(|| default().filter(|_| !log.has_file()));
        match file {
            Some(file) => told.extend(log.change_file(&app.dir.join(file))),
            None if !log.has_file() => told.extend(log.header(Library::Host, &own_path())),
            None => {}
        }
        (Some(log), told)
    }

    /// Writes a line if its level is wanted; what the operator is to see of it.
    pub(crate) fn write(
        &self,
        library: Library,
        level: DebugLevel,
        text: impl Display,
    ) -> Option<ToSupervisor> {
        if self.wish.level < Some(level) {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (time, process) = (utc_with_milliseconds(now), std::process::id());
        let text = text.to_string();
        let text = text.trim_end();
        let line = format!("[{time}, PID: {process}] [{}] {text}", library.name());
        if let Some((_, file)) = &mut *self.file() {
            // A disk that takes nothing more must not harm the application.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
        self.wish.to_operator.then_some(ToSupervisor::Debug { line })
    }

    /// Which library, which version, which process: the first line of each.
    pub(crate) fn header(&self, library: Library, file: &Path) -> Option<ToSupervisor> {
        let version = env!("CARGO_PKG_VERSION");
        self.write(library, DebugLevel::Error, format!("{} {version} logs here", file.display()))
    }

    /// Goes on in another file, which the one before says.
    fn change_file(&self, path: &Path) -> Vec<ToSupervisor> {
        if self.file().as_ref().is_some_and(|(open, _)| open == path) {
            return Vec::new();
        }
        let mut told = Vec::new();
        if self.has_file() {
            let text = format!("the debug log goes on in {}", path.display());
            told.extend(self.write(Library::Host, DebugLevel::Error, text));
        }
        match open(path) {
            Ok(file) => *self.file() = Some((path.to_owned(), file)),
            Err(error) => told.push(ToSupervisor::Log {
                event: 1026,
                level: Level::Warning,
                text: format!("nothing is written to the debug log {}: {error}", path.display()),
            }),
        }
        told.extend(self.header(Library::Host, &own_path()));
        told
    }

    fn has_file(&self) -> bool {
        self.file().is_some()
    }

    fn file(&self) -> MutexGuard<'_, Option<(PathBuf, File)>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn own_path() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}
