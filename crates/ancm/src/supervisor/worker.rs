//! One worker process, as the supervisor holds it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use control::ToSupervisor;
use lifecycle::capture::Capture;
use lifecycle::exit::Ending;
use lifecycle::lines::{Lines, Seam};
use lifecycle::report::StartReport;
use lifecycle::{Journey, Route, Step};
use os::process::Child;
use os::signal::Signal;

use super::launch::Connection;
use super::log_file::LogFile;
use super::processes;
use crate::output::{Output, Stream};

/// What one turn of the loop takes from a pipe, so that a flood does not starve the others.
const TURN_BYTES: usize = 64 << 10;

/// A process that serves one generation.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) child: Child,
    pub(super) connection: Connection,
    /// Whether the conversation goes on.
    pub(super) is_connected: bool,
    pub(super) journey: Journey,
    /// What the worker knows about its failure.
    pub(super) report: Option<StartReport>,
    /// Why the application stops by itself.
    pub(super) stopping: Option<String>,
    /// Where the code that it executes is, if not in the application's folder.
    pub(super) snapshot: Option<String>,
    /// What it was told of changes of the folder that it runs from.
    is_told_of_change: Option<bool>,
    /// What it told of backends that have ended: how many, and of the last one when and how.
    pub(super) backend_ends: Option<(u64, Duration, String)>,
    /// What it has to do, as it told last.
    pub(super) load: Option<Load>,
    /// It was asked and has not told yet.
    pub(super) is_asked: bool,
    /// We have killed it ourselves.
    pub(super) is_killed: bool,
    /// How the process has ended.
    pub(super) ending: Option<Ending>,
    /// The CPU time that it and what it has started had taken when it was killed.
    spent: Duration,
    /// Whether it serves the application, or only a page.
    is_app: bool,
    stdout: Pipe,
    stderr: Pipe,
    log: Option<LogFile>,
    log_seam: Seam<Stream>,
    started: Duration,
}

/// What an application has to do, and has done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) in_flight: usize,
    pub(super) upgraded: usize,
    pub(super) taken: u64,
}

#[derive(Debug, Default)]
struct Pipe {
    file: Option<File>,
    capture: Capture,
    lines: Lines,
}

impl Worker {
    pub(super) fn new(
        mut child: Child,
        connection: Connection,
        route: Route,
        is_app: bool,
        log: Option<LogFile>,
        now: Duration,
    ) -> io::Result<Self> {
        let pipe = |end: Option<std::os::fd::OwnedFd>| {
            end.as_ref().map(os::pipe::set_nonblocking).transpose()?;
            Ok::<_, io::Error>(Pipe { file: end.map(File::from), ..Pipe::default() })
        };
        let (stdout, stderr) = (pipe(child.stdout.take())?, pipe(child.stderr.take())?);
        Ok(Self {
            child,
            connection,
            is_connected: true,
            journey: Journey::new(route),
            report: None,
            stopping: None,
            snapshot: None,
            is_told_of_change: None,
            backend_ends: None,
            load: None,
            is_asked: false,
            is_killed: false,
            ending: None,
            spent: Duration::ZERO,
            is_app,
            stdout,
            stderr,
            log,
            log_seam: Seam::new(),
            started: now,
        })
    }

    /// A backend has ended, in these words.
    pub(super) fn note_backend_end(&mut self, text: &str, now: Duration) {
        let count = self.backend_ends.take().map_or(0, |(count, ..)| count) + 1;
        // Below it may be the last lines that it wrote.
        let first = text.lines().next().unwrap_or_default();
        self.backend_ends = Some((count, now, first.to_owned()));
    }

    /// Takes what has arrived; notes what a report will need.
    pub(super) fn receive(
        &mut self,
        now: Duration,
    ) -> Result<Vec<ToSupervisor>, control::ConnectionError> {
        let (messages, is_open) = self.connection.receive()?;
        self.is_connected = is_open;
        let after = now.saturating_sub(self.started);
        for message in &messages {
            match message {
                ToSupervisor::Step { step } => self.journey.on_step(*step, after),
                ToSupervisor::Ready => {
                    self.journey.on_step(Step::Ready, after);
                    self.stdout.capture.on_ready();
                    self.stderr.capture.on_ready();
                }
                ToSupervisor::Failed { report } => self.report = Some((**report).clone()),
                ToSupervisor::Snapshot { dir, .. } => self.snapshot = Some(dir.clone()),
                ToSupervisor::Stopping { reason } => self.stopping = Some(reason.clone()),
                ToSupervisor::Load { in_flight, upgraded, taken } => {
                    let (in_flight, upgraded, taken) = (*in_flight, *upgraded, *taken);
                    self.load = Some(Load { in_flight, upgraded, taken });
                    self.is_asked = false;
                }
                ToSupervisor::Debug { .. }
                | ToSupervisor::Drained { .. }
                | ToSupervisor::Log { .. }
                | ToSupervisor::Unhealthy => {}
            }
        }
        Ok(messages)
    }

    /// Whether it serves the application from its folder, and has not been told this of changes there.
    pub(super) fn is_to_be_told(&mut self, is_changing: bool) -> bool {
        let is_concerned = self.has_served_app() && self.snapshot.is_none();
        is_concerned && self.is_told_of_change.replace(is_changing) != Some(is_changing)
    }

    /// Whether it serves the application, or has done so.
    pub(super) fn has_served_app(&self) -> bool {
        let is_ready = |reached: &lifecycle::journey::Reached| reached.step == Step::Ready;
        self.is_app && self.journey.reached.iter().any(is_ready)
    }

    /// Passes on what the process has written.
    pub(super) fn relay(&mut self, stream: Stream, output: &mut Output) {
        self.pass_on(stream, output, |pipe, pass| pipe.relay(TURN_BYTES, pass));
    }

    /// The process has ended: ends what it left in its group, takes the rest of its output and
    /// learns how it ended.
    pub(super) fn on_ended(&mut self, output: &mut Output) {
        // Before the wait, while the number of the group is still ours.
        let _ = self.child.kill_group(Signal::KILL);
        for stream in Stream::BOTH {
            // A pipe holds no more than this, whoever else may still write to it.
            self.pass_on(stream, output, |pipe, pass| {
                pipe.relay(1 << 20, pass);
                pipe.lines.pass_rest(pass);
            });
        }
        self.log.iter().for_each(LogFile::finish);
        self.tell_of_log(output);
        if let Ok(status) = self.child.wait() {
            let lacked_memory = self.child.was_killed_for_memory();
            self.ending = Some(Ending::new(status).for_lack_of_memory(lacked_memory));
        }
    }

    /// Passes on lines that were begun and not ended for a while.
    pub(super) fn relay_begun(&mut self, output: &mut Output) {
        for stream in Stream::BOTH {
            let now = Instant::now();
            self.pass_on(stream, output, |pipe, pass| pipe.lines.pass_due(now, pass));
        }
    }

    /// How long until there is something for that.
    pub(super) fn begun_in(&self) -> Option<Duration> {
        let due = Stream::BOTH.into_iter().filter_map(|stream| self.pipe(stream).lines.due()).min();
        due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Tells what has become of the log file.
    pub(super) fn tell_of_log(&self, output: &mut Output) {
        self.log.iter().flat_map(LogFile::news).for_each(|news| output.tell(news));
    }

    /// Ends the process and whatever it has started in its group.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        // Backends go with it, and nobody will have waited for them.
        self.spent = processes::cpu_time(self.child.pid().number());
        self.is_killed = true;
        self.child.kill_group(Signal::KILL)
    }

    /// The CPU time that it has taken, with its backends. Known when it has ended.
    pub(super) fn cpu_time(&self) -> Duration {
        self.child.cpu_time().max(self.spent)
    }

    /// The beginning or the end of a stream, see [`Capture`].
    pub(super) fn text(&self, stream: Stream) -> String {
        self.pipe(stream).capture.text()
    }

    /// The pipe of a stream, while it is open.
    pub(super) fn pipe_fd(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.pipe(stream).file.as_ref().map(AsFd::as_fd)
    }

    fn pipe(&self, stream: Stream) -> &Pipe {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    /// Lets `act` work on a pipe, with what passes its lines on.
    fn pass_on(
        &mut self,
        stream: Stream,
        output: &mut Output,
        act: impl FnOnce(&mut Pipe, &mut dyn FnMut(&[u8])),
    ) {
        let pid = self.child.pid().number();
        let pipe = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        act(pipe, &mut |bytes| {
            output.write(stream, pid, bytes);
            if let Some(log) = &mut self.log {
                // Both streams are in the one file.
                log.write(self.log_seam.before(stream, bytes));
                log.write(bytes);
            }
        });
    }
}

impl Pipe {
    fn relay(&mut self, limit: usize, pass: &mut dyn FnMut(&[u8])) {
        let Some(file) = &mut self.file else { return };
        let mut buffer = [0; 16 << 10];
        let (mut taken, now) = (0, Instant::now());
        let is_open = loop {
            if taken >= limit {
                break true;
            }
            match file.read(&mut buffer) {
                Ok(0) => break false,
                Ok(count) => {
                    taken += count;
                    self.capture.on_bytes(&buffer[..count]);
                    self.lines.take(&buffer[..count], now, &mut *pass);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                Err(_) => break false,
            }
        };
        if !is_open {
            self.file = None;
            self.lines.pass_rest(pass);
        }
    }
}
