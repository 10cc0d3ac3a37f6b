//! The package that an application may refer to, so that it brings its own in-process handler.
//!
//! Its folders are those that a publish unpacks (docs/decisions/0002-handler-search.md): what runs in
//! the application's runtime, and the library beside which the worker looks for it.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    build::Build,
    step::step,
    workspace::{Profile, Workspace},
};

const NAME: &str = "Ancm.Server";
const ASSEMBLIES: [&str; 2] = ["Ancm.Bootstrap.dll", "Ancm.Server.dll"];
const NATIVE: &str = "libancm_inprocess.so";

/// Builds for release and writes the package; returns where it is.
pub(crate) fn run(workspace: &Workspace) -> Result<PathBuf> {
    let build = Build::run(workspace, Profile::Release)?;
    let version = workspace.version()?;
    let framework = &build.toolchain.tfm;
    let handler = build.bin.join("inprocess").join(version);
    let folder = workspace.target.join("packages");
    let package = folder.join(format!("{NAME}.{version}.nupkg"));
    step("package", || {
        fs::create_dir_all(&folder)?;
        let file = File::create(&package)
            .with_context(|| format!("cannot write {}", package.display()))?;
        write(file, &handler, version, framework)
    })?;
    Ok(package)
}

/// The parts that every package has, then ours.
fn write(file: File, handler: &Path, version: &str, framework: &str) -> Result<()> {
    let mut zip = ZipWriter::new(file);
    let mut put = |name: &str, bytes: &[u8]| -> Result<()> {
        // Without times, so that equal builds give equal packages.
        zip.start_file(name, SimpleFileOptions::default())?;
        zip.write_all(bytes).context("cannot write the package")
    };
    put("[Content_Types].xml", CONTENT_TYPES.as_bytes())?;
    put("_rels/.rels", RELATIONS.as_bytes())?;
    put(&format!("{NAME}.nuspec"), manifest(version, framework).as_bytes())?;
    let read = |name: &str| {
        let path = handler.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    for assembly in ASSEMBLIES {
        put(&format!("lib/{framework}/{assembly}"), &read(assembly)?)?;
    }
    put(&format!("runtimes/linux-x64/native/{NATIVE}"), &read(NATIVE)?)?;
    zip.finish()?;
    Ok(())
}

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />
  <Default Extension="nuspec" ContentType="application/octet" />
  <Default Extension="dll" ContentType="application/octet" />
  <Default Extension="so" ContentType="application/octet" />
</Types>
"#;

const RELATIONS: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/Ancm.Server.nuspec" Id="manifest" />
</Relationships>
"#;

fn manifest(version: &str, framework: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>{NAME}</id>
    <version>{version}</version>
    <authors>ancm</authors>
    <license type="expression">MIT</license>
    <description>The in-process handler of ancm, for applications that bring their own. Without it an application is served with the handler that is installed.</description>
    <dependencies>
      <group targetFramework="{framework}" />
    </dependencies>
    <frameworkReferences>
      <group targetFramework="{framework}">
        <frameworkReference name="Microsoft.AspNetCore.App" />
      </group>
    </frameworkReferences>
  </metadata>
</package>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_finds_each_file_where_the_worker_looks_for_it() {
        let folder = std::env::temp_dir().join(format!("ancm-pack-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in ASSEMBLIES.into_iter().chain([NATIVE]) {
            fs::write(folder.join(name), name).unwrap();
        }
        let package = folder.join("package");
        write(File::create(&package).unwrap(), &folder, "1.2.3", "net9.0").unwrap();
        let mut zip = zip::ZipArchive::new(File::open(&package).unwrap()).unwrap();
        for (name, text) in [
            ("lib/net9.0/Ancm.Server.dll", "Ancm.Server.dll"),
            ("lib/net9.0/Ancm.Bootstrap.dll", "Ancm.Bootstrap.dll"),
            ("runtimes/linux-x64/native/libancm_inprocess.so", "libancm_inprocess.so"),
            ("Ancm.Server.nuspec", &manifest("1.2.3", "net9.0")),
        ] {
            let found = std::io::read_to_string(zip.by_name(name).unwrap()).unwrap();
            assert_eq!(found, text);
        }
        roxmltree::Document::parse(&manifest("1.2.3", "net9.0")).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
