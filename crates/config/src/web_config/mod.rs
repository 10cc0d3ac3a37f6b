//! The text of a `web.config`: decoding, limits, merging, and the checks of IIS' schema.
//!
//! [`read()`] is total: it never panics and its cost is linear in the (bounded) input, whatever the
//! bytes are. Names of elements and attributes are case-sensitive, as in IIS.

mod check;
mod handler_settings;
mod handlers;
mod initialization;
mod limits;
mod number;
mod read;
mod recycling;
mod schema;
mod sections;
mod shape;
mod text;
mod written;

use crate::{AspNetCore, Env, Finding, Findings, Position};

use self::text::Lines;
use self::written::Written;

/// The largest file that is read. Real ones have a few kilobytes.
const LARGEST_BYTES: usize = 1 << 20;

/// What a `web.config` says about the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// The section; `process_path` is expanded and otherwise as written, `arguments` is still empty.
    pub settings: AspNetCore,
    /// The text of `arguments`, expanded.
    pub arguments: String,
    /// Where `processPath` is written.
    pub process_path_at: Option<Position>,
    /// Where `arguments` is written.
    pub arguments_at: Option<Position>,
}

/// Reads the bytes of the `web.config` called `file` in findings. `None` when an error prevents a
/// start; everything found is added to `findings` either way.
pub fn read(bytes: &[u8], file: &str, env: &Env, findings: &mut Findings) -> Option<WebConfig> {
    let text = match text::decode(bytes) {
        Ok(text) => text,
        Err(error) => {
            findings.push(error.finding(file));
            return None;
        }
    };
    let mut report = Report { file, lines: Lines::of(&text), findings: Findings::default() };
    let web_config = read::written(&text, &mut report)
        .and_then(|written: Written| check::validated(&written, env, &mut report));
    let web_config = web_config.filter(|_| !report.findings.has_errors());
    let mut found = report.findings.into_vec();
    found.sort_by_key(|finding| (finding.line, finding.column));
    findings.extend(found);
    web_config
}

/// Collects findings about one file.
struct Report<'a> {
    file: &'a str,
    lines: Lines<'a>,
    findings: Findings,
}

impl Report<'_> {
    fn error(&self, code: &'static str, at: usize, message: impl Into<String>) -> Finding {
        Finding::error(code, self.file, message).at(self.lines.position(at))
    }

    fn warning(&self, code: &'static str, at: usize, message: impl Into<String>) -> Finding {
        Finding::warning(code, self.file, message).at(self.lines.position(at))
    }

    fn note(&self, code: &'static str, at: usize, message: impl Into<String>) -> Finding {
        Finding::note(code, self.file, message).at(self.lines.position(at))
    }

    fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

#[cfg(test)]
mod tests;
