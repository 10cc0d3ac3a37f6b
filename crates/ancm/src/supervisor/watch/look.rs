//! One look at an application's folder: what is there of what the site follows.
//!
//! Code is looked for where a snapshot looks for it. A folder that has more than that is passed over
//! in part, which is told.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, DirEntry};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the folder itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) is_offline: bool,
    pub(super) configuration: u64,
    pub(super) files: u64,
}

/// What the folders below it say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Below {
    pub(super) files: u64,
    /// What was not looked at, for people.
    pub(super) beyond: Option<String>,
}

/// Looks at the files directly in the folder, and at those that are `listed`, wherever they are. A
/// folder that is not there has nothing in it.
pub(super) fn top(dir: &Path, listed: &[PathBuf]) -> Top {
    let mut entries: Vec<DirEntry> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
    entries.sort_by_key(DirEntry::file_name);
    let mut is_offline = false;
    let (mut configuration, mut files) = (DefaultHasher::new(), DefaultHasher::new());
    for entry in &entries {
        let name = entry.file_name();
        let Some(name) = name.to_str().map(str::to_ascii_lowercase) else { continue };
        match &*name {
            "app_offline.htm" => is_offline = !entry.file_type().is_ok_and(|kind| kind.is_dir()),
            "web.config" => fingerprint(&entry.path(), &mut configuration),
            name if is_program(name) => fingerprint(&entry.path(), &mut files),
            _ => {}
        }
    }
    for path in listed {
        fingerprint(&dir.join(path), &mut files);
    }
    Top { is_offline, configuration: configuration.finish(), files: files.finish() }
}

/// Looks at the folders below, links to folders excepted.
pub(super) fn below(dir: &Path) -> Below {
    let mut found = Below::default();
    let mut left = snapshot::MOST_LOOKS;
    let mut folders: Vec<(PathBuf, usize)> = vec![(dir.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        // The topmost may have any number of files.
        let most = if depth == 0 { left } else { left.min(snapshot::MOST_ENTRIES) };
        for (index, entry) in fs::read_dir(&folder).into_iter().flatten().flatten().enumerate() {
            if index == most {
                let text = format!("{} has more than {most} entries", folder.display());
                found.beyond.get_or_insert(text);
                break;
            }
            left = left.saturating_sub(1);
            let name = entry.file_name();
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && depth == snapshot::DEEPEST {
                let text = format!("{} is {} folders deep", path.display(), depth + 1);
                found.beyond.get_or_insert(text);
            } else if is_folder && !snapshot::is_data(&name) && !snapshot::is_one(&name) {
                folders.push((path, depth + 1));
            } else if depth > 0
                && name.to_str().is_some_and(|name| is_program(&name.to_ascii_lowercase()))
            {
                let mut hasher = DefaultHasher::new();
                fingerprint(&path, &mut hasher);
                // In whatever order they are listed.
                found.files = found.files.wrapping_add(hasher.finish());
            }
        }
    }
    found
}

/// Whether a change of the file is one of the program; settings the application reads itself.
fn is_program(name: &str) -> bool {
    let ends = [".dll", ".so", ".deps.json", ".runtimeconfig.json"];
    let versioned = name.trim_end_matches(|c: char| c == '.' || c.is_ascii_digit());
    ends.iter().any(|end| name.ends_with(end)) || versioned.ends_with(".so")
}

/// How the file at `path` is now, told from how it was and from other files.
pub(super) fn fingerprint(path: &Path, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    // Links are followed: a deployment may replace what they lead to.
    if let Ok(metadata) = fs::metadata(path) {
        let written = (metadata.mtime(), metadata.mtime_nsec());
        // What is copied with its times, over one of the same length, differs in this alone.
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        (metadata.dev(), metadata.ino(), metadata.len(), written, changed).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }

    #[test]
    fn code_below_counts_and_data_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut before = below(dir);
        for name in
            ["de/App.resources.dll", "runtimes/linux-x64/native/libx.so.3", "plugins/a.deps.json"]
        {
            write(dir, name);
            assert_ne!(below(dir), before, "{name}");
            before = below(dir);
        }
        for name in ["plugins/a.txt", "App_Data/a.dll", "wwwroot/a.dll", ".git/a.dll"] {
            write(dir, name);
            assert_eq!(below(dir), before, "{name}");
        }
        write(dir, "snapshot-7/App.dll");
        std::os::unix::fs::symlink(dir, dir.join("again")).unwrap();
        assert_eq!(below(dir), before);
        assert_eq!(before.beyond, None);
    }

    #[test]
    fn what_is_too_deep_or_too_much_is_said() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "1/2/3/4/5/6/a.dll");
        assert_eq!(below(dir.path()).beyond, None);
        write(dir.path(), "1/2/3/4/5/6/7/a.dll");
        assert!(below(dir.path()).beyond.unwrap().ends_with("6/7 is 7 folders deep"));
        fs::remove_dir_all(dir.path().join("1")).unwrap();
        for number in 0..=snapshot::MOST_ENTRIES {
            write(dir.path(), &format!("many/{number}"));
        }
        assert!(below(dir.path()).beyond.unwrap().ends_with("many has more than 5000 entries"));
    }
}
