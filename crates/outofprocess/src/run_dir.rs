//! The private folder in which the sockets of a worker's backends are.
//!
//! One folder per worker, which only its user may enter, below the first place that can be had. Its
//! owner holds a lock on it for as long as it lives; what a killed worker left behind is not locked
//! and goes when the next worker makes its own. What a reader would get wrong: process numbers come
//! back, so a number in a name proves nothing.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use config::Env;

use crate::random;

/// Longest path that the address of a Unix socket has room for, without the zero at its end.
const PATH_LIMIT: usize = 107;

/// More than the longest name that [`RunDir::socket`] gives, separators included.
const NAMES: usize = 32;

/// The folder of this worker. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    /// Locked.
    _folder: File,
}

impl RunDir {
    /// Makes the folder in the first place of [`places`] that can be had.
    ///
    /// # Errors
    ///
    /// None can be; the error is that of the last.
    pub(crate) fn new(process: &Env) -> io::Result<Self> {
        let mut error = io::Error::from(io::ErrorKind::NotFound);
        for place in places(process, os::private::own_user()?) {
            match Self::below(&place) {
                Ok(made) => return Ok(made),
                Err(why) => {
                    error = io::Error::new(why.kind(), format!("{}: {why}", place.display()))
                }
            }
        }
        Err(error)
    }

    fn below(place: &Path) -> io::Result<Self> {
        if place.as_os_str().as_bytes().len() + NAMES > PATH_LIMIT {
            return Err(io::Error::other("the path is too long for a socket"));
        }
        // Entering alone does no harm, since each worker's folder is its own.
        os::private::folder(place)?;
        remove_abandoned(place);
        loop {
            let path = place.join(format!("w{:08x}", random::below(u32::MAX)?));
            DirBuilder::new().mode(0o700).create(&path)?;
            let folder = File::open(&path)?;
            folder.lock()?;
            // Another worker may have taken it for abandoned before it was locked.
            if fs::metadata(&path).is_ok_and(|now| is_same(&now, &folder)) {
                return Ok(Self { path, _folder: folder });
            }
        }
    }

    /// The path of a socket that never was in use.
    pub(crate) fn socket(&self, number: u64) -> PathBuf {
        self.path.join(format!("b{number}.sock"))
    }

    /// Removes the folder, once nobody listens there. A worker does not wait for everything to be
    /// dropped when it ends.
    pub(crate) fn remove(&self) {
        // What is left is found by the next worker.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Where the folder may be, best first: what systemd made for the service, what the session has,
/// the system's own place, and one that is always there.
fn places(process: &Env, user: u32) -> Vec<PathBuf> {
    let named = |name| process.non_empty(name).map(Path::new).filter(|path| path.is_absolute());
    let service = process.non_empty("RUNTIME_DIRECTORY").and_then(|list| list.split(':').next());
    let service = service.map(Path::new).filter(|path| path.is_absolute()).map(Path::to_owned);
    let session = named("XDG_RUNTIME_DIR").map(|path| path.join("ancm"));
    let system = (user == 0).then(|| PathBuf::from("/run/ancm"));
    let temporary = named("TMPDIR").unwrap_or(Path::new("/tmp")).join(format!("ancm-{user}"));
    [service, session, system, Some(temporary)].into_iter().flatten().collect()
}

/// Removes the folders whose owners are gone.
fn remove_abandoned(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(is_folder_name);
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        // INVARIANT: removed while locked, so an owner that is about to lock it sees it gone.
        let Ok(folder) = File::open(&path) else { continue };
        if folder.try_lock().is_ok() {
            // What cannot be removed stays until somebody can.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_folder_name(name: &str) -> bool {
    name.strip_prefix('w').is_some_and(|number| {
        number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn is_same(now: &fs::Metadata, folder: &File) -> bool {
    folder.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (now.dev(), now.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn within(dir: &Path) -> Env {
        Env::from_iter([("XDG_RUNTIME_DIR", dir.to_str().unwrap())])
    }

    #[test]
    fn the_folder_is_private_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(&within(dir.path())).unwrap();
        let socket = run.socket(7);
        let folder = socket.parent().unwrap();
        assert!(folder.starts_with(dir.path().join("ancm")), "{}", folder.display());
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(&socket, "").unwrap();
        drop(run);
        assert!(!socket.exists() && !socket.parent().unwrap().exists());
    }

    #[test]
    fn what_a_killed_worker_left_is_removed_and_what_is_alive_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("ancm");
        fs::create_dir_all(place.join("w00000001")).unwrap();
        fs::write(place.join("w00000001/b1.sock"), "").unwrap();
        fs::create_dir_all(place.join("something-else")).unwrap();
        let one = RunDir::new(&within(dir.path())).unwrap();
        let another = RunDir::new(&within(dir.path())).unwrap();
        assert!(!place.join("w00000001").exists());
        assert!(place.join("something-else").exists());
        assert!(one.path.exists() && another.path.exists());
    }

    #[test]
    fn a_place_where_others_may_write_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("ancm");
        fs::create_dir(&place).unwrap();
        fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).unwrap();
        let error = RunDir::below(&place).unwrap_err();
        assert_eq!(error.to_string(), "others may write to it");
        fs::remove_dir(&place).unwrap();
        std::os::unix::fs::symlink(dir.path(), &place).unwrap();
        let error = RunDir::below(&place).unwrap_err();
        assert_eq!(error.to_string(), "it is not a folder of this user");
    }

    #[test]
    fn a_path_that_is_too_long_is_passed_over() {
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(90)));
        assert!(RunDir::below(&long).unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn the_best_place_comes_first() {
        let process = Env::from_iter([
            ("RUNTIME_DIRECTORY", "/run/shop:/run/other"),
            ("XDG_RUNTIME_DIR", "/run/user/7"),
            ("TMPDIR", "relative"),
        ]);
        let expected = ["/run/shop", "/run/user/7/ancm", "/tmp/ancm-7"].map(PathBuf::from);
        assert_eq!(places(&process, 7), expected);
        let root = ["/run/ancm", "/tmp/ancm-0"].map(PathBuf::from);
        assert_eq!(places(&Env::default(), 0), root);
    }
}
