//! Tables of inputs and verdicts. Every input is also fed byte by byte, which must not matter.

mod certificate;
mod chunked;
mod date;
mod mutate;
mod request;
mod response;
mod target;
mod upstream;

use super::reject::Reject;

/// Parses the input whole and by its prefixes; the first verdict that is not "more" counts.
fn both_ways(input: &[u8], parse: impl Fn(&[u8]) -> Result<Option<String>, Reject>) -> String {
    let name = |result: Result<Option<String>, Reject>| match result {
        Ok(Some(text)) => text,
        Ok(None) => "more".to_owned(),
        Err(reject) => format!("{} {:?}", reject.status, reject.cause),
    };
    let whole = name(parse(input));
    let trickled = (0..=input.len())
        .map(|len| parse(&input[..len]))
        .find(|result| !matches!(result, Ok(None)));
    let trickled = name(trickled.unwrap_or(Ok(None)));
    assert_eq!(whole, trickled, "at once and byte by byte: {}", input.escape_ascii());
    whole
}

/// Runs a table; all failures are shown together.
fn table(cases: &[(&[u8], &str)], verdict: impl Fn(&[u8]) -> String) {
    let failures: Vec<_> = cases
        .iter()
        .map(|(input, expected)| (input, expected, verdict(input)))
        .filter(|(_, expected, actual)| *expected != actual)
        .map(|(input, expected, actual)| {
            format!("{}\n  expected {expected}\n  actual   {actual}", input.escape_ascii())
        })
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
