//! From the lines of a test run to tests, and from the names of tests to rows.

use std::collections::BTreeMap;

/// Which tests ran, and whether they passed.
#[derive(Debug, Default)]
pub(super) struct Outcomes(BTreeMap<String, bool>);

impl Outcomes {
    /// A test that is reported twice has passed if it has each time.
    pub(super) fn add(&mut self, name: &str, is_pass: bool) {
        let all = self.0.entry(name.to_owned()).or_insert(true);
        *all &= is_pass;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        self.0.iter().map(|(name, is_pass)| (name.as_str(), *is_pass))
    }
}

/// Name and outcome, when a line of nextest or of `cargo test` reports a test.
pub(super) fn of_line(line: &str) -> Option<(&str, bool)> {
    // `test requests::x ... ok`
    if let Some(rest) = line.strip_prefix("test ") {
        let (name, outcome) = rest.split_once(" ... ")?;
        return match outcome.split(' ').next()? {
            "ok" => Some((name, true)),
            "FAILED" => Some((name, false)),
            _ => None,
        };
    }
    // `    PASS [   0.5s] ( 1/69) ancm-tests::e2e requests::x`; after `TRY 1` the same words.
    let (word, rest) = line.trim_start().split_once(" [")?;
    let is_pass = match word.rsplit(' ').next()? {
        "PASS" | "LEAK" => true,
        "ABORT" | "FAIL" | "SIGABRT" | "SIGKILL" | "SIGSEGV" | "TIMEOUT" | "XFAIL" => false,
        _ => return None,
    };
    let (_, name) = rest.rsplit_once(' ')?;
    Some((name, is_pass))
}

/// Lines of a run that a count does not need.
pub(super) fn is_noise(line: &str) -> bool {
    let line = line.trim_start();
    let starts = ["Starting ", "Summary [", "Nextest run ID", "────", "running ", "test result:"];
    line.is_empty() || starts.iter().any(|start| line.starts_with(start))
}

/// The arguments that select tests with a number, for nextest; `cargo test` runs all.
pub(super) fn filter(groups: &[&str]) -> Vec<String> {
    let groups = groups.join("|").to_lowercase();
    vec!["--filterset".to_owned(), format!("test(/(^|::)({groups})_[0-9]+_/)")]
}

/// The rows that a test holds: `req_11_req_12_echo` is REQ-11 and REQ-12.
pub(super) fn rows_of(test: &str, groups: &[&str]) -> Vec<String> {
    test.split("::").flat_map(|segment| rows_of_segment(segment, groups)).collect()
}

fn rows_of_segment(segment: &str, groups: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    let mut rest = segment;
    while let Some((group, number, after)) = number_at_start(rest) {
        let Some(group) = groups.iter().find(|known| known.eq_ignore_ascii_case(group)) else {
            break;
        };
        rows.push(format!("{group}-{number}"));
        rest = after;
    }
    rows
}

fn number_at_start(text: &str) -> Option<(&str, &str, &str)> {
    let (group, rest) = text.split_once('_')?;
    let (number, rest) = rest.split_once('_')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((group, number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_rows() {
        let groups = ["REQ", "SHIM", "L22", "H2", "V1"];
        for (name, rows) in [
            ("requests::req_11_echo_of_100_kb::in_process", &["REQ-11"][..]),
            ("shim_01_hello_world_starts_in_process", &["SHIM-01"]),
            ("a::req_09_l22_14_compressed::out_of_process", &["REQ-09", "L22-14"]),
            ("v1_09_v1_10_x", &["V1-09", "V1-10"]),
            ("a::http_1_0_is_served", &[]),
            ("a::h2_06_x", &["H2-06"]),
            ("a::utf_8_headers_arrive", &[]),
            ("a::req_is_not_a_number", &[]),
        ] {
            assert_eq!(rows_of(name, &groups), rows, "{name}");
        }
    }

    #[test]
    fn the_lines_of_both_runners_are_read() {
        for (line, expected) in [
            ("        PASS [   1.0s] ( 1/69) ancm-tests::e2e a::b", Some(("a::b", true))),
            ("        PASS [   1.0s] ( 1/69) ancm-inprocess::one a", Some(("a", true))),
            ("        FAIL [  33.2s] (33/69) ancm-tests::e2e a::b", Some(("a::b", false))),
            ("     TIMEOUT [  60.0s] (33/69) ancm-tests::e2e a::b", Some(("a::b", false))),
            ("     SIGABRT [   1.0s] (33/69) ancm-tests::e2e a::b", Some(("a::b", false))),
            ("test a::b ... ok", Some(("a::b", true))),
            ("test a::b ... FAILED", Some(("a::b", false))),
            ("test a::b ... ignored", None),
            ("     Summary [ 131.353s] 69 tests run: 60 passed, 9 failed, 0 skipped", None),
            ("thread 'a::b' panicked", None),
        ] {
            assert_eq!(of_line(line), expected, "{line}");
        }
    }

    #[test]
    fn one_failure_outweighs() {
        let mut outcomes = Outcomes::default();
        outcomes.add("a", true);
        outcomes.add("a", false);
        outcomes.add("a", true);
        assert_eq!(outcomes.iter().collect::<Vec<_>>(), [("a", false)]);
    }
}
