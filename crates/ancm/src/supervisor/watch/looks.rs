//! The thread that looks: a file system that does not answer must not keep the site from anything.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use os::eventfd::EventFd;

use super::look::{self, Below, Top};
use super::runtime::{Noted, Runtime, Whose};

/// A wish to look.
#[derive(Clone, Debug)]
struct Ask {
    is_deep: bool,
    listed: Arc<[PathBuf]>,
    /// The .NET to watch from now on, if it is another.
    runtime_of: Option<Whose>,
    /// Where a start that begins looks for its .NET.
    begins_at: Option<Arc<[PathBuf]>>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// When this was begun: who asks may hear of it late.
    pub(super) begun: Instant,
    pub(super) top: Top,
    pub(super) deep: Option<Deep>,
}

/// What was seen by looking further than the folder itself.
#[derive(Clone, Debug)]
pub(super) struct Deep {
    pub(super) below: Below,
    pub(super) runtime: u64,
    /// If it is another than was watched before, how it was when the start that brought it began.
    pub(super) new_runtime: Option<u64>,
    /// How long this took.
    pub(super) took: Duration,
}

/// The thread, as whoever asks it sees it.
#[derive(Debug)]
pub(super) struct Looks {
    asks: Sender<Ask>,
    seen: Receiver<Seen>,
    bell: Arc<EventFd>,
    /// Files that are looked at wherever they are.
    pub(super) listed: Arc<[PathBuf]>,
    /// How many answers are to come.
    pending: usize,
}

impl Looks {
    /// A thread that looks at `dir` when it is asked.
    pub(super) fn begin(dir: &Path) -> io::Result<Self> {
        let (asks, asked) = channel::<Ask>();
        let (tell, seen) = channel();
        let bell = Arc::new(EventFd::new()?);
        let (dir, ring) = (dir.to_owned(), bell.clone());
        thread::Builder::new().name("watch".to_owned()).spawn(move || {
            let (mut runtime, mut noted) = (Runtime::default(), Noted::default());
            // Ends with whoever asks.
            for ask in asked {
                let begun = Instant::now();
                if let Some(places) = ask.begins_at {
                    noted = Noted::at(places);
                }
                let new_runtime = ask.runtime_of.and_then(|whose| runtime.follow(whose, &noted));
                let deep = ask.is_deep.then(|| deep(&dir, &runtime, new_runtime));
                let _ = tell.send(Seen { begun, top: look::top(&dir, &ask.listed), deep });
                ring.wake();
            }
        })?;
        Ok(Self { asks, seen, bell, listed: Arc::default(), pending: 0 })
    }

    /// Readable when there is an answer.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Whether an answer is to come.
    pub(super) fn is_busy(&self) -> bool {
        self.pending > 0
    }

    pub(super) fn ask(&mut self, is_deep: bool, runtime_of: Option<Whose>) {
        let is_deep = is_deep || runtime_of.is_some();
        self.send(Ask { is_deep, listed: self.listed.clone(), runtime_of, begins_at: None });
    }

    /// A start begins that looks for its .NET at these places.
    pub(super) fn note_start(&mut self, places: Arc<[PathBuf]>) {
        let (listed, begins_at) = (self.listed.clone(), Some(places));
        self.send(Ask { is_deep: false, listed, runtime_of: None, begins_at });
    }

    fn send(&mut self, ask: Ask) {
        self.pending += usize::from(self.asks.send(ask).is_ok());
    }

    /// The next answer that is there.
    pub(super) fn next(&mut self) -> Option<Seen> {
        self.bell.clear();
        let seen = self.seen.try_recv().ok()?;
        self.pending = self.pending.saturating_sub(1);
        Some(seen)
    }

    /// The answer to the last question; what was answered to those before it is dropped. `None` if it
    /// does not come within `limit`.
    pub(super) fn last(&mut self, limit: Duration) -> Option<Seen> {
        self.rest(limit).pop().filter(|_| self.pending == 0)
    }

    /// The answers to all questions, as far as they come within `limit`.
    pub(super) fn rest(&mut self, limit: Duration) -> Vec<Seen> {
        let until = Instant::now() + limit;
        let mut all = Vec::new();
        while self.pending > 0
            && let rest = until.saturating_duration_since(Instant::now())
            && let Ok(seen) = self.seen.recv_timeout(rest)
        {
            self.pending -= 1;
            all.push(seen);
        }
        all
    }
}

fn deep(dir: &Path, runtime: &Runtime, new_runtime: Option<u64>) -> Deep {
    let begun = Instant::now();
    let (below, runtime) = (look::below(dir), runtime.fingerprint());
    Deep { below, runtime, new_runtime, took: begun.elapsed() }
}
