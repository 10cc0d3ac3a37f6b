//! The C# compiler of the private toolchain: a driver of ours (`dotnet/toolchain/Csc.cs`) around
//! the compiler library.
//!
//! The driver is built twice: by an old compiler program, and then by itself, so that the program
//! in use is what the language version and the options of the project say.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    beside,
    integrity::Stamp,
    layout::{reference_dirs, tfm, write_json},
    replace_dir,
};
use crate::step::{run, step};

const STAMP: &str = "stamp";
const CONFIG: &str = "csc.runtimeconfig.json";
/// Warnings about assembly versions that are unified at run time; the SDK silences them as well.
const SILENCED: &str = "-nowarn:1701,1702";

/// A compiler program that takes the ordinary csc command line.
#[derive(Clone, Debug)]
pub(super) struct Compiler {
    muxer: PathBuf,
    program: PathBuf,
    stamp: String,
}

impl Compiler {
    /// Returns the compiler, building the driver when its source or the toolchain has changed.
    pub(super) fn ensure(
        source: &Path,
        home: &Path,
        folder: &Path,
        framework_version: &str,
    ) -> Result<Self> {
        let mut stamp = Stamp::new();
        stamp.add(fs::read(source).with_context(|| format!("cannot read {}", source.display()))?);
        stamp.add(fs::read(home.join("toolchain.json"))?);
        let stamp = stamp.finish();

        let muxer = home.join("root/dotnet");
        let compiler = Compiler { muxer, program: folder.join("csc.dll"), stamp: stamp.clone() };
        if fs::read_to_string(folder.join(STAMP)).ok().as_deref() != Some(&stamp) {
            step("C# compiler", || {
                let growing = beside(folder, ".new");
                compiler.build(source, home, &growing, framework_version)?;
                fs::write(growing.join(STAMP), stamp)?;
                replace_dir(&growing, folder)
            })?;
        }
        Ok(compiler)
    }

    /// Changes whenever the compiler could give another result.
    pub(super) fn stamp(&self) -> &str {
        &self.stamp
    }

    /// Compiles response files one after another in one process. Says which of them failed; the
    /// messages are those of the compiler.
    pub(super) fn compile(&self, response_files: &[PathBuf]) -> Result<Outcome> {
        let output = self
            .exec(&self.program)
            .arg("-batch")
            .args(response_files)
            .output()
            .context("cannot start the C# compiler")?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let succeeded = response_files
            .iter()
            .map(|file| {
                let file = file.to_string_lossy();
                // Each line is `ok MILLISECONDS FILE` or `failed MILLISECONDS FILE`.
                stdout.lines().any(|line| {
                    let mut fields = line.splitn(3, ' ');
                    fields.next() == Some("ok") && fields.nth(1) == Some(&*file)
                })
            })
            .collect();
        Ok(Outcome {
            succeeded,
            messages: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
        })
    }

    fn build(
        &self,
        source: &Path,
        home: &Path,
        folder: &Path,
        framework_version: &str,
    ) -> Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let config = folder.join(CONFIG);
        let tfm = tfm(framework_version);
        let framework = json!({"name": "Microsoft.NETCore.App", "version": framework_version});
        write_json(&config, &json!({"runtimeOptions": {"tfm": tfm, "framework": framework}}))?;

        let mut references = dlls_in(&home.join("roslyn"))?;
        for library in &references {
            let name = library.file_name().context("a library has a name")?;
            fs::hard_link(library, folder.join(name))?;
        }
        for dir in reference_dirs(&home.join("root"), framework_version, false) {
            references.extend(dlls_in(&dir)?);
        }

        let stage0 = folder.join("stage0.dll");
        let compile = |compiler: &Path, output: &Path| {
            let mut command = self.exec_with(&config, compiler);
            command
                .args(["-nologo", "-noconfig", "-nostdlib", "-optimize", "-deterministic"])
                .args(["-target:exe", "-langversion:8.0", SILENCED])
                .args(references.iter().map(|path| format!("-r:{}", path.display())))
                .arg(format!("-out:{}", output.display()))
                .arg(source);
            run(&mut command).context("cannot build the C# compiler")
        };
        compile(&home.join("first-compiler/csc.dll"), &stage0)?;
        compile(&stage0, &folder.join("csc.dll"))?;
        fs::remove_file(stage0)?;
        Ok(())
    }

    fn exec(&self, program: &Path) -> Command {
        self.exec_with(&program.with_file_name(CONFIG), program)
    }

    fn exec_with(&self, config: &Path, program: &Path) -> Command {
        let mut command = Command::new(&self.muxer);
        command
            .args(["exec".as_ref(), "--runtimeconfig".as_ref(), config.as_os_str()])
            .arg(program)
            // The compiler reads no culture; without this it would need ICU on the machine.
            .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
            .env("DOTNET_TieredPGO", "0")
            .env_remove("DOTNET_STARTUP_HOOKS");
        command
    }
}

/// What became of a batch.
pub(super) struct Outcome {
    /// One entry per response file.
    pub(super) succeeded: Vec<bool>,
    /// Warnings and errors, as csc writes them.
    pub(super) messages: String,
}

/// The assemblies in a folder, in a stable order.
pub(super) fn dlls_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut dlls = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "dll") {
            dlls.push(path);
        }
    }
    dlls.sort();
    Ok(dlls)
}
