//! The .NET that a generation runs on: the folders of its versions, as its processes have mapped
//! files of them, and newer versions that it would be started on now. After a failed start also
//! every version at the places where one is looked for.
//!
//! Which version a start takes is known when it is over. So all are noted when it begins: what has changed
//! of one since then is a change.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::look::fingerprint;
use crate::supervisor::processes;

/// Whose .NET is to be watched.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// What this process, and those that it has started, run on.
    Process(i32),
    /// What a start that has failed may have searched for at these places, see `clr::locate::places`.
    FailedStart(Arc<[PathBuf]>),
}

/// What is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runtime {
    /// Folders of versions, such as `/usr/share/dotnet/shared/Microsoft.NETCore.App/9.0.7`.
    folders: BTreeSet<PathBuf>,
    /// Where a failed start has searched.
    places: Arc<[PathBuf]>,
}

/// How all versions were when the last start began.
#[derive(Debug, Default)]
pub(super) struct Noted {
    places: Arc<[PathBuf]>,
    /// The places themselves.
    at_places: u64,
    versions: BTreeMap<PathBuf, u64>,
}

impl Noted {
    /// A start begins that looks for its .NET at these places.
    pub(super) fn at(places: Arc<[PathBuf]>) -> Self {
        let versions = versions_at(&places).into_iter().map(|folder| {
            let state = state(&folder);
            (folder, state)
        });
        Self { at_places: state_at(&places), versions: versions.collect(), places }
    }

    fn version(&self, folder: &Path) -> Option<u64> {
        self.versions.get(folder).copied()
    }
}

impl Runtime {
    /// If that is another one than before, how it was when its start began.
    pub(super) fn follow(&mut self, whose: Whose, noted: &Noted) -> Option<u64> {
        let next = match whose {
            Whose::Process(pid) => Self::of(pid),
            // What serves beside the start that has failed goes on to be watched.
            Whose::FailedStart(places) => Self { folders: self.folders.clone(), places },
        };
        let is_another = next != *self;
        *self = next;
        is_another.then(|| self.as_noted(noted))
    }

    fn as_noted(&self, noted: &Noted) -> u64 {
        let at_places = match noted.places == self.places && !self.places.is_empty() {
            true => noted.at_places,
            false => state_at(&self.places),
        };
        let version = |folder: &Path| noted.version(folder).unwrap_or_else(|| state(folder));
        self.fingerprint_of(version, at_places)
    }

    /// What the process `pid`, and those that it has started, run on.
    fn of(pid: i32) -> Self {
        let mut folders = BTreeSet::new();
        for pid in processes::below(pid).into_iter().chain([pid]) {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
            folders.extend(maps.lines().filter_map(version_folder).map(Path::to_owned));
        }
        Self { folders, places: Arc::default() }
    }

    /// How it is now; 0 for none.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint_of(state, state_at(&self.places))
    }

    fn fingerprint_of(&self, version: impl Fn(&Path) -> u64, at_places: u64) -> u64 {
        if self.folders.is_empty() && self.places.is_empty() {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        self.folders.iter().for_each(|folder| version(folder).hash(&mut hasher));
        at_places.hash(&mut hasher);
        hasher.finish()
    }
}

/// How a version is, and which ones are newer.
fn state(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    files(folder, &mut hasher);
    newer(folder).hash(&mut hasher);
    hasher.finish()
}

/// How everything at these places is.
fn state_at(places: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for program in places.iter().filter(|place| place.is_file()) {
        fingerprint(program, &mut hasher);
    }
    versions_at(places).iter().for_each(|folder| files(folder, &mut hasher));
    hasher.finish()
}

/// The folders of all versions at these places.
fn versions_at(places: &[PathBuf]) -> Vec<PathBuf> {
    let roots: BTreeSet<PathBuf> = places.iter().flat_map(|place| roots(place)).collect();
    roots.iter().flat_map(|root| versions(root)).collect()
}

/// A version counts with its files: it is there when they have all been copied.
fn files(folder: &Path, hasher: &mut DefaultHasher) {
    folder.hash(hasher);
    entries(folder).iter().for_each(|file| fingerprint(file, hasher));
}

/// The roots that a place leads to: itself, or the folders of a program and of what it links to.
fn roots(place: &Path) -> Vec<PathBuf> {
    let Ok(real) = place.canonicalize() else { return Vec::new() };
    if real.is_dir() {
        return vec![real];
    }
    let folder = place.parent().and_then(|folder| folder.canonicalize().ok());
    [folder, real.parent().map(Path::to_owned)].into_iter().flatten().collect()
}

/// The folders of all versions in a root.
fn versions(root: &Path) -> Vec<PathBuf> {
    let mut components = entries(&root.join("shared"));
    components.push(root.join("host/fxr"));
    components.iter().flat_map(|component| entries(component)).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut names = names(dir);
    names.sort();
    names.iter().map(|name| dir.join(name)).collect()
}

/// The folder of a version in which the file of this mapping is.
fn version_folder(mapping: &str) -> Option<&Path> {
    let file = mapping.get(mapping.find('/')?..)?;
    let folder = Path::new(file.strip_suffix(" (deleted)").unwrap_or(file)).parent()?;
    let component = folder.parent()?;
    let kind = component.parent()?.file_name()?;
    let is_host = kind == "host" && component.file_name()? == "fxr";
    let is_framework = kind == "shared" && version(folder.file_name()?.to_str()?).is_some();
    (is_host || is_framework).then_some(folder)
}

/// Versions beside that of `folder` that a start would roll forward to: those of the same minor
/// version with a higher patch.
fn newer(folder: &Path) -> Vec<String> {
    let own = folder.file_name().and_then(|name| version(name.to_str()?));
    let Some((minor, patch)) = own else { return Vec::new() };
    let mut found = names(folder.parent().unwrap_or(Path::new("")));
    found.retain(|name| {
        // A preview is rolled forward to by nobody who does not run on one.
        version(name).is_some_and(|it| it.0 == minor && it.1 > patch && !name.contains('-'))
    });
    found.sort();
    found
}

/// `9.0.7-rc.1` as `9.0` and 7.
fn version(name: &str) -> Option<(&str, u32)> {
    let release = name.split('-').next()?;
    let (minor, patch) = release.rsplit_once('.')?;
    let (_major, _minor) = minor.split_once('.')?;
    Some((minor, patch.parse().ok()?))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_versions_are_told_by_their_mappings() {
        let of = |file: &str| {
            let mapping = format!("7f1-7f2 r-xp 00000000 08:01 42      {file}");
            version_folder(&mapping).map(|folder| folder.display().to_string())
        };
        let shared = "/usr/share/dotnet/shared/Microsoft.NETCore.App/9.0.7";
        assert_eq!(of(&format!("{shared}/libcoreclr.so")).as_deref(), Some(shared));
        assert_eq!(of(&format!("{shared}/libcoreclr.so (deleted)")).as_deref(), Some(shared));
        let host = "/a b/host/fxr/10.0.0-rc.1.25451.107";
        assert_eq!(of(&format!("{host}/libhostfxr.so")).as_deref(), Some(host));
        for file in ["/lib/libc.so.6", "[heap]", "/srv/shared/app/App.dll", ""] {
            assert_eq!(of(file), None, "{file}");
        }
    }

    #[test]
    fn a_newer_patch_and_a_replaced_file_are_changes() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("9.0.7");
        let make = |name: &str| fs::create_dir(dir.path().join(name)).unwrap();
        make("9.0.7");
        fs::write(own.join("libcoreclr.so"), "1").unwrap();
        let runtime = Runtime { folders: [own.clone()].into(), ..Runtime::default() };
        let mut before = runtime.fingerprint();
        for name in ["8.0.9", "9.1.0", "10.0.8", "9.0.6", "9.0.8-rc.1", "x"] {
            make(name);
            assert_eq!(runtime.fingerprint(), before, "{name}");
        }
        make("9.0.10");
        assert_ne!(runtime.fingerprint(), before);
        before = runtime.fingerprint();
        fs::write(own.join("libcoreclr.so"), "22").unwrap();
        assert_ne!(runtime.fingerprint(), before);
        before = runtime.fingerprint();
        fs::remove_dir_all(own).unwrap();
        assert_ne!(runtime.fingerprint(), before);
    }

    #[test]
    fn every_version_where_a_failed_start_has_searched_is_a_change_with_each_of_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("usr/share/dotnet");
        let program = dir.path().join("usr/bin/dotnet");
        let mut runtime = Runtime::default();
        let places = [root.clone(), program.clone()];
        runtime.follow(Whose::FailedStart(places.into()), &Noted::default());
        let mut before = runtime.fingerprint();
        let mut is_change = || std::mem::replace(&mut before, runtime.fingerprint()) != before;
        fs::create_dir_all(root.join("shared/Microsoft.NETCore.App")).unwrap();
        assert!(!is_change());
        for folder in ["shared/Microsoft.NETCore.App/10.0.1", "host/fxr/10.0.1"] {
            fs::create_dir_all(root.join(folder)).unwrap();
            assert!(is_change(), "{folder}");
            fs::write(root.join(folder).join("lib.so"), "1").unwrap();
            assert!(is_change(), "{folder}");
            fs::write(root.join(folder).join("lib.so"), "22").unwrap();
            assert!(is_change(), "{folder}");
        }
        // A program on the path, and what it leads to.
        let other = dir.path().join("opt/dotnet");
        fs::create_dir_all(other.join("host/fxr/8.0.1")).unwrap();
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(other.join("dotnet"), "").unwrap();
        assert!(!is_change());
        std::os::unix::fs::symlink(other.join("dotnet"), &program).unwrap();
        assert!(is_change());
        fs::create_dir(other.join("host/fxr/8.0.2")).unwrap();
        assert!(is_change());
        assert!(!is_change());
    }

    #[test]
    fn the_same_one_is_followed_without_a_new_beginning() {
        let (mut runtime, noted) = (Runtime::default(), Noted::default());
        let places = |name: &str| Whose::FailedStart([PathBuf::from(name)].into());
        assert!(runtime.follow(places("/usr/share/dotnet"), &noted).is_some());
        assert!(runtime.follow(places("/usr/share/dotnet"), &noted).is_none());
        assert!(runtime.follow(places("/opt/dotnet"), &noted).is_some());
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(runtime.follow(Whose::Process(own), &noted).is_some());
        assert!(runtime.follow(Whose::Process(own), &noted).is_none());
    }

    #[test]
    fn what_has_changed_since_the_start_began_is_a_change_whichever_version_it_takes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let folder = root.join("shared/Microsoft.NETCore.App/9.0.7");
        let write = |text: &str| fs::write(folder.join("lib.so"), text).unwrap();
        fs::create_dir_all(&folder).unwrap();
        write("1");
        let places: Arc<[PathBuf]> = [root].into();
        let noted = Noted::at(places.clone());
        let versions = Runtime { folders: [folder.clone()].into(), ..Runtime::default() };
        let failed = Runtime { places, ..Runtime::default() };
        for runtime in [&versions, &failed] {
            assert_eq!(runtime.as_noted(&noted), runtime.fingerprint());
        }
        write("22");
        for runtime in [&versions, &failed] {
            assert_ne!(runtime.as_noted(&noted), runtime.fingerprint());
            // What was not noted is as it is now.
            assert_eq!(runtime.as_noted(&Noted::default()), runtime.fingerprint());
        }
    }

    #[test]
    fn who_runs_no_dotnet_has_none() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(Runtime::of(own), Runtime::default());
        assert_eq!(Runtime::default().fingerprint(), 0);
    }
}
