//! What a backend writes: drained for its whole life, passed on, and kept as far as a report needs.
//!
//! A pipe that nobody drains stops the backend, so one thread per backend reads both streams until
//! their end. What a reader would get wrong: the end of a stream is not the end of the process, in
//! either order. A grandchild may hold a pipe open for ever; [`Output::finish`] waits a bounded
//! time for what is still on its way and then ends the thread whatever is open. Several backends write
//! at once, so what is passed on is whole lines.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lifecycle::capture::Capture;
use lifecycle::lines::{Lines, Seam};
use os::eventfd::EventFd;
use os::pipe;
use os::poll::{Readiness, poll};

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

/// Where output is passed on to.
pub(crate) trait Sink: Send {
    fn take(&mut self, source: Source, bytes: &[u8]);
}

/// Passes output of one backend on to this process' own streams. Whoever closed them does not want it.
pub(crate) struct OwnStreams {
    writer: u64,
}

/// Of our two streams, in which backends write side by side and one after the other.
static SEAMS: [Mutex<Seam<u64>>; 2] = [const { Mutex::new(Seam::new()) }; 2];

impl OwnStreams {
    pub(crate) fn new() -> Self {
        static WRITERS: AtomicU64 = AtomicU64::new(0);
        Self { writer: WRITERS.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Sink for OwnStreams {
    fn take(&mut self, source: Source, bytes: &[u8]) {
        let [of_stdout, of_stderr] = &SEAMS;
        let put = |seam: &Mutex<Seam<u64>>, mut to: Box<dyn Write>| {
            // Held while it is written, so that the order is that of the seam.
            let mut seam = seam.lock().unwrap_or_else(PoisonError::into_inner);
            to.write_all(seam.before(self.writer, bytes))?;
            to.write_all(bytes)?;
            to.flush()
        };
        let _ = match source {
            Source::Stdout => put(of_stdout, Box::new(io::stdout())),
            Source::Stderr => put(of_stderr, Box::new(io::stderr())),
        };
    }
}

/// The output of one backend process.
pub(crate) struct Output {
    kept: Arc<Mutex<Kept>>,
    cancel: Arc<EventFd>,
    /// The thread, and a channel that is closed when it ends.
    drain: Option<(JoinHandle<()>, Receiver<()>)>,
}

impl Output {
    /// Starts to drain.
    ///
    /// # Errors
    ///
    /// No thread or descriptor can be had.
    pub(crate) fn drain(
        stdout: OwnedFd,
        stderr: OwnedFd,
        sinks: Vec<Box<dyn Sink>>,
    ) -> io::Result<Self> {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let cancel = Arc::new(EventFd::new()?);
        for stream in [&stdout, &stderr] {
            pipe::set_nonblocking(stream)?;
        }
        let streams = [(Source::Stdout, stdout), (Source::Stderr, stderr)];
        let streams = streams.map(|(source, fd)| (source, fd, Lines::default())).into();
        let mut reader =
            Reader { streams, sinks, kept: Arc::clone(&kept), cancel: Arc::clone(&cancel) };
        let (running, ended) = sync_channel(0);
        let drain = thread::Builder::new().name("backend-output".to_owned()).spawn(move || {
            let _running: SyncSender<()> = running;
            reader.run();
        })?;
        Ok(Self { kept, cancel, drain: Some((drain, ended)) })
    }

    /// Lets go of the beginning: the start is over.
    pub(crate) fn forget_beginning(&self) {
        let mut kept = lock(&self.kept);
        kept.stdout.on_ready();
        kept.stderr.on_ready();
    }

    /// What is kept of one stream: its beginning, and its last lines if there was more.
    pub(crate) fn text(&self, source: Source) -> String {
        lock(&self.kept).stream(source).text()
    }

    /// Waits up to `limit` for the end of both streams, then stops reading.
    pub(crate) fn finish(&mut self, limit: Duration) {
        let Some((drain, ended)) = self.drain.take() else { return };
        let _ = ended.recv_timeout(limit);
        self.cancel.wake();
        // The thread cannot be waiting for the pipes now. It can only be held up by our own
        // standard output, which would hold up everything else too.
        if drain.join().is_err() {
            lock(&self.kept).take(Source::Stderr, b"[reading the output failed]");
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

struct Reader {
    streams: Vec<(Source, OwnedFd, Lines)>,
    sinks: Vec<Box<dyn Sink>>,
    kept: Arc<Mutex<Kept>>,
    cancel: Arc<EventFd>,
}

impl Reader {
    fn run(&mut self) {
        self.read();
        for (source, _, lines) in &mut self.streams {
            lines.pass_rest(|bytes| give(&mut self.sinks, *source, bytes));
        }
    }

    fn read(&mut self) {
        let mut piece = vec![0; 16 * 1024];
        while !self.streams.is_empty() {
            let mut watched = vec![(self.cancel.as_fd(), Readiness::READ)];
            watched.extend(self.streams.iter().map(|(_, fd, _)| (fd.as_fd(), Readiness::READ)));
            let due = self.streams.iter().filter_map(|(_, _, lines)| lines.due()).min();
            let limit = due.map(|due| due.saturating_duration_since(Instant::now()));
            let Ok(found) = poll(&watched, limit) else { return };
            let is_cancelled = found[0].readable;
            let is_ready: Vec<bool> = found[1..].iter().map(|found| found.readable).collect();
            let mut ready = is_ready.into_iter();
            let Self { streams, sinks, kept, .. } = self;
            streams.retain_mut(|(source, fd, lines)| {
                let is_open = !ready.next().unwrap_or_default()
                    || pass_on(*source, fd, lines, &mut piece, sinks, kept);
                match is_open {
                    true => lines.pass_due(Instant::now(), |bytes| give(sinks, *source, bytes)),
                    false => lines.pass_rest(|bytes| give(sinks, *source, bytes)),
                }
                is_open
            });
            if is_cancelled {
                return;
            }
        }
    }
}

/// Takes one piece; false at the end of the stream.
fn pass_on(
    source: Source,
    from: &OwnedFd,
    lines: &mut Lines,
    piece: &mut [u8],
    sinks: &mut [Box<dyn Sink>],
    kept: &Mutex<Kept>,
) -> bool {
    match pipe::read(from, piece) {
        Ok(0) => false,
        Ok(count) => {
            let bytes = &piece[..count];
            lock(kept).take(source, bytes);
            lines.take(bytes, Instant::now(), |bytes| give(sinks, source, bytes));
            true
        }
        Err(error) => {
            matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        }
    }
}

fn give(sinks: &mut [Box<dyn Sink>], source: Source, bytes: &[u8]) {
    sinks.iter_mut().for_each(|sink| sink.take(source, bytes));
}

/// A panic while the lock was held leaves text behind that is as good as any.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Kept {
    stdout: Capture,
    stderr: Capture,
}

impl Kept {
    fn take(&mut self, source: Source, bytes: &[u8]) {
        match source {
            Source::Stdout => self.stdout.on_bytes(bytes),
            Source::Stderr => self.stderr.on_bytes(bytes),
        }
    }

    fn stream(&self, source: Source) -> &Capture {
        match source {
            Source::Stdout => &self.stdout,
            Source::Stderr => &self.stderr,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    impl Sink for Sender<(Source, Vec<u8>)> {
        fn take(&mut self, source: Source, bytes: &[u8]) {
            self.send((source, bytes.to_owned())).unwrap();
        }
    }

    #[test]
    fn both_streams_are_passed_on_and_kept() {
        let (stdout, mut to_stdout) = pipe::open().map(|(r, w)| (r, File::from(w))).unwrap();
        let (stderr, mut to_stderr) = pipe::open().map(|(r, w)| (r, File::from(w))).unwrap();
        let (sender, passed) = channel();
        let mut output = Output::drain(stdout, stderr, vec![Box::new(sender)]).unwrap();
        to_stdout.write_all(b"one\ntwo").unwrap();
        assert_eq!(passed.recv().unwrap(), (Source::Stdout, b"one\n".to_vec()));
        // Nobody ends it.
        assert_eq!(passed.recv().unwrap(), (Source::Stdout, b"two".to_vec()));
        to_stderr.write_all(b"bad\r\n").unwrap();
        assert_eq!(passed.recv().unwrap(), (Source::Stderr, b"bad\r\n".to_vec()));
        assert_eq!(output.text(Source::Stdout), "one\ntwo");
        output.forget_beginning();
        to_stdout.write_all(b"more\nlast").unwrap();
        drop((to_stdout, to_stderr));
        output.finish(Duration::from_secs(5));
        assert_eq!(output.text(Source::Stdout), "more\nlast");
        assert_eq!(output.text(Source::Stderr), "");
    }

    #[test]
    fn a_pipe_that_somebody_keeps_open_does_not_keep_us() {
        let (stdout, held) = pipe::open().unwrap();
        let (stderr, also_held) = pipe::open().unwrap();
        let mut output = Output::drain(stdout, stderr, Vec::new()).unwrap();
        output.finish(Duration::from_millis(10));
        drop((held, also_held));
    }
}
