//! The second stage: [`Written`] to [`AspNetCore`], every attribute typed, expanded and in range.

use std::path::PathBuf;
use std::time::Duration;

use crate::environment::PORT_VARIABLES;
use crate::nearest::nearest;
use crate::{
    AspNetCore, BackendTransport, Env, Finding, HostingModel, Platform, Position, expansion, paths,
};

use super::read::excerpt;
use super::schema::{self, Kind};
use super::written::{At, Pair, Section, Written};
use super::{Report, WebConfig, handler_settings, handlers, limits, number};

/// Files of `<recycleOnFileChange>`: each is looked at once a second.
const MOST_WATCHED_FILES: usize = 100;

/// Checks everything; `None` when there is no section to check.
pub(super) fn validated(
    written: &Written,
    env: &Env,
    report: &mut Report<'_>,
) -> Option<WebConfig> {
    let Some((section, other)) = handlers::sections(written) else {
        report_no_section(written, report);
        return None;
    };
    if let Some(other) = other {
        let message = format!(
            "<{}> is ignored, because the handler is mapped to the module that reads <{}>",
            other.schema.name, section.schema.name
        );
        report.push(report.warning("section-ignored", other.at, message));
    }
    let mut values = Values { section, env, report };
    let process_path = values.process_path();
    let arguments = values.text("arguments").unwrap_or_default();
    let mut settings = match section.schema {
        schema if *schema == schema::HTTP_PLATFORM => AspNetCore::http_platform(process_path),
        _ => AspNetCore::of(process_path, Vec::new()),
    };
    values.attributes(&mut settings);
    settings.recycle_on_file_change = values.watched_files();
    settings.environment_variables = environment_variables(&section.environment_variables, report);
    settings.handler_settings = handler_settings::read(section, &settings, env, report);
    refuse_a_port_for_several(section, &settings, report);
    let pages = written.initialization.iter();
    settings.initialization_pages = pages.map(|page| page.value.clone()).collect();
    settings.limits = limits::check(&written.filtering, &section.handler_settings, report);
    settings.remove_server_header = written.filtering.removes_server;
    settings.web_sockets = !written.web_sockets_are_off;
    handlers::check(written, section, settings.hosting_model, report);
    let place = |name| position_of(section, name, report);
    Some(WebConfig {
        arguments,
        process_path_at: place("processPath").or(Some(report.lines.position(section.at))),
        arguments_at: place("arguments").or(place("processPath")),
        settings,
    })
}

fn position_of(section: &Section, name: &str, report: &Report<'_>) -> Option<Position> {
    section.attributes.get(name).map(|written| report.lines.position(written.at))
}

fn report_no_section(written: &Written, report: &mut Report<'_>) {
    // A section that is misspelt, misplaced or unreadable is reported at its place already.
    if report.findings.has_errors() {
        return;
    }
    let finding = report
        .error("no-section", written.root_at, "there is no <aspNetCore> section")
        .expected("<system.webServer><aspNetCore processPath=… /></system.webServer>")
        .suggest("run `dotnet publish` again, which writes it");
    report.push(finding);
}

/// Reads typed attributes of one section.
struct Values<'a, 'r, 't> {
    section: &'a Section,
    env: &'a Env,
    report: &'r mut Report<'t>,
}

impl Values<'_, '_, '_> {
    fn process_path(&mut self) -> String {
        let Some(path) = self.text("processPath") else {
            let is_near = |finding: &Finding| finding.suggestion.as_deref() == Some("processPath");
            if self.report.findings.errors().any(is_near) {
                return String::new();
            }
            let message = format!("<{}> has no processPath", self.section.schema.name);
            let finding = self.report.error("process-path", self.section.at, message);
            self.report.push(finding.expected(self.section.schema.example));
            return String::new();
        };
        if path.trim().is_empty() {
            let at = self.section.attributes.get("processPath").map_or(0, |written| written.at);
            let finding = self.report.error("process-path", at, "processPath is empty");
            self.report.push(finding.expected(self.section.schema.example));
        }
        path.trim().to_owned()
    }

    fn attributes(&mut self, settings: &mut AspNetCore) {
        let seconds = |count| Duration::from_secs(u64::from(count));
        if let Some(model) = self.hosting_model() {
            settings.hosting_model = model;
            settings.hosting_model_written = true;
        }
        if let Some(limit) = self.uint("startupTimeLimit") {
            settings.startup_time_limit = seconds(limit);
        }
        if let Some(limit) = self.uint("shutdownTimeLimit") {
            settings.shutdown_time_limit = seconds(limit);
        }
        if let Some(timeout) = self.time_span("requestTimeout") {
            settings.request_timeout = timeout;
        }
        if let Some(count) = self.uint("startupRetryCount") {
            // Zero launches would be an application that never starts.
            settings.startup_attempts = count.max(1);
        }
        if let Some(count) = self.uint("rapidFailsPerMinute") {
            settings.rapid_fails_per_minute = count;
        }
        if let Some(count) = self.uint("processesPerApplication") {
            settings.processes_per_application = count;
        }
        if let Some(enabled) = self.bool("stdoutLogEnabled") {
            settings.stdout_log_enabled = enabled;
        }
        if let Some(file) = self.log_file() {
            settings.stdout_log_file = file.into();
        }
        if let Some(forward) = self.bool("forwardWindowsAuthToken") {
            settings.forward_windows_auth_token = forward;
            if forward {
                self.warn_about_tokens();
            }
        }
        if let Some(disabled) = self.bool("disableStartUpErrorPage") {
            settings.disable_start_up_error_page = disabled;
        }
    }

    /// The expanded text of an attribute. What looks like a variable and is none is worth a word,
    /// since it stays literally and breaks the start much later.
    fn text(&mut self, name: &str) -> Option<String> {
        let written = self.section.attributes.get(name)?;
        Some(self.expanded(name, &written.value, written.at))
    }

    fn expanded(&mut self, name: &str, value: &str, at: usize) -> String {
        let unknown = expansion::first_unknown(value, self.env);
        if let Some(unknown) = unknown.filter(|name| !expansion::is_per_backend(name)) {
            let message = format!("%{unknown}% in {name} is not set and stays literally");
            let finding = self.report.warning("unknown-variable", at, message);
            self.report.push(finding.suggest(format!("set {unknown} in the environment of ancm")));
        }
        expansion::expand_but_per_backend(value, self.env)
    }

    /// The files of `<recycleOnFileChange>`.
    fn watched_files(&mut self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for At { value: (path, _), at } in &self.section.watched_files {
            let path = self.expanded("recycleOnFileChange", path, *at);
            let (code, message, meant) = if paths::is_windows_only(&path) {
                let message = format!("`{}` is a path on Windows", excerpt(&path));
                ("windows-path", message, "a path relative to the application's folder".to_owned())
            } else if files.len() == MOST_WATCHED_FILES {
                let message = format!("`{}` is not watched: it is one too many", excerpt(&path));
                ("recycle-on-file-change", message, format!("at most {MOST_WATCHED_FILES} files"))
            } else {
                files.push(paths::to_linux(path.trim()).into());
                continue;
            };
            let finding = self.report.warning(code, *at, message);
            self.report.push(finding.expected(meant));
        }
        files
    }

    fn hosting_model(&mut self) -> Option<HostingModel> {
        let written = self.section.attributes.get("hostingModel")?;
        // Empty is what a file without the attribute has.
        if written.value.is_empty() {
            return None;
        }
        let model = written.value.parse().ok();
        if model.is_none() {
            let near = nearest(&written.value, ["inprocess", "outofprocess"]);
            self.refuse("hostingModel", near);
        }
        model
    }

    fn log_file(&mut self) -> Option<String> {
        let text = self.text("stdoutLogFile")?;
        let at = self.section.attributes.get("stdoutLogFile").map_or(0, |written| written.at);
        if text.trim().is_empty() {
            self.refuse("stdoutLogFile", Some(".\\logs\\stdout"));
            return None;
        }
        if paths::is_windows_only(&text) {
            let message = format!("`{}` is a path on Windows", excerpt(&text));
            let finding = self.report.warning("windows-path", at, message);
            self.report.push(finding.suggest("stdoutLogFile=\".\\logs\\stdout\""));
            return None;
        }
        Some(paths::to_linux(text.trim()))
    }

    fn bool(&mut self, name: &str) -> Option<bool> {
        let written = self.section.attributes.get(name)?;
        let value = number::bool(&written.value);
        if value.is_none() {
            let meant = match written.value.trim().to_ascii_lowercase().as_str() {
                "1" | "yes" | "on" | "true" => Some("true"),
                "0" | "no" | "off" | "false" => Some("false"),
                _ => None,
            };
            self.refuse(name, meant);
        }
        value
    }

    fn uint(&mut self, name: &str) -> Option<u32> {
        let written = self.section.attributes.get(name)?;
        let (least, most) = match self.section.schema.kind_of(name) {
            Kind::Seconds { most } => (0, most),
            Kind::Uint { least, most } => (least, most),
            _ => (0, u32::MAX),
        };
        let value = number::uint(&written.value, u64::from(least), u64::from(most));
        if value.is_none() {
            // A number out of range has a nearest number in it.
            let clamped = written.value.parse::<i128>().ok();
            let clamped = clamped.map(|n| n.clamp(i128::from(least), i128::from(most)).to_string());
            self.refuse(name, clamped.as_deref());
        }
        value.and_then(|value| u32::try_from(value).ok())
    }

    fn time_span(&mut self, name: &str) -> Option<Duration> {
        let written = self.section.attributes.get(name)?;
        let Kind::TimeSpan { most_seconds } = self.section.schema.kind_of(name) else {
            return None;
        };
        let value = number::time_span(&written.value, most_seconds);
        if value.is_none() {
            // The commonest mistake: a number of seconds.
            let seconds = number::uint(&written.value, 0, most_seconds);
            let meant =
                seconds.map(|s| format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60));
            self.refuse(name, meant.as_deref());
        }
        value
    }

    fn refuse(&mut self, name: &str, meant: Option<&str>) {
        let Some(written) = self.section.attributes.get(name) else { return };
        let message = format!("{name}=\"{}\" is not accepted", excerpt(&written.value));
        let code = if name == "hostingModel" { "hosting-model" } else { "attribute-value" };
        let finding = self.report.error(code, written.at, message);
        let finding = finding.expected(self.section.schema.kind_of(name).expected());
        self.report.push(match meant {
            Some(meant) => finding.suggest(format!("{name}=\"{meant}\"")),
            None => finding,
        });
    }

    fn warn_about_tokens(&mut self) {
        let at = self.section.attributes.get("forwardWindowsAuthToken").map_or(0, |w| w.at);
        let message = "forwardWindowsAuthToken has no effect: there are no Windows tokens here";
        let finding = self.report.warning("windows-only", at, message);
        self.report.push(finding.suggest("forwardWindowsAuthToken=\"false\""));
    }
}

/// All would be told the same port, and all but one would fail for ever.
fn refuse_a_port_for_several(section: &Section, settings: &AspNetCore, report: &mut Report<'_>) {
    let count = settings.processes_per_application;
    let has_sockets = settings.handler_settings.backend_transport == BackendTransport::Unix;
    if count < 2 || has_sockets || settings.hosting_model == HostingModel::InProcess {
        return;
    }
    let variable = PORT_VARIABLES[usize::from(settings.platform == Platform::Http)];
    let named = section.environment_variables.iter().find(|At { value: (name, value), .. }| {
        name.eq_ignore_ascii_case(variable) && !value.is_empty()
    });
    if let Some(At { value: (name, value), at }) = named {
        let message = format!("{count} processes cannot share port {}", excerpt(value));
        let finding = report.error("port-of-several", *at, message);
        let finding = finding.expected(format!("processesPerApplication=\"1\", or no {name}"));
        report.push(finding.suggest("each process is told a port of its own where none is named"));
    }
}

fn environment_variables(pairs: &[Pair], report: &mut Report<'_>) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for At { value: (name, value), at } in pairs {
        if name.contains('=') || name.trim().is_empty() {
            let message = format!("`{}` cannot be the name of a variable", excerpt(name));
            let finding = report.error("environment-variable", *at, message);
            report.push(finding.expected("a name without `=`"));
            continue;
        }
        match places.insert(name.to_ascii_lowercase(), variables.len()) {
            None => variables.push((name.clone(), value.clone())),
            Some(place) => {
                places.insert(name.to_ascii_lowercase(), place);
                let message = format!("{} is set again; this value counts", excerpt(name));
                report.push(report.note("environment-variable-again", *at, message));
                if let Some(variable) = variables.get_mut(place) {
                    *variable = (name.clone(), value.clone());
                }
            }
        }
    }
    variables
}
