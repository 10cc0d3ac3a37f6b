//! A site with places of its own for what might accumulate.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::Value;
use testkit::{App, Model, Process, Site, Start, patience};

use crate::table::Table;

/// The site, its temporary files and its sockets.
pub(crate) struct Stage {
    pub(crate) site: Site,
    place: tempfile::TempDir,
    first: Left,
}

/// What there is at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Left {
    processes: usize,
    zombies: usize,
    handles: usize,
    sockets: usize,
    snapshots: usize,
    /// Temporary files, those of the runtime for its diagnosis aside.
    files: usize,
    /// What the runtime of a process that is gone has left for its diagnosis.
    diagnostics: usize,
}

/// The titles of [`Left::cells`].
macro_rules! left_columns {
    ($($column:literal),*) => {
        &[$($column,)* "processes", "handles", "sockets", "snapshots", "files", "diagnostics"]
    };
}
pub(crate) use left_columns;

/// Handles of the supervisor that are no leak.
const BREATH_HANDLES: usize = 8;

impl Stage {
    pub(crate) fn start(app: App, model: Model) -> Self {
        Self::start_with(app, model, |start| start)
    }

    pub(crate) fn start_with(app: App, model: Model, with: impl FnOnce(Start) -> Start) -> Self {
        let place = tempfile::tempdir().expect("a folder can be made");
        for name in ["tmp", "run"] {
            let dir = place.path().join(name);
            fs::create_dir(&dir).expect("a folder can be made");
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).expect("it is ours");
        }
        let start = Start::of(silent(app).model(model))
            .env("TMPDIR", place.path().join("tmp"))
            .env("XDG_RUNTIME_DIR", place.path().join("run"));
        let site = with(start).run();
        let mut stage = Self { site, place, first: Left::default() };
        stage.begin();
        stage
    }

    /// What is there now is what may be left.
    pub(crate) fn begin(&mut self) {
        self.first = self.left();
    }

    /// What is there once what was asked for has ended; what is more than at first, fails.
    pub(crate) fn settle(&self, what: &str, table: &mut Table<'_>) -> Left {
        let end = Instant::now() + patience();
        loop {
            let left = self.left();
            if self.is_no_more(&left) {
                return left;
            }
            if Instant::now() > end {
                table.fail(format!("{what}: {left:?} is left, first it was {:?}", self.first));
                return left;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    fn is_no_more(&self, left: &Left) -> bool {
        let first = &self.first;
        left.processes <= first.processes
            && left.zombies == 0
            && left.handles <= first.handles + BREATH_HANDLES
            && left.sockets <= first.sockets
            && left.snapshots <= first.snapshots
            && left.files <= first.files
            && left.diagnostics <= first.diagnostics
    }

    fn left(&self) -> Left {
        let processes = self.site.started();
        let tmp = all_below(&self.place.path().join("tmp"));
        let (diagnostics, others): (Vec<_>, Vec<_>) =
            tmp.into_iter().partition(|path| of_runtime(path).is_some());
        let ours = self.site.app().dir().with_file_name(".app.ancm");
        let is_socket = |path: &PathBuf| {
            fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        };
        let run = all_below(&self.place.path().join("run"));
        Left {
            zombies: self.site.supervisor().zombies().len(),
            handles: self.site.supervisor().descriptors(),
            sockets: run.iter().filter(|path| is_socket(path)).count(),
            snapshots: fs::read_dir(ours.join("snapshots")).map_or(0, Iterator::count),
            files: others.len() + run.iter().filter(|path| !is_socket(path)).count(),
            diagnostics: diagnostics
                .iter()
                .filter(|path| {
                    of_runtime(path).is_some_and(|process| !processes.contains(&process))
                })
                .count(),
            processes: processes.len(),
        }
    }
}

impl Left {
    pub(crate) fn cells(&self) -> [Value; 6] {
        [self.processes, self.handles, self.sockets, self.snapshots, self.files, self.diagnostics]
            .map(Value::from)
    }
}

/// A line for each request would fill the log.
pub(crate) fn silent(app: App) -> App {
    app.variables(&[("Logging__LogLevel__Default", "None")])
}

/// The process whose runtime has put this file there: `dotnet-diagnostic-PID-…`, `clr-debug-pipe-PID-…`.
fn of_runtime(path: &Path) -> Option<Process> {
    let name = path.file_name()?.to_str()?;
    let rest =
        ["dotnet-diagnostic-", "clr-debug-pipe-"].iter().find_map(|it| name.strip_prefix(it));
    rest?.split('-').next()?.parse().ok().map(Process)
}

fn all_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => all_below(&entry.path()),
            false => vec![entry.path()],
        })
        .collect()
}

pub(crate) fn status(site: &Site) -> Value {
    let ended = site.command("status", &["--json"]);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr))
}

/// The number of the generation of the application that serves, and why it was started.
pub(crate) fn serving(site: &Site) -> (u64, String) {
    let told = status(site);
    let generations = told["generations"].as_array().expect("a list").iter();
    let serving = generations.filter(|it| it["state"] == "serving" && it["serves"] == "app");
    let described = serving.filter_map(|it| Some((it["id"].as_u64()?, it["reason"].to_string())));
    described.max().unwrap_or_default()
}

/// How often the log tells that something ended that should not have, or was cut off.
pub(crate) fn crashes(site: &Site) -> usize {
    let log = site.log();
    ["error 1100", "warning 1005", "warning 1102"].map(|it| log.matches(it).count()).iter().sum()
}
