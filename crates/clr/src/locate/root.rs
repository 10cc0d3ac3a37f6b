//! Finds a dotnet root: a folder with `host/fxr/<version>/libhostfxr.so`.
//!
//! A place that is set but has no hosting library does not end the search: `DOTNET_ROOT` often
//! outlives the installation it named.

use std::path::{Path, PathBuf};

use super::error::{LocateError, Searched};
use super::framework::folders;
use super::version::Version;

/// The ending that .NET gives this architecture in names of variables and files.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
const FIXED: &[&str] = &["usr/share/dotnet", "usr/lib/dotnet", "usr/lib64/dotnet"];

/// A dotnet root with the hosting library chosen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) root: PathBuf,
    pub(super) library: PathBuf,
    pub(super) version: Version,
    /// What led here, for people.
    pub(super) found_by: String,
}

/// The root of an explicit `dotnet`: its folder, once symbolic links are followed.
pub(super) fn of_executable(dotnet: &Path) -> Result<Root, LocateError> {
    let real = dotnet
        .canonicalize()
        .map_err(|_| LocateError::DotnetMissing { path: dotnet.to_owned() })?;
    let root = if real.is_dir() { Some(real.as_path()) } else { real.parent() };
    let root = root.unwrap_or(Path::new("/"));
    // A wrapper script beside nothing: the link's own folder is the second guess.
    let candidates = [Some(root), dotnet.parent()];
    candidates
        .into_iter()
        .flatten()
        .find_map(|root| in_root(root, "processPath"))
        .ok_or_else(|| LocateError::NoHostFxr { root: root.to_owned() })
}

/// Searches all places, in order. `system` is `/` but in tests.
pub(super) fn search(
    variable: &dyn Fn(&str) -> Option<String>,
    system: &Path,
) -> Result<Root, LocateError> {
    let mut search = Search { searched: Vec::new() };
    let found = search.all(variable, system);
    found.ok_or(LocateError::DotnetNotFound { searched: search.searched })
}

/// Every path that may lead to a root, in the order of the search: roots, whether they are there or
/// not, programs beside one, files that name one.
pub(super) fn places(variable: &dyn Fn(&str) -> Option<String>, system: &Path) -> Vec<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let path = set("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> =
        variables().iter().filter_map(|name| set(name)).map(PathBuf::from).collect();
    places.extend(on_path(&path));
    for file in location_files(system) {
        places.extend(std::fs::read_to_string(&file).ok().map(|text| named(&text)));
        places.push(file);
    }
    places.extend(fixed(set("HOME"), system));
    places
}

fn variables() -> [String; 2] {
    [format!("DOTNET_ROOT_{}", ARCHITECTURE.to_uppercase()), "DOTNET_ROOT".into()]
}

fn on_path(path: &str) -> impl Iterator<Item = PathBuf> {
    let folders = path.split(':').filter(|folder| folder.starts_with('/'));
    folders.map(|folder| Path::new(folder).join("dotnet"))
}

fn location_files(system: &Path) -> [PathBuf; 2] {
    let names = [format!("install_location_{ARCHITECTURE}"), "install_location".into()];
    names.map(|name| system.join("etc/dotnet").join(name))
}

/// The root that the text of such a file names.
fn named(text: &str) -> PathBuf {
    PathBuf::from(text.lines().next().unwrap_or_default().trim())
}

fn fixed(home: Option<String>, system: &Path) -> impl Iterator<Item = PathBuf> {
    let home = home.map(|home| Path::new(&home).join(".dotnet"));
    FIXED.iter().map(|folder| system.join(folder)).chain(home)
}

struct Search {
    searched: Vec<Searched>,
}

impl Search {
    fn all(&mut self, variable: &dyn Fn(&str) -> Option<String>, system: &Path) -> Option<Root> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        for name in variables() {
            match set(&name) {
                Some(root) => {
                    if let Some(found) = self.folder(&name, Path::new(&root)) {
                        return Some(found);
                    }
                }
                None => self.note(&name, "not set"),
            }
        }
        if let Some(found) = self.path(&set("PATH").unwrap_or_default()) {
            return Some(found);
        }
        for file in location_files(system) {
            let place = file.display().to_string();
            match std::fs::read_to_string(&file) {
                Ok(text) => {
                    if let Some(found) = self.folder(&place, &named(&text)) {
                        return Some(found);
                    }
                }
                Err(_) => self.note(&place, "no such file"),
            }
        }
        let mut fixed = fixed(set("HOME"), system);
        fixed.find_map(|root| self.folder(&root.display().to_string(), &root))
    }

    fn path(&mut self, path: &str) -> Option<Root> {
        for dotnet in on_path(path) {
            if !dotnet.is_file() {
                continue;
            }
            let place = format!("PATH ({})", dotnet.display());
            match of_executable(&dotnet) {
                Ok(found) => return Some(Root { found_by: place, ..found }),
                Err(error) => self.note(&place, &error.to_string()),
            }
        }
        self.note("PATH", "no dotnet with a runtime beside it");
        None
    }

    fn folder(&mut self, place: &str, root: &Path) -> Option<Root> {
        let found = in_root(root, place);
        if found.is_none() {
            let outcome = if root.is_dir() { "no host/fxr in" } else { "no folder" };
            if place == root.display().to_string() {
                self.note(place, outcome.trim_end_matches(" in"));
            } else {
                self.note(place, &format!("{outcome} {}", root.display()));
            }
        }
        found
    }

    fn note(&mut self, place: &str, outcome: &str) {
        self.searched.push(Searched { place: place.to_owned(), outcome: outcome.to_owned() });
    }
}

/// The newest hosting library of a root.
fn in_root(root: &Path, found_by: &str) -> Option<Root> {
    // A relative root would mean something else after the next change of directory.
    let root = root.canonicalize().ok().filter(|_| root.is_absolute())?;
    let (version, library) = folders(&root.join("host/fxr"))
        .filter_map(|(name, path)| Some((name.parse::<Version>().ok()?, path.join(LIBRARY))))
        .filter(|(_, library)| library.is_file())
        .max_by(|(a, _), (b, _)| a.cmp(b))?;
    Some(Root { root, library, version, found_by: found_by.to_owned() })
}

/// The file name of hostfxr.
pub(super) const LIBRARY: &str = "libhostfxr.so";
