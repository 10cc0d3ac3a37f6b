//! Where snapshots are, and the end of those whose owners are gone.
//!
//! Best beside the application: there blocks can be shared, and the disk is the one that was chosen
//! for it. Never inside, unless that is written: deployers delete what they do not know.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// First part of the name of a snapshot; a number follows.
const NAME: &str = "snapshot-";
/// What systemd names with `CacheDirectory=`.
const CACHE_VARIABLE: &str = "CACHE_DIRECTORY";

/// Our folder beside the application's: `/srv/.shop.ancm` for `/srv/shop`.
pub fn beside(app: &Path) -> Option<PathBuf> {
    let name = app.file_name()?.to_str()?;
    Some(app.parent()?.join(format!(".{name}.ancm")))
}

/// Where snapshots of `app` may be, best first: where `shadowCopyDirectory` says and nowhere else;
/// in the cache of the service; beside the application; where everybody may write.
pub fn places(
    app: &Path,
    written: Option<&Path>,
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<PathBuf> {
    if let Some(written) = written {
        return vec![app.join(written)];
    }
    let key = key(app);
    let cache = variable(CACHE_VARIABLE).and_then(|list| list.split(':').next().map(PathBuf::from));
    let cache = cache.filter(|path| path.is_absolute()).map(|path| path.join(&key));
    let beside = beside(app).map(|ours| ours.join("snapshots"));
    let everybody = own_user().ok().map(|user| format!("/var/tmp/ancm-{user}/{key}").into());
    [cache, beside, everybody].into_iter().flatten().collect()
}

/// The name of the application's own folder among those of others: readable, and of this path alone.
fn key(app: &Path) -> String {
    // FNV-1a: the same in every version of the host.
    let hash = app.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let name = app.file_name().unwrap_or_default().to_string_lossy();
    format!("{name}-{hash:016x}")
}

/// Makes a new folder for a snapshot in `place`, and takes the lock of its owner.
pub(crate) fn make(place: &Path, is_written: bool) -> io::Result<(PathBuf, File)> {
    let mut made = try_make(place, is_written);
    for _ in 0..10 {
        match made {
            // Another host has just removed the last of its own, and the place with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                made = try_make(place, is_written);
            }
            made => return made,
        }
    }
    made
}

fn try_make(place: &Path, is_written: bool) -> io::Result<(PathBuf, File)> {
    if is_written {
        DirBuilder::new().recursive(true).mode(0o700).create(place)?;
    } else {
        // Ours are two deep, below a folder that is somebody else's.
        place.parent().map_or(Ok(()), private)?;
        private(place)?;
    }
    if os::mount::of(place)?.is_no_exec {
        return Err(io::Error::other("programs are not executed there (noexec)"));
    }
    loop {
        let numbers = fs::read_dir(place)?.flatten().filter_map(|entry| number(&entry.file_name()));
        let path = place.join(format!("{NAME}{}", numbers.max().unwrap_or(0) + 1));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        }
        let lock = File::open(&path)?;
        lock.lock()?;
        // Another may have taken it for abandoned before it was locked.
        let open = lock.metadata()?;
        if fs::metadata(&path).is_ok_and(|now| (now.dev(), now.ino()) == (open.dev(), open.ino())) {
            return Ok((path, lock));
        }
    }
}

/// Removes the snapshots in `place` whose owners are gone. What cannot be removed stays until
/// somebody can.
pub fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let is_one = number(&entry.file_name()).is_some();
        if !is_one || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        // INVARIANT: removed while locked, so an owner that is about to lock it sees it gone.
        let Ok(folder) = File::open(&path) else { continue };
        if folder.try_lock().is_ok() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// How often, and how long apart, it is looked whether an owner that has ended is gone for good.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// The same, and removes the place when nothing is left in it.
pub fn clear(place: &Path) {
    sweep(place);
    // A process that has ended may keep its files, and with them its lock, for a moment more.
    for _ in 0..LOOKS {
        if !has_snapshots(place) {
            break;
        }
        thread::sleep(PAUSE);
        sweep(place);
    }
    // Fails while there is something in them.
    if fs::remove_dir(place).is_ok() {
        let parent = place.parent().filter(|parent| {
            let name = parent.file_name().unwrap_or_default().as_bytes();
            name.starts_with(b".") && name.ends_with(b".ancm")
        });
        let _ = parent.map(fs::remove_dir);
    }
}

fn has_snapshots(place: &Path) -> bool {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| number(&entry.file_name()).is_some())
}

/// Whether this is the name of a snapshot's folder.
pub fn is_one(name: &std::ffi::OsStr) -> bool {
    number(name).is_some()
}

pub(crate) fn number(name: &std::ffi::OsStr) -> Option<u64> {
    name.to_str()?.strip_prefix(NAME)?.parse().ok()
}

/// Makes sure of our folder beside that of `app`, see [`beside`].
///
/// # Errors
///
/// It cannot be made, or others may write to it.
pub fn own_folder(app: &Path) -> io::Result<PathBuf> {
    let path = beside(app).ok_or_else(|| io::Error::other("the folder has no name of its own"))?;
    private(&path)?;
    Ok(path)
}

/// Makes sure of a folder that nobody else may write to.
fn private(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != own_user()? {
        return Err(io::Error::other(format!("{} is no folder of this user", path.display())));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other(format!("others may write to {}", path.display())));
    }
    Ok(())
}

fn own_user() -> io::Result<u32> {
    fs::metadata("/proc/self").map(|metadata| metadata.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_the_only_place() {
        let none = |_: &str| None;
        let app = Path::new("/srv/shop");
        assert_eq!(places(app, Some(Path::new("x")), none), [Path::new("/srv/shop/x")]);
        let found = places(app, None, none);
        assert_eq!(found[0], Path::new("/srv/.shop.ancm/snapshots"));
        let cache = |_: &str| Some("/var/cache/shop:/other".to_owned());
        assert!(places(app, None, cache)[0].starts_with("/var/cache/shop"));
        assert_eq!(beside(Path::new("/")), None);
    }

    #[test]
    fn what_nobody_owns_goes_and_numbers_grow() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join(".a.ancm/snapshots");
        let (first, _lock) = make(&place, false).unwrap();
        let (second, lock) = make(&place, false).unwrap();
        assert!(first.ends_with("snapshot-1") && second.ends_with("snapshot-2"));
        fs::write(second.join("file"), "").unwrap();
        fs::create_dir(place.join("snapshot-of-mine")).unwrap();
        drop(lock);
        sweep(&place);
        assert!(first.exists() && !second.exists() && place.join("snapshot-of-mine").exists());
        fs::remove_dir(place.join("snapshot-of-mine")).unwrap();
        drop(_lock);
        clear(&place);
        assert!(!place.exists() && !dir.path().join(".a.ancm").exists());
    }

    #[test]
    fn a_place_that_others_may_write_to_is_none() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let ours = dir.path().join(".a.ancm");
        fs::create_dir(&ours).unwrap();
        fs::set_permissions(&ours, PermissionsExt::from_mode(0o777)).unwrap();
        let error = make(&ours.join("snapshots"), false).unwrap_err();
        assert!(error.to_string().contains("others may write"), "{error}");
    }
}
