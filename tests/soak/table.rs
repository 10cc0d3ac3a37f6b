//! What a run has found: one table, for people and for programs.

use std::{fs::OpenOptions, io::Write, path::PathBuf, process::ExitCode};

use serde_json::{Map, Value, json};
use testkit::{Model, Tally};

/// What was asked for.
pub(crate) struct Run {
    /// Seconds, or how often.
    pub(crate) number: u64,
    pub(crate) model: Model,
    /// Where the table goes as well, as a line of JSON.
    pub(crate) json: Option<PathBuf>,
}

/// Rows are printed as they come, so that a run that breaks off has told what it knew.
pub(crate) struct Table<'r> {
    run: &'r Run,
    kind: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
    failures: Vec<String>,
}

impl<'r> Table<'r> {
    pub(crate) fn new(run: &'r Run, kind: &'static str, columns: &'static [&'static str]) -> Self {
        println!("{}", columns.iter().map(|name| cell(name, name)).collect::<String>());
        Self { run, kind, columns, rows: Vec::new(), failures: Vec::new() }
    }

    /// One value for each column.
    pub(crate) fn row(&mut self, values: Vec<Value>) {
        assert_eq!(values.len(), self.columns.len(), "columns");
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_f64() => {
                format!("{:.1}", number.as_f64().unwrap_or_default())
            }
            other => other.to_string(),
        };
        let cells = self.columns.iter().zip(&values);
        println!("{}", cells.map(|(name, value)| cell(name, &text(value))).collect::<String>());
        self.rows.push(values);
    }

    /// The run goes on, and fails in the end.
    pub(crate) fn fail(&mut self, what: String) {
        println!("  FAILED: {what}");
        self.failures.push(what);
    }

    /// Fails unless it holds.
    pub(crate) fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(what());
        }
    }

    /// Fails for answers that are not 200 or wrong, and for requests without an answer.
    pub(crate) fn expect_lossless(&mut self, what: &str, tally: &Tally, statuses: &[u16]) {
        let others = tally.statuses.iter().filter(|(status, _)| !statuses.contains(status));
        for (status, count) in others {
            self.fail(format!("{what}: {count} answers with {status}"));
        }
        for (kind, all) in [("broken", &tally.broken), ("wrong", &tally.wrong)] {
            if let Some(first) = all.first() {
                self.fail(format!("{what}: {} {kind}, the first: {first}", all.len()));
            }
        }
    }

    /// Writes the line of JSON.
    pub(crate) fn finish(self) -> ExitCode {
        let named = |values: &Vec<Value>| -> Map<String, Value> {
            let names = self.columns.iter().map(|name| (*name).to_owned());
            names.zip(values.iter().cloned()).collect()
        };
        let rows: Vec<_> = self.rows.iter().map(named).collect();
        let table = json!({
            "run": self.kind,
            "number": self.run.number,
            "hosting_model": self.run.model.to_string(),
            "rows": rows,
            "failures": self.failures,
        });
        if let Some(path) = &self.run.json {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let written = file.and_then(|mut file| writeln!(file, "{table}"));
            written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        if self.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// As wide as its title needs, and a number.
fn cell(title: &str, text: &str) -> String {
    let width = title.len().max(9) + 2;
    format!("{text:>width$}")
}
