//! The rows, and what a run of the tests says about each.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

use super::outcome::{Outcomes, rows_of};

/// Where the rows are, in the repository.
pub(super) const FILE: &str = "tests/conformance.tsv";

/// One test of the module's repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Such as `REQ-11`.
    pub(super) id: String,
    /// What it proves.
    pub(super) title: String,
    /// Why it does not apply; `None` when it does.
    pub(super) reason_not: Option<String>,
    /// What has to be there before it can have a test.
    pub(super) waits_for: Option<String>,
}

impl Row {
    pub(super) fn group(&self) -> &str {
        self.id.rsplit_once('-').map_or("", |(group, _)| group)
    }

    pub(super) fn number(&self) -> &str {
        self.id.rsplit_once('-').map_or("", |(_, number)| number)
    }
}

/// All rows, in the order of the file.
#[derive(Debug)]
pub(super) struct Rows(pub(super) Vec<Row>);

/// What became of a row: the tests that carry its number, by whether they pass.
pub(super) type Held = BTreeMap<String, Tests>;

/// The tests of one row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tests {
    pub(super) passed: usize,
    pub(super) failed: Vec<String>,
}

impl Tests {
    /// A row holds when all of its tests pass.
    pub(super) fn is_pass(&self) -> bool {
        self.passed > 0 && self.failed.is_empty()
    }
}

/// Reads the file.
pub(super) fn load(path: &Path) -> Result<Rows> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> Result<Rows> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (id, applies, title, note) = match fields[..] {
            [id, applies, title] => (id, applies, title, ""),
            [id, applies, title, note] => (id, applies, title, note),
            _ => bail!("not a row: {line}"),
        };
        let (reason_not, waits_for) = match applies {
            "yes" | "modified" => (None, None),
            "later" => (None, Some(note.to_owned())),
            "no" => (Some(note.to_owned()), None),
            other => bail!("{id}: {other} is not yes, modified, later or no"),
        };
        ensure!(reason_not.as_deref() != Some(""), "{id}: why does it not apply?");
        ensure!(waits_for.as_deref() != Some(""), "{id}: what does it wait for?");
        ensure!(rows.iter().all(|row| row.id != id), "{id} is there twice");
        rows.push(Row { id: id.to_owned(), title: title.to_owned(), reason_not, waits_for });
    }
    Ok(Rows(rows))
}

impl Rows {
    /// The groups, in order.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        let mut last = "";
        self.0
            .iter()
            .map(Row::group)
            .filter(move |group| std::mem::replace(&mut last, group) != *group)
    }

    /// What the outcomes say about each row that has a test.
    pub(super) fn hold(&self, outcomes: &Outcomes) -> Result<Held> {
        let groups: Vec<&str> = self.groups().collect();
        let mut held = Held::new();
        for (test, is_pass) in outcomes.iter() {
            for id in rows_of(test, &groups) {
                ensure!(
                    self.0.iter().any(|row| row.id == id),
                    "the test {test} has the number of a row that there is not"
                );
                let tests = held.entry(id).or_default();
                if is_pass {
                    tests.passed += 1;
                } else {
                    tests.failed.push(test.to_owned());
                }
            }
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# id\nREQ-01\tyes\tone\nREQ-02\tmodified\ttwo\thow\nWS-01\tno\tx\twhy\n";

    fn outcomes(of: &[(&str, bool)]) -> Outcomes {
        let mut outcomes = Outcomes::default();
        of.iter().for_each(|(name, is_pass)| outcomes.add(name, *is_pass));
        outcomes
    }

    #[test]
    fn a_row_holds_when_all_of_its_tests_pass() {
        let rows = parse(TEXT).unwrap();
        assert_eq!(rows.groups().collect::<Vec<_>>(), ["REQ", "WS"]);
        let held = rows
            .hold(&outcomes(&[
                ("a::req_01_x::in_process", true),
                ("a::req_01_req_02_y::in_process", true),
                ("a::req_01_req_02_y::out_of_process", false),
                ("a::something_else", false),
            ]))
            .unwrap();
        assert_eq!((held["REQ-01"].passed, held["REQ-01"].failed.len()), (2, 1));
        assert!(!held["REQ-01"].is_pass() && !held["REQ-02"].is_pass());
        let held = rows.hold(&outcomes(&[("a::req_02_y", true)])).unwrap();
        assert!(held["REQ-02"].is_pass() && !held.contains_key("REQ-01"));
    }

    #[test]
    fn a_number_without_a_row_is_an_error() {
        let rows = parse(TEXT).unwrap();
        assert!(rows.hold(&outcomes(&[("a::req_99_x", true)])).is_err());
    }

    #[test]
    fn the_file_is_checked() {
        for wrong in ["A-01", "A-01\tmaybe\tx", "A-01\tno\tx", "A-01\tyes\tx\nA-01\tyes\tx"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE);
        assert!(load(&root).unwrap().0.len() >= 430);
    }
}
