//! The count, for a person.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::table::{Held, Row, Rows, Tests};

/// Per group and in total; what is missing in numbers only, unless `verbose`.
pub(super) fn render(rows: &Rows, held: &Held, verbose: bool) -> String {
    let mut text = String::from("\n");
    let tests = |row: &Row| held.get(&row.id);
    let is_pass = |row: &&Row| tests(row).is_some_and(Tests::is_pass);
    for group in rows.groups() {
        let in_group = || rows.0.iter().filter(|row| row.group() == group);
        let applicable: Vec<&Row> = in_group().filter(|row| row.reason_not.is_none()).collect();
        let passing = applicable.iter().copied().filter(is_pass).count();
        let failing = numbers(
            applicable
                .iter()
                .copied()
                .filter(|row| tests(row).is_some_and(|tests| !tests.is_pass())),
        );
        let untested = || applicable.iter().copied().filter(|row| tests(row).is_none());
        let forgotten = numbers(untested().filter(|row| row.waits_for.is_none()));
        line(
            &mut text,
            format_args!(
                "  {group:<5} {passing:>3} of {:>3} applicable rows pass",
                applicable.len()
            ),
        );
        if !failing.is_empty() {
            line(&mut text, format_args!("        fail: {failing}"));
        }
        if !forgotten.is_empty() {
            line(&mut text, format_args!("        no test: {forgotten}"));
        }
        let mut waiting: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in untested() {
            if let Some(what) = &row.waits_for {
                waiting.entry(what).or_default().push(row);
            }
        }
        for (what, rows) in waiting {
            line(&mut text, format_args!("        wait for {what}: {}", numbers(rows.into_iter())));
        }
        if verbose {
            details(&mut text, in_group(), held);
        }
    }
    let applicable = rows.0.iter().filter(|row| row.reason_not.is_none());
    let passing = applicable.clone().filter(is_pass).count();
    line(
        &mut text,
        format_args!(
            "\n{passing} of {} applicable rows pass; {} rows do not apply",
            applicable.count(),
            rows.0.iter().filter(|row| row.reason_not.is_some()).count()
        ),
    );
    text
}

fn details<'a>(text: &mut String, rows: impl Iterator<Item = &'a Row>, held: &Held) {
    for row in rows {
        if let Some(reason) = &row.reason_not {
            line(text, format_args!("        {} does not apply: {reason} ({})", row.id, row.title));
        }
        for test in held.get(&row.id).into_iter().flat_map(|tests| &tests.failed) {
            line(text, format_args!("        {} fails: {test} ({})", row.id, row.title));
        }
    }
}

fn numbers<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    rows.map(Row::number).collect::<Vec<_>>().join(" ")
}

/// Appending to a string cannot fail.
fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{words}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, reason_not: Option<&str>) -> Row {
        let reason_not = reason_not.map(str::to_owned);
        Row { id: id.to_owned(), title: "a title".to_owned(), reason_not, waits_for: None }
    }

    #[test]
    fn what_does_not_apply_is_not_counted() {
        let rows = Rows(vec![
            row("A-01", None),
            row("A-02", None),
            row("A-03", None),
            row("A-04", Some("of Windows")),
        ]);
        let tests = |passed, failed: &[&str]| Tests {
            passed,
            failed: failed.iter().map(|name| (*name).to_owned()).collect(),
        };
        let held = Held::from([
            ("A-01".to_owned(), tests(2, &[])),
            ("A-02".to_owned(), tests(1, &["a::a_02_x::in_process"])),
        ]);
        let brief = render(&rows, &held, false);
        assert_eq!(
            brief,
            "\n  A       1 of   3 applicable rows pass\n        fail: 02\n        no test: 03\n\
             \n1 of 3 applicable rows pass; 1 rows do not apply\n"
        );
        let verbose = render(&rows, &held, true);
        assert!(verbose.contains("A-04 does not apply: of Windows"), "{verbose}");
        assert!(verbose.contains("A-02 fails: a::a_02_x::in_process"), "{verbose}");
    }

    #[test]
    fn what_waits_is_said_with_what_it_waits_for() {
        let waits = |id| Row { waits_for: Some("TLS".to_owned()), ..row(id, None) };
        let rows = Rows(vec![waits("A-01"), row("A-02", None), waits("A-03")]);
        let text = render(&rows, &Held::new(), false);
        assert!(text.contains("no test: 02\n        wait for TLS: 01 03\n"), "{text}");
        assert!(text.contains("0 of 3 applicable rows pass"), "{text}");
    }
}
