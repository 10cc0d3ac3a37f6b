//! Running cases against a site.

use std::{net::SocketAddr, path::Path};

use testkit::{App, Model, Site, Start};

use crate::{
    bytes::show,
    case::{self, Case, Expected, Rule, Sight, Step},
    client::{Answer, Client, End},
};

/// Cuts of one send, at most.
const CUTS: usize = 40;

/// How a case's bytes are sent.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As few segments as the case has sends.
    AtOnce,
    /// Behind each line and in the middle of each; the server has read a head before its body.
    Cut,
}

/// Runs every case of a folder over each way to the kernel; `ANCM_WIRE` selects by a part of the name.
pub(crate) fn folder(folder: &Path, model: Model) {
    let wanted = std::env::var("ANCM_WIRE").unwrap_or_default();
    let mut failures = Vec::new();
    for io in ["epoll", "uring"] {
        let app = App::test("Wire").model(model);
        let site = Start::of(app).argument("--io").argument(io).run();
        let failed = cases(folder, &wanted, model, &site);
        failures.extend(failed.into_iter().map(|what| format!("over {io}: {what}")));
        site.stop();
    }
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    assert!(failures.is_empty(), "{folder}, {model}:\n  {}\n", failures.join("\n  "));
}

/// What fails of the cases of a folder.
fn cases(folder: &Path, wanted: &str, model: Model, site: &Site) -> Vec<String> {
    let mut failures = Vec::new();
    // A backend may come to a broken request after the case that sent it.
    let mut late = Vec::new();
    for path in case::files(folder) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !name.contains(wanted) {
            continue;
        }
        let case = case::read(&path, model).unwrap_or_else(|error| panic!("{error}"));
        for pace in [Pace::AtOnce, Pace::Cut] {
            if let Err(what) = run(&case, site.address(), pace, &mut late) {
                failures.push(format!("{name} ({pace:?}): {}\n    {what}", case.title));
            }
        }
    }
    failures
}

fn run(case: &Case, address: SocketAddr, pace: Pace, late: &mut Vec<String>) -> Result<(), String> {
    let mut client = Some(Client::connect(address).map_err(|error| error.to_string())?);
    let mut outcome = Ok(());
    for step in &case.steps {
        let Some(open) = client.as_mut() else {
            return Err("the case goes on after `close`".to_owned());
        };
        if matches!(step, Step::Close) {
            client = None;
            continue;
        }
        outcome = take(open, step, pace);
        if outcome.is_err() {
            break;
        }
    }
    // Whatever is still going on ends with the connection, so that the application can tell.
    drop(client);
    let seen = seen(address);
    let mut seen = seen?;
    if let Some(at) = seen.iter().position(|line| late.contains(line)) {
        let line = seen.remove(at);
        late.retain(|other| *other != line);
    }
    let missing = |sight: &&Sight| sight.optional && !seen.contains(&sight.line);
    late.extend(case.seen.iter().filter(missing).map(|sight| sight.line.clone()));
    outcome.and_then(|()| compare(&case.seen, &seen))
}

fn take(client: &mut Client, step: &Step, pace: Pace) -> Result<(), String> {
    match step {
        Step::Send(bytes) => match pace {
            Pace::AtOnce => client.send(bytes),
            Pace::Cut => {
                let (head, rest) = bytes.split_at(end_of_head(bytes));
                for piece in cut(head) {
                    client.send(piece);
                }
                if !rest.is_empty() {
                    client.wait_until_taken();
                }
                for piece in cut(rest) {
                    client.send(piece);
                }
            }
        },
        Step::Taken => client.wait_until_taken(),
        Step::HalfClose => client.half_close(),
        Step::Answer(expected) => {
            let answer = client.answer(expected.to_head)?;
            check(expected, &answer).map_err(|error| {
                let Answer { status, fields, body } = &answer;
                format!("{error}\n    in {status} {fields:?}\n      {}", show(body))
            })?;
        }
        Step::Raw(expected) => {
            let got = client.bytes(expected.len())?;
            if got != *expected {
                return Err(format!("got {}", show(&got)));
            }
        }
        Step::Open => {
            client.send(b"GET /-/probe HTTP/1.1\r\nHost: probe\r\n\r\n");
            let answer = client.answer(false).map_err(|error| format!("not open: {error}"))?;
            if answer.status != 200 || answer.body != b"probe" {
                return Err(format!("out of step: {} {}", answer.status, show(&answer.body)));
            }
        }
        Step::Closed | Step::Gone => {
            let end = client.end()?;
            if client.has_unread() {
                return Err(client.unread());
            }
            if end == End::Reset && matches!(step, Step::Closed) {
                return Err("reset instead of closed".to_owned());
            }
        }
        Step::Broken => {
            if let Ok(answer) = client.answer(false) {
                return Err(format!("a whole answer: {} {}", answer.status, show(&answer.body)));
            }
            client.end()?;
        }
        Step::Close => {}
    }
    Ok(())
}

fn end_of_head(bytes: &[u8]) -> usize {
    let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    end.map_or(bytes.len(), |at| at + 4)
}

/// The pieces in which a message trickles in.
fn cut(bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        // Between CR and LF too.
        let (first, second) = line.split_at(line.len() / 2);
        let (second, last) = second.split_at(second.len().saturating_sub(1));
        pieces.extend([first, second, last].into_iter().filter(|piece| !piece.is_empty()));
    }
    if pieces.len() > CUTS { bytes.chunks(bytes.len().div_ceil(CUTS)).collect() } else { pieces }
}

fn check(expected: &Expected, answer: &Answer) -> Result<(), String> {
    if answer.status != expected.status {
        return Err(format!("expected {}", expected.status));
    }
    let values = |name: &str| -> Vec<&str> {
        let same = answer.fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    };
    let has = |text: &[u8]| answer.body.windows(text.len()).any(|part| part == text);
    for rule in &expected.rules {
        let holds = match rule {
            Rule::Field(name, value) => values(name) == [value],
            Rule::HasField(name) => !values(name).is_empty(),
            Rule::LacksField(name) => values(name).is_empty(),
            Rule::Body(body) => answer.body == *body,
            Rule::BodyHas(text) => has(text),
            Rule::BodyLacks(text) => !has(text),
        };
        if !holds {
            return Err(format!("does not hold: {}", describe(rule)));
        }
    }
    Ok(())
}

fn describe(rule: &Rule) -> String {
    match rule {
        Rule::Field(name, value) => format!("{name}: {value}"),
        Rule::HasField(name) => name.clone(),
        Rule::LacksField(name) => format!("!{name}"),
        Rule::Body(text) => format!("body = {}", show(text)),
        Rule::BodyHas(text) => format!("body has {}", show(text)),
        Rule::BodyLacks(text) => format!("body lacks {}", show(text)),
    }
}

/// The requests that the application has seen since it was asked last.
fn seen(address: SocketAddr) -> Result<Vec<String>, String> {
    let mut client = Client::connect(address).map_err(|error| error.to_string())?;
    client.send(b"GET /-/seen HTTP/1.1\r\nHost: seen\r\nConnection: close\r\n\r\n");
    let answer = client.answer(false).map_err(|error| format!("asking what it saw: {error}"))?;
    if answer.status != 200 {
        return Err(format!("asking what it saw: {}", answer.status));
    }
    Ok(String::from_utf8_lossy(&answer.body).lines().map(str::to_owned).collect())
}

fn compare(expected: &[Sight], seen: &[String]) -> Result<(), String> {
    let mut rest = seen.iter().peekable();
    let mut all = true;
    for sight in expected {
        let matches = rest.next_if(|line| **line == sight.line).is_some();
        all &= matches || sight.optional;
    }
    if all && rest.peek().is_none() { Ok(()) } else { Err(format!("the app saw {seen:?}")) }
}
