//! What of a folder is copied, and what is linked to.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::before::Before;

/// Folders below the application's that code is looked for in. `runtimes/RID/lib/TFM` has four.
pub const DEEPEST: usize = 6;
/// A folder with more entries than this is one of data.
pub const MOST_ENTRIES: usize = 5000;
/// Looked at in all folders together; what is left then is linked to.
pub const MOST_LOOKS: usize = 50_000;
/// Folders of data by their names, in any letter case: nobody looks for code there.
const DATA: &[&str] = &["app_data", "logs", "node_modules", "wwwroot"];

/// More than file systems need to give a change another time than the one before.
const CLOCK_STEP: Duration = Duration::from_millis(20);

/// A file that is copied, and how it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Code {
    /// Below the application's folder.
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    /// Device, inode, and the times of the last change of content and of anything.
    pub(crate) state: [i64; 6],
}

/// The content of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) code: Vec<Code>,
    /// Folders that have code somewhere below them; parents come first.
    folders: Vec<PathBuf>,
    /// Files and whole folders.
    links: Vec<PathBuf>,
}

/// A look through a folder.
struct Look<'a> {
    app: &'a Path,
    /// Not looked at and not linked to: where snapshots are.
    except: Option<(u64, u64)>,
    left: usize,
    plan: Plan,
}

impl Plan {
    /// Looks through the folder `app`, passing over the folder `except`.
    pub(crate) fn of(app: &Path, except: &Path) -> io::Result<Self> {
        let except = fs::metadata(except).ok().map(|it| (it.dev(), it.ino()));
        let mut look = Look { app, except, left: MOST_LOOKS, plan: Self::default() };
        look.folder(Path::new(""), 0)?;
        look.plan.code.sort();
        Ok(look.plan)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.code.iter().map(|code| code.len).sum()
    }

    /// Makes it in the empty folder `to`. Files that `before` has as they are now are shared with it.
    /// The error names the file.
    pub(crate) fn make(
        &self,
        app: &Path,
        to: &Path,
        before: Option<&Before>,
    ) -> Result<(), (PathBuf, io::Error)> {
        let name = |path: &PathBuf| {
            let path = app.join(path);
            move |error| (path, error)
        };
        for folder in &self.folders {
            fs::create_dir(to.join(folder)).map_err(name(folder))?;
        }
        for code @ Code { path, .. } in &self.code {
            if before.is_some_and(|before| before.share(code, &to.join(path)).is_ok()) {
                continue;
            }
            // Shares blocks where the file system can; takes the mode along.
            fs::copy(app.join(path), to.join(path)).map_err(name(path))?;
        }
        for link in &self.links {
            symlink(app.join(link), to.join(link)).map_err(name(link))?;
        }
        Ok(())
    }

    /// A file whose last change is so recent that another one might have the same time.
    pub(crate) fn just_changed(&self) -> Option<&Path> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_recent = |code: &&Code| {
            let [.., seconds, nanoseconds] = code.state;
            let changed =
                Duration::new(seconds.try_into().unwrap_or(0), nanoseconds.try_into().unwrap_or(0));
            // Another machine's clock says nothing.
            now.abs_diff(changed) < CLOCK_STEP
        };
        self.code.iter().find(is_recent).map(|code| code.path.as_path())
    }

    /// A file that is another in `other`.
    pub(crate) fn difference<'a>(&'a self, other: &'a Self) -> Option<&'a Path> {
        let of = |one: &'a Self, other: &'a Self| {
            one.code.iter().find(|code| other.code.binary_search(code).is_err())
        };
        of(other, self).or_else(|| of(self, other)).map(|code| code.path.as_path())
    }
}

impl Look<'_> {
    /// Looks through the folder `path`, below the application's; whether there is code in it.
    fn folder(&mut self, path: &Path, depth: usize) -> io::Result<bool> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.app.join(path))? {
            entries.push(entry?);
            if depth > 0 && (entries.len() > MOST_ENTRIES || entries.len() > self.left) {
                return Ok(false);
            }
        }
        self.left = self.left.saturating_sub(entries.len());
        let mut folders = Vec::new();
        let mut has_code = false;
        for entry in entries {
            let name = entry.file_name();
            let path = path.join(&name);
            let kind = entry.file_type()?;
            // What a link leads to counts, but folders are followed no further than their own.
            let metadata = match fs::metadata(self.app.join(&path)) {
                Ok(metadata) => metadata,
                // A link that leads nowhere, or a file that is just being replaced.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if metadata.is_dir() {
                if Some((metadata.dev(), metadata.ino())) != self.except {
                    folders.push((path, kind.is_dir() && !is_data(&name)));
                }
            } else if metadata.is_file() && is_code(&self.app.join(&path), &metadata) {
                has_code = true;
                self.plan.code.push(Code::new(path, &metadata));
            } else {
                self.plan.links.push(path);
            }
        }
        for (path, may_have_code) in folders {
            let (folders, links) = (self.plan.folders.len(), self.plan.links.len());
            self.plan.folders.push(path.clone());
            if may_have_code && depth < DEEPEST && self.folder(&path, depth + 1)? {
                has_code = true;
            } else {
                // Nothing in it is ours to keep: one link does for all of it.
                self.plan.folders.truncate(folders);
                self.plan.links.truncate(links);
                self.plan.links.push(path);
            }
        }
        Ok(has_code)
    }
}

impl Code {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        let state = [
            metadata.dev().cast_signed(),
            metadata.ino().cast_signed(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ];
        Self { path, len: metadata.len(), state }
    }
}

/// Whether a folder of this name, below the application's, is one of data, without code in it.
pub fn is_data(name: &OsStr) -> bool {
    // A name that is no text is none that .NET would look for.
    name.to_str().is_none_or(|name| {
        name.starts_with('.') || DATA.iter().any(|data| name.eq_ignore_ascii_case(data))
    })
}

/// Whether the file at `path` is executed by the runtime or the system, or decides what is.
pub fn is_code(path: &Path, metadata: &Metadata) -> bool {
    const ENDS: &[&str] =
        &[".dll", ".so", ".pdb", ".deps.json", ".runtimeconfig.json", ".runtimeconfig.dev.json"];
    let name = path.file_name().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    let Some(name) = name else { return false };
    // `libx.so.1.2` is a library as well.
    let versioned = name.trim_end_matches(|c: char| c == '.' || c.is_ascii_digit());
    if ENDS.iter().any(|end| name.ends_with(end)) || versioned.ends_with(".so") {
        return true;
    }
    metadata.permissions().mode() & 0o111 != 0 && is_elf(path)
}

/// Whether it is a program or library of this system: the launcher of an application has any name.
fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, content: &[u8]) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn code_is_copied_and_all_else_is_reached_by_links() {
        let dir = tempfile::tempdir().unwrap();
        let (app, to) = (dir.path().join("app"), dir.path().join("to"));
        for name in [
            "App.dll",
            "App.PDB",
            "App.deps.json",
            "appsettings.json",
            "de/App.resources.dll",
            "runtimes/linux-x64/native/libx.so.3",
            "runtimes/readme.txt",
            "templates/a.html",
            "wwwroot/evil.dll",
            "Logs/x.dll",
            "copies/snapshot-1/App.dll",
        ] {
            write(&app, name, name.as_bytes());
        }
        write(&app, "App", b"\x7fELF...");
        fs::set_permissions(app.join("App"), fs::Permissions::from_mode(0o755)).unwrap();
        write(&app, "script", b"#!/bin/sh");
        fs::set_permissions(app.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("nowhere", app.join("dangling")).unwrap();
        symlink("App.dll", app.join("Link.dll")).unwrap();
        symlink("..", app.join("up")).unwrap();

        let plan = Plan::of(&app, &app.join("copies/.")).unwrap();
        fs::create_dir(&to).unwrap();
        plan.make(&app, &to, None).unwrap();
        let is_link = |name: &str| to.join(name).symlink_metadata().unwrap().is_symlink();
        for name in [
            "App",
            "App.dll",
            "App.PDB",
            "App.deps.json",
            "Link.dll",
            "de/App.resources.dll",
            "runtimes/linux-x64/native/libx.so.3",
        ] {
            assert!(!is_link(name), "{name}");
            assert_eq!(fs::read(to.join(name)).unwrap(), fs::read(app.join(name)).unwrap());
        }
        assert_eq!(fs::metadata(to.join("App")).unwrap().mode() & 0o777, 0o755);
        for name in [
            "appsettings.json",
            "runtimes/readme.txt",
            "templates",
            "wwwroot",
            "Logs",
            "up",
            "script",
        ] {
            assert!(is_link(name), "{name}");
            assert!(to.join(name).exists(), "{name}");
        }
        assert!(!to.join("copies").exists() && !to.join("dangling").exists());

        // What is written in place is another file for those who compare, and not in the copy.
        assert_eq!(plan.difference(&Plan::of(&app, &app.join("copies")).unwrap()), None);
        write(&app, "App.deps.json", b"overwritten  ");
        let now = Plan::of(&app, &app.join("copies")).unwrap();
        assert_eq!(plan.difference(&now), Some(Path::new("App.deps.json")));
        assert_eq!(fs::read(to.join("App.deps.json")).unwrap(), b"App.deps.json");
    }

    #[test]
    fn a_folder_with_very_many_files_is_one_of_data() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "App.dll", b"");
        fs::create_dir(dir.path().join("many")).unwrap();
        for number in 0..=MOST_ENTRIES {
            fs::write(dir.path().join(format!("many/{number}.dll")), b"").unwrap();
        }
        let plan = Plan::of(dir.path(), Path::new("/no/such")).unwrap();
        assert_eq!((plan.code.len(), plan.links), (1, vec![PathBuf::from("many")]));
    }
}
