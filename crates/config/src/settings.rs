//! The validated `<aspNetCore>` section, plain data that crosses from supervisor to worker.
//!
//! Defaults are those of the module's schema and live here, beside the type. Strings are expanded;
//! paths have their Linux form. A `processPath` stays a string because a bare name is looked up
//! along `PATH` when the program is started, not when the file is read.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{DebugLog, ForwardedFields, Limits, Page, Readiness, Recycling, TrustedProxies};

/// Where the application runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostingModel {
    /// The runtime is hosted inside the worker.
    InProcess,
    /// The worker starts a backend process and forwards requests to it. What the module does when
    /// nothing is written, whatever its documentation says.
    #[default]
    OutOfProcess,
}

impl fmt::Display for HostingModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProcess => "inprocess",
            Self::OutOfProcess => "outofprocess",
        })
    }
}

/// The text is neither hosting model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{written}` is not a hosting model (inprocess, outofprocess)")]
pub struct UnknownHostingModel {
    /// The text.
    pub written: String,
}

impl FromStr for HostingModel {
    type Err = UnknownHostingModel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("inprocess") {
            Ok(Self::InProcess)
        } else if text.eq_ignore_ascii_case("outofprocess") {
            Ok(Self::OutOfProcess)
        } else {
            Err(UnknownHostingModel { written: text.to_owned() })
        }
    }
}

/// Which section names the program, and with it what the program is told and how it is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Platform {
    /// `<aspNetCore>`: a .NET application, or what wants to be treated like one.
    #[default]
    AspNetCore,
    /// `<httpPlatform>`: any program that speaks HTTP on a port that it is told.
    Http,
}

/// Which of several backends takes a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackendChoice {
    /// The one with the fewest requests in flight.
    #[default]
    LeastInFlight,
    /// They take turns, as in the module.
    RoundRobin,
}

/// The text is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a choice of backends (leastInFlight, roundRobin)")]
pub struct UnknownChoice;

impl FromStr for BackendChoice {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [("leastInFlight", Self::LeastInFlight), ("roundRobin", Self::RoundRobin)]
            .into_iter()
            .find_map(|(name, it)| text.eq_ignore_ascii_case(name).then_some(it))
            .ok_or(UnknownChoice)
    }
}

/// How backends are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendTransport {
    /// .NET programs by links over a Unix socket, unless a port is written; others by a port.
    #[default]
    Auto,
    /// By a port of the loopback.
    Tcp,
    /// Any program by a Unix socket, which `ANCM_SOCKET` and `%ANCM_SOCKET%` name. Each request in
    /// flight has a connection of its own.
    Unix,
}

/// The text is no transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a transport (auto, tcp, unix)")]
pub struct UnknownTransport;

impl FromStr for BackendTransport {
    type Err = UnknownTransport;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [("auto", Self::Auto), ("tcp", Self::Tcp), ("unix", Self::Unix)]
            .into_iter()
            .find_map(|(name, it)| text.eq_ignore_ascii_case(name).then_some(it))
            .ok_or(UnknownTransport)
    }
}

/// One `<aspNetCore>` or `<httpPlatform>` section, merged, expanded, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AspNetCore {
    /// The kind of section.
    pub platform: Platform,
    /// The program: a bare name (`dotnet`), a path relative to the application's folder (`./MyApp`)
    /// or an absolute path. Never empty.
    pub process_path: String,
    /// Its arguments, split as Windows splits a command line, in their Linux form.
    pub arguments: Vec<String>,
    /// The hosting model in force.
    pub hosting_model: HostingModel,
    /// Whether `web.config` says so; when not, the model is the default or an override.
    pub hosting_model_written: bool,
    /// How long a start may take. Default 120 s, at most an hour; zero is not infinite.
    pub startup_time_limit: Duration,
    /// How often one start of a backend is attempted before it counts as failed: 2, and with
    /// `<httpPlatform>` what `startupRetryCount` says, default 10.
    pub startup_attempts: u32,
    /// Grace between the request to stop and the kill. Default 10 s, at most ten minutes.
    pub shutdown_time_limit: Duration,
    /// Limit of each single network operation with a backend. Default two minutes, at most
    /// 15 days, with `<httpPlatform>` 30.
    pub request_timeout: Duration,
    /// Crashes of a backend tolerated within a minute. Default 10, at most 100.
    pub rapid_fails_per_minute: u32,
    /// Backend processes, 1 to 100. Ignored in-process.
    pub processes_per_application: u32,
    /// Whether standard output goes to a file.
    pub stdout_log_enabled: bool,
    /// First part of that file's path; absolute or relative to the application's folder.
    pub stdout_log_file: PathBuf,
    /// `recycleOnFileChange`: files whose change is followed by a new generation; absolute or
    /// relative to the application's folder.
    pub recycle_on_file_change: Vec<PathBuf>,
    /// Read and ignored: Windows tokens do not exist here.
    pub forward_windows_auth_token: bool,
    /// Whether a failed start is answered without our page.
    pub disable_start_up_error_page: bool,
    /// Variables for the application in the order written, names unique in the eyes of Windows.
    /// Values are as written: `environment` expands them when it merges.
    pub environment_variables: Vec<(String, String)>,
    /// From `--environment`: what `ASPNETCORE_ENVIRONMENT` and `DOTNET_ENVIRONMENT` are set to,
    /// whatever else says otherwise.
    pub environment_override: Option<String>,
    /// The module's switches.
    pub handler_settings: HandlerSettings,
    /// `applicationInitialization`: what is requested before clients may come, in order.
    pub initialization_pages: Vec<Page>,
    /// `security/requestFiltering@removeServerHeader`.
    pub remove_server_header: bool,
    /// `webSocket@enabled`: whether a connection may be taken over for another protocol.
    pub web_sockets: bool,
    /// What clients may have.
    pub limits: Limits,
}

impl AspNetCore {
    /// The defaults of the schema around one program.
    pub fn of(process_path: impl Into<String>, arguments: Vec<String>) -> Self {
        Self {
            platform: Platform::AspNetCore,
            process_path: process_path.into(),
            arguments,
            hosting_model: HostingModel::default(),
            hosting_model_written: false,
            startup_time_limit: Duration::from_secs(120),
            startup_attempts: 2,
            shutdown_time_limit: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            rapid_fails_per_minute: 10,
            processes_per_application: 1,
            stdout_log_enabled: false,
            stdout_log_file: PathBuf::from("aspnetcore-stdout"),
            recycle_on_file_change: Vec::new(),
            forward_windows_auth_token: true,
            disable_start_up_error_page: false,
            environment_variables: Vec::new(),
            environment_override: None,
            handler_settings: HandlerSettings::default(),
            initialization_pages: Vec::new(),
            remove_server_header: false,
            web_sockets: true,
            limits: Limits::default(),
        }
    }

    /// The defaults of `<httpPlatform>` around one program. It always runs in a process of its own.
    pub fn http_platform(process_path: impl Into<String>) -> Self {
        Self {
            platform: Platform::Http,
            hosting_model: HostingModel::OutOfProcess,
            hosting_model_written: true,
            startup_attempts: 10,
            stdout_log_file: PathBuf::from("httpplatform-stdout"),
            forward_windows_auth_token: false,
            ..Self::of(process_path, Vec::new())
        }
    }

    /// The files whose change is followed by a new generation, beside those that are code by their names:
    /// the ones that `recycleOnFileChange` lists, the program (an apphost, a single file, native code) and
    /// the script that an interpreter runs, both where they lie in the application's folder `dir`.
    pub fn watched_files(&self, dir: &Path) -> Vec<PathBuf> {
        let program = Some(self.process_path.as_str()).filter(|path| path.contains('/'));
        // `-m module` and the like name no file that could be known here.
        let script = self.arguments.first().map(String::as_str).filter(|it| !it.starts_with('-'));
        let own = program.into_iter().chain(script).map(Path::new);
        let is_inside = |path: &&Path| {
            let parts = path.strip_prefix(dir).unwrap_or(path).components();
            parts.clone().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        self.recycle_on_file_change
            .iter()
            .map(PathBuf::as_path)
            .chain(own.filter(is_inside))
            .map(Path::to_owned)
            .collect()
    }

    /// Whether anything is requested of the application before clients may come.
    pub fn is_warmed_up(&self) -> bool {
        !self.initialization_pages.is_empty() || self.handler_settings.readiness.is_some()
    }

    /// The value `web.config` gives a variable; names are compared as Windows does.
    pub fn environment_variable(&self, name: &str) -> Option<&str> {
        let found =
            self.environment_variables.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The known `<handlerSetting>` names with their defaults, and the list as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerSettings {
    /// `backendChoice`: which of several backends takes a request. Not one of the module's.
    pub backend_choice: BackendChoice,
    /// `backendConnectionLimit`, ours: connections that a backend has at once, beyond which requests
    /// wait. The worker's lanes share it evenly, and have one at least. None unless written.
    pub backend_connection_limit: Option<usize>,
    /// `backendTransport`: how backends are reached. Not one of the module's.
    pub backend_transport: BackendTransport,
    /// `callStartupHook`: let the managed page explain a failed start.
    pub call_startup_hook: bool,
    /// `cleanShadowCopyDirectory`: without effect, because no copy is ever used again.
    pub clean_shadow_copy_directory: bool,
    /// `clientCertificateField`, ours: the field in which [`Self::trusted_proxies`] tell of the
    /// certificate of their client. `None`: there is none.
    pub client_certificate_field: Option<String>,
    /// `debugFile`: where the debug log goes; absolute or relative to the application's folder.
    pub debug_file: Option<PathBuf>,
    /// `debugLevel`: how much the debug log tells, and where.
    pub debug_level: DebugLog,
    /// `disallowOverlappingRotation`: end the old generation before a new one is started. Ours; an
    /// attribute of the application pool under IIS.
    pub disallow_overlapping_rotation: bool,
    /// `disallowRotationOnConfigChange`: keep running when `web.config` changes.
    pub disallow_rotation_on_config_change: bool,
    /// `enableOutOfProcessConsoleRedirection`: capture a backend's output.
    pub enable_out_of_process_console_redirection: bool,
    /// `enableShadowCopy`: run from a copy of the application's code. `None` when nothing is
    /// written, which means a copy where one can be had.
    pub enable_shadow_copy: Option<bool>,
    /// `forwardedFields`, ours: the fields by which a backend is told of the client.
    pub forwarded_fields: ForwardedFields,
    /// `forwardResponseConnectionHeader`: pass a backend's `Connection` header on.
    pub forward_response_connection_header: bool,
    /// `handlerVersion`: version folder of the out-of-process handler.
    pub handler_version: Option<String>,
    /// `maxBlockedThreads`, ours: requests that may block at once in-process, each at the price of
    /// a thread; beyond it requests wait.
    pub max_blocked_threads: usize,
    /// `readinessPath`, with `readinessStatus` (default 200) and `readinessHost` (default
    /// `localhost`), ours: what has to be answered, and how, before clients may come.
    pub readiness: Option<Readiness>,
    /// When a generation that does well is replaced or stopped.
    pub recycling: Recycling,
    /// `setCurrentDirectory`: whether the worker's current directory becomes the application's folder.
    pub set_current_directory: bool,
    /// `shadowCopyDirectory`: the folder that has the copies.
    pub shadow_copy_directory: Option<PathBuf>,
    /// `shutdownDelay` or `ANCM_shutdownDelay`: pause between "stop accepting" and "stop".
    pub shutdown_delay: Duration,
    /// `stackSize`, unchanged: the runtime reads this text as hexadecimal without prefix.
    pub stack_size: String,
    /// `stdoutLogSizeLimit`, ours: bytes after which the stdout log file is put aside for a new one.
    pub stdout_log_size_limit: u64,
    /// `suppressRecycleOnStartupTimeout`: a start that took too long is not repeated by itself; its page
    /// stays.
    pub suppress_recycle_on_startup_timeout: bool,
    /// `trustedProxies`, ours: clients whose word about their own clients counts.
    pub trusted_proxies: TrustedProxies,
    /// Every setting as written, in order; of equal names the first counts.
    pub written: Vec<(String, String)>,
}

impl Default for HandlerSettings {
    fn default() -> Self {
        Self {
            backend_choice: BackendChoice::default(),
            backend_connection_limit: None,
            backend_transport: BackendTransport::default(),
            call_startup_hook: true,
            clean_shadow_copy_directory: false,
            client_certificate_field: None,
            debug_file: None,
            debug_level: DebugLog::default(),
            disallow_overlapping_rotation: false,
            disallow_rotation_on_config_change: false,
            enable_out_of_process_console_redirection: true,
            enable_shadow_copy: None,
            forwarded_fields: ForwardedFields::default(),
            forward_response_connection_header: false,
            handler_version: None,
            max_blocked_threads: 512,
            readiness: None,
            recycling: Recycling::default(),
            set_current_directory: true,
            shadow_copy_directory: None,
            shutdown_delay: Duration::from_secs(1),
            stack_size: "1048576".to_owned(),
            stdout_log_size_limit: 64 << 20,
            suppress_recycle_on_startup_timeout: false,
            trusted_proxies: TrustedProxies::default(),
            written: Vec::new(),
        }
    }
}

impl HandlerSettings {
    /// The value written for `name`: the first one, whatever its casing.
    pub fn written(&self, name: &str) -> Option<&str> {
        let found = self.written.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}
