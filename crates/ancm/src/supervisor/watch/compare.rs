//! What was seen, compared with what the site runs on. A change counts when it has come to rest.

use std::time::Duration;

use super::Change;
use super::looks::Seen;

/// How long a `web.config` must have been as it is.
const CONFIGURATION_QUIET: Duration = Duration::from_millis(250);
/// How long the assemblies must have been as they are: copying takes pauses.
const FILES_QUIET: Duration = Duration::from_secs(1);
/// The same for .NET: installing it takes longer ones.
const RUNTIME_QUIET: Duration = Duration::from_secs(3);

/// A part that may be changing.
#[derive(Clone, Copy, Debug)]
struct Settling {
    /// What the site runs on.
    acted_on: u64,
    /// What was seen last, and since when it has been so.
    seen: u64,
    since: Duration,
}

/// All that is compared.
#[derive(Debug)]
pub(super) struct Compare {
    is_offline: bool,
    configuration: Settling,
    files: Settling,
    runtime: Settling,
    /// What the folders below had at the last look at them.
    below: u64,
    beyond: Option<String>,
}

impl Compare {
    /// Nothing has changed since this was seen.
    pub(super) fn new(seen: &Seen, now: Duration) -> Self {
        let mut compare = Self {
            is_offline: seen.top.is_offline,
            configuration: Settling::new(seen.top.configuration, now),
            files: Settling::new(0, now),
            runtime: Settling::new(0, now),
            below: 0,
            beyond: None,
        };
        compare.follow(seen, now);
        compare
    }

    /// The site runs on what was seen.
    pub(super) fn follow(&mut self, seen: &Seen, now: Duration) {
        self.configuration = Settling::new(seen.top.configuration, now);
        if let Some(deep) = &seen.deep {
            self.below = deep.below.files;
            self.runtime = Settling::new(deep.runtime, now);
        }
        self.files = Settling::new(self.files_of(seen), now);
    }

    pub(super) const fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// Whether something has changed that does not count yet.
    pub(super) fn is_settling(&self) -> bool {
        [self.configuration, self.files, self.runtime].iter().any(Settling::is_settling)
    }

    /// What counts by now; what has come to rest has been seen twice, so far apart.
    pub(super) fn changes(&mut self, seen: &Seen, now: Duration) -> Vec<Change> {
        let now = now.saturating_sub(seen.begun.elapsed());
        let mut changes = Vec::new();
        let is_offline = seen.top.is_offline;
        if std::mem::replace(&mut self.is_offline, is_offline) != is_offline {
            changes.push(Change::Offline(is_offline));
        }
        if let Some(deep) = &seen.deep {
            self.below = deep.below.files;
            if let Some(beyond) = &deep.below.beyond
                && self.beyond.is_none()
            {
                changes.push(Change::Beyond(beyond.clone()));
                self.beyond = Some(beyond.clone());
            }
            if let Some(before) = deep.new_runtime {
                self.runtime = Settling::new(before, now);
            }
        }
        // One deployment is one change: what else has changed by then is part of it.
        if self.files.settle(self.files_of(seen), FILES_QUIET, now) {
            self.configuration = Settling::new(seen.top.configuration, now);
            changes.push(Change::Files);
        } else if self.files.is_settling() {
            self.configuration.see(seen.top.configuration, now);
        } else if self.configuration.settle(seen.top.configuration, CONFIGURATION_QUIET, now) {
            changes.push(Change::Configuration);
        }
        if let Some(deep) = &seen.deep
            && self.runtime.settle(deep.runtime, RUNTIME_QUIET, now)
        {
            changes.push(Change::Runtime);
        }
        changes
    }

    fn files_of(&self, seen: &Seen) -> u64 {
        seen.top.files.rotate_left(1) ^ self.below
    }
}

impl Settling {
    /// What was seen is what the site runs on.
    const fn new(seen: u64, now: Duration) -> Self {
        Self { acted_on: seen, seen, since: now }
    }

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

    const fn is_settling(&self) -> bool {
        self.seen != self.acted_on
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Instant;

    use super::super::look;
    use super::super::looks::Deep;
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn see(dir: &Path) -> Seen {
        let below = look::below(dir);
        let deep = Deep { below, runtime: 0, new_runtime: None, took: ms(0) };
        // Nobody is late here.
        let begun = Instant::now() + ms(60_000);
        Seen { begun, top: look::top(dir, &[PathBuf::from("listed.txt")]), deep: Some(deep) }
    }

    fn with_runtime(dir: &Path, runtime: u64, new_runtime: Option<u64>) -> Seen {
        let mut seen = see(dir);
        let deep = seen.deep.as_mut().unwrap();
        (deep.runtime, deep.new_runtime) = (runtime, new_runtime);
        seen
    }

    #[test]
    fn offline_is_what_the_folder_says_in_any_letter_case() {
        let dir = tempfile::tempdir().unwrap();
        let mut compare = Compare::new(&see(dir.path()), ms(0));
        assert!(!compare.is_offline());
        let file = dir.path().join("App_Offline.htm");
        fs::write(&file, "").unwrap();
        assert_eq!(compare.changes(&see(dir.path()), ms(20)), [Change::Offline(true)]);
        assert_eq!(compare.changes(&see(dir.path()), ms(1020)), []);
        fs::rename(&file, dir.path().join("app_offline.htm.off")).unwrap();
        assert_eq!(compare.changes(&see(dir.path()), ms(2020)), [Change::Offline(false)]);
    }

    #[test]
    fn files_are_followed_when_they_have_come_to_rest() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("plugins")).unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("web.config", "1");
        write("App.dll", "1");
        let mut compare = Compare::new(&see(dir.path()), ms(0));
        let mut changes = |at| compare.changes(&see(dir.path()), ms(at));
        write("web.config", "22");
        write("App.dll", "22");
        write("data.db", "what an application writes is its own business");
        assert_eq!(changes(1000), []);
        assert_eq!(changes(1200), []);
        write("plugins/a.dll", "333");
        assert_eq!(changes(1900), []);
        assert_eq!(changes(2800), []);
        // One change: the configuration belongs to it.
        assert_eq!(changes(3000), [Change::Files]);
        assert_eq!(changes(9000), []);
        write("web.config", "333");
        assert_eq!(changes(10_100), []);
        assert_eq!(changes(10_500), [Change::Configuration]);
        write("listed.txt", "any file that the configuration lists");
        assert_eq!(changes(10_550), []);
        assert_eq!(changes(11_560), [Change::Files]);
        // Back to what it was before anybody acted: nothing to do.
        write("plugins/b.dll", "1");
        assert_eq!(changes(11_600), []);
        fs::remove_file(dir.path().join("plugins/b.dll")).unwrap();
        assert_eq!(changes(20_000), []);
    }

    #[test]
    fn what_a_generation_is_started_with_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let mut compare = Compare::new(&see(dir.path()), ms(0));
        for name in ["web.config", "App.dll"] {
            fs::write(dir.path().join(name), "1").unwrap();
        }
        assert_eq!(compare.changes(&see(dir.path()), ms(1000)), []);
        compare.follow(&see(dir.path()), ms(1100));
        assert_eq!(compare.changes(&see(dir.path()), ms(3000)), []);
        assert_eq!(compare.changes(&see(dir.path()), ms(6000)), []);
    }

    #[test]
    fn another_runtime_counts_when_it_is_whole_and_not_when_a_generation_has_brought_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut compare = Compare::new(&see(dir.path()), ms(0));
        let mut changes =
            |runtime, new, at| compare.changes(&with_runtime(dir.path(), runtime, new), ms(at));
        assert_eq!(changes(5, Some(5), 1000), []);
        assert_eq!(changes(5, None, 9000), []);
        assert_eq!(changes(6, None, 10_000), []);
        assert_eq!(changes(7, None, 12_000), []);
        assert_eq!(changes(7, None, 14_000), []);
        assert_eq!(changes(7, None, 15_000), [Change::Runtime]);
        assert_eq!(changes(8, Some(8), 16_000), []);
        assert_eq!(changes(8, None, 30_000), []);
        // It is not as it was when the start began.
        assert_eq!(changes(10, Some(9), 31_000), []);
        assert_eq!(changes(10, None, 34_000), [Change::Runtime]);
    }

    #[test]
    fn what_is_not_watched_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut compare = Compare::new(&see(dir.path()), ms(0));
        fs::create_dir_all(dir.path().join("1/2/3/4/5/6/7")).unwrap();
        let changes = compare.changes(&see(dir.path()), ms(1000));
        assert!(matches!(changes[..], [Change::Beyond(_)]), "{changes:?}");
        assert_eq!(compare.changes(&see(dir.path()), ms(2000)), []);
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
        let mut compare = Compare::new(&see(&current), ms(0));
        fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink(&two, &current).unwrap();
        assert_eq!(compare.changes(&see(&current), ms(1000)), []);
        assert_eq!(compare.changes(&see(&current), ms(2000)), [Change::Files]);
    }
}
