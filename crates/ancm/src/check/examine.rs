//! Folder to [`Report`]: what the configuration says, completed by what the machine has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clr::locate::{self, Framework, Installed, Request, RuntimeConfig};
use clr::{HostFxr, Version};
use config::{
    App, AspNetCore, Env, Finding, Findings, HealthCheck, HostingModel, Origin, Overrides, Page,
    Readiness, Source, environment, paths,
};
use serde::Serialize;

const HANDLER: &str = "libancm_inprocess.so";
const HANDLER_VARIABLE: &str = "ASPNETCORE_MODULE_INPROCESS_HANDLER";
const WEB_FRAMEWORK: &str = "Microsoft.AspNetCore.App";

/// Everything that `check` tells.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether nothing prevents a start.
    pub(super) ok: bool,
    /// The folder as asked for.
    pub(super) dir: PathBuf,
    /// What was understood; absent when the configuration cannot be used.
    pub(super) app: Option<Understood>,
    /// What is worth knowing, errors included.
    pub(super) findings: Vec<Finding>,
}

/// One application as this host would run it.
#[derive(Debug, Serialize)]
pub(super) struct Understood {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    pub(super) source: Source,
    pub(super) web_config: Option<PathBuf>,
    pub(super) hosting_model: HostingModel,
    pub(super) hosting_model_origin: Origin,
    pub(super) process_path: String,
    pub(super) arguments: Vec<String>,
    /// The file that is executed; in-process none is.
    pub(super) program: Option<PathBuf>,
    pub(super) startup_time_limit_seconds: u64,
    pub(super) shutdown_time_limit_seconds: u64,
    pub(super) request_timeout_seconds: u64,
    pub(super) processes_per_application: u32,
    pub(super) rapid_fails_per_minute: u32,
    pub(super) stdout_log: Option<PathBuf>,
    pub(super) max_allowed_content_length: Option<u64>,
    /// Requested before clients may come.
    pub(super) initialization_pages: Vec<Page>,
    /// What has to be answered, and how, before they may.
    pub(super) readiness: Option<Readiness>,
    pub(super) health_check: Option<HealthCheck>,
    /// Whether code is executed from a snapshot; null means where one can be had.
    pub(super) enable_shadow_copy: Option<bool>,
    /// Names only: values may be secrets.
    pub(super) environment_variables: Vec<String>,
    pub(super) runtime: Option<Runtime>,
    /// The in-process handler's library, if it was found.
    pub(super) handler: Option<PathBuf>,
    /// The limits that differ from their defaults, for people.
    #[serde(skip)]
    pub(super) changed_limits: Vec<String>,
}

/// The runtime of an application of .NET.
#[derive(Debug, Serialize)]
pub(super) struct Runtime {
    #[serde(flatten)]
    pub(super) host: HostFxr,
    pub(super) wanted: Vec<Wanted>,
    pub(super) installed: Vec<Installed>,
}

/// One framework that the application asks for.
#[derive(Debug, Serialize)]
pub(super) struct Wanted {
    #[serde(flatten)]
    pub(super) framework: Framework,
    /// The installed version that serves it.
    pub(super) used: Option<Version>,
}

/// Examines the application in `dir`.
pub(super) fn report(dir: &Path, env: &Env) -> Report {
    let loaded = App::load(dir, Overrides::default(), env);
    let mut findings = Findings::default();
    findings.extend(loaded.findings);
    let app = loaded.app.map(|app| understand(app, env, &mut findings));
    Report { ok: !findings.has_errors(), dir: dir.to_owned(), app, findings: findings.into_vec() }
}

fn understand(app: App, env: &Env, findings: &mut Findings) -> Understood {
    let settings = &app.settings;
    let is_in_process = settings.hosting_model == HostingModel::InProcess;
    let program = paths::resolve_program(&settings.process_path, &app.dir, env).ok();
    let runtime = runtime(&app, program.as_deref(), env, findings);
    if app_offline(&app.dir) {
        let message = "app_offline.htm is here: every request is answered with 503";
        findings
            .push(Finding::note("app-offline", file_of(&app), message).suggest("delete the file"));
    }
    let handler = is_in_process.then(|| handler(&app.dir, env)).flatten();
    if is_in_process && handler.is_none() {
        let message = format!("500.33: {HANDLER} is neither beside ancm nor in the application");
        findings.push(
            Finding::error("no-handler-library", file_of(&app), message)
                .suggest("install ancm completely"),
        );
    }
    let stdout_log = settings.stdout_log_enabled;
    Understood {
        startup_time_limit_seconds: settings.startup_time_limit.as_secs(),
        shutdown_time_limit_seconds: settings.shutdown_time_limit.as_secs(),
        request_timeout_seconds: settings.request_timeout.as_secs(),
        processes_per_application: settings.processes_per_application,
        rapid_fails_per_minute: settings.rapid_fails_per_minute,
        stdout_log: stdout_log.then(|| paths::join_clean(&app.dir, &settings.stdout_log_file)),
        max_allowed_content_length: settings.limits.max_allowed_content_length,
        initialization_pages: settings.initialization_pages.clone(),
        readiness: settings.handler_settings.readiness.clone(),
        health_check: settings.handler_settings.recycling.health_check.clone(),
        enable_shadow_copy: settings.handler_settings.enable_shadow_copy,
        environment_variables: settings.environment_variables.iter().map(|v| v.0.clone()).collect(),
        changed_limits: changed_limits(settings),
        hosting_model: settings.hosting_model,
        hosting_model_origin: app.hosting_model_origin,
        program: program.filter(|_| !is_in_process),
        runtime,
        handler,
        process_path: app.settings.process_path,
        arguments: app.settings.arguments,
        name: app.name,
        dir: app.dir,
        source: app.source,
        web_config: app.web_config_path,
    }
}

/// The file that findings about the application refer to.
fn file_of(app: &App) -> String {
    let file = app.web_config_path.as_deref().and_then(Path::file_name);
    file.map_or_else(|| app.dir.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The runtime of the application. Out-of-process anything may be started, so that only what names
/// an application of .NET is looked at, and nothing missing there is an error of ours.
fn runtime(
    app: &App,
    program: Option<&Path>,
    env: &Env,
    findings: &mut Findings,
) -> Option<Runtime> {
    let settings = &app.settings;
    let is_in_process = settings.hosting_model == HostingModel::InProcess;
    let program = program.filter(|_| !is_in_process).map(|path| path.display().to_string());
    let located = locate::locate(&Request {
        process_path: program.as_deref().unwrap_or(&settings.process_path),
        arguments: &settings.arguments,
        dir: &app.dir,
        variable: &|name| env.get(name).map(str::to_owned),
    });
    let host = match located {
        Ok(host) => host,
        Err(error) => {
            let is_known = findings.errors().any(|finding| finding.code == error.code());
            if is_in_process && !is_known {
                let message = format!("{}: {error}", error.substatus());
                findings.push(
                    Finding::error(error.code(), file_of(app), message).suggest(error.advice()),
                );
            }
            return None;
        }
    };
    let installed = host.dotnet_root.as_deref().map(locate::installed).unwrap_or_default();
    let wanted = wanted(app, &host, &installed, env, findings);
    Some(Runtime { host, wanted, installed })
}

fn wanted(
    app: &App,
    host: &HostFxr,
    installed: &[Installed],
    env: &Env,
    findings: &mut Findings,
) -> Vec<Wanted> {
    let read = match RuntimeConfig::beside(&host.app_dll) {
        Ok(read) => read,
        Err(error) => {
            let file = host.app_dll.with_extension("runtimeconfig.json");
            findings.push(
                Finding::error("runtime-config", file.display().to_string(), chain(&error))
                    .suggest("publish the application again"),
            );
            return Vec::new();
        }
    };
    if read.is_self_contained() {
        let used =
            |framework: Framework| Wanted { used: Some(framework.version.clone()), framework };
        return read.included_frameworks.into_iter().map(used).collect();
    }
    // Options in front of the assembly may change what is asked for; hostfxr alone knows them all.
    let has_options = host.argv.first().is_none_or(|first| Path::new(first) != host.app_dll);
    let given = given_variables(app, env);
    let policy = read.effective_roll_forward(&|name| given.get(name).map(str::to_owned));
    let is_in_process = app.settings.hosting_model == HostingModel::InProcess;
    let no_versions = Vec::new();
    let mut wanted = Vec::new();
    for framework in read.frameworks {
        let known = installed.iter().find(|installed| installed.name == framework.name);
        let versions = known.map_or(&no_versions, |installed| &installed.versions);
        let used = policy.choose(&framework.version, versions).cloned();
        if used.is_none() && !has_options {
            let number = if is_in_process { "500.31" } else { "502.5" };
            findings.push(missing_framework(number, &framework, versions, host));
        }
        wanted.push(Wanted { framework, used });
    }
    if is_in_process && !wanted.iter().any(|wanted| wanted.framework.name == WEB_FRAMEWORK) {
        let message = format!("the application does not use {WEB_FRAMEWORK}");
        findings.push(
            Finding::warning("no-web-framework", read.path.display().to_string(), message)
                .suggest("hostingModel=\"outofprocess\", if it serves HTTP by other means"),
        );
    }
    wanted
}

fn missing_framework(
    number: &str,
    framework: &Framework,
    versions: &[Version],
    host: &HostFxr,
) -> Finding {
    let installed = if versions.is_empty() {
        "none".to_owned()
    } else {
        versions.iter().map(Version::to_string).collect::<Vec<_>>().join(", ")
    };
    let root = host.dotnet_root.as_deref().unwrap_or(Path::new("?")).display();
    let message = format!(
        "{number}: wants {} {}; installed in {root}: {installed}",
        framework.name, framework.version
    );
    let file = host.app_dll.with_extension("runtimeconfig.json");
    let finding = Finding::error("framework-missing", file.display().to_string(), message);
    let is_newer_there = versions.iter().any(|version| *version > framework.version);
    if is_newer_there {
        finding.suggest("install that version, or set DOTNET_ROLL_FORWARD=Major")
    } else {
        finding.suggest("install that version")
    }
}

/// The environment that hostfxr will see: variables of web.config are set before it is loaded.
fn given_variables(app: &App, env: &Env) -> Env {
    let identity = environment::Identity::of(app);
    let set = match app.settings.hosting_model {
        HostingModel::InProcess => environment::for_in_process(&app.settings, &identity, env),
        HostingModel::OutOfProcess => {
            environment::for_out_of_process(&app.settings, &identity, env)
        }
    };
    let own = env.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    own.chain(set).collect()
}

/// Where the in-process handler is: the search of the shim, with the folder of this program in the
/// place of the worker's, since both are installed together.
fn handler(dir: &Path, env: &Env) -> Option<PathBuf> {
    let named = env.non_empty(HANDLER_VARIABLE).map(PathBuf::from);
    let of_app = [dir.join(HANDLER), dir.join("runtimes/linux-x64/native").join(HANDLER)];
    let own = std::env::current_exe().ok();
    let versions = own.as_deref().and_then(Path::parent).map(|beside| beside.join("inprocess"));
    let newest = versions.and_then(|versions| {
        let entries = std::fs::read_dir(versions).ok()?.filter_map(Result::ok);
        entries
            .filter_map(|entry| {
                let version: Version = entry.file_name().to_str()?.parse().ok()?;
                Some((version, entry.path().join(HANDLER)))
            })
            .filter(|(_, library)| library.is_file())
            .max_by(|one, other| one.0.cmp(&other.0))
            .map(|(_, library)| library)
    });
    named.into_iter().chain(of_app).chain(newest).find(|library| library.is_file())
}

fn app_offline(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_name().eq_ignore_ascii_case("app_offline.htm"))
        .any(|entry| entry.path().is_file())
}

fn changed_limits(settings: &AspNetCore) -> Vec<String> {
    let default = AspNetCore::of("", Vec::new());
    let mut changed = Vec::new();
    let mut time = |name: &str, value: Duration, default: Duration| {
        if value != default {
            changed.push(format!("{name} {} s", value.as_secs()));
        }
    };
    time("startupTimeLimit", settings.startup_time_limit, default.startup_time_limit);
    time("shutdownTimeLimit", settings.shutdown_time_limit, default.shutdown_time_limit);
    time("requestTimeout", settings.request_timeout, default.request_timeout);
    let mut count = |name: &str, value: u32, default: u32| {
        if value != default {
            changed.push(format!("{name} {value}"));
        }
    };
    let processes = default.processes_per_application;
    count("processesPerApplication", settings.processes_per_application, processes);
    count("rapidFailsPerMinute", settings.rapid_fails_per_minute, default.rapid_fails_per_minute);
    changed.extend(settings.limits.written());
    changed
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
