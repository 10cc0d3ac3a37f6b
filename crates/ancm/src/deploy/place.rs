//! The folder beside the application's, `.NAME.ancm`, and the steps of a switch.
//!
//! | in it | |
//! |---|---|
//! | `lock` | held by who deploys |
//! | `staging` | a version that is being copied |
//! | `next` | a complete version that is about to change places with the application's folder, or just has |
//! | `switch` | which of the two: what the version that is to come is known by, and whence it came |
//! | `previous` | the version before |
//! | `discarded` | on its way out |
//!
//! Each step is one rename, and a version is on the disk before the first: after a loss of power the
//! application's folder has one version or the other, whole. Whoever opens the place after a deployment was killed finds from `next` and
//! `switch` where that stood, and tidies up.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{DeployError, at, identity};

/// An application's folder, and ours beside it, which is locked.
pub(super) struct Place {
    app: PathBuf,
    ours: PathBuf,
    _lock: File,
}

/// Where the version in `next` has come from.
const DEPLOYED: &str = "deploy";
const BROUGHT_BACK: &str = "rollback";

impl Place {
    /// The place of the application in `dir`, which need not exist yet. What a killed deployment left
    /// is put in order.
    pub(super) fn open(dir: &Path) -> Result<Self, DeployError> {
        let app = match dir.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => absolute(dir),
            found => found,
        };
        let app = app.map_err(at(dir))?;
        if app.exists() && !app.is_dir() {
            return Err(at(&app)(io::Error::other("it is not a folder")));
        }
        let ours = snapshot::own_folder(&app).map_err(at(&app))?;
        let lock = ours.join("lock");
        let lock = File::create(&lock).map_err(at(&lock))?;
        if lock.try_lock().is_err() {
            return Err(DeployError::Busy(app));
        }
        let place = Self { app, ours, _lock: lock };
        place.recover()?;
        Ok(place)
    }

    /// The application's folder.
    pub(super) fn app(&self) -> &Path {
        &self.app
    }

    /// The version that is to come; after the exchange the one that was there.
    pub(super) fn next(&self) -> PathBuf {
        self.ours.join("next")
    }

    fn previous(&self) -> PathBuf {
        self.ours.join("previous")
    }

    /// A new folder for a version.
    pub(super) fn staging(&self) -> Result<PathBuf, DeployError> {
        let staging = self.ours.join("staging");
        fs::create_dir(&staging).map_err(at(&staging))?;
        Ok(staging)
    }

    /// The version in `staging` is the first.
    pub(super) fn settle_first(&self, staging: &Path) -> Result<(), DeployError> {
        os::exchange::settle(staging).map_err(at(staging))?;
        fs::rename(staging, &self.app).map_err(at(&self.app))?;
        os::exchange::settle(&self.app).map_err(at(&self.app))
    }

    /// The version in `staging` is complete.
    pub(super) fn complete(&self, staging: &Path) -> Result<(), DeployError> {
        os::exchange::settle(staging).map_err(at(staging))?;
        self.announce(DEPLOYED, staging)?;
        fs::rename(staging, self.next()).map_err(at(staging))
    }

    /// The version before is to come; where it is now.
    pub(super) fn bring_back(&self) -> Result<PathBuf, DeployError> {
        let previous = self.previous();
        if !previous.is_dir() || !self.app.is_dir() {
            return Err(DeployError::NoVersionBefore(self.app.clone()));
        }
        self.announce(BROUGHT_BACK, &previous)?;
        fs::rename(&previous, self.next()).map_err(at(&previous))?;
        Ok(self.next())
    }

    /// Has `next` and the application's folder change places.
    pub(super) fn exchange(&self) -> Result<(), DeployError> {
        os::exchange::exchange(&self.next(), &self.app).map_err(|error| {
            self.abandon();
            at(&self.app)(error)
        })
    }

    /// The same again, which undoes it.
    pub(super) fn exchange_back(&self) -> io::Result<()> {
        os::exchange::exchange(&self.next(), &self.app)
    }

    /// The switch holds: what was there is the version before.
    pub(super) fn finish(&self) -> Result<(), DeployError> {
        let previous = self.previous();
        if previous.exists() {
            self.discard(&previous)?;
        }
        fs::rename(self.next(), &previous).map_err(at(&previous))?;
        let _ = fs::remove_file(self.ours.join("switch"));
        // Whoever is told that it is done may rely on it.
        os::exchange::settle(&self.app).map_err(at(&self.app))?;
        self.empty();
        Ok(())
    }

    /// Nothing comes of the version that was to come. What stays is found by the next deployment.
    pub(super) fn abandon(&self) {
        let _ = self.recover();
    }

    /// Notes what the version is known by, as a whole.
    fn announce(&self, from: &str, version: &Path) -> Result<(), DeployError> {
        let (device, inode) = identity(version).map_err(at(version))?;
        let (note, new) = (self.ours.join("switch"), self.ours.join("switch.new"));
        let written = fs::write(&new, format!("{from} {device} {inode}\n"));
        written.and_then(|()| fs::rename(&new, &note)).map_err(at(&note))
    }

    /// Puts in order what was left half done.
    fn recover(&self) -> Result<(), DeployError> {
        let next = self.next();
        if next.exists() {
            let note = fs::read_to_string(self.ours.join("switch")).unwrap_or_default();
            let app = identity(&self.app).ok();
            let is_done = app.is_some_and(|(device, inode)| {
                note.trim_end().ends_with(&format!(" {device} {inode}"))
            });
            if is_done {
                // Nobody knows whether it serves, but the way back is open.
                return self.finish();
            }
            match note.starts_with(BROUGHT_BACK) {
                true => fs::rename(&next, self.previous()).map_err(at(&next))?,
                false => self.discard(&next)?,
            }
        }
        let staging = self.ours.join("staging");
        if staging.exists() {
            self.discard(&staging)?;
        }
        let _ = fs::remove_file(self.ours.join("switch"));
        self.empty();
        Ok(())
    }

    /// Gets a folder out of the way at once; to delete it takes longer.
    fn discard(&self, folder: &Path) -> Result<(), DeployError> {
        self.empty();
        fs::rename(folder, self.ours.join("discarded")).map_err(at(folder))
    }

    fn empty(&self) {
        // What cannot be deleted now is tried again by the next.
        let _ = fs::remove_dir_all(self.ours.join("discarded"));
    }
}

/// The path of a folder that does not exist, whose parent does.
fn absolute(dir: &Path) -> io::Result<PathBuf> {
    let dir = std::path::absolute(dir)?;
    match (dir.parent(), dir.file_name()) {
        (Some(parent), Some(name)) => Ok(parent.canonicalize()?.join(name)),
        _ => Err(io::Error::other("the folder has no name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with version `one`, and a version `two` in staging.
    fn ready() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().canonicalize().unwrap().join("app");
        fs::create_dir(&app).unwrap();
        fs::write(app.join("version"), "one").unwrap();
        (dir, app)
    }

    fn staged(place: &Place, version: &str) -> PathBuf {
        let staging = place.staging().unwrap();
        fs::write(staging.join("version"), version).unwrap();
        staging
    }

    fn versions(app: &Path) -> [Option<String>; 2] {
        let previous = snapshot::beside(app).unwrap().join("previous");
        [app, &previous].map(|dir| fs::read_to_string(dir.join("version")).ok())
    }

    fn known(app: &str, previous: Option<&str>) -> [Option<String>; 2] {
        [Some(app.to_owned()), previous.map(str::to_owned)]
    }

    fn names(app: &Path) -> Vec<String> {
        let entries = fs::read_dir(snapshot::beside(app).unwrap()).unwrap();
        let mut names: Vec<_> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A child of another test may have the lock of one that was killed until it runs its own program.
    fn open(app: &Path) -> Place {
        let begun = std::time::Instant::now();
        loop {
            match Place::open(app) {
                Err(DeployError::Busy(_)) if begun.elapsed().as_secs() < 10 => {
                    std::thread::yield_now()
                }
                opened => return opened.unwrap(),
            }
        }
    }

    #[test]
    fn wherever_a_deployment_is_killed_the_next_finds_one_version_or_the_other() {
        let (_dir, app) = ready();
        // While it is copied, when it is complete: as if nothing had been.
        for steps in 0..3 {
            let place = open(&app);
            let staging = staged(&place, "two");
            if steps == 1 {
                place.announce(DEPLOYED, &staging).unwrap();
            } else if steps == 2 {
                place.complete(&staging).unwrap();
            }
            drop(place);
            drop(open(&app));
            assert_eq!(versions(&app), known("one", None), "{steps}");
            assert_eq!(names(&app), ["lock"], "{steps}");
        }
        // Behind the exchange the new one is there, and the old one can come back.
        let place = open(&app);
        place.complete(&staged(&place, "two")).unwrap();
        place.exchange().unwrap();
        drop(place);
        let place = open(&app);
        assert_eq!(versions(&app), known("two", Some("one")));
        // On the way back, too.
        place.bring_back().unwrap();
        drop(place);
        let place = open(&app);
        assert_eq!(versions(&app), known("two", Some("one")));
        place.bring_back().unwrap();
        place.exchange().unwrap();
        drop(place);
        drop(open(&app));
        assert_eq!(versions(&app), known("one", Some("two")));
        assert_eq!(names(&app), ["lock", "previous"]);
    }

    #[test]
    fn one_deploys_at_a_time() {
        let (_dir, app) = ready();
        let place = Place::open(&app).unwrap();
        assert!(matches!(Place::open(&app), Err(DeployError::Busy(_))));
        drop(place);
        assert!(matches!(
            Place::open(&app).unwrap().bring_back(),
            Err(DeployError::NoVersionBefore(_))
        ));
    }
}
