//! Where things are: the repository, its crates and the target directory, as cargo sees them.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::step::run;

/// What `cargo metadata` says about this workspace.
#[derive(Deserialize)]
pub(crate) struct Workspace {
    /// The repository.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// The target directory; `CARGO_TARGET_DIR` and cargo's configuration are honoured.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// The crates of the workspace.
    pub(crate) packages: Vec<Package>,
}

/// A crate of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    /// Its package name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// What its manifest names.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a crate's dependency tables.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    /// The package that is named.
    pub(crate) name: String,
    /// `dev`, `build` or nothing.
    pub(crate) kind: Option<String>,
    /// Where it is, when it is ours.
    pub(crate) path: Option<PathBuf>,
}

/// Which of cargo's profiles the programs are built with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// `target/debug`.
    Debug,
    /// `target/release`.
    Release,
}

impl Profile {
    /// The folder's name under the target directory.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Profile::Debug => "debug",
            Profile::Release => "release",
        }
    }
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        // Set by `cargo run`; the folder of the build is for a binary that is started by hand.
        let manifest_dir =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let output = run(Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(manifest_dir))?;
        serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata wrote")
    }

    /// A cargo command in the repository.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command.current_dir(&self.root).args(args);
        command
    }

    /// Where the programs of a profile are.
    pub(crate) fn bin(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.folder())
    }

    /// The product's version.
    pub(crate) fn version(&self) -> Result<&str> {
        let ancm = self.packages.iter().find(|package| package.name == "ancm");
        Ok(&ancm.context("the workspace has no package named ancm")?.version)
    }

    /// A path as a person reads it: relative to the repository where that is shorter.
    pub(crate) fn display<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

fn cargo() -> PathBuf {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into()
}
