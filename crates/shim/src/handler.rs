//! Where the in-process handler comes from: named by the environment, shipped with the
//! application, or lying beside the worker.
//!
//! The module asks hostfxr for the application's native search directories. That costs a full
//! resolution of its dependencies before the real one, so only the folders are looked at where a
//! publish puts native files; see `docs/decisions/0002-handler-search.md`.

use std::path::{Path, PathBuf};

use clr::Version;

/// File name of the handler.
pub const FILE: &str = "libancm_inprocess.so";
/// Names a handler file that is used as it is.
pub const VARIABLE: &str = "ASPNETCORE_MODULE_INPROCESS_HANDLER";
/// Folder beside the worker that holds a folder per version.
const VERSIONS: &str = "inprocess";

/// Where a handler may come from.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// What [`VARIABLE`] says.
    pub variable: Option<&'a str>,
    /// What the handlerSetting `handlerVersion` says.
    pub version: Option<&'a str>,
    /// The application's folder.
    pub app_dir: &'a Path,
    /// The folder of the worker.
    pub worker_dir: &'a Path,
}

/// There is no handler.
#[derive(Debug, PartialEq, Eq)]
pub enum NotFound {
    /// In none of these folders, in the order of the search.
    In(Vec<PathBuf>),
    /// The version that `handlerVersion` names is not installed; these are.
    Version(Vec<String>),
}

impl Search<'_> {
    /// The handler's file.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self) -> Result<PathBuf, NotFound> {
        // As in the module: a value that names no file is passed over.
        if let Some(named) = self.variable.map(PathBuf::from).filter(|path| path.is_file()) {
            return Ok(named);
        }
        let versions = self.worker_dir.join(VERSIONS);
        let mut installed = installed(&versions);
        if let Some(wanted) = self.version {
            // Compared with what is there, so that no text of a file becomes a path.
            return match installed.iter().find(|(_, name)| name == wanted) {
                Some((_, name)) => Ok(versions.join(name).join(FILE)),
                None => Err(NotFound::Version(names(installed))),
            };
        }
        let of_app = [self.app_dir.to_path_buf(), self.app_dir.join("runtimes/linux-x64/native")];
        if let Some(file) = of_app.iter().map(|dir| dir.join(FILE)).find(|file| file.is_file()) {
            return Ok(file);
        }
        match installed.pop() {
            Some((_, highest)) => Ok(versions.join(highest).join(FILE)),
            None => {
                Err(NotFound::In(of_app.into_iter().chain([versions.join("<version>")]).collect()))
            }
        }
    }
}

/// The folders that hold a handler, lowest version first; a pre-release is below its release.
fn installed(versions: &Path) -> Vec<(Version, String)> {
    let entries = std::fs::read_dir(versions).into_iter().flatten().flatten();
    let mut found: Vec<(Version, String)> = entries
        .filter(|entry| entry.path().join(FILE).is_file())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.parse().ok()?, name))
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

fn names(installed: Vec<(Version, String)>) -> Vec<String> {
    installed.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An application's folder and a worker's, with handlers of these versions beside it.
    struct Folders {
        dir: tempfile::TempDir,
    }

    impl Folders {
        fn new(versions: &[&str]) -> Self {
            let folders = Self { dir: tempfile::tempdir().unwrap() };
            for version in versions {
                folders.put(&format!("worker/inprocess/{version}"));
            }
            folders
        }

        fn put(&self, folder: &str) -> PathBuf {
            let dir = self.dir.path().join(folder);
            std::fs::create_dir_all(&dir).unwrap();
            let file = dir.join(FILE);
            std::fs::write(&file, "").unwrap();
            file
        }

        fn find(&self, variable: Option<&str>, version: Option<&str>) -> Result<PathBuf, NotFound> {
            let (app_dir, worker_dir) =
                (&self.dir.path().join("app"), &self.dir.path().join("worker"));
            Search { variable, version, app_dir, worker_dir }.find()
        }

        /// The version of the folder that the search ends in.
        fn version(&self, wanted: Option<&str>) -> String {
            let file = self.find(None, wanted).unwrap();
            let folder = file.parent().unwrap();
            assert_eq!(folder.parent().unwrap(), self.dir.path().join("worker/inprocess"));
            folder.file_name().unwrap().to_str().unwrap().to_owned()
        }
    }

    #[test]
    fn nat_16_nat_17_nat_18_nat_19_folders_with_a_handler_are_the_installed_versions() {
        let folders = Folders::new(&["1.9.0", "2.0.0-preview", "1.10.0-rc.1", "1.10.0", "notes"]);
        std::fs::create_dir_all(folders.dir.path().join("worker/inprocess/9.0.0")).unwrap();
        let names = names(installed(&folders.dir.path().join("worker/inprocess")));
        assert_eq!(names, ["1.9.0", "1.10.0-rc.1", "1.10.0", "2.0.0-preview"]);
        assert_eq!(installed(Path::new("/no/such/folder")), []);
    }

    #[test]
    fn nat_20_nat_21_nat_22_nat_23_nat_24_nat_25_nat_26_the_highest_version_is_taken() {
        for (versions, highest) in [
            (&["2.0.0"][..], "2.0.0"),
            (&["2.0.0", "2.1.0", "1.10.9"], "2.1.0"),
            (&["2.1.0-preview1", "2.1.0-preview2"], "2.1.0-preview2"),
            (&["2.1.0-preview", "2.1.0"], "2.1.0"),
            (&["2.1.0-preview.2", "2.1.0-preview.10", "2.1.0-preview.9"], "2.1.0-preview.10"),
            (&["2.0.0", "2.1.0-preview"], "2.1.0-preview"),
        ] {
            assert_eq!(Folders::new(versions).version(None), highest, "{versions:?}");
        }
    }

    #[test]
    fn nat_27_nat_28_an_explicit_version_wins() {
        let folders = Folders::new(&["2.0.0", "2.1.0", "2.2.0-preview"]);
        folders.put("app");
        assert_eq!(folders.version(Some("2.0.0")), "2.0.0");
        assert_eq!(folders.version(Some("2.2.0-preview")), "2.2.0-preview");
        for wrong in ["2.0", "2.0.0.0", "../inprocess/2.0.0", "newest"] {
            let installed = ["2.0.0", "2.1.0", "2.2.0-preview"].map(str::to_owned).to_vec();
            let found = folders.find(None, Some(wrong));
            assert_eq!(found, Err(NotFound::Version(installed)), "{wrong}");
        }
    }

    #[test]
    fn the_environment_and_the_application_come_before_what_is_installed() {
        let folders = Folders::new(&[]);
        let searched = folders.find(None, None);
        assert!(matches!(searched, Err(NotFound::In(folders)) if folders.len() == 3));
        folders.put("worker/inprocess/1.0.0");
        assert_eq!(folders.version(None), "1.0.0");
        let own = folders.put("app/runtimes/linux-x64/native");
        assert_eq!(folders.find(None, None), Ok(own.clone()));
        let named = folders.put("named");
        assert_eq!(folders.find(named.to_str(), Some("1.0.0")), Ok(named));
        assert_eq!(folders.find(Some("/no/such/file"), None), Ok(own));
    }
}
