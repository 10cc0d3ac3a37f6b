//! What a backend writes: drained for its whole life, passed on, and kept as far as a report needs.
//!
//! A pipe that nobody drains stops the backend, so one thread per backend reads both streams until
//! their end. What a reader would get wrong: the end of a stream is not the end of the process, in
//! either order. A grandchild may hold a pipe open for ever; [`Output::finish`] waits a bounded
//! time for what is still on its way and then ends the thread whatever is open.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lifecycle::report::OUTPUT_LIMIT_CHARS;
use os::eventfd::EventFd;
use os::pipe;
use os::poll::{Readiness, poll};

/// How many lines per stream are kept from the end, beside the beginning.
const LAST_LINES: usize = 60;

/// Longer lines are kept up to here; a backend may write megabytes without a line end.
const LINE_BYTES: usize = 2_000;

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

/// Passes output on to this process' own streams. Whoever closed them does not want it.
pub(crate) struct OwnStreams;

impl Sink for OwnStreams {
    fn take(&mut self, source: Source, bytes: &[u8]) {
        let _ = match source {
            Source::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
            Source::Stderr => io::stderr().lock().write_all(bytes),
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
        let streams = vec![(Source::Stdout, stdout), (Source::Stderr, stderr)];
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
        kept.stdout.beginning = Beginning::full();
        kept.stderr.beginning = Beginning::full();
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
    streams: Vec<(Source, OwnedFd)>,
    sinks: Vec<Box<dyn Sink>>,
    kept: Arc<Mutex<Kept>>,
    cancel: Arc<EventFd>,
}

impl Reader {
    fn run(&mut self) {
        let mut piece = vec![0; 16 * 1024];
        while !self.streams.is_empty() {
            let mut watched = vec![(self.cancel.as_fd(), Readiness::READ)];
            watched.extend(self.streams.iter().map(|(_, fd)| (fd.as_fd(), Readiness::READ)));
            let Ok(found) = poll(&watched, None) else { return };
            let is_cancelled = found[0].readable;
            let is_ready: Vec<bool> = found[1..].iter().map(|found| found.readable).collect();
            let mut ready = is_ready.into_iter();
            let Self { streams, sinks, kept, .. } = self;
            streams.retain(|(source, fd)| {
                !ready.next().unwrap_or_default() || pass_on(*source, fd, &mut piece, sinks, kept)
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
    piece: &mut [u8],
    sinks: &mut [Box<dyn Sink>],
    kept: &Mutex<Kept>,
) -> bool {
    match pipe::read(from, piece) {
        Ok(0) => false,
        Ok(count) => {
            let bytes = &piece[..count];
            lock(kept).take(source, bytes);
            sinks.iter_mut().for_each(|sink| sink.take(source, bytes));
            true
        }
        Err(error) => {
            matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        }
    }
}

/// A panic while the lock was held leaves text behind that is as good as any.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Kept {
    stdout: Stream,
    stderr: Stream,
}

impl Kept {
    fn take(&mut self, source: Source, bytes: &[u8]) {
        let stream = match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        let rest = stream.beginning.take(bytes);
        stream.tail.take(rest);
    }

    fn stream(&self, source: Source) -> &Stream {
        match source {
            Source::Stdout => &self.stdout,
            Source::Stderr => &self.stderr,
        }
    }
}

#[derive(Default)]
struct Stream {
    beginning: Beginning,
    /// Of what came after the beginning.
    tail: Tail,
}

impl Stream {
    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.beginning.bytes).into_owned();
        for line in self.tail.lines() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&line);
        }
        text
    }
}

/// The first characters of a stream.
struct Beginning {
    bytes: Vec<u8>,
    /// Characters that still fit.
    room: usize,
}

impl Default for Beginning {
    fn default() -> Self {
        Self { bytes: Vec::new(), room: OUTPUT_LIMIT_CHARS }
    }
}

impl Beginning {
    fn full() -> Self {
        Self { bytes: Vec::new(), room: 0 }
    }

    /// Takes what fits and returns the rest.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        for (at, byte) in bytes.iter().enumerate() {
            // A byte that continues a character needs no room of its own.
            let continues = byte & 0b1100_0000 == 0b1000_0000 && !self.bytes.is_empty();
            match self.room.checked_sub(usize::from(!continues)) {
                Some(room) => self.room = room,
                None => return &bytes[at..],
            }
            self.bytes.push(*byte);
        }
        &[]
    }
}

/// The last lines of a stream.
#[derive(Default)]
struct Tail {
    complete: VecDeque<Vec<u8>>,
    open: Vec<u8>,
}

impl Tail {
    fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LINE_BYTES.saturating_sub(self.open.len());
            self.open.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() == part.len() {
                continue;
            }
            if self.complete.len() == LAST_LINES {
                self.complete.pop_front();
            }
            self.complete.push_back(std::mem::take(&mut self.open));
        }
    }

    fn lines(&self) -> Vec<String> {
        let open = Some(&self.open).filter(|line| !line.is_empty());
        let text = |line: &Vec<u8>| String::from_utf8_lossy(line).trim_end().to_owned();
        self.complete.iter().chain(open).map(text).collect()
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
        assert_eq!(passed.recv().unwrap(), (Source::Stdout, b"one\ntwo".to_vec()));
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

    #[test]
    fn the_beginning_is_counted_in_characters_and_the_end_follows_it() {
        let mut kept = Kept::default();
        kept.take(Source::Stdout, "é".repeat(OUTPUT_LIMIT_CHARS - 1).as_bytes());
        let last = "é".as_bytes();
        kept.take(Source::Stdout, &last[..1]);
        kept.take(Source::Stdout, &last[1..]);
        assert_eq!(kept.stdout.text().chars().count(), OUTPUT_LIMIT_CHARS);
        kept.take(Source::Stdout, b"more\nlast\n");
        assert!(kept.stdout.text().ends_with("é\nmore\nlast"));
        assert_eq!(kept.stderr.text(), "");
    }

    #[test]
    fn the_tail_is_bounded_in_both_directions() {
        let mut tail = Tail::default();
        for number in 0..LAST_LINES + 5 {
            tail.take(format!("line {number}\n").as_bytes());
        }
        assert_eq!(tail.lines().len(), LAST_LINES);
        assert_eq!(tail.lines()[0], "line 5");
        tail.take(&[b'x'; 10 * LINE_BYTES]);
        assert_eq!(tail.lines().last().map(String::len), Some(LINE_BYTES));
    }
}
