//! Projects in, publish folders out, as `dotnet publish` lays them out.
//!
//! What has not changed is left alone: each output has a stamp of everything that it was made
//! from. A program's folder is replaced as a whole; the files of a library are put beside what is
//! in its folder already.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::{
    Kind, Toolchain, apphost, beside, compile,
    compile::Frameworks,
    csproj::{Project, SdkKind},
    folder, glob,
    integrity::Stamp,
    layout::write_json,
    lock,
    private::Private,
    replace_dir,
    sdk::Sdk,
};
use crate::{step::run, workspace::Workspace};

/// Raise it when the same inputs give another folder.
const PUBLISH_VERSION: &str = "1";
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
        let folder = folder(workspace);
        let _lock = lock(&folder)?;
        match &self.kind {
            Kind::Sdk(sdk) => publish_with_sdk(self, sdk, workspace, jobs),
            Kind::Private(private) => publish_privately(self, private, workspace, jobs),
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

// ---- with an installed SDK ----

fn publish_with_sdk(
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
        // No build server stays behind, and nothing is fetched that is not needed.
        run(Command::new(sdk.root.join("dotnet"))
            .args([
                "publish",
                "--nologo",
                "--configuration",
                "Release",
                "--self-contained",
                "false",
            ])
            .args(["-verbosity:quiet", "-nodeReuse:false", "-p:UseSharedCompilation=false"])
            .args(["-p:NuGetAudit=false", &format!("-p:TargetFramework={}", toolchain.tfm)])
            .args(["--output".as_ref(), new.as_os_str()])
            .arg(&job.project)
            .env("DOTNET_CLI_TELEMETRY_OPTOUT", "1")
            .env("DOTNET_NOLOGO", "1")
            .env("DOTNET_ROOT", &sdk.root))
        .with_context(|| format!("cannot build {}", workspace.display(&job.project)))?;
        if fs::read_dir(&new)?.flatten().any(|entry| is_named(&entry.path(), ".runtimeconfig.json"))
        {
            fs::create_dir_all(job.out.parent().unwrap_or(&job.out))?;
            replace_dir(&new, &job.out)?;
        } else {
            for entry in fs::read_dir(&new)? {
                let path = entry?.path();
                if is_named(&path, ".dll") || is_named(&path, ".pdb") {
                    place(&path, &job.out)?;
                }
            }
        }
        fs::write(published, stamp)?;
        summary.built += 1;
    }
    Ok(summary)
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

// ---- with the private toolchain ----

/// A project with what is needed to build it.
struct Unit {
    project: Project,
    obj: PathBuf,
    stamp: String,
    /// The assemblies of the projects that it refers to, directly or not.
    references: Vec<PathBuf>,
}

impl Unit {
    fn assembly(&self) -> PathBuf {
        compile::output(&self.project, &self.obj)
    }
}

fn publish_privately(
    toolchain: &Toolchain,
    private: &Private,
    workspace: &Workspace,
    jobs: &[Publish],
) -> Result<Summary> {
    let mut units = Vec::new();
    let mut positions = BTreeMap::new();
    for job in jobs {
        add_unit(toolchain, private, workspace, &job.project, &mut units, &mut positions)?;
    }
    let built = compile_stale(toolchain, private, &units)?;
    for job in jobs {
        let unit = &units[positions[&fs::canonicalize(&job.project)?]];
        if unit.project.is_program() {
            publish_program(toolchain, private, unit, &job.out)?;
        } else {
            for assembly in [unit.assembly()].iter().chain(&unit.references) {
                place(assembly, &job.out)?;
                place(&assembly.with_extension("pdb"), &job.out)?;
            }
        }
    }
    Ok(Summary { built, unchanged: units.len() - built })
}

/// Adds a project after those that it refers to; returns its place. A project that is being added
/// has no place yet, so a circle would go on for ever: MSBuild refuses those, and so do we.
fn add_unit(
    toolchain: &Toolchain,
    private: &Private,
    workspace: &Workspace,
    path: &Path,
    units: &mut Vec<Unit>,
    positions: &mut BTreeMap<PathBuf, usize>,
) -> Result<usize> {
    const BEING_ADDED: usize = usize::MAX;
    let project = Project::load(path, &toolchain.tfm)?;
    match positions.insert(project.path.clone(), BEING_ADDED) {
        Some(BEING_ADDED) => bail!("{} refers to itself", workspace.display(&project.path)),
        Some(position) => {
            positions.insert(project.path, position);
            return Ok(position);
        }
        None => {}
    }
    let mut references: Vec<PathBuf> = Vec::new();
    let mut stamp = Stamp::new();
    stamp.add(PUBLISH_VERSION);
    stamp.add(private.compiler.stamp());
    for reference in &project.references {
        let position = add_unit(toolchain, private, workspace, reference, units, positions)?;
        let unit = &units[position];
        stamp.add(&unit.stamp);
        for assembly in [unit.assembly()].iter().chain(&unit.references) {
            if !references.contains(assembly) {
                references.push(assembly.clone());
            }
        }
    }
    let content = project.content.iter().chain(&project.resources);
    let files = content.map(|(path, _)| path).chain(&project.sources).chain(&project.imports);
    for file in files.chain([&project.path]) {
        stamp.add(file.to_string_lossy().as_bytes());
        stamp.add(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    let unit =
        Unit { obj: obj_dir(workspace, &project.path), stamp: stamp.finish(), references, project };
    positions.insert(unit.project.path.clone(), units.len());
    units.push(unit);
    Ok(units.len() - 1)
}

/// Compiles what has changed, all in one process; returns how many that were.
fn compile_stale(toolchain: &Toolchain, private: &Private, units: &[Unit]) -> Result<usize> {
    let frameworks = Frameworks {
        root: &toolchain.root,
        version: &toolchain.framework_version,
        tfm: &toolchain.tfm,
    };
    let is_stale = |unit: &&Unit| {
        !(is_current(&unit.obj.join(STAMP), &unit.stamp) && unit.assembly().is_file())
    };
    let stale: Vec<&Unit> = units.iter().filter(is_stale).collect();
    if stale.is_empty() {
        return Ok(0);
    }
    let mut response_files = Vec::new();
    for unit in &stale {
        let Unit { project, obj, references, .. } = unit;
        fs::remove_file(obj.join(STAMP)).ok();
        response_files.push(compile::write_response_file(project, &frameworks, references, obj)?);
    }
    let outcome = private.compiler.compile(&response_files)?;
    let mut failed = Vec::new();
    for (unit, succeeded) in stale.iter().zip(outcome.succeeded) {
        if succeeded {
            fs::write(unit.obj.join(STAMP), &unit.stamp)?;
        } else {
            failed.push(unit.project.name());
        }
    }
    if !failed.is_empty() {
        bail!("{}\ncannot build {}", outcome.messages, failed.join(", "));
    }
    if !outcome.messages.is_empty() {
        eprintln!("\n{}", outcome.messages);
    }
    Ok(stale.len())
}

fn publish_program(
    toolchain: &Toolchain,
    private: &Private,
    unit: &Unit,
    out: &Path,
) -> Result<()> {
    let published = unit.obj.join(PUBLISHED);
    let stamp = format!("{}\n{}\n", unit.stamp, out.display());
    if is_current(&published, &stamp) && out.is_dir() {
        return Ok(());
    }
    let new = beside(out, ".new");
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    fs::create_dir_all(&new)?;
    let project = &unit.project;
    let name = project.name();
    for assembly in [unit.assembly()].iter().chain(&unit.references) {
        place(assembly, &new)?;
        place(&assembly.with_extension("pdb"), &new)?;
    }
    let config = runtime_config(project, &toolchain.tfm);
    write_json(&new.join(format!("{name}.runtimeconfig.json")), &config)?;
    if project.flag("UseAppHost") != Some(false) {
        let template = private.apphost_template();
        apphost::write(&template, &new.join(name), &format!("{name}.dll"))?;
    }
    for (from, to) in &project.content {
        let to = new.join(to);
        fs::create_dir_all(to.parent().unwrap_or(&new))?;
        fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    if project.sdk == SdkKind::Web {
        write_web_config(project, &new)?;
    }
    replace_dir(&new, out)?;
    fs::write(published, stamp)?;
    Ok(())
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

/// What the SDK writes into `<App>.runtimeconfig.json`.
fn runtime_config(project: &Project, tfm: &str) -> Value {
    let version = format!("{}.0", tfm.trim_start_matches("net"));
    let mut frameworks = vec![json!({"name": "Microsoft.NETCore.App", "version": version})];
    if project.aspnet {
        frameworks.push(json!({"name": "Microsoft.AspNetCore.App", "version": version}));
    }
    let is_web = project.sdk == SdkKind::Web;
    let mut properties = Map::new();
    let mut set = |name: &str, value: Option<bool>| {
        if let Some(value) = value {
            properties.insert(name.to_owned(), value.into());
        }
    };
    set("System.GC.Server", project.flag("ServerGarbageCollection").or(is_web.then_some(true)));
    set("System.Globalization.Invariant", project.flag("InvariantGlobalization"));
    set("System.Reflection.Metadata.MetadataUpdater.IsSupported", Some(false));
    set("System.Runtime.Serialization.EnableUnsafeBinaryFormatterSerialization", Some(false));
    set("System.StartupHookProvider.IsSupported", project.flag("StartupHookSupport"));
    let options = json!({"tfm": tfm, "frameworks": frameworks, "configProperties": properties});
    json!({"runtimeOptions": options})
}

/// What the Web SDK writes into `web.config`. A project's own file is taken as it is, which has to
/// be asked for: the SDK would otherwise rewrite it, by rules that are not repeated here.
fn write_web_config(project: &Project, out: &Path) -> Result<()> {
    let path = out.join("web.config");
    if project.flag("IsTransformWebConfigDisabled") == Some(true) {
        return Ok(());
    }
    if path.exists() {
        bail!(
            "{} has a web.config: set IsTransformWebConfigDisabled to true",
            project.path.display()
        );
    }
    let model = project.property("AspNetCoreHostingModel").unwrap_or("inprocess").to_lowercase();
    fs::write(path, web_config(project.name(), &model))?;
    Ok(())
}

fn web_config(name: &str, model: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <location path="." inheritInChildApplications="false">
    <system.webServer>
      <handlers>
        <add name="aspNetCore" path="*" verb="*" modules="AspNetCoreModuleV2" resourceType="Unspecified" />
      </handlers>
      <aspNetCore processPath="dotnet" arguments=".\{name}.dll" stdoutLogEnabled="false" stdoutLogFile=".\logs\stdout" hostingModel="{model}" />
    </system.webServer>
  </location>
</configuration>
"#
    )
}
