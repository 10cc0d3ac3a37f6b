//! What changes under an application: `app_offline.htm`, `web.config`, its code in its folder and
//! below, files that `web.config` lists, the .NET that it runs on or that a failed start may lack.
//!
//! The folder is compared with what was seen before. The kernel's events only say when to look;
//! without them we look often, with them now and then all the same, because events get lost and a
//! folder may be replaced as a whole. Below the folder there are no events: an application may write
//! there all the time. A deployment is over when nothing has changed for a while.

mod compare;
mod look;
mod looks;
mod runtime;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use os::inotify::Inotify;

use self::compare::Compare;
use self::looks::{Looks, Seen};
use self::runtime::Whose;
use super::A_DAY;

/// How often is looked without being told.
const SELDOM: Duration = Duration::from_secs(1);
/// The same where the kernel tells nothing.
const OFTEN: Duration = Duration::from_millis(200);
/// The least time between two looks: a folder in which much happens must not keep us busy.
const BREATH: Duration = Duration::from_millis(20);
/// The part of the time that looks below the folder may take: one in so many; and while something is
/// changing.
const SHARE: u32 = 50;
const SHARE_OF_CHANGES: u32 = 5;
/// Where nothing changes for long, looks below the folder and at the .NET become rarer: the pause is one part
/// in so many of that time, up to the longest.
const SHARE_OF_PEACE: u32 = 20;
const LONGEST: Duration = Duration::from_secs(10);
/// How long the site stands still for a look at what a new generation is started with. Without it,
/// what changed just before brings one more generation.
const PATIENCE: Duration = Duration::from_millis(500);

/// Something that the site has to follow, or a person to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A part of the folder is not watched.
    Beyond(String),
    /// `web.config` is another.
    Configuration,
    /// An assembly, or what says how it is run, is another.
    Files,
    /// `app_offline.htm` has come, or gone.
    Offline(bool),
    /// The .NET that the application runs on is another, or a newer one is there.
    Runtime,
}

/// A watch on one folder; times are since the start of the supervisor.
#[derive(Debug)]
pub(super) struct Watch {
    dir: PathBuf,
    inotify: Option<Inotify>,
    looks: Looks,
    compare: Compare,
    /// Whose runtime is to be watched from now on.
    runtime_of: Option<Whose>,
    /// Where the .NET that a failed start may lack is looked for.
    places: Arc<[PathBuf]>,
    last_look: Duration,
    next_look: Duration,
    next_deep: Duration,
    /// When something was seen to change, or had to be watched anew.
    stirred: Duration,
}

impl Watch {
    /// A watch on `dir`, and on the files that are `listed`, as they are now.
    ///
    /// # Errors
    ///
    /// The system grants no thread, or no descriptor.
    pub(super) fn new(dir: &Path, listed: &[PathBuf], now: Duration) -> io::Result<Self> {
        // Where others write, too, events would tell of a part only.
        let is_told = !os::mount::is_shared(dir).unwrap_or(false);
        let inotify = is_told.then(Inotify::new).and_then(Result::ok);
        let inotify = inotify.filter(|inotify| inotify.watch(dir).is_ok());
        let mut looks = Looks::begin(dir)?;
        looks.listed = listed.into();
        looks.ask(true, None);
        // Nothing can be started before it is known whether the application is offline.
        let seen = looks.last(A_DAY);
        let seen = seen.ok_or_else(|| io::Error::other("the thread that watches has ended"))?;
        let next = now + if inotify.is_some() { SELDOM } else { OFTEN };
        Ok(Self {
            dir: dir.to_owned(),
            inotify,
            looks,
            compare: Compare::new(&seen, now),
            runtime_of: None,
            places: Arc::default(),
            last_look: now,
            next_look: next,
            next_deep: next,
            stirred: now,
        })
    }

    /// A generation is started with what is there now: no change that was made before counts.
    pub(super) fn follow(&mut self, now: Duration) {
        self.stirred = now;
        self.looks.ask(true, None);
        if let Some(seen) = self.looks.last(PATIENCE) {
            self.compare.follow(&seen, now);
        }
    }

    /// These files are to be watched from now on, wherever they are.
    pub(super) fn list(&mut self, listed: &[PathBuf], now: Duration) {
        if *self.looks.listed != *listed {
            self.looks.listed = listed.into();
            self.follow(now);
        }
    }

    /// What the site has to follow before it starts something by itself, or somebody is told how it is:
    /// what there is at this moment, not at the last look.
    pub(super) fn changes_until_now(&mut self, now: Duration) -> Vec<Change> {
        self.looks.ask(true, None);
        let seen = self.looks.rest(PATIENCE);
        seen.iter().flat_map(|seen| self.compare.changes(seen, now)).collect()
    }

    /// A start begins that looks for its .NET at these places: what changes of it from now on is a change.
    pub(super) fn note_start(&mut self, places: Vec<PathBuf>) {
        self.looks.note_start(places.into());
    }

    /// The application runs in this process, or in one that it has started.
    pub(super) fn follow_runtime_of(&mut self, pid: i32) {
        self.places = Arc::default();
        self.watch_runtime(Whose::Process(pid));
    }

    /// A start has failed: the .NET that it may lack would come to these places. Further failures are
    /// no new beginning: what is being copied there goes on to be seen.
    pub(super) fn follow_places(&mut self, places: Vec<PathBuf>) {
        if *self.places != *places {
            self.places = places.into();
            self.watch_runtime(Whose::FailedStart(self.places.clone()));
        }
    }

    fn watch_runtime(&mut self, whose: Whose) {
        self.runtime_of = Some(whose);
        self.next_look = self.last_look;
    }

    /// Whether something is being changed, as far as was seen.
    pub(super) fn is_settling(&self) -> bool {
        self.compare.is_settling()
    }

    /// Whether `app_offline.htm` was there at the last look.
    pub(super) fn is_offline(&self) -> bool {
        self.compare.is_offline()
    }

    /// Readable when a look is worth while.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        // What was just looked at may be changing: the next look is due in a moment anyway.
        let is_soon = self.looks.is_busy() || self.next_look <= self.last_look + BREATH;
        self.inotify.as_ref().filter(|_| !is_soon).map(Inotify::as_fd)
    }

    /// Readable when a look is over.
    pub(super) fn looked(&self) -> BorrowedFd<'_> {
        self.looks.fd()
    }

    /// Something has happened in the folder.
    pub(super) fn on_event(&mut self) {
        if let Some(inotify) = &self.inotify {
            inotify.clear();
            self.next_look = self.last_look + BREATH;
        }
    }

    /// When to call [`Watch::changes`]; none while a look goes on, which says so itself.
    pub(super) fn next_look(&self) -> Option<Duration> {
        Some(self.next_look).filter(|_| !self.looks.is_busy())
    }

    /// What the site has to follow now.
    pub(super) fn changes(&mut self, now: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(seen) = self.looks.next() {
            changes.extend(self.compare.changes(&seen, now));
            self.plan(&seen, now);
        }
        if !self.looks.is_busy() && now >= self.next_look {
            self.looks.ask(now >= self.next_deep, self.runtime_of.take());
        }
        changes
    }

    /// When to look again.
    fn plan(&mut self, seen: &Seen, now: Duration) {
        let has_events = self.inotify.as_ref().is_some_and(|it| it.watch(&self.dir).is_ok());
        let is_settling = self.compare.is_settling();
        if is_settling || self.runtime_of.is_some() {
            self.stirred = now;
        }
        if let Some(deep) = &seen.deep {
            let share = if is_settling { SHARE_OF_CHANGES } else { SHARE };
            let peace = now.saturating_sub(self.stirred) / SHARE_OF_PEACE;
            let least = if is_settling { OFTEN } else { peace.clamp(SELDOM, LONGEST) };
            self.next_deep = now + least.max(deep.took * share);
        } else if is_settling {
            self.next_deep = self.next_deep.min(now + OFTEN);
        }
        let pause = if has_events && !is_settling { SELDOM } else { OFTEN };
        self.last_look = now;
        self.next_look = match self.runtime_of {
            Some(_) => now,
            None => now + pause,
        };
    }
}
