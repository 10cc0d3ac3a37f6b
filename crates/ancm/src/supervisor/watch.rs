//! What changes in the application's folder: `app_offline.htm`, `web.config`, assemblies.
//!
//! The folder is compared with what was seen before. The kernel's events only say when to look;
//! without them we look often, with them now and then all the same, because events get lost and a
//! folder may be replaced as a whole. A deployment is over when nothing has changed for a while.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, DirEntry};
use std::hash::{Hash, Hasher};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use os::inotify::Inotify;

/// How often is looked without being told.
const SELDOM: Duration = Duration::from_secs(1);
/// The same where the kernel tells nothing.
const OFTEN: Duration = Duration::from_millis(200);
/// The least time between two looks: a folder in which much happens must not keep us busy.
const BREATH: Duration = Duration::from_millis(20);
/// How long a `web.config` must have been as it is.
const CONFIGURATION_QUIET: Duration = Duration::from_millis(250);
/// How long the assemblies must have been as they are: copying takes pauses.
const FILES_QUIET: Duration = Duration::from_secs(1);

/// Something that the site has to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// `web.config` is another.
    Configuration,
    /// An assembly, or what says how it is run, is another.
    Files,
    /// `app_offline.htm` has come, or gone.
    Offline(bool),
}

/// What was seen at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    is_offline: bool,
    configuration: u64,
    files: u64,
}

/// A part of the folder that may be changing.
#[derive(Clone, Copy, Debug)]
struct Settling {
    /// What the site runs on.
    acted_on: u64,
    /// What was seen last, and since when it has been so.
    seen: u64,
    since: Duration,
}

/// A watch on one folder; times are since the start of the supervisor.
#[derive(Debug)]
pub(super) struct Watch {
    dir: PathBuf,
    inotify: Option<Inotify>,
    is_offline: bool,
    configuration: Settling,
    files: Settling,
    last_look: Duration,
    next_look: Duration,
}

impl Watch {
    /// A watch on `dir` as it is now.
    pub(super) fn new(dir: &Path, now: Duration) -> Self {
        let inotify = Inotify::new().ok().filter(|inotify| inotify.watch(dir).is_ok());
        let seen = look(dir);
        let settling = |seen| Settling { acted_on: seen, seen, since: now };
        Self {
            dir: dir.to_owned(),
            is_offline: seen.is_offline,
            configuration: settling(seen.configuration),
            files: settling(seen.files),
            last_look: now,
            next_look: now + if inotify.is_some() { SELDOM } else { OFTEN },
            inotify,
        }
    }

    /// A generation is started with what is there now: no change that was made before counts.
    pub(super) fn follow(&mut self, now: Duration) {
        let seen = look(&self.dir);
        self.configuration.follow(seen.configuration, now);
        self.files.follow(seen.files, now);
    }

    /// Whether `app_offline.htm` was there at the last look.
    pub(super) fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// Readable when a look is worth while.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        // What was just looked at may be changing: the next look is due in a moment anyway.
        let is_soon = self.next_look <= self.last_look + BREATH;
        self.inotify.as_ref().filter(|_| !is_soon).map(Inotify::as_fd)
    }

    /// Something has happened in the folder.
    pub(super) fn on_event(&mut self) {
        if let Some(inotify) = &self.inotify {
            inotify.clear();
            self.next_look = self.last_look + BREATH;
        }
    }

    /// When to call [`Watch::changes`].
    pub(super) fn next_look(&self) -> Duration {
        self.next_look
    }

    /// What the site has to follow now.
    pub(super) fn changes(&mut self, now: Duration) -> Vec<Change> {
        if now < self.next_look {
            return Vec::new();
        }
        let has_events = self.inotify.as_ref().is_some_and(|it| it.watch(&self.dir).is_ok());
        let seen = look(&self.dir);
        let mut changes = Vec::new();
        if std::mem::replace(&mut self.is_offline, seen.is_offline) != seen.is_offline {
            changes.push(Change::Offline(seen.is_offline));
        }
        // One deployment is one change: what else has changed by then is part of it.
        if self.files.settle(seen.files, FILES_QUIET, now) {
            self.configuration.follow(seen.configuration, now);
            changes.push(Change::Files);
        } else if self.files.is_settling() {
            self.configuration.see(seen.configuration, now);
        } else if self.configuration.settle(seen.configuration, CONFIGURATION_QUIET, now) {
            changes.push(Change::Configuration);
        }
        self.last_look = now;
        let is_settling = self.configuration.is_settling() || self.files.is_settling();
        let pause = if has_events && !is_settling { SELDOM } else { OFTEN };
        self.next_look = now + pause;
        changes
    }
}

impl Settling {
    /// Takes what was seen; `true` once it has been another for long enough.
    fn settle(&mut self, seen: u64, quiet: Duration, now: Duration) -> bool {
        self.see(seen, now);
        let is_settled = self.is_settling() && now >= self.since + quiet;
        if is_settled {
            self.acted_on = seen;
        }
        is_settled
    }

    fn see(&mut self, seen: u64, now: Duration) {
        if seen != self.seen {
            (self.seen, self.since) = (seen, now);
        }
    }

    /// What was seen is what the site runs on.
    fn follow(&mut self, seen: u64, now: Duration) {
        *self = Self { acted_on: seen, seen, since: now };
    }

    fn is_settling(&self) -> bool {
        self.seen != self.acted_on
    }
}

/// Looks at the files directly in the folder. One that is not there has nothing in it.
fn look(dir: &Path) -> Seen {
    let mut entries: Vec<DirEntry> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
    entries.sort_by_key(DirEntry::file_name);
    let mut is_offline = false;
    let (mut configuration, mut files) = (DefaultHasher::new(), DefaultHasher::new());
    for entry in &entries {
        let name = entry.file_name();
        let Some(name) = name.to_str().map(str::to_ascii_lowercase) else { continue };
        match &*name {
            "app_offline.htm" => is_offline = !entry.file_type().is_ok_and(|kind| kind.is_dir()),
            "web.config" => fingerprint(entry, &mut configuration),
            name if is_program(name) => fingerprint(entry, &mut files),
            _ => {}
        }
    }
    Seen { is_offline, configuration: configuration.finish(), files: files.finish() }
}

/// Whether a change of the file is one of the program; settings the application reads itself.
fn is_program(name: &str) -> bool {
    [".dll", ".so", ".deps.json", ".runtimeconfig.json"].iter().any(|end| name.ends_with(end))
}

fn fingerprint(entry: &DirEntry, hasher: &mut DefaultHasher) {
    entry.file_name().hash(hasher);
    // Links are followed: a deployment may replace what they lead to.
    if let Ok(metadata) = fs::metadata(entry.path()) {
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        (metadata.dev(), metadata.ino(), metadata.len(), changed).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn offline_is_what_the_folder_says_in_any_letter_case() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(dir.path(), ms(0));
        assert!(!watch.is_offline());
        let file = dir.path().join("App_Offline.htm");
        fs::write(&file, "").unwrap();
        watch.on_event();
        assert_eq!(watch.changes(ms(5)), [], "not before it is due");
        assert_eq!(watch.changes(ms(20)), [Change::Offline(true)]);
        assert_eq!(watch.changes(ms(1020)), []);
        fs::rename(&file, dir.path().join("app_offline.htm.off")).unwrap();
        // Without an event: it is found all the same.
        assert_eq!(watch.changes(ms(2020)), [Change::Offline(false)]);
    }

    #[test]
    fn files_are_followed_when_they_have_come_to_rest() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("web.config", "1");
        write("App.dll", "1");
        let mut watch = Watch::new(dir.path(), ms(0));
        write("web.config", "22");
        write("App.dll", "22");
        write("data.db", "what an application writes is its own business");
        assert_eq!(watch.changes(ms(1000)), []);
        assert_eq!(watch.changes(ms(1200)), []);
        write("App.dll", "333");
        assert_eq!(watch.changes(ms(1900)), []);
        assert_eq!(watch.changes(ms(2800)), []);
        // One change: the configuration belongs to it.
        assert_eq!(watch.changes(ms(3000)), [Change::Files]);
        assert_eq!(watch.changes(ms(9000)), []);
        write("web.config", "333");
        assert_eq!(watch.changes(ms(10_100)), []);
        assert_eq!(watch.changes(ms(10_500)), [Change::Configuration]);
        // Back to what it was before anybody acted: nothing to do.
        write("New.dll", "1");
        assert_eq!(watch.changes(ms(10_000)), []);
        fs::remove_file(dir.path().join("New.dll")).unwrap();
        assert_eq!(watch.changes(ms(20_000)), []);
    }

    #[test]
    fn what_a_generation_is_started_with_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(dir.path(), ms(0));
        for name in ["web.config", "App.dll"] {
            fs::write(dir.path().join(name), "1").unwrap();
        }
        assert_eq!(watch.changes(ms(1000)), []);
        watch.follow(ms(1100));
        assert_eq!(watch.changes(ms(3000)), []);
        assert_eq!(watch.changes(ms(6000)), []);
    }

    #[test]
    fn a_folder_that_is_replaced_is_another() {
        let parent = tempfile::tempdir().unwrap();
        let [one, two] = ["1", "2"].map(|name| parent.path().join(name));
        for dir in [&one, &two] {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("App.dll"), "").unwrap();
        }
        let current = parent.path().join("current");
        std::os::unix::fs::symlink(&one, &current).unwrap();
        let mut watch = Watch::new(&current, ms(0));
        fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink(&two, &current).unwrap();
        assert_eq!(watch.changes(ms(1000)), []);
        assert_eq!(watch.changes(ms(2000)), [Change::Files]);
    }
}
