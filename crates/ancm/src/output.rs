//! Our standard output and error: what workers write passes through here unchanged, but for a line
//! end where one would go on in the line of another.
//!
//! Whoever reads our output may stand still. The supervisor must not: it writes only what is sure
//! not to block, keeps the rest, and stops reading from workers while there is too much of it. The
//! application must not stand still either: of a reader that takes nothing for a second nothing is
//! expected any more. What finds no room then is dropped and counted, until it reads again.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use config::Env;
use lifecycle::event::Level;
use lifecycle::lines::Seam;
use os::poll::{Readiness, poll};

use crate::journal::Journal;
use crate::kept::Kept;

/// A pipe that reports room takes this much without blocking.
const PIECE_BYTES: usize = 4096;
/// Above this, workers have to wait.
const ENOUGH_BYTES: usize = 64 << 10;
/// A reader that takes nothing for this long stands still.
const STALL: Duration = Duration::from_secs(1);
/// At the end, for a reader that is slow.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// Whose lines are our own, among the numbers of processes.
const OURS: i32 = 0;

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];
}

/// Both of our streams.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: Relay,
    stderr: Relay,
    kept: Kept,
    journal: Option<Journal>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self {
            stdout: Relay::new(os::fd::stdout()),
            stderr: Relay::new(os::fd::stderr()),
            kept: Kept::default(),
            journal: None,
        }
    }

    /// With events of `app` in the journal instead of on standard error, where there is one.
    pub(crate) fn for_service(env: &Env, app: &str) -> Self {
        Self { journal: Journal::open(env, os::fd::stderr(), app), ..Self::new() }
    }

    /// Writes `bytes` of a process as far as possible and keeps the rest.
    pub(crate) fn write(&mut self, stream: Stream, pid: i32, bytes: &[u8]) {
        match self.relay_mut(stream).seam.before(pid, bytes) {
            b"" => {}
            end => self.put(stream, end),
        }
        self.put(stream, bytes);
    }

    fn put(&mut self, stream: Stream, bytes: &[u8]) {
        self.kept.take(stream, bytes);
        let relay = self.relay_mut(stream);
        if relay.is_full() && relay.is_stalled() {
            relay.dropped += bytes.len() as u64;
        } else if !relay.is_broken {
            relay.pending.extend_from_slice(bytes);
            relay.flush();
        }
    }

    /// Writes a line of our own, which begins at the beginning of a line whatever the application
    /// wrote before: scripts wait for it.
    pub(crate) fn line(&mut self, stream: Stream, line: &str) {
        self.write(stream, OURS, format!("{line}\n").as_bytes());
    }

    /// One line for the operator.
    pub(crate) fn tell(&mut self, line: impl std::fmt::Display) {
        self.line(Stream::Stderr, &format!("ancm: {line}"));
    }

    /// One event for the operator, with its number, which people search for; 0 is none.
    pub(crate) fn event(&mut self, level: Level, event: u16, text: &str) {
        let line = match event {
            0 => format!("{level}: {text}"),
            _ => format!("{level} {event}: {text}"),
        };
        let sent = self.journal.as_ref().map(|journal| journal.send(level, event, text));
        match sent {
            Some(Ok(())) => self.kept.take(Stream::Stderr, format!("ancm: {line}\n").as_bytes()),
            Some(Err(_)) | None => self.tell(line),
        }
    }

    /// Writes what is left, now that there is room.
    pub(crate) fn flush(&mut self, stream: Stream) {
        self.relay_mut(stream).flush();
    }

    /// Writes what is left, waiting a little for the reader.
    pub(crate) fn finish(&mut self) {
        let end = Instant::now() + LAST_FLUSH;
        for relay in [&mut self.stdout, &mut self.stderr] {
            while !relay.pending.is_empty() && !relay.is_broken {
                let left = end.saturating_duration_since(Instant::now());
                let found = poll(&[(relay.fd, Readiness::WRITE)], Some(left));
                if left.is_zero() || found.is_err() {
                    return;
                }
                relay.flush();
            }
        }
    }

    /// What was written lately.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The descriptor to watch for room, if something waits for it.
    pub(crate) fn waits_for(&self, stream: Stream) -> Option<BorrowedFd<'static>> {
        let relay = self.relay(stream);
        (!relay.pending.is_empty()).then_some(relay.fd)
    }

    /// Whether nothing more should be taken from workers.
    pub(crate) fn is_full(&self, stream: Stream) -> bool {
        let relay = self.relay(stream);
        relay.is_full() && !relay.is_stalled()
    }

    /// How long until a reader that has stopped to read counts as standing still.
    pub(crate) fn stalls_in(&self) -> Option<Duration> {
        let relays = [&self.stdout, &self.stderr].into_iter();
        let full = relays.filter(|relay| relay.is_full() && !relay.is_stalled());
        full.map(|relay| STALL.saturating_sub(relay.progress.elapsed())).min()
    }

    fn relay(&self, stream: Stream) -> &Relay {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    fn relay_mut(&mut self, stream: Stream) -> &mut Relay {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

#[derive(Debug)]
struct Relay {
    fd: BorrowedFd<'static>,
    pending: Vec<u8>,
    seam: Seam<i32>,
    /// Nobody reads any more; the application must not suffer from that.
    is_broken: bool,
    /// When something was taken last, or there was nothing to take.
    progress: Instant,
    /// Bytes that found no room since then.
    dropped: u64,
}

impl Relay {
    fn new(fd: BorrowedFd<'static>) -> Self {
        Self {
            fd,
            pending: Vec::new(),
            seam: Seam::new(),
            is_broken: false,
            progress: Instant::now(),
            dropped: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.pending.len() >= ENOUGH_BYTES
    }

    fn is_stalled(&self) -> bool {
        self.progress.elapsed() >= STALL
    }

    fn flush(&mut self) {
        let mut written = 0;
        while written < self.pending.len() {
            let room = poll(&[(self.fd, Readiness::WRITE)], Some(Duration::ZERO));
            if !room.is_ok_and(|found| found[0].writable) {
                break;
            }
            let end = self.pending.len().min(written + PIECE_BYTES);
            match os::pipe::write(self.fd, &self.pending[written..end]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.is_broken = true;
                    written = self.pending.len();
                }
            }
        }
        self.pending.drain(..written);
        if written > 0 || self.pending.is_empty() {
            self.progress = Instant::now();
            if self.dropped > 0 && !self.is_broken {
                let dropped = std::mem::take(&mut self.dropped);
                let gap = format!("\n[ancm: {dropped} bytes of output are missing here]\n");
                self.pending.extend_from_slice(gap.as_bytes());
            }
        }
    }
}
