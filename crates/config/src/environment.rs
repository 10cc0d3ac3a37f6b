//! The variables an application is given: `web.config`, the identity of the application, and what
//! the module forces, merged in the module's order.
//!
//! Both functions return the variables to *set*, on top of the environment that the worker has
//! already. What the out-of-process handler alone can know (port, token) is not in the list.
//! A value of `web.config` beats the process' own unless `ANCM_PREFER_ENVIRONMENT_VARIABLES` is on.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{App, AspNetCore, Env, Platform, expansion};

/// The variables that tell a backend its port, by kind of section: `<aspNetCore>`, `<httpPlatform>`.
/// What a backend starts inherits them, and can be told by them from what others start.
pub const PORT_VARIABLES: [&str; 2] = ["ASPNETCORE_PORT", "HTTP_PLATFORM_PORT"];

const HOSTING_STARTUP: &str = "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES";
const IIS_PREFIX: &str = "ASPNETCORE_IIS_";
const HTTP_PLATFORM_IIS_PREFIX: &str = "HTTP_PLATFORM_IIS_";
const IIS_INTEGRATION: &str = "Microsoft.AspNetCore.Server.IISIntegration";

/// Names a gate that a start waits at, for debuggers.
pub const SUSPEND_VARIABLE: &str = "ASPNETCORE_STARTUP_SUSPEND_EVENT";

/// Who the application is, in the words that IIS uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the application's pool.
    pub app_pool: String,
    /// Name of the site.
    pub site_name: String,
    /// Number of the site.
    pub site_id: u32,
    /// Path under which the application is served; `/` at the root.
    pub virtual_path: String,
    /// The application's folder.
    pub physical_path: PathBuf,
    /// What stands for the configuration of the application pool: here, the `web.config`.
    pub config_file: Option<PathBuf>,
    /// The one https port of the site, when there is exactly one.
    pub https_port: Option<u16>,
}

impl Identity {
    /// The identity of an application that is the only one of its site.
    pub fn of(app: &App) -> Self {
        Self {
            app_pool: app.name.clone(),
            site_name: app.name.clone(),
            site_id: 1,
            virtual_path: app.path_base.virtual_path().to_owned(),
            physical_path: app.dir.clone(),
            config_file: app.web_config_path.clone(),
            https_port: None,
        }
    }

    /// The variables that make up the "IIS environment" feature of managed code.
    fn variables(&self, prefix: &str) -> Vec<(String, String)> {
        let sub_path = self.virtual_path.trim_end_matches('/');
        let config_file = self.config_file.as_ref().map(|path| path.to_string_lossy());
        [
            ("APP_POOL_CONFIG_FILE", config_file.unwrap_or_default().into_owned()),
            ("VERSION", "10.0".to_owned()),
            ("APP_POOL_ID", self.app_pool.clone()),
            ("SITE_NAME", self.site_name.clone()),
            ("SITE_ID", self.site_id.to_string()),
            ("APP_CONFIG_PATH", format!("MACHINE/WEBROOT/APPHOST/{}{sub_path}", self.site_name)),
            ("APPLICATION_ID", format!("/LM/W3SVC/{}/ROOT{sub_path}", self.site_id)),
            ("APPLICATION_VIRTUAL_PATH", self.virtual_path.clone()),
        ]
        .map(|(name, value)| (format!("{prefix}{name}"), value))
        .into()
    }

    fn physical_path_with_slash(&self) -> String {
        let path = self.physical_path.to_string_lossy();
        if path.ends_with('/') { path.into_owned() } else { format!("{path}/") }
    }
}

/// The variables to set in a worker that hosts the application's runtime.
pub fn for_in_process(
    settings: &AspNetCore,
    identity: &Identity,
    process: &Env,
) -> Vec<(String, String)> {
    let mut merged = Merge::new(settings);
    merged.force("ASPNETCORE_IIS_PHYSICAL_PATH", identity.physical_path_with_slash());
    merged.force("ASPNETCORE_IIS_HTTPAUTH", "anonymous;");
    let mut merged = merged.finish(&identity.variables(IIS_PREFIX), process, |_| false);
    add_in_process_defaults(&mut merged, settings, &identity.physical_path, process);
    merged.override_environment(settings);
    merged.into_list(process)
}

/// The variables to set for a backend process, without its port and token.
pub fn for_out_of_process(
    settings: &AspNetCore,
    identity: &Identity,
    process: &Env,
) -> Vec<(String, String)> {
    if settings.platform == Platform::Http {
        return for_http_platform(settings, identity, process);
    }
    let mut merged = Merge::new(settings);
    merged.force("ASPNETCORE_IIS_PHYSICAL_PATH", identity.physical_path_with_slash());
    if let Some(port) = identity.https_port {
        merged.add_unless_defined("ASPNETCORE_ANCM_HTTPS_PORT", port.to_string());
    }
    merged.force("ASPNETCORE_IIS_HTTPAUTH", "anonymous;");
    // A value in web.config stands alone. Ours is appended to the process' value with a semicolon
    // even when there is none, as the module does.
    let startup = process.get(HOSTING_STARTUP).unwrap_or_default();
    merged.add_unless_defined(HOSTING_STARTUP, format!("{startup};{IIS_INTEGRATION}"));
    let identity_variables = identity.variables(IIS_PREFIX);
    let mut merged = merged.finish(&identity_variables, process, expansion::is_per_backend);
    merged.force("ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED", settings.web_sockets.to_string());
    merged.force("ASPNETCORE_APPL_PATH", identity.virtual_path.clone());
    merged.override_environment(settings);
    merged.into_list(process)
}

/// The same for a program of `<httpPlatform>`: who it is, under the prefix of that module, and
/// nothing that is about ASP.NET Core.
fn for_http_platform(
    settings: &AspNetCore,
    identity: &Identity,
    process: &Env,
) -> Vec<(String, String)> {
    let mut merged = Merge::new(settings);
    merged.force("HTTP_PLATFORM_IIS_PHYSICAL_PATH", identity.physical_path_with_slash());
    let identity_variables = identity.variables(HTTP_PLATFORM_IIS_PREFIX);
    let mut merged = merged.finish(&identity_variables, process, expansion::is_per_backend);
    merged.force("HTTP_PLATFORM_APPL_PATH", identity.virtual_path.clone());
    merged.override_environment(settings);
    merged.into_list(process)
}

/// Whether pages may show details: `ASPNETCORE_DETAILEDERRORS` is on, or the environment is
/// `Development`. The process' own value comes first, else `web.config` decides.
pub fn detailed_errors(settings: &AspNetCore, process: &Env) -> bool {
    let value = |name| process.non_empty(name).or_else(|| settings.environment_variable(name));
    let is_on = |text: &str| text == "1" || text.eq_ignore_ascii_case("true");
    if value("ASPNETCORE_DETAILEDERRORS").is_some_and(is_on) {
        return true;
    }
    let is_development = |name: &str| name.eq_ignore_ascii_case("Development");
    match &settings.environment_override {
        Some(name) => is_development(name),
        None => ["ASPNETCORE_ENVIRONMENT", "DOTNET_ENVIRONMENT"]
            .into_iter()
            .any(|name| value(name).is_some_and(is_development)),
    }
}

/// What the in-process server of Windows tells the application by other means.
fn add_in_process_defaults(merged: &mut Merge, settings: &AspNetCore, dir: &Path, process: &Env) {
    let mut add = |name: &str, also: &str, value: String| {
        let is_set = process.non_empty(name).is_some() || process.non_empty(also).is_some();
        if !is_set && !merged.defines(also) {
            merged.add_unless_defined(name, value);
        }
    };
    // The content root would otherwise be the current directory, which `setCurrentDirectory` may
    // have left elsewhere.
    let content_root = dir.to_string_lossy().into_owned();
    add("ASPNETCORE_CONTENTROOT", "ASPNETCORE_CONTENTROOT", content_root);
    // The host inside must give up before we do, or its own 30 s outlast our limit and the stop
    // ends in a kill.
    let limit = settings.shutdown_time_limit.as_secs();
    let inner = limit.saturating_sub(if limit > 5 { 2 } else { 1 }).max(1);
    add("ASPNETCORE_SHUTDOWNTIMEOUTSECONDS", "DOTNET_SHUTDOWNTIMEOUTSECONDS", inner.to_string());
    // As in the module the runtime reads the text as hexadecimal, whatever its writer meant.
    if let Some(size) = settings.handler_settings.written("stackSize") {
        let size = size.trim_start_matches("0x").to_owned();
        add("DOTNET_DefaultStackSize", "COMPlus_DefaultStackSize", size);
    }
}

/// An ordered map whose names Windows would call equal.
struct Merge {
    variables: Vec<(String, String)>,
}

impl Merge {
    fn new(settings: &AspNetCore) -> Self {
        Self { variables: settings.environment_variables.clone() }
    }

    fn force(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.variables.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            Some(entry) => *entry = (name.to_owned(), value),
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn add_unless_defined(&mut self, name: &str, value: impl Into<String>) {
        if !self.defines(name) {
            self.variables.push((name.to_owned(), value.into()));
        }
    }

    fn defines(&self, name: &str) -> bool {
        self.variables.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// Decides between process and configuration, expands all but what is `later` to be, and puts
    /// the identity in front, which the values may refer to.
    fn finish(
        mut self,
        identity: &[(String, String)],
        process: &Env,
        later: impl Fn(&str) -> bool,
    ) -> Self {
        let prefer_process = process.is_on("ANCM_PREFER_ENVIRONMENT_VARIABLES");
        let lookup = |name: &str| {
            let own = identity.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
            let value = own.map(|(_, value)| value.as_str()).or_else(|| process.get(name));
            value.filter(|_| !later(name)).map(str::to_owned)
        };
        for (name, value) in &mut self.variables {
            *value = match process.non_empty(name).filter(|_| prefer_process) {
                Some(own) => own.to_owned(),
                None => expansion::expand_with(value, lookup),
            };
        }
        let mut finished = Self { variables: Vec::new() };
        for (name, value) in identity.iter().cloned().chain(self.variables) {
            finished.force(&name, value);
        }
        finished
    }

    fn override_environment(&mut self, settings: &AspNetCore) {
        if let Some(environment) = &settings.environment_override {
            self.force("ASPNETCORE_ENVIRONMENT", environment.as_str());
            self.force("DOTNET_ENVIRONMENT", environment.as_str());
        }
    }

    /// The list to set. A variable that the process has in another casing is set under that
    /// spelling, as Windows would: `Path` in a web.config means `PATH`.
    fn into_list(self, process: &Env) -> Vec<(String, String)> {
        let spelled = |name: String| match process.spelling_of(&name) {
            Some(spelling) => spelling.to_owned(),
            None => name,
        };
        self.variables.into_iter().map(|(name, value)| (spelled(name), value)).collect()
    }
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
