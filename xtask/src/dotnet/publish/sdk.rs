//! Publishing with an installed SDK: what `dotnet publish` does, unless nothing has changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{PUBLISH_VERSION, PUBLISHED, Publish, Summary, is_current, obj_dir, place};
use crate::{
    dotnet::{Sdk, Toolchain, glob, integrity::Stamp, replace_dir},
    step::run,
    workspace::Workspace,
};

pub(super) fn publish(
    toolchain: &Toolchain,
    sdk: &Sdk,
    workspace: &Workspace,
    jobs: &[Publish],
) -> Result<Summary> {
    let mut summary = Summary::default();
    for job in jobs {
        let obj = obj_dir(workspace, &job.project);
        fs::create_dir_all(&obj)?;
        let published = obj.join(PUBLISHED);
        let stamp = sdk_stamp(sdk, workspace, job)?;
        if is_current(&published, &stamp) && job.out.is_dir() {
            summary.unchanged += 1;
            continue;
        }
        let new = obj.join("publish");
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        run(&mut msbuild(toolchain, sdk, &job.project, &new))
            .with_context(|| format!("cannot build {}", workspace.display(&job.project)))?;
        let entries = fs::read_dir(&new).context("dotnet published nothing")?;
        let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        if files.iter().any(|path| is_named(path, ".runtimeconfig.json")) {
            fs::create_dir_all(job.out.parent().unwrap_or(&job.out))?;
            replace_dir(&new, &job.out)?;
        } else {
            let wanted = |path: &&PathBuf| is_named(path, ".dll") || is_named(path, ".pdb");
            files.iter().filter(wanted).try_for_each(|path| place(path, &job.out))?;
        }
        fs::write(published, stamp)?;
        summary.built += 1;
    }
    Ok(summary)
}

/// `dotnet publish`, put as MSBuild is told it: the command itself would restore for the target
/// framework in the project file, whatever framework it is told to build for.
fn msbuild(toolchain: &Toolchain, sdk: &Sdk, project: &Path, out: &Path) -> Command {
    let mut command = Command::new(sdk.root.join("dotnet"));
    command
        .args(["msbuild", "-restore", "-target:Publish", "-nologo", "-verbosity:quiet"])
        .args(["-p:Configuration=Release", "-p:SelfContained=false", "-p:NuGetAudit=false"])
        .arg(format!("-p:TargetFramework={}", toolchain.tfm))
        .arg(format!("-p:PublishDir={}/", out.display()))
        // No build server stays behind.
        .args(["-nodeReuse:false", "-p:UseSharedCompilation=false"])
        .arg(project)
        .env("DOTNET_CLI_TELEMETRY_OPTOUT", "1")
        .env("DOTNET_NOLOGO", "1")
        .env("DOTNET_ROOT", &sdk.root);
    command
}

/// Coarser than need be: every project is taken to depend on all product assemblies.
fn sdk_stamp(sdk: &Sdk, workspace: &Workspace, job: &Publish) -> Result<String> {
    let mut stamp = Stamp::new();
    for part in [PUBLISH_VERSION, &sdk.version, &job.out.to_string_lossy()] {
        stamp.add(part);
    }
    let dir = job.project.parent().unwrap_or(&job.project);
    for dir in [dir, &workspace.root.join("dotnet/src")] {
        for file in if dir.is_dir() { glob::files_below(dir)? } else { Vec::new() } {
            stamp.add(&file);
            stamp.add(fs::read(dir.join(&file))?);
        }
    }
    for dir in dir.ancestors() {
        stamp.add(fs::read(dir.join("Directory.Build.props")).unwrap_or_default());
    }
    Ok(stamp.finish())
}

fn is_named(path: &Path, ending: &str) -> bool {
    path.to_string_lossy().ends_with(ending)
}
