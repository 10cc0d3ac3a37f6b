//! Folder to [`Loaded`]: finds the source, reads it, applies what outranks it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::{
    App, AspNetCore, Env, Finding, Findings, HostingModel, Loaded, Origin, Overrides, Platform,
    Position, Source, expansion, paths, web_config,
};

use super::folder::Folder;
use super::program;

/// The largest `web.config` that is read at all; one byte more tells "too large" from "just fits".
const READ_LIMIT_BYTES: u64 = (1 << 20) + 1;

/// Settings on their way from a source to an application.
pub(super) struct Draft {
    pub(super) settings: AspNetCore,
    /// The text of `arguments`.
    pub(super) arguments: String,
    /// The file and places that findings about program and arguments refer to.
    pub(super) file: String,
    pub(super) process_path_at: Option<Position>,
    pub(super) arguments_at: Option<Position>,
}

pub(super) fn load(dir: &Path, overrides: &Overrides, env: &Env) -> Loaded {
    let mut findings = Findings::default();
    let app = Folder::open(dir, &mut findings)
        .and_then(|folder| load_folder(&folder, overrides, env, &mut findings));
    Loaded { app, findings: findings.into_vec() }
}

fn load_folder(
    folder: &Folder,
    overrides: &Overrides,
    env: &Env,
    findings: &mut Findings,
) -> Option<App> {
    let web_config_path = folder.web_config(findings);
    let (source, draft) = match &web_config_path {
        Some(path) => (Source::WebConfig, from_web_config(path, env, findings)),
        None => (Source::RuntimeConfig, from_runtime_config(folder, findings)),
    };
    let mut draft = draft?;
    let hosting_model_origin = apply_overrides(&mut draft, source, overrides, findings)?;
    apply_launcher(&mut draft, env, findings);
    draft.settings.put_below(&overrides.path_base);
    let name = program::settle(&mut draft, folder, env, findings);
    Some(App {
        name,
        dir: folder.dir.clone(),
        web_config_path,
        settings: draft.settings,
        source,
        path_base: overrides.path_base.clone(),
        hosting_model_origin,
        snapshot: None,
    })
}

fn from_web_config(path: &Path, env: &Env, findings: &mut Findings) -> Option<Draft> {
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut bytes = Vec::new();
    let read = open_regular(path).and_then(|f| f.take(READ_LIMIT_BYTES).read_to_end(&mut bytes));
    if let Err(error) = read {
        let message = format!("cannot be read: {error}");
        findings.push(Finding::error("unreadable-file", path.display().to_string(), message));
        return None;
    }
    let read = web_config::read(&bytes, &file, env, findings)?;
    Some(Draft {
        settings: read.settings,
        arguments: read.arguments,
        file,
        process_path_at: read.process_path_at,
        arguments_at: read.arguments_at,
    })
}

/// Opens a file that is one: opening a pipe would wait for a writer that never comes.
fn open_regular(path: &Path) -> io::Result<File> {
    if path.metadata()?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

fn from_runtime_config(folder: &Folder, findings: &mut Findings) -> Option<Draft> {
    let dir = folder.dir.display().to_string();
    let apps = folder.runtime_configs();
    let [app] = apps.as_slice() else {
        let message = if apps.is_empty() {
            "neither web.config nor *.runtimeconfig.json is here".to_owned()
        } else {
            format!("no web.config, and {} applications: {}", apps.len(), apps.join(", "))
        };
        findings.push(
            Finding::error("no-application", dir, message)
                .expected("web.config, or exactly one *.runtimeconfig.json")
                .suggest("run `dotnet publish` and name its output folder"),
        );
        return None;
    };
    // An application that brings its own runtime is started by itself, not by `dotnet`.
    let is_self_contained = folder.dir.join("libhostfxr.so").is_file();
    let mut settings = match is_self_contained {
        true => AspNetCore::of(format!("./{app}"), Vec::new()),
        false => AspNetCore::of("dotnet", Vec::new()),
    };
    settings.hosting_model = HostingModel::InProcess;
    let arguments = if is_self_contained { String::new() } else { format!("\"{app}.dll\"") };
    findings.push(Finding::note(
        "no-web-config",
        dir.clone(),
        format!("there is no web.config; {app}.runtimeconfig.json names the application"),
    ));
    Some(Draft { settings, arguments, file: dir, process_path_at: None, arguments_at: None })
}

/// `None` when the command line asks for what cannot be.
fn apply_overrides(
    draft: &mut Draft,
    source: Source,
    overrides: &Overrides,
    findings: &mut Findings,
) -> Option<Origin> {
    draft.settings.environment_override = overrides.environment.clone();
    if overrides.hosting_model == Some(HostingModel::InProcess)
        && draft.settings.platform == Platform::Http
    {
        let message = "the program of <httpPlatform> cannot be hosted in-process";
        let finding = Finding::error("hosting-model", draft.file.as_str(), message);
        findings.push(finding.at(draft.process_path_at).suggest("leave --hosting-model out"));
        return None;
    }
    if let Some(model) = overrides.hosting_model {
        draft.settings.hosting_model = model;
        return Some(Origin::CommandLine);
    }
    if draft.settings.hosting_model_written {
        return Some(Origin::WebConfig);
    }
    if source == Source::WebConfig {
        let message = "hostingModel is not written, so the application runs out-of-process";
        findings.push(
            Finding::note("hosting-model-absent", draft.file.as_str(), message)
                .at(draft.process_path_at)
                .suggest("hostingModel=\"inprocess\", which is faster, or \"outofprocess\""),
        );
    }
    Some(Origin::Default)
}

/// `ANCM_LAUNCHER_PATH` and `ANCM_LAUNCHER_ARGS` replace what is written; in-process both values
/// are expanded once more, as in the module.
fn apply_launcher(draft: &mut Draft, env: &Env, findings: &mut Findings) {
    let mut replace = |name: &'static str, text: &mut String| {
        if let Some(value) = env.non_empty(name) {
            value.clone_into(text);
            let message = format!("{name} replaces what is written here");
            findings.push(Finding::note("launcher-variable", draft.file.as_str(), message));
        }
    };
    replace("ANCM_LAUNCHER_PATH", &mut draft.settings.process_path);
    replace("ANCM_LAUNCHER_ARGS", &mut draft.arguments);
    if draft.settings.hosting_model == HostingModel::InProcess {
        draft.settings.process_path = expansion::expand(&draft.settings.process_path, env);
        draft.arguments = expansion::expand(&draft.arguments, env);
    }
}

impl Draft {
    /// Splits the arguments, once the folder that they refer to is known.
    pub(super) fn split_arguments(&mut self, dir: &Path) {
        self.settings.arguments = paths::argument_list(&self.arguments, dir);
    }
}
