//! What is known about a start that failed: one value, told three ways (log, page, JSON).
//!
//! Whoever notices the failure begins the report; the supervisor completes it with what only it
//! sees: the exit status, the output, the reference under which the log has it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::journey::{Journey, Step};

/// Lines of each stream that the text form shows, its last ones; pages show all.
const LINES_SHOWN: usize = 20;
/// Lines of an exception that the text form shows, its first ones: the rest is deep in a stack.
const DETAIL_LINES_SHOWN: usize = 60;

/// How much of a report a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disclosure {
    /// The status alone (`disableStartUpErrorPage`).
    Status,
    /// The number, what to try in general, and the reference under which the log has the rest.
    Reference,
    /// Everything: for developers.
    Everything,
}

/// A failed start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartReport {
    /// The number of the failure.
    pub code: Code,
    /// What happened, in one sentence without full stop.
    pub summary: String,
    /// The words of whoever failed: the host library's, or a managed exception with its stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How far the start came.
    #[serde(default)]
    pub journey: Journey,
    /// Whether the limit of a start was reached, and nothing else was wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_late: bool,
    /// What was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The application's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_dir: Option<String>,
    /// The runtime that the application asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_wanted: Option<String>,
    /// The runtimes that were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtimes_installed: Vec<String>,
    /// How the process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// The beginning of its standard output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// The beginning of its standard error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// What to try, more specific than the hints of the code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<String>,
    /// What the log calls it.
    #[serde(default)]
    pub reference: String,
    /// When it happened, UTC.
    #[serde(default)]
    pub time: String,
}

impl StartReport {
    /// A failure with nothing known but its cause.
    pub fn new(code: Code, summary: impl Into<String>) -> Self {
        Self {
            code,
            summary: summary.into(),
            detail: None,
            journey: Journey::default(),
            is_late: code == Code::StartTimeLimit,
            command: None,
            app_dir: None,
            runtime_wanted: None,
            runtimes_installed: Vec::new(),
            exit: None,
            stdout: String::new(),
            stderr: String::new(),
            suggestions: Vec::new(),
            reference: String::new(),
            time: String::new(),
        }
    }

    /// With the words of whoever failed; no words, no change.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        if !detail.trim().is_empty() {
            self.detail = Some(detail);
        }
        self
    }

    /// With something to try.
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestions.push(suggestion.into());
        self
    }

    /// With what was run and where.
    pub fn of_command(mut self, command: impl Into<String>, app_dir: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self.app_dir = Some(app_dir.into());
        self
    }

    /// The number of the module's event for it.
    pub fn event(&self) -> u16 {
        match self.code {
            Code::AppDidNotStart => self.event_of_application(),
            Code::General | Code::AppMissing => 1031,
            Code::FrameworkMissing
            | Code::HostLibraryNotLoadable
            | Code::InProcessHandlerMissing => 1027,
            Code::MixedHostingModels => 1009,
            Code::SecondInProcessApp => 1008,
            Code::OutOfProcessHandlerMissing => 1029,
            Code::StartTimeLimit => 1007,
            Code::BackendDidNotStart => 1020,
            Code::KeepsCrashing => 1003,
            Code::NotReady => 1007,
        }
    }

    /// An exception, an end without one (with output, without), or no application at all.
    fn event_of_application(&self) -> u16 {
        let is_runtime_up =
            self.journey.reached.iter().any(|reached| reached.step == Step::RuntimeStarted);
        let is_silent = self.stdout.is_empty() && self.stderr.is_empty();
        match (is_runtime_up, self.detail.is_some(), is_silent) {
            (false, ..) => 1007,
            (true, true, _) => 1018,
            (true, false, true) => 1011,
            (true, false, false) => 1035,
        }
    }

    /// A few words, without the number.
    pub fn title(&self) -> &'static str {
        self.code.title()
    }

    /// Everything to try: the report's own suggestions, then the hints of the code.
    pub fn to_try(&self) -> impl Iterator<Item = &str> {
        let hints = self.code.hints().iter().copied();
        self.suggestions.iter().map(String::as_str).chain(hints)
    }
}

/// The text for terminals and logs: one block, long parts cut to their last lines.
impl fmt::Display for StartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.code, self.title())?;
        let mut line = |name: &str, text: Option<&str>| match text {
            Some(text) if !text.is_empty() => writeln!(f, "  {name:<10}{}", printable(text)),
            _ => Ok(()),
        };
        line("cause", Some(&self.summary))?;
        line("app", self.app_dir.as_deref())?;
        line("command", self.command.as_deref())?;
        line("runtime", self.runtime_wanted.as_deref())?;
        let installed = self.runtimes_installed.join(", ");
        line("installed", Some(&installed))?;
        line("journey", Some(&self.journey.to_string()))?;
        line("process", self.exit.as_deref())?;
        line("reference", Some(&self.reference))?;
        for suggestion in self.to_try() {
            line("try", Some(suggestion))?;
        }
        quote_first(f, "detail", self.detail.as_deref().unwrap_or_default())?;
        quote(f, "standard output", &self.stdout)?;
        quote(f, "standard error", &self.stderr)
    }
}

fn quote(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    if lines.is_empty() {
        return Ok(());
    }
    let skipped = lines.len().saturating_sub(LINES_SHOWN);
    match skipped {
        0 => writeln!(f, "  {name}:")?,
        _ => writeln!(f, "  {name}, last {LINES_SHOWN} of {} lines:", lines.len())?,
    }
    lines[skipped..].iter().try_for_each(|line| writeln!(f, "    | {}", printable(line)))
}

fn quote_first(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    let count = text.trim_end().lines().count();
    match count {
        0 => return Ok(()),
        1..=DETAIL_LINES_SHOWN => writeln!(f, "  {name}:")?,
        _ => writeln!(f, "  {name}, first {DETAIL_LINES_SHOWN} of {count} lines:")?,
    }
    let mut lines = text.lines().take(DETAIL_LINES_SHOWN.min(count));
    lines.try_for_each(|line| writeln!(f, "    | {}", printable(line)))
}

/// Text of others without what would steer a terminal.
pub fn printable(text: &str) -> String {
    let replace = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_one_block_that_ends_with_the_last_lines() {
        let mut report = StartReport::new(Code::AppDidNotStart, "Main threw an exception")
            .with_detail("System.Exception: no\u{1b}[31m database")
            .of_command("dotnet App.dll", "/srv/app");
        report.exit = Some("exited with code 5".to_owned());
        report.stderr = (1..=25).map(|n| format!("line {n}\n")).collect();
        let text = report.to_string();
        assert!(text.starts_with("500.30 The application did not start\n"), "{text}");
        assert!(text.contains("  command   dotnet App.dll\n"), "{text}");
        assert!(text.contains("  process   exited with code 5\n"), "{text}");
        assert!(text.contains("no\u{fffd}[31m database"), "{text}");
        assert!(text.contains("last 20 of 25 lines:\n    | line 6\n"), "{text}");
        assert!(text.ends_with("    | line 25\n"), "{text}");
    }
}
