//! Publishing with the private toolchain: which projects have to be compiled, in which order, and
//! what becomes of the others when one fails.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{PUBLISH_VERSION, Publish, STAMP, Summary, is_current, obj_dir, program};
use crate::{
    dotnet::{Private, Toolchain, compile, compile::Frameworks, csproj::Project, integrity::Stamp},
    workspace::Workspace,
};

/// A project with what is needed to build it.
pub(super) struct Unit {
    pub(super) project: Project,
    pub(super) obj: PathBuf,
    pub(super) stamp: String,
    /// The assemblies of the projects that it refers to, directly or not.
    pub(super) references: Vec<PathBuf>,
}

impl Unit {
    pub(super) fn assembly(&self) -> PathBuf {
        compile::output(&self.project, &self.obj)
    }

    /// Whether the assembly is what the project's files say now.
    fn is_compiled(&self) -> bool {
        is_current(&self.obj.join(STAMP), &self.stamp) && self.assembly().is_file()
    }
}

pub(super) fn publish(
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
    let compiled = compile_stale(toolchain, private, &units)?;
    for job in jobs {
        let unit = &units[positions[&fs::canonicalize(&job.project)?]];
        if !unit.is_compiled() {
            // What failed to compile does not keep the others from being published.
            continue;
        }
        if unit.project.is_program() {
            program::publish(toolchain, private, unit, &job.out)?;
        } else {
            program::place_assemblies(unit, &job.out)?;
        }
    }
    match compiled.failure {
        Some(failure) => bail!(failure),
        None => Ok(Summary { built: compiled.count, unchanged: units.len() - compiled.count }),
    }
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

/// What became of the projects that had changed.
struct Compiled {
    count: usize,
    /// What the compiler said of those that it refused.
    failure: Option<String>,
}

/// Compiles what has changed, all in one process.
fn compile_stale(toolchain: &Toolchain, private: &Private, units: &[Unit]) -> Result<Compiled> {
    let frameworks = Frameworks {
        root: &toolchain.root,
        version: &toolchain.framework_version,
        tfm: &toolchain.tfm,
    };
    let stale: Vec<&Unit> = units.iter().filter(|unit| !unit.is_compiled()).collect();
    if stale.is_empty() {
        return Ok(Compiled { count: 0, failure: None });
    }
    let mut response_files = Vec::new();
    for unit in &stale {
        let Unit { project, obj, references, .. } = unit;
        // Should this project fail, those that refer to it must not compile against its past.
        fs::remove_file(unit.assembly()).ok();
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
    if failed.is_empty() && !outcome.messages.is_empty() {
        eprintln!("\n{}", outcome.messages);
    }
    let failure = || format!("{}\ncannot build {}", outcome.messages, failed.join(", "));
    Ok(Compiled { count: stale.len(), failure: (!failed.is_empty()).then(failure) })
}
