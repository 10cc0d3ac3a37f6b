//! .NET for people who work on ancm: an installed SDK, or a private toolchain that does the same.
//!
//! The C# of this repository is a set of ordinary `.csproj` files. With an SDK they are built by
//! `dotnet publish`; without one the private toolchain reads the same files and compiles the same
//! sources with the same options. Callers see a [`Toolchain`] and need not know which.
//!
//! * `sdk`: finding an installed one.
//! * `private`, `packages`, `download`, `integrity`, `layout`, `compiler`: assembling our own.
//! * `csproj`, `glob`, `compile`, `apphost`: what MSBuild does, as far as our projects need it.
//! * `publish`: projects in, publish folders out, with either.

mod apphost;
mod compile;
mod compiler;
mod csproj;
mod download;
mod glob;
mod integrity;
mod layout;
mod packages;
mod private;
mod publish;
mod sdk;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub(crate) use self::{private::Private, publish::Publish, sdk::Sdk};
use crate::{step::step, workspace::Workspace};

/// Something that builds and runs .NET applications.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// Where it comes from.
    pub(crate) kind: Kind,
    /// What `DOTNET_ROOT` names: the folder of `dotnet`.
    pub(crate) root: PathBuf,
    /// The target framework that everything is built for, such as `net9.0`.
    pub(crate) tfm: String,
    /// The version of the shared frameworks, such as `9.0.7`.
    pub(crate) framework_version: String,
}

/// The two kinds of toolchain.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Installed on the machine.
    Sdk(Sdk),
    /// Assembled under the target directory.
    Private(Private),
}

impl Toolchain {
    /// Finds an SDK, or assembles the private toolchain as far as that has not been done.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        if let Some(sdk) = sdk::find() {
            return Ok(Toolchain {
                root: sdk.root.clone(),
                tfm: layout::tfm(&sdk.framework_version),
                framework_version: sdk.framework_version.clone(),
                kind: Kind::Sdk(sdk),
            });
        }
        let folder = folder(workspace);
        let lock = lock_file(&folder)?;
        if lock.try_lock().is_err() {
            step("waiting for another xtask", || Ok(lock.lock()?))?;
        }
        let private = Private::ensure(workspace, &folder)?;
        let framework_version = private.framework_version().to_owned();
        Ok(Toolchain {
            root: private.root(),
            tfm: layout::tfm(&framework_version),
            framework_version,
            kind: Kind::Private(private),
        })
    }

    /// One line for people: which .NET this is.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Sdk(sdk) => format!("SDK {}, {}", sdk.version, self.tfm),
            Kind::Private(_) => format!("private, {} {}", self.tfm, self.framework_version),
        }
    }
}

/// Where everything about .NET is kept.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("dotnet")
}

/// The file that is locked while one works in `folder`; the lock goes with the file, and so with
/// the process, however that ends.
fn lock_file(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder)?;
    let path = folder.join("lock");
    File::create(&path).with_context(|| format!("cannot open {}", path.display()))
}

/// A path in the same folder whose name has `suffix` added.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Puts `new` in the place of `old`. Interrupted at any point, `old` is whole or absent.
fn replace_dir(new: &Path, old: &Path) -> Result<()> {
    let aside = beside(old, ".old");
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    if old.exists() {
        fs::rename(old, &aside)?;
    }
    fs::rename(new, old).with_context(|| format!("cannot replace {}", old.display()))?;
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_replaced_whatever_an_interrupted_run_left() {
        let dir = std::env::temp_dir().join(format!("xtask-replace-{}", std::process::id()));
        for (name, text) in [("app.new", "2"), ("app.old", "0"), ("app", "1")] {
            fs::create_dir_all(dir.join(name)).unwrap();
            fs::write(dir.join(name).join("version"), text).unwrap();
        }
        replace_dir(&dir.join("app.new"), &dir.join("app")).unwrap();
        assert_eq!(fs::read_to_string(dir.join("app/version")).unwrap(), "2");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_name_with_dots_keeps_them() {
        assert_eq!(beside(Path::new("/a/My.App"), ".new"), Path::new("/a/My.App.new"));
    }
}
