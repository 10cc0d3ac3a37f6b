//! A snapshot is taken: once nothing has changed meanwhile, it is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::before::{self, Before};
use crate::place;
use crate::plan::Plan;

/// Between two attempts: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// What to take a snapshot of.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The application's folder, absolute.
    pub app: &'a Path,
    /// Where it may be, best first; see [`crate::places`].
    pub places: &'a [PathBuf],
    /// Whether a person has written the place, and answers for it.
    pub is_written: bool,
    /// More than so many bytes are not copied.
    pub most_bytes: u64,
    /// How long files may go on changing.
    pub patience: Duration,
}

/// There is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// None is needed: nobody can write to the application's folder.
    #[error("nobody can write to the folder")]
    ReadOnly,
    /// The files do not come to rest.
    #[error("files of the application keep changing, {} for one", .0.display())]
    Changing(PathBuf),
    /// It would be very large.
    #[error("its code has {bytes} bytes, more than {most}")]
    TooLarge {
        /// How many there are.
        bytes: u64,
        /// How many there may be.
        most: u64,
    },
    /// There is nowhere to put it.
    #[error("no place for it: {0}")]
    NoPlace(String),
    /// A file cannot be copied, for instance because the disk is full.
    #[error("{} cannot be copied: {error}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The folder cannot be read.
    #[error("the folder cannot be read: {0}")]
    Read(io::Error),
}

/// A copy of an application's code, and links to the rest. Belongs to who has this value, until
/// the process ends.
#[derive(Debug)]
pub struct Snapshot {
    dir: PathBuf,
    _lock: File,
    files: usize,
    bytes: u64,
    took: Duration,
}

impl Snapshot {
    /// Takes one; what is there without an owner is removed first.
    ///
    /// # Errors
    ///
    /// There is none, and nothing is left of it.
    pub fn take(request: Request<'_>) -> Result<Self, Refusal> {
        let begun = Instant::now();
        if os::mount::of(request.app).is_ok_and(|mount| mount.is_read_only) {
            return Err(Refusal::ReadOnly);
        }
        let (dir, lock) = request.make_folder()?;
        let place = dir.parent().unwrap_or(&dir);
        let taken = request.fill(&dir, place, begun);
        match taken {
            Ok(plan) => {
                let (files, bytes) = (plan.code.len(), plan.bytes());
                Ok(Self { dir, _lock: lock, files, bytes, took: begun.elapsed() })
            }
            Err(refusal) => {
                drop(lock);
                place::clear(place);
                Err(refusal)
            }
        }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How many files were copied.
    pub fn files(&self) -> usize {
        self.files
    }

    /// How large they are together; what the disk has to hold may be nothing.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it cost, waiting for files to come to rest included.
    pub fn took(&self) -> Duration {
        self.took
    }
}

impl Request<'_> {
    fn make_folder(&self) -> Result<(PathBuf, File), Refusal> {
        let mut reasons = Vec::new();
        for place in self.places {
            place::sweep(place);
            match place::make(place, self.is_written) {
                Ok(made) => return Ok(made),
                Err(error) => reasons.push(format!("{}: {error}", place.display())),
            }
        }
        Err(Refusal::NoPlace(reasons.join("; ")))
    }

    fn fill(&self, dir: &Path, place: &Path, begun: Instant) -> Result<Plan, Refusal> {
        let [mut pause, longest] = PAUSES;
        let before = Before::newest(place);
        loop {
            let plan = Plan::of(self.app, place).map_err(Refusal::Read)?;
            if plan.bytes() > self.most_bytes {
                return Err(Refusal::TooLarge { bytes: plan.bytes(), most: self.most_bytes });
            }
            let changing = match plan.make(self.app, dir, before.as_ref()) {
                Ok(()) => {
                    let now = Plan::of(self.app, place).map_err(Refusal::Read)?;
                    match plan.difference(&now).or(plan.just_changed()) {
                        None => {
                            // Without it the next one copies everything.
                            let _ = before::complete(dir, &plan.code);
                            return Ok(plan);
                        }
                        Some(path) => self.app.join(path),
                    }
                }
                // It was there a moment ago.
                Err((path, error)) if error.kind() == io::ErrorKind::NotFound => path,
                Err((path, error)) => return Err(Refusal::Copy { path, error }),
            };
            if begun.elapsed() + pause > self.patience {
                return Err(Refusal::Changing(changing));
            }
            empty(dir).map_err(|error| Refusal::Copy { path: dir.to_owned(), error })?;
            thread::sleep(pause);
            pause = (pause * 2).min(longest);
        }
    }
}

/// Removes what is in the folder, whose lock stays.
fn empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(app: &'a Path, places: &'a [PathBuf]) -> Request<'a> {
        let patience = Duration::from_secs(20);
        Request { app, places, is_written: false, most_bytes: u64::MAX, patience }
    }

    #[test]
    fn a_snapshot_that_is_taken_while_somebody_writes_is_followed_by_a_better_one() {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("app");
        fs::create_dir(&app).unwrap();
        let write = |text: &str| {
            for name in ["A.dll", "B.dll"] {
                fs::write(app.join(name), text.repeat(100_000)).unwrap();
            }
        };
        write("0");
        let places = places(&app);
        let snapshot = thread::scope(|scope| {
            let writer = scope.spawn(|| (1..40).for_each(|round| write(&round.to_string())));
            // Of whatever it is: nothing that happens meanwhile is an error.
            drop(Snapshot::take(request(&app, &places)).unwrap());
            writer.join().unwrap();
            Snapshot::take(request(&app, &places)).unwrap()
        });
        assert_eq!((snapshot.files(), snapshot.bytes()), (2, 400_000));
        assert_eq!(
            fs::read(snapshot.dir().join("A.dll")).unwrap(),
            "39".repeat(100_000).as_bytes()
        );
        drop(snapshot);
        crate::clear(&places[0]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left");
    }

    #[test]
    fn what_has_not_changed_is_shared_with_the_snapshot_before() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("app");
        fs::create_dir(&app).unwrap();
        for name in ["A.dll", "B.dll"] {
            fs::write(app.join(name), "1").unwrap();
        }
        let places = places(&app);
        let take = || Snapshot::take(request(&app, &places)).unwrap();
        let inode = |snapshot: &Snapshot, name: &str| {
            fs::metadata(snapshot.dir().join(name)).unwrap().ino()
        };
        let one = take();
        // In place: the file is the same.
        fs::write(app.join("B.dll"), "2").unwrap();
        let two = take();
        assert_eq!(inode(&one, "A.dll"), inode(&two, "A.dll"));
        assert_ne!(inode(&two, "A.dll"), fs::metadata(app.join("A.dll")).unwrap().ino());
        assert_ne!(inode(&one, "B.dll"), inode(&two, "B.dll"));
        for (snapshot, expected) in [(&one, "1"), (&two, "2")] {
            assert_eq!(fs::read_to_string(snapshot.dir().join("B.dll")).unwrap(), expected);
        }
        // It stays when the one before goes.
        let gone = one.dir().to_owned();
        drop(one);
        crate::sweep(&places[0]);
        assert!(!gone.exists());
        assert_eq!(fs::read_to_string(two.dir().join("A.dll")).unwrap(), "1");
    }

    fn places(app: &Path) -> Vec<PathBuf> {
        crate::places(app, None, |_| None)
    }

    #[test]
    fn what_cannot_be_taken_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("app");
        fs::create_dir(&app).unwrap();
        fs::write(app.join("A.dll"), "twelve bytes").unwrap();
        let places = places(&app);
        let refusal = Snapshot::take(Request { most_bytes: 11, ..request(&app, &places) });
        assert!(matches!(refusal, Err(Refusal::TooLarge { bytes: 12, most: 11 })), "{refusal:?}");
        let refusal = Snapshot::take(request(&app, &[PathBuf::from("/proc/x/y")])).unwrap_err();
        assert!(refusal.to_string().starts_with("no place for it: /proc/x/y"), "{refusal}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
