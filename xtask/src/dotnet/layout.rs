//! From the flat folder of a self-contained application to a `DOTNET_ROOT`.
//!
//! Which file belongs to which framework is written in the application's own `deps.json`; the two
//! frameworks then get the `deps.json` that an installed framework has.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::packages::FLAT;

const CORE: &str = "Microsoft.NETCore.App";
const ASPNET: &str = "Microsoft.AspNetCore.App";
const RUNTIME_ID: &str = "linux-x64";
/// The host resolver lives under `host/fxr`, never in a framework's folder.
const HOSTFXR: &str = "libhostfxr.so";

/// Sorts `<home>/flat` into `<home>/root`; returns the frameworks' version.
pub(super) fn lay_out(home: &Path) -> Result<String> {
    let flat = home.join(FLAT);
    let root = home.join("root");
    let deps = read_deps(&flat)?;
    let version = place_framework(&flat, &root, &deps, CORE)?;
    let aspnet_version = place_framework(&flat, &root, &deps, ASPNET)?;
    ensure!(version == aspnet_version, "the frameworks differ: {version} and {aspnet_version}");

    // Without this hostfxr does not know that the one framework builds on the other.
    let config = json!({"runtimeOptions": {
        "tfm": tfm(&version),
        "framework": {"name": CORE, "version": version},
        "rollForward": "LatestPatch",
    }});
    let folder = framework_dir(&root, ASPNET, &version);
    write_json(&folder.join(format!("{ASPNET}.runtimeconfig.json")), &config)?;
    fs::remove_dir_all(flat)?;
    Ok(version)
}

/// `net9.0` for `9.0.7`.
pub(super) fn tfm(version: &str) -> String {
    let mut parts = version.split('.');
    format!("net{}.{}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The reference assemblies of a framework: here its implementation.
pub(super) fn reference_dirs(root: &Path, version: &str, aspnet: bool) -> Vec<PathBuf> {
    let names = if aspnet { &[CORE, ASPNET][..] } else { &[CORE][..] };
    names.iter().map(|name| framework_dir(root, name, version)).collect()
}

/// The program that writes dumps of processes, which the packages carry as a mere file.
pub(super) fn make_executable(root: &Path, version: &str) -> Result<()> {
    let program = framework_dir(root, CORE, version).join("createdump");
    // To set what it has is a change of the file all the same, which applications that run are replaced for.
    if program.metadata().map_or(true, |found| found.permissions().mode() & 0o111 != 0) {
        return Ok(());
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", program.display()))
}

fn framework_dir(root: &Path, name: &str, version: &str) -> PathBuf {
    root.join("shared").join(name).join(version)
}

/// The application's dependency file: the one whose target has the runtime packs.
fn read_deps(flat: &Path) -> Result<Map<String, Value>> {
    for entry in fs::read_dir(flat)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".deps.json") {
            let mut deps: Value = serde_json::from_slice(&fs::read(&path)?)?;
            let targets = deps["targets"].as_object_mut().context("deps.json has no targets")?;
            let packs = targets.values_mut().find_map(|target| {
                let packs = target.as_object_mut()?;
                packs.keys().any(|key| key.starts_with("runtimepack.")).then_some(packs)
            });
            return Ok(std::mem::take(packs.context("deps.json names no runtime packs")?));
        }
    }
    anyhow::bail!("the runtime package holds no deps.json")
}

/// Moves one framework to its place and writes its dependency file; returns its version.
fn place_framework(
    flat: &Path,
    root: &Path,
    deps: &Map<String, Value>,
    name: &str,
) -> Result<String> {
    let prefix = format!("runtimepack.{name}.Runtime.{RUNTIME_ID}/");
    let (version, pack) = deps
        .iter()
        .find_map(|(key, pack)| Some((key.strip_prefix(&prefix)?, pack)))
        .with_context(|| format!("deps.json does not name {prefix}"))?;
    let folder = framework_dir(root, name, version);
    fs::create_dir_all(&folder)?;

    let mut maps = Map::new();
    for kind in ["runtime", "native"] {
        let Some(files) = pack[kind].as_object() else { continue };
        let mut files = files.clone();
        if files.remove(HOSTFXR).is_some() {
            let fxr = root.join("host/fxr").join(version);
            fs::create_dir_all(&fxr)?;
            move_file(flat, &fxr, HOSTFXR)?;
        }
        for file in files.keys() {
            move_file(flat, &folder, file)?;
        }
        maps.insert(kind.into(), files.into());
    }
    write_json(&folder.join(format!("{name}.deps.json")), &framework_deps(name, version, maps))?;
    Ok(version.to_owned())
}

fn framework_deps(name: &str, version: &str, maps: Map<String, Value>) -> Value {
    let target = format!(".NETCoreApp,Version=v{}", tfm(version).trim_start_matches("net"));
    let target_for_rid = format!("{target}/{RUNTIME_ID}");
    let library = format!("{name}.Runtime.{RUNTIME_ID}/{version}");
    json!({
        "runtimeTarget": {"name": target_for_rid, "signature": ""},
        "compilationOptions": {},
        "targets": {target: {}, target_for_rid: {&library: maps}},
        "libraries": {library: {"type": "package", "serviceable": true, "sha512": ""}},
    })
}

fn move_file(from: &Path, to: &Path, name: &str) -> Result<()> {
    fs::rename(from.join(name), to.join(name))
        .with_context(|| format!("the runtime package lacks {name}"))
}

pub(super) fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framework_lists_its_files_under_its_target() {
        let maps = json!({"runtime": {"System.Runtime.dll": {}}});
        let deps = framework_deps(CORE, "9.0.7", maps.as_object().cloned().unwrap());
        let name = ".NETCoreApp,Version=v9.0/linux-x64";
        let library = "Microsoft.NETCore.App.Runtime.linux-x64/9.0.7";
        assert_eq!(deps["runtimeTarget"]["name"], name);
        assert!(deps["targets"][name][library]["runtime"]["System.Runtime.dll"].is_object());
        assert_eq!(deps["libraries"][library]["type"], "package");
    }
}
