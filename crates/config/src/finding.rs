//! What is wrong with an application or its `web.config`, and what to write instead.
//!
//! Everything found is collected in [`Findings`] and reported at once; only an `Error` prevents a
//! start. The `code` of a finding is stable: scripts and documents refer to it.

use std::fmt;

use serde::Serialize;

/// The most findings kept of one file; a file with more is not repaired by reading them all.
const MOST_FINDINGS: usize = 100;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nothing has to change.
    Note,
    /// The application starts, but something behaves unlike what was written.
    Warning,
    /// The application cannot be started.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A place in a text, both counted from one; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// One thing to tell the person who wrote the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether it prevents a start.
    pub severity: Severity,
    /// Stable name of this kind of finding.
    pub code: &'static str,
    /// The file or folder it is about, as a person would name it.
    pub file: String,
    /// The line in that file, from one.
    pub line: Option<u32>,
    /// The column in that line, from one.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What would be accepted at that place.
    pub expected: Option<String>,
    /// What to write or do instead.
    pub suggestion: Option<String>,
}

impl Finding {
    /// A finding about `file` that prevents a start.
    pub fn error(code: &'static str, file: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, file.into(), message.into())
    }

    /// A finding about `file` that does not prevent a start.
    pub fn warning(
        code: &'static str,
        file: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, code, file.into(), message.into())
    }

    /// A remark about `file`.
    pub fn note(code: &'static str, file: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, file.into(), message.into())
    }

    fn new(severity: Severity, code: &'static str, file: String, message: String) -> Self {
        Self {
            severity,
            code,
            file,
            line: None,
            column: None,
            message,
            expected: None,
            suggestion: None,
        }
    }

    /// With the place in the file.
    pub fn at(mut self, position: impl Into<Option<Position>>) -> Self {
        let position = position.into();
        self.line = position.map(|position| position.line);
        self.column = position.map(|position| position.column);
        self
    }

    /// With what would be accepted.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// With what to write or do instead.
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}: {} [{}]", self.severity, self.message, self.code)?;
        if let Some(expected) = &self.expected {
            write!(f, "\n  expected: {expected}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n  instead:  {suggestion}")?;
        }
        Ok(())
    }
}

/// All findings about one application, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    /// Keeps one more finding. Past a bound only the first of a kind is kept, so that a hostile
    /// file cannot make a report of a hundred thousand lines.
    pub fn push(&mut self, finding: Finding) {
        let is_news = || !self.list.iter().any(|other| other.code == finding.code);
        if self.list.len() < MOST_FINDINGS || is_news() {
            self.list.push(finding);
        }
    }

    /// Whether a start is prevented.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The findings that prevent a start.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// All findings.
    pub fn as_slice(&self) -> &[Finding] {
        &self.list
    }

    /// All findings.
    pub fn into_vec(self) -> Vec<Finding> {
        self.list
    }
}

impl Extend<Finding> for Findings {
    fn extend<I: IntoIterator<Item = Finding>>(&mut self, findings: I) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_prints_as_one_block() {
        let finding = Finding::error("hosting-model", "web.config", "`inproces` is unknown")
            .at(Position { line: 7, column: 35 })
            .expected("inprocess or outofprocess")
            .suggest("hostingModel=\"inprocess\"");
        assert_eq!(
            finding.to_string(),
            "web.config:7:35: error: `inproces` is unknown [hosting-model]\n  \
             expected: inprocess or outofprocess\n  \
             instead:  hostingModel=\"inprocess\""
        );
    }

    #[test]
    fn findings_are_bounded() {
        let mut findings = Findings::default();
        for _ in 0..100_000 {
            findings.push(Finding::warning("same", "web.config", "again"));
        }
        findings.push(Finding::error("other", "web.config", "still seen"));
        assert_eq!(findings.as_slice().len(), MOST_FINDINGS + 1);
        assert!(findings.has_errors());
    }
}
