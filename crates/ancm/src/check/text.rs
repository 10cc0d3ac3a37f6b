//! [`Report`] for people: the summary, the findings, and one line that says what follows.

use std::io;

use clr::Kind;
use config::{HealthCheck, Origin, Readiness, Severity};

use super::examine::{Report, Runtime, Understood};

/// Writes the report, without colours: what reads it may be a log.
pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    if let Some(app) = &report.app {
        write_summary(app, out)?;
    }
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    let counted = counts(report);
    match (report.ok, counted.is_empty()) {
        (true, true) => writeln!(out, "ok: nothing prevents a start"),
        (true, false) => writeln!(out, "ok: nothing prevents a start ({counted})"),
        (false, _) => writeln!(out, "this application cannot be started ({counted})"),
    }
}

fn write_summary(app: &Understood, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{} in {}", app.name, app.dir.display())?;
    let mut line = |name: &str, value: String| writeln!(out, "  {name:<14} {value}");

    let origin = match app.hosting_model_origin {
        Origin::CommandLine => "command line",
        Origin::Default => "default",
        Origin::WebConfig => "web.config",
    };
    line("hosting model", format!("{} ({origin})", app.hosting_model))?;
    let mut command = vec![quoted(&app.process_path)];
    command.extend(app.arguments.iter().map(|argument| quoted(argument)));
    line("command", command.join(" "))?;
    if let Some(program) = &app.program {
        line("program", program.display().to_string())?;
    }
    if let Some(runtime) = &app.runtime {
        write_runtime(runtime, &mut line)?;
    }
    if let Some(handler) = &app.handler {
        line("handler", handler.display().to_string())?;
    }
    if !app.changed_limits.is_empty() {
        line("limits", app.changed_limits.join(", "))?;
    }
    if let Some(log) = &app.stdout_log {
        line("stdout log", format!("{}_*.log", log.display()))?;
    }
    for page in &app.initialization_pages {
        line("warm-up", format!("{} (host {})", page.target, page.host))?;
    }
    if let Some(Readiness { page, status }) = &app.readiness {
        line("ready when", format!("{} (host {}) gives {status}", page.target, page.host))?;
    }
    if let Some(HealthCheck { page, interval, failures }) = &app.health_check {
        let every = interval.as_secs();
        let checked = format!("{} (host {}) every {every} s", page.target, page.host);
        line("health check", format!("{checked}; replaced after {failures} failures"))?;
    }
    if app.enable_shadow_copy == Some(false) {
        line("code", "executed in the folder, without a snapshot".to_owned())?;
    }
    if !app.environment_variables.is_empty() {
        line("environment", app.environment_variables.join(", "))?;
    }
    Ok(())
}

fn write_runtime(
    runtime: &Runtime,
    line: &mut dyn FnMut(&str, String) -> io::Result<()>,
) -> io::Result<()> {
    let host = &runtime.host;
    let place = match (&host.dotnet_root, host.kind) {
        (Some(root), Kind::FrameworkDependent) => {
            format!("{} (found by {})", root.display(), host.found_by)
        }
        _ => "self-contained".to_owned(),
    };
    line("runtime", place)?;
    let version = host.version.as_ref().map(|version| format!(" ({version})")).unwrap_or_default();
    line("hostfxr", format!("{}{version}", host.library.display()))?;
    for wanted in &runtime.wanted {
        let name = &wanted.framework.name;
        let used = match &wanted.used {
            Some(used) => format!("uses {used}"),
            None => "not installed".to_owned(),
        };
        line("framework", format!("{name} {}, {used}", wanted.framework.version))?;
    }
    Ok(())
}

/// An argument as a shell would take it, so that the line can be tried.
fn quoted(argument: &str) -> String {
    let is_plain = !argument.is_empty()
        && argument.chars().all(|c| c.is_alphanumeric() || "-_./=:,@+%".contains(c));
    if is_plain { argument.to_owned() } else { format!("'{}'", argument.replace('\'', r"'\''")) }
}

fn counts(report: &Report) -> String {
    let kinds =
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")];
    let counts = kinds.iter().filter_map(|(severity, name)| {
        let count = report.findings.iter().filter(|f| f.severity == *severity).count();
        match count {
            0 => None,
            1 => Some(format!("1 {name}")),
            count => Some(format!("{count} {name}s")),
        }
    });
    counts.collect::<Vec<_>>().join(", ")
}
