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

/// The handler's file, or the folders that were searched for it.
///
/// # Errors
/// There is none; the folders are named in the order in which they were searched.
pub fn find(
    app_dir: &Path,
    variable: Option<&str>,
    worker_dir: &Path,
) -> Result<PathBuf, Vec<PathBuf>> {
    // As in the module: a value that names no file is passed over.
    if let Some(named) = variable.map(PathBuf::from).filter(|path| path.is_file()) {
        return Ok(named);
    }
    let of_app = [app_dir.to_path_buf(), app_dir.join("runtimes/linux-x64/native")];
    if let Some(file) = of_app.iter().map(|dir| dir.join(FILE)).find(|file| file.is_file()) {
        return Ok(file);
    }
    let versions = worker_dir.join(VERSIONS);
    highest(&versions)
        .ok_or_else(|| of_app.into_iter().chain([versions.join("<version>")]).collect())
}

/// The handler in the folder with the highest version; a pre-release is below its release.
fn highest(versions: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(versions).ok()?;
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: Version = entry.file_name().to_str()?.parse().ok()?;
            let file = entry.path().join(FILE);
            file.is_file().then_some((version, file))
        })
        .max_by(|one, other| one.0.cmp(&other.0))
        .map(|(_, file)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dir: &Path) -> PathBuf {
        std::fs::create_dir_all(dir).unwrap();
        let file = dir.join(FILE);
        std::fs::write(&file, "").unwrap();
        file
    }

    /// GlobalVersionTests of the module, for the handler that is loadable here.
    #[test]
    fn the_highest_version_beside_the_worker_is_taken_unless_the_app_brings_its_own() {
        let dir = std::env::temp_dir().join(format!("ancm-handler-{}", std::process::id()));
        let (app, worker) = (dir.join("app"), dir.join("worker"));
        std::fs::create_dir_all(&app).unwrap();
        let searched = find(&app, None, &worker).unwrap_err();
        assert_eq!(searched.len(), 3);

        put(&worker.join("inprocess/1.9.0"));
        put(&worker.join("inprocess/1.10.0-rc.1"));
        put(&worker.join("inprocess/notes"));
        let release = put(&worker.join("inprocess/1.10.0"));
        assert_eq!(find(&app, None, &worker), Ok(release));

        let own = put(&app.join("runtimes/linux-x64/native"));
        assert_eq!(find(&app, None, &worker), Ok(own.clone()));
        let named = put(&dir.join("named"));
        assert_eq!(find(&app, named.to_str(), &worker), Ok(named));
        assert_eq!(find(&app, Some("/no/such/file"), &worker), Ok(own));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
