//! The .NET that a generation runs on: the folders of its versions, as its processes have mapped
//! files of them, and newer versions that it would be started on now.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use super::look::fingerprint;
use crate::supervisor::processes;

/// Folders of versions, such as `/usr/share/dotnet/shared/Microsoft.NETCore.App/9.0.7`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runtime(BTreeSet<PathBuf>);

impl Runtime {
    /// What the process `pid`, and those that it has started, run on.
    pub(super) fn of(pid: i32) -> Self {
        let mut folders = BTreeSet::new();
        for pid in processes::below(pid).into_iter().chain([pid]) {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
            folders.extend(maps.lines().filter_map(version_folder).map(Path::to_owned));
        }
        Self(folders)
    }

    /// How it is now; 0 for none.
    pub(super) fn fingerprint(&self) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        for folder in &self.0 {
            let mut files = names(folder);
            files.sort();
            for name in files {
                fingerprint(&folder.join(name), &mut hasher);
            }
            newer(folder).hash(&mut hasher);
        }
        hasher.finish()
    }
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
        let runtime = Runtime([own.clone()].into());
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
    fn who_runs_no_dotnet_has_none() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(Runtime::of(own), Runtime::default());
        assert_eq!(Runtime::default().fingerprint(), 0);
    }
}
