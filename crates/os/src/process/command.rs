//! What to start, in words; the description is checked and prepared here, before the fork.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::child::Child;
use super::exec::{self, Prepared};
use super::traces;
use crate::signal::Signal;
use crate::{fd, limits, pipe};

/// Where the child's standard output or error goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// Where ours goes.
    Inherit,
    /// Nowhere.
    #[default]
    Null,
    /// Into a pipe that [`Child`] holds the other end of.
    Pipe,
}

/// The process group of the child. Signals of the terminal reach the group in the foreground only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// Ours.
    Inherit,
    /// A group of its own, which can be signalled as a whole.
    #[default]
    New,
    /// A session of its own, and with it a group.
    Session,
}

/// A child process to be started. Standard input is always empty.
///
/// The environment is the complete list that was given, nothing is added from ours. The program is
/// looked up along the `PATH` of that list unless it contains a slash.
#[derive(Debug)]
pub struct Command {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    stdout: Stream,
    stderr: Stream,
    group: Group,
    parent_death: Option<Signal>,
    brand: Option<u32>,
    descriptors: Vec<(OwnedFd, RawFd)>,
}

/// Why a child could not be started, by the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The working directory cannot be entered.
    #[error("cannot enter the directory {}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program exists, but the system does not execute it.
    #[error("cannot execute {}{}", .path.display(), hint(.source))]
    Execute {
        /// The program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No descriptor or process could be had.
    #[error("cannot prepare a process for {}: {step}", .path.display())]
    Fork {
        /// The program.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such program.
    #[error("there is no program {}{}", .path.display(), searched(.path_variable))]
    NotFound {
        /// The program.
        path: PathBuf,
        /// The `PATH` that was searched, for a bare name.
        path_variable: Option<OsString>,
    },
    /// A string contains a NUL character.
    #[error("{what} contains a NUL character")]
    Nul {
        /// Which of the strings.
        what: &'static str,
    },
    /// The program may not be executed.
    #[error("no permission to execute {} (is the execute bit set?)", .path.display())]
    Permission {
        /// The program.
        path: PathBuf,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOEXEC) => ": it is neither a program for this system nor a script with `#!`",
        Some(libc::ENOENT) => ": the interpreter or loader that it asks for is missing",
        _ => "",
    }
}

fn searched(path_variable: &Option<OsString>) -> String {
    match path_variable {
        Some(path) => format!(" in PATH ({})", path.display()),
        None => String::new(),
    }
}

impl Command {
    /// A child that runs `program`, without arguments, environment or output.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            stdout: Stream::default(),
            stderr: Stream::default(),
            group: Group::default(),
            parent_death: None,
            brand: None,
            descriptors: Vec::new(),
        }
    }

    /// Appends arguments.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Appends variables; the later of two equal names counts.
    pub fn envs<N: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        for (name, value) in variables {
            let (name, value) = (name.into(), value.into());
            match self.environment.iter_mut().find(|(other, _)| *other == name) {
                Some(entry) => entry.1 = value,
                None => self.environment.push((name, value)),
            }
        }
        self
    }

    /// The directory in which the child begins; ours otherwise.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Where standard output goes; nowhere unless told.
    pub fn stdout(mut self, stream: Stream) -> Self {
        self.stdout = stream;
        self
    }

    /// Where standard error goes; nowhere unless told.
    pub fn stderr(mut self, stream: Stream) -> Self {
        self.stderr = stream;
        self
    }

    /// The process group; one of its own unless told.
    pub fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }

    /// Sends `signal` to the child when *the thread that starts it* ends, even by a crash.
    pub fn signal_on_parent_death(mut self, signal: Signal) -> Self {
        self.parent_death = Some(signal);
        self
    }

    /// Brands the child, and all that it starts, with a number that they keep whatever they do to their
    /// environment, session and parent: see [`Seen::brand`](super::tree::Seen::brand).
    pub fn brand(mut self, number: u32) -> Self {
        self.brand = Some(number);
        self
    }

    /// Leaves `descriptor` open in the child under the number `target`, 3 or more.
    pub fn descriptor(mut self, descriptor: OwnedFd, target: RawFd) -> Self {
        debug_assert!(target > 2, "0 to 2 are the standard streams");
        self.descriptors.push((descriptor, target));
        self
    }

    /// Starts the child.
    ///
    /// # Errors
    ///
    /// The step that failed; no process is left behind then.
    pub fn spawn(self) -> Result<Child, SpawnError> {
        let program = self.resolve()?;
        let argv = std::iter::once(self.program.as_os_str())
            .chain(self.arguments.iter().map(OsString::as_os_str))
            .map(|argument| c_string(argument, "an argument"))
            .collect::<Result<Vec<_>, _>>()?;
        let envp = self.environment.iter().map(|(name, value)| {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            c_string(&entry, "an environment variable")
        });
        let envp = envp.collect::<Result<Vec<_>, _>>()?;
        let directory = self.directory.as_deref().map(Path::as_os_str);
        let directory = directory.map(|path| c_string(path, "the directory")).transpose()?;

        let fork = |step| {
            let path = program.clone();
            move |source| SpawnError::Fork { path, step, source }
        };
        let (stdout, stdout_end) = self.stdout.open().map_err(fork("opening standard output"))?;
        let (stderr, stderr_end) = self.stderr.open().map_err(fork("opening standard error"))?;
        let null = fd::open_null().map_err(fork("opening /dev/null"))?;

        let targets = self.descriptors.iter().map(|(_, target)| *target);
        let first_free = targets.max().unwrap_or(2) + 1;
        let mut descriptors = Vec::with_capacity(self.descriptors.len() + 3);
        // INVARIANT: sources lie above every target, so mapping one cannot overwrite another.
        let mut map = |source: std::os::fd::BorrowedFd<'_>, target| {
            let above = fd::duplicate_above(source, first_free)?;
            descriptors.push((above, target));
            Ok::<(), io::Error>(())
        };
        let mapped = (|| {
            map(null.as_fd(), 0)?;
            for (end, own, target) in
                [(&stdout_end, fd::stdout(), 1), (&stderr_end, fd::stderr(), 2)]
            {
                map(end.as_ref().map_or(own, AsFd::as_fd), target)?;
            }
            self.descriptors.iter().try_for_each(|(source, target)| map(source.as_fd(), *target))
        })();
        mapped.map_err(fork("mapping descriptors"))?;

        let prepared = Prepared {
            program: c_string(program.as_os_str(), "the program")?,
            argv,
            envp,
            directory,
            group: self.group,
            parent_death: self.parent_death,
            brand: self.brand.map(limits::brand),
            descriptors: descriptors.iter().map(|(fd, target)| (fd.as_raw_fd(), *target)).collect(),
            first_free,
        };
        let started = exec::start(&prepared).map_err(|failure| {
            let source = failure.error;
            match failure.step {
                exec::Step::Directory => SpawnError::Directory {
                    path: self.directory.clone().unwrap_or_default(),
                    source,
                },
                exec::Step::Execute if source.kind() == io::ErrorKind::PermissionDenied => {
                    SpawnError::Permission { path: program.clone() }
                }
                exec::Step::Execute => SpawnError::Execute { path: program.clone(), source },
                step => SpawnError::Fork { path: program.clone(), step: step.name(), source },
            }
        })?;
        let has_group = self.group != Group::Inherit;
        let temporary = self.environment.iter().rfind(|(name, _)| name == "TMPDIR");
        let temporary = traces::folder(temporary.map(|(_, folder)| folder.as_os_str()));
        Ok(Child::new(started.pid, started.pidfd, has_group, temporary, stdout, stderr))
    }

    /// The file to execute. A bare name is searched for along `PATH`; a file that may not be
    /// executed is remembered while the search goes on, as the shell does.
    fn resolve(&self) -> Result<PathBuf, SpawnError> {
        let program = &self.program;
        if program.as_os_str().as_bytes().contains(&b'/') {
            let seen_from = self.directory.as_deref().unwrap_or(Path::new(""));
            return match fd::executable(&seen_from.join(program)) {
                fd::Executable::Yes => Ok(program.clone()),
                fd::Executable::NoPermission => {
                    Err(SpawnError::Permission { path: program.clone() })
                }
                fd::Executable::Missing => {
                    Err(SpawnError::NotFound { path: program.clone(), path_variable: None })
                }
            };
        }
        let path = self.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"), |(_, value)| value);
        let mut refused = None;
        for folder in std::env::split_paths(path) {
            let candidate = folder.join(program);
            match fd::executable(&candidate) {
                fd::Executable::Yes => return Ok(candidate),
                fd::Executable::NoPermission => refused = Some(candidate),
                fd::Executable::Missing => {}
            }
        }
        Err(match refused {
            Some(path) => SpawnError::Permission { path },
            None => {
                SpawnError::NotFound { path: program.clone(), path_variable: Some(path.to_owned()) }
            }
        })
    }
}

impl Stream {
    /// Our end of a pipe, and the child's end of whatever it is; neither when the child gets ours.
    fn open(self) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
        match self {
            Self::Inherit => Ok((None, None)),
            Self::Null => Ok((None, Some(fd::open_null()?))),
            Self::Pipe => pipe::open().map(|(reader, writer)| (Some(reader), Some(writer))),
        }
    }
}

fn c_string(text: &OsStr, what: &'static str) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|_| SpawnError::Nul { what })
}
