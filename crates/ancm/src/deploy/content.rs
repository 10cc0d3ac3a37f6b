//! What a version consists of, and what outlives it.
//!
//! A version has a list of the files that it came with. All else in the application's folder was
//! put there by the application or a person: uploads, databases, logs, settings of this machine.
//! That stays. Kept files are links to the same files, not copies, because the application goes on
//! writing while one generation follows another, and because both versions mean the same data.
//!
//! A folder that was not deployed by us has no list. In it everything counts as data but code, of
//! which two versions must not be mixed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, FileTimes, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use super::{DeployError, at};

/// The list, in the version's folder: paths, each with a zero behind it.
const LIST: &str = ".ancm-files";
/// A folder whose files outlive versions even where a version brings its own (that of a first
/// start).
const DATA: &str = "App_Data";

/// How much was copied.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

/// Copies the version `from` into the empty folder `to`, which becomes like the folder `like` if that
/// exists.
pub(super) fn copy(from: &Path, to: &Path, like: &Path) -> Result<Counted, DeployError> {
    let like = fs::metadata(like).or_else(|_| fs::metadata(from)).map_err(at(from))?;
    let mut copying =
        Copying { from, to, owner: owner(&like), list: Vec::new(), all: Counted::default() };
    copying.folder(Path::new(""))?;
    let list = to.join(LIST);
    fs::write(&list, &copying.list).map_err(at(&list))?;
    copying.hand_over(&list)?;
    copying.hand_over(to)?;
    fs::set_permissions(to, like.permissions()).map_err(at(to))?;
    Ok(copying.all)
}

/// To whom new files go: only root can give any away.
fn owner(like: &Metadata) -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    is_root.then(|| (like.uid(), like.gid()))
}

struct Copying<'a> {
    from: &'a Path,
    to: &'a Path,
    owner: Option<(u32, u32)>,
    list: Vec<u8>,
    all: Counted,
}

impl Copying<'_> {
    fn folder(&mut self, path: &Path) -> Result<(), DeployError> {
        let folder = self.from.join(path);
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            let path = path.join(entry.file_name());
            let (from, to) = (self.from.join(&path), self.to.join(&path));
            let metadata = fs::symlink_metadata(&from).map_err(at(&from))?;
            if path == Path::new(LIST) {
                continue; // Of a version that was deployed elsewhere.
            }
            if metadata.is_dir() {
                fs::create_dir(&to).map_err(at(&to))?;
                self.folder(&path)?;
                fs::set_permissions(&to, metadata.permissions()).map_err(at(&to))?;
            } else if metadata.is_symlink() {
                let target = fs::read_link(&from).map_err(at(&from))?;
                symlink(target, &to).map_err(at(&to))?;
                self.note(&path, 0);
            } else if metadata.is_file() {
                let bytes = fs::copy(&from, &to).map_err(at(&from))?;
                // Clients compare times.
                if let Ok(modified) = metadata.modified() {
                    let times = FileTimes::new().set_modified(modified);
                    let file = File::options().append(true).open(&to);
                    let _ = file.and_then(|file| file.set_times(times));
                }
                self.note(&path, bytes);
            } else {
                let error = io::Error::other("it is neither a file nor a folder nor a link");
                return Err(at(&from)(error));
            }
            self.hand_over(&to)?;
        }
        Ok(())
    }

    fn note(&mut self, path: &Path, bytes: u64) {
        self.list.extend_from_slice(path.as_os_str().as_bytes());
        self.list.push(0);
        self.all.files += 1;
        self.all.bytes += bytes;
    }

    fn hand_over(&self, path: &Path) -> Result<(), DeployError> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        lchown(path, Some(user), Some(group)).map_err(at(path))
    }
}

/// The files that a version came with; `None` when nobody has noted it.
fn list(version: &Path) -> Option<BTreeSet<PathBuf>> {
    let text = fs::read(version.join(LIST)).ok()?;
    let paths = text.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Some(paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
}

/// Has the data in the folder `old` be in the folder `new` as well, but for files in `seen`; which
/// those are.
pub(super) fn keep(
    old: &Path,
    new: &Path,
    seen: &BTreeSet<PathBuf>,
) -> Result<BTreeSet<PathBuf>, DeployError> {
    let new_list = list(new).unwrap_or_default();
    let mut keeping =
        Keeping { old, new, old_list: list(old), new_list, seen, kept: BTreeSet::new() };
    keeping.folder(Path::new(""))?;
    Ok(keeping.kept)
}

struct Keeping<'a> {
    old: &'a Path,
    new: &'a Path,
    old_list: Option<BTreeSet<PathBuf>>,
    new_list: BTreeSet<PathBuf>,
    seen: &'a BTreeSet<PathBuf>,
    kept: BTreeSet<PathBuf>,
}

impl Keeping<'_> {
    fn folder(&mut self, path: &Path) -> Result<(), DeployError> {
        let folder = self.old.join(path);
        let mut is_empty = true;
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            is_empty = false;
            let path = path.join(entry.map_err(at(&folder))?.file_name());
            let from = self.old.join(&path);
            let metadata = match fs::symlink_metadata(&from) {
                Ok(metadata) => metadata,
                // The application has removed it just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at(&from)(error)),
            };
            if metadata.is_dir() {
                if !path.file_name().is_some_and(snapshot::is_one) {
                    self.folder(&path)?;
                }
            } else if self.is_data(&path, &metadata) && !self.seen.contains(&path) {
                match self.link(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(at(&from)(error)),
                    Ok(()) => drop(self.kept.insert(path)),
                }
            }
        }
        if is_empty && !self.new.join(path).exists() {
            self.make_folder(path).map_err(at(&folder))?;
        }
        Ok(())
    }

    /// Whether the file outlives the version.
    fn is_data(&self, path: &Path, metadata: &Metadata) -> bool {
        let is_file = metadata.is_file() || metadata.is_symlink();
        if !is_file || path == Path::new(LIST) {
            return false; // Sockets and pipes are made by who listens there.
        }
        let first = path.components().next().map(|first| first.as_os_str());
        if first.is_some_and(|first| first.eq_ignore_ascii_case(DATA)) {
            return true;
        }
        let is_of_old = match &self.old_list {
            Some(list) => list.contains(path),
            None => snapshot::is_code(&self.old.join(path), metadata),
        };
        !is_of_old && !self.new_list.contains(path)
    }

    /// Has the same file be in the new folder, in place of what is there under its name.
    fn link(&self, path: &Path) -> io::Result<()> {
        let (from, to) = (self.old.join(path), self.new.join(path));
        if let Some(parent) = path.parent() {
            self.make_folder(parent)?;
        }
        if let Ok(there) = fs::symlink_metadata(&to) {
            let ours = fs::symlink_metadata(&from)?;
            if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) {
                return Ok(());
            }
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".ancm-new");
        let new = to.with_file_name(name);
        let _ = fs::remove_file(&new);
        match fs::hard_link(&from, &new) {
            // Not everybody may link to the files of others, but who reads them can copy.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                fs::copy(&from, &new)?;
            }
            linked => linked?,
        }
        // Of two links to one file a rename would leave both.
        fs::rename(&new, &to)
    }

    /// Makes a folder and those above it, each like the old one.
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut below = PathBuf::new();
        for name in path.components() {
            below.push(name);
            let (from, to) = (self.old.join(&below), self.new.join(&below));
            let like = fs::metadata(&from)?;
            match DirBuilder::new().mode(0o700).create(&to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            if let Some((user, group)) = owner(&like) {
                lchown(&to, Some(user), Some(group))?;
            }
            fs::set_permissions(&to, fs::Permissions::from_mode(like.mode() & 0o7777))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(dir: &Path, name: &str) -> Option<String> {
        fs::read_to_string(dir.join(name)).ok()
    }

    fn folders() -> (tempfile::TempDir, [PathBuf; 4]) {
        let dir = tempfile::tempdir().unwrap();
        let folders = ["one", "two", "a", "b"].map(|name| dir.path().join(name));
        folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        (dir, folders)
    }

    fn kept(old: &Path, new: &Path) -> Vec<String> {
        let kept = keep(old, new, &BTreeSet::new()).unwrap();
        kept.into_iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn data_outlives_a_version_and_what_it_came_with_does_not() {
        let (_dir, [one, two, a, b]) = folders();
        for name in ["App.dll", "Old.dll", "wwwroot/old.js", "appsettings.json", "App_Data/seed.db"]
        {
            write(&one, name, "one");
        }
        for name in ["App.dll", "wwwroot/new.js", "appsettings.json", "App_Data/seed.db"] {
            write(&two, name, "two");
        }
        let copied = copy(&one, &a, Path::new("/no/such")).unwrap();
        assert_eq!((copied.files, copied.bytes), (5, 15));
        for name in ["logs/log.txt", "wwwroot/uploads/me.png", "App_Data/seed.db", "local.json"] {
            write(&a, name, "data");
        }
        fs::create_dir(a.join("empty")).unwrap();
        copy(&two, &b, &a).unwrap();
        let expected = ["App_Data/seed.db", "local.json", "logs/log.txt", "wwwroot/uploads/me.png"];
        assert_eq!(kept(&a, &b), expected);
        for name in expected {
            assert_eq!(read(&b, name).as_deref(), Some("data"), "{name}");
        }
        assert_eq!(read(&b, "appsettings.json").as_deref(), Some("two"));
        assert!(b.join("empty").is_dir());
        for name in ["Old.dll", "wwwroot/old.js"] {
            assert_eq!(read(&b, name), None, "{name}");
        }
        // One file in both: whoever still writes to the old one loses nothing.
        write(&a, "logs/log.txt", "more");
        assert_eq!(read(&b, "logs/log.txt").as_deref(), Some("more"));
        // What is replaced as a whole goes back with the version, what it came with does not.
        fs::remove_file(b.join("local.json")).unwrap();
        write(&b, "local.json", "newer");
        kept(&b, &a);
        assert_eq!(read(&a, "local.json").as_deref(), Some("newer"));
        assert_eq!(read(&a, "appsettings.json").as_deref(), Some("one"));
        assert_eq!(read(&a, "wwwroot/new.js"), None);
    }

    #[test]
    fn of_a_folder_without_a_list_everything_but_code_is_kept() {
        let (_dir, [one, two, a, _]) = folders();
        for name in
            ["App.dll", "Old.dll", "App.deps.json", "notes.txt", "ShadowCopy/snapshot-1/x.txt"]
        {
            write(&one, name, "one");
        }
        write(&two, "App.dll", "two");
        copy(&two, &a, &one).unwrap();
        assert_eq!(kept(&one, &a), ["notes.txt"]);
        let seen = BTreeSet::from(["notes.txt".into()]);
        assert_eq!(keep(&one, &a, &seen).unwrap(), BTreeSet::new());
    }

    #[test]
    fn what_is_no_file_is_refused_by_name() {
        let (_dir, [one, _, a, _]) = folders();
        let _socket = std::os::unix::net::UnixListener::bind(one.join("socket")).unwrap();
        let error = copy(&one, &a, &one).unwrap_err();
        assert!(error.to_string().contains("socket: it is neither a file"), "{error}");
    }
}
