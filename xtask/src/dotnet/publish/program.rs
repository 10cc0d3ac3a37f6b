//! The publish folder of a program, as the SDK lays it out.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::{PUBLISHED, is_current, place, private::Unit};
use crate::dotnet::{
    Private, Toolchain, apphost, beside,
    csproj::{Project, SdkKind},
    layout::write_json,
    replace_dir,
};

/// Replaces the folder of a program, unless it is what it would become.
pub(super) fn publish(
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
    place_assemblies(unit, &new)?;
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

/// Puts an assembly and those that it refers to, with their symbols, into a folder.
pub(super) fn place_assemblies(unit: &Unit, out: &Path) -> Result<()> {
    for assembly in [unit.assembly()].iter().chain(&unit.references) {
        place(assembly, out)?;
        place(&assembly.with_extension("pdb"), out)?;
    }
    Ok(())
}

const BYTE_ORDER_MARK: char = '\u{feff}';

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

/// To the byte: the SDK begins the file with a byte order mark, and ends it without a line's end.
fn web_config(name: &str, model: &str) -> String {
    format!(
        r#"{BYTE_ORDER_MARK}<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <location path="." inheritInChildApplications="false">
    <system.webServer>
      <handlers>
        <add name="aspNetCore" path="*" verb="*" modules="AspNetCoreModuleV2" resourceType="Unspecified" />
      </handlers>
      <aspNetCore processPath="dotnet" arguments=".\{name}.dll" stdoutLogEnabled="false" stdoutLogFile=".\logs\stdout" hostingModel="{model}" />
    </system.webServer>
  </location>
</configuration>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str, csproj: &str) -> Project {
        let dir = std::env::temp_dir().join(format!("xtask-program-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("App.csproj");
        fs::write(&path, csproj).unwrap();
        let project = Project::load(&path, "net9.0").unwrap();
        fs::remove_dir_all(dir).unwrap();
        project
    }

    #[test]
    fn a_web_program_is_configured_as_the_sdk_does() {
        let project = project("web", r#"<Project Sdk="Microsoft.NET.Sdk.Web"/>"#);
        let options = &runtime_config(&project, "net9.0")["runtimeOptions"];
        assert_eq!(options["tfm"], "net9.0");
        assert_eq!(options["frameworks"][1]["name"], "Microsoft.AspNetCore.App");
        assert_eq!(options["frameworks"][1]["version"], "9.0.0");
        assert_eq!(options["configProperties"]["System.GC.Server"], true);
        let hooks = "System.StartupHookProvider.IsSupported";
        assert!(options["configProperties"][hooks].is_null());
    }

    #[test]
    fn properties_reach_the_runtime_configuration() {
        let project = project(
            "plain",
            r#"<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup>
                 <OutputType>Exe</OutputType>
                 <StartupHookSupport>false</StartupHookSupport>
                 <InvariantGlobalization>true</InvariantGlobalization>
               </PropertyGroup></Project>"#,
        );
        let options = &runtime_config(&project, "net9.0")["runtimeOptions"];
        let properties = &options["configProperties"];
        assert_eq!(options["frameworks"].as_array().unwrap().len(), 1);
        assert_eq!(properties["System.StartupHookProvider.IsSupported"], false);
        assert_eq!(properties["System.Globalization.Invariant"], true);
        assert!(properties["System.GC.Server"].is_null());
    }

    #[test]
    fn web_config_names_the_assembly_and_the_model() {
        let text = web_config("My.App", "outofprocess");
        assert!(text.contains(r#"arguments=".\My.App.dll""#), "{text}");
        assert!(text.contains(r#"hostingModel="outofprocess""#), "{text}");
        roxmltree::Document::parse(&text).unwrap();
    }
}
