//! Projects in, publish folders out, as `dotnet publish` lays them out.
//!
//! What has not changed is left alone: each output has a stamp of everything that it was made
//! from. A program's folder is replaced as a whole; the files of a library are put beside what is
//! in its folder already.

mod private;
mod program;
mod sdk;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Kind, Toolchain, beside, folder, lock_file};
use crate::workspace::Workspace;

/// Raise it when the same inputs give another folder.
const PUBLISH_VERSION: &str = "2";
const STAMP: &str = "stamp";
const PUBLISHED: &str = "published";

/// One project to publish.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    /// Its project file.
    pub(crate) project: PathBuf,
    /// Where its output goes.
    pub(crate) out: PathBuf,
}

/// What a publish did.
#[derive(Default)]
pub(crate) struct Summary {
    /// How many projects were built.
    pub(crate) built: usize,
    /// How many were as they should be.
    pub(crate) unchanged: usize,
}

impl Toolchain {
    /// Brings the output of every project up to date.
    pub(crate) fn publish(&self, workspace: &Workspace, jobs: &[Publish]) -> Result<Summary> {
        let lock = lock_file(&folder(workspace))?;
        lock.lock().context("cannot lock the folder of the .NET output")?;
        match &self.kind {
            Kind::Sdk(sdk) => sdk::publish(self, sdk, workspace, jobs),
            Kind::Private(private) => private::publish(self, private, workspace, jobs),
        }
    }
}

/// Where what belongs to one project is kept: a name that no other project has.
fn obj_dir(workspace: &Workspace, project: &Path) -> PathBuf {
    let dir = project.parent().unwrap_or(project);
    let dir = dir.strip_prefix(&workspace.root).unwrap_or(dir);
    let name = dir.to_string_lossy().trim_start_matches('/').replace('/', "-");
    folder(workspace).join("obj").join(name)
}

fn is_current(path: &Path, stamp: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text == stamp)
}

/// Copies a file unless the same bytes are there; never a half-written one under the name.
fn place(from: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let to = dir.join(from.file_name().context("a file has a name")?);
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(&to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let new = beside(&to, ".new");
    fs::write(&new, bytes)?;
    fs::rename(new, &to).with_context(|| format!("cannot write {}", to.display()))
}
