//! What lies in an application's folder: `web.config` in any casing, `*.runtimeconfig.json`.

use std::ffi::OsString;
use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Finding, Findings};

const RUNTIME_CONFIG: &str = ".runtimeconfig.json";

/// The names in a folder that matter here.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    names: Vec<OsString>,
}

impl Folder {
    /// Lists `dir`; what stands in the way is a finding.
    pub(super) fn open(dir: &Path, findings: &mut Findings) -> Option<Self> {
        let listed = dir.canonicalize().and_then(|dir| {
            let entries = std::fs::read_dir(&dir)?;
            let names: io::Result<Vec<_>> = entries
                .map(|entry| entry.as_ref().map(DirEntry::file_name).map_err(copy))
                .collect();
            let mut names = names?;
            names.sort();
            Ok(Self { dir, names })
        });
        let file = dir.display().to_string();
        let error = match listed {
            // The path goes into variables, properties and messages that are text.
            Ok(folder) if folder.dir.to_str().is_none() => {
                let message = "the name of the folder is not valid UTF-8";
                findings.push(
                    Finding::error("folder-name", file, message).suggest("rename the folder"),
                );
                return None;
            }
            Ok(folder) => return Some(folder),
            Err(error) => error,
        };
        findings.push(match error.kind() {
            io::ErrorKind::NotFound => Finding::error("no-folder", file, "there is no such folder")
                .expected("the output folder of `dotnet publish`"),
            io::ErrorKind::NotADirectory => {
                let parent = dir.parent().unwrap_or(Path::new("."));
                Finding::error("not-a-folder", file, "this is not a folder")
                    .expected("the output folder of `dotnet publish`")
                    .suggest(parent.display().to_string())
            }
            _ => Finding::error("unreadable-folder", file, format!("cannot be listed: {error}")),
        });
        None
    }

    /// The `web.config`, in any casing; of several the one spelled in lower case, else the first.
    pub(super) fn web_config(&self, findings: &mut Findings) -> Option<PathBuf> {
        let is_one = |name: &&OsString| name.eq_ignore_ascii_case("web.config");
        let mut found: Vec<&OsString> = self.names.iter().filter(is_one).collect();
        found.sort_by_key(|name| *name != "web.config");
        let chosen = found.first()?;
        if let [_, others @ ..] = found.as_slice()
            && !others.is_empty()
        {
            let others: Vec<_> = others.iter().map(|name| name.to_string_lossy()).collect();
            let message = format!("{} is read; also here: {}", chosen.display(), others.join(", "));
            let dir = self.dir.display().to_string();
            findings.push(
                Finding::warning("several-web-configs", dir, message).suggest("delete the others"),
            );
        }
        Some(self.dir.join(chosen))
    }

    /// The applications that the folder's `*.runtimeconfig.json` files name.
    pub(super) fn runtime_configs(&self) -> Vec<&str> {
        let names = self.names.iter().filter_map(|name| name.to_str());
        names.filter_map(|name| name.strip_suffix(RUNTIME_CONFIG)).collect()
    }

    /// A file here whose name differs from `name` only in casing.
    pub(super) fn other_casing(&self, name: &str) -> Option<&str> {
        let mut names = self.names.iter().filter_map(|name| name.to_str());
        names.find(|other| *other != name && other.eq_ignore_ascii_case(name))
    }
}

/// An error of its own for each entry of a listing that is only borrowed.
fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
