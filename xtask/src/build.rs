//! Building all that is run: programs, managed assemblies, samples, test applications.
//!
//! Which projects there are is what the folders hold; there is no list to keep.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    dotnet::{Publish, Toolchain},
    step::{run, step, step_with},
    workspace::{Profile, Workspace},
};

/// The packages whose output people run.
const PROGRAMS: [&str; 3] = ["ancm", "ancm-worker", "ancm-inprocess"];
/// The in-process handler, as cargo names it.
const INPROCESS: &str = "libancm_inprocess.so";

/// The assembly that has backends listen where the worker says.
const BACKEND_HELPER: &str = "Ancm.Backend";

/// A complete build: what it was made with and where it is.
pub(crate) struct Build {
    /// The .NET that everything was built with and runs on.
    pub(crate) toolchain: Toolchain,
    /// The programs.
    pub(crate) bin: PathBuf,
}

impl Build {
    /// Brings everything up to date.
    pub(crate) fn run(workspace: &Workspace, profile: Profile) -> Result<Self> {
        let toolchain = Toolchain::ensure(workspace)?;
        println!("  {:<42} {}", ".NET", toolchain.describe());
        build_programs(workspace, profile)?;
        let bin = workspace.bin(profile);
        // The handler's two halves, native and managed, are found in the highest version folder
        // beside the worker.
        let handler = bin.join("inprocess").join(workspace.version()?);
        put_beside_worker(&bin, &handler)?;
        build_managed(workspace, &toolchain, &bin, &handler)?;
        Ok(Build { toolchain, bin })
    }
}

/// Where samples are published to.
pub(crate) fn samples_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("samples")
}

/// Where test applications are published to.
pub(crate) fn test_apps_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("testapps")
}

fn build_programs(workspace: &Workspace, profile: Profile) -> Result<()> {
    let name = format!("programs ({})", profile.folder());
    step(&name, || {
        let mut cargo = workspace.cargo(&["build", "--quiet"]);
        if profile == Profile::Release {
            cargo.arg("--release");
        }
        cargo.args(PROGRAMS.iter().flat_map(|package| ["-p", package]));
        run(colored(&mut cargo)).map(|_| ())
    })
}

/// Keeps cargo's colours although its output is captured, when a person will read it.
pub(crate) fn colored(command: &mut Command) -> &mut Command {
    use std::io::IsTerminal;
    let choice = if std::io::stderr().is_terminal() { "always" } else { "never" };
    command.env("CARGO_TERM_COLOR", choice)
}

fn put_beside_worker(bin: &Path, handler: &Path) -> Result<()> {
    let built = bin.join(INPROCESS);
    let placed = handler.join(INPROCESS);
    let new = handler.join(format!(".{INPROCESS}.new"));
    fs::create_dir_all(handler)?;
    // A link where the file system can; a new name each time, since the old file may be mapped.
    fs::remove_file(&new).ok();
    fs::hard_link(&built, &new)
        .or_else(|_| fs::copy(&built, &new).map(|_| ()))
        .with_context(|| format!("cannot copy {}", built.display()))?;
    fs::rename(&new, &placed)?;
    // Renaming one link of a file to another does nothing and leaves the first.
    fs::remove_file(&new).ok();
    Ok(())
}

fn build_managed(
    workspace: &Workspace,
    toolchain: &Toolchain,
    bin: &Path,
    handler: &Path,
) -> Result<()> {
    let projects = |folder: &str, out: &dyn Fn(&str) -> PathBuf| {
        let found = find_projects(&workspace.root.join(folder))?;
        Ok::<Vec<Publish>, anyhow::Error>(
            found.into_iter().map(|(name, project)| Publish { out: out(&name), project }).collect(),
        )
    };
    // What goes into backends ships with the host, which starts them.
    let product = projects("dotnet/src", &|name| match name {
        BACKEND_HELPER => bin.join("outofprocess"),
        _ => handler.to_owned(),
    })?;
    let samples = projects("samples", &|name| samples_dir(workspace).join(name))?;
    let apps = projects("dotnet/test/apps", &|name| test_apps_dir(workspace).join(name))?;
    let all = [product, samples, apps].concat();
    step_with("managed assemblies, samples, test apps", || {
        let summary = toolchain.publish(workspace, &all)?;
        Ok(((), format!("{} built, {} unchanged", summary.built, summary.unchanged)))
    })
}

/// The projects in a folder: each in a folder of its own, which gives it its name.
fn find_projects(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut projects = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let folder = entry?;
        let files = fs::read_dir(folder.path()).into_iter().flatten().flatten();
        let mut files = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "csproj"));
        if let Some(project) = files.next() {
            let folder = folder.path();
            ensure!(files.next().is_none(), "{} holds two projects", folder.display());
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            projects.push((name, project));
        }
    }
    projects.sort();
    Ok(projects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
        let names: Vec<String> = find_projects(&root).unwrap().into_iter().map(|p| p.0).collect();
        assert!(names.contains(&"hello".to_owned()), "{names:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_projects() {
        assert!(find_projects(Path::new("/nonexistent")).unwrap().is_empty());
    }
}
