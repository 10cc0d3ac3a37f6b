//! The end of snapshots: a worker takes its own, and is gone before it could remove it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;

use config::{App, Env};

/// Where snapshots of this site's generations have been.
#[derive(Debug, Default)]
pub(super) struct Snapshots(BTreeSet<PathBuf>);

impl Snapshots {
    /// A worker has one there.
    pub(super) fn note(&mut self, snapshot: &Path) {
        self.0.extend(snapshot.parent().map(Path::to_owned));
    }

    /// Removes those without a worker; not on this thread, which waits for no disk.
    pub(super) fn sweep(&self) {
        let places = self.0.clone();
        if !places.is_empty() {
            // Without a thread they stay until the next time.
            let _ = thread::Builder::new()
                .spawn(move || places.iter().for_each(|it| snapshot::sweep(it)));
        }
    }

    /// The same when the site ends, also for those of which nobody has told.
    pub(super) fn finish(mut self, app: &App, env: &Env) {
        let written = app.settings.handler_settings.shadow_copy_directory.as_deref();
        let variable = |name: &str| env.non_empty(name).map(str::to_owned);
        self.0.extend(snapshot::places(&app.dir, written, variable));
        self.0.iter().for_each(|place| snapshot::clear(place));
    }
}
