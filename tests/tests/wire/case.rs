//! A case, and reading its file; `tests/wire/README.md` describes the form.

use std::{
    fs,
    path::{Path, PathBuf},
};

use testkit::Model;

use crate::bytes::unescape;

/// What a file says for one hosting model.
#[derive(Debug)]
pub(crate) struct Case {
    /// The statement that is held.
    pub(crate) title: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) seen: Vec<Sight>,
}

/// What happens on the connection, in order.
#[derive(Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Wait until the server has read what was sent.
    Taken,
    HalfClose,
    /// The client goes.
    Close,
    Answer(Expected),
    /// Exactly these bytes come.
    Raw(Vec<u8>),
    /// The connection serves another request.
    Open,
    /// The server closes, and nothing comes before.
    Closed,
    /// As above; a reset is as good.
    Gone,
    /// The connection ends before an answer is whole.
    Broken,
}

/// One answer.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) to_head: bool,
    pub(crate) rules: Vec<Rule>,
}

/// What must hold for an answer.
#[derive(Debug)]
pub(crate) enum Rule {
    Field(String, String),
    HasField(String),
    LacksField(String),
    Body(Vec<u8>),
    BodyHas(Vec<u8>),
    BodyLacks(Vec<u8>),
}

/// A request that the application must or may see.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) line: String,
    pub(crate) optional: bool,
}

/// The case files of a folder, by name.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// Reads a case file as it is for one hosting model.
pub(crate) fn read(path: &Path, model: Model) -> Result<Case, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text, model).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(text: &str, model: Model) -> Result<Case, String> {
    let mut lines = text.lines();
    let mut header = |what: &str| {
        let line = lines.next().and_then(|line| line.strip_prefix("# "));
        line.map(str::to_owned).ok_or(format!("a case begins with `# {what}`"))
    };
    let title = header("its title")?;
    header("what it holds")?;
    let mut case = Case { title, steps: Vec::new(), seen: Vec::new() };
    let mut told = false;
    let mut has_reason = false;
    for (number, line) in lines.enumerate() {
        let (only, line) = match line {
            _ if line.starts_with('#') => {
                has_reason = true;
                continue;
            }
            _ => model_of(line),
        };
        if only.is_some() && !has_reason {
            return Err(format!("line {}: a difference needs a reason above it", number + 3));
        }
        if only.is_some_and(|only| only != model) {
            continue;
        }
        told |= line.starts_with("app ");
        step(line, &mut case).map_err(|error| format!("line {}: {error}", number + 3))?;
    }
    if told { Ok(case) } else { Err("it does not say what the app sees".to_owned()) }
}

fn model_of(line: &str) -> (Option<Model>, &str) {
    for model in [Model::InProcess, Model::OutOfProcess] {
        let prefix = match model {
            Model::InProcess => "in-process: ",
            Model::OutOfProcess => "out-of-process: ",
        };
        if let Some(rest) = line.strip_prefix(prefix) {
            return (Some(model), rest);
        }
    }
    (None, line)
}

fn step(line: &str, case: &mut Case) -> Result<(), String> {
    if let Some(text) = line.strip_prefix("> ") {
        let bytes = unescape(text)?;
        match case.steps.last_mut() {
            Some(Step::Send(sent)) => sent.extend(bytes),
            _ => case.steps.push(Step::Send(bytes)),
        }
        return Ok(());
    }
    if let Some(text) = line.strip_prefix("<   ") {
        let Some(Step::Answer(expected)) = case.steps.last_mut() else {
            return Err("no answer to describe".to_owned());
        };
        expected.rules.push(rule(text)?);
        return Ok(());
    }
    if let Some(text) = line.strip_prefix("< raw ") {
        case.steps.push(Step::Raw(unescape(text)?));
        return Ok(());
    }
    if let Some(text) = line.strip_prefix("< ") {
        let (status, to_head) = match text.strip_suffix(" to HEAD") {
            Some(status) => (status, true),
            None => (text, false),
        };
        let status = status.parse().map_err(|_| format!("{status:?} is no status"))?;
        case.steps.push(Step::Answer(Expected { status, to_head, rules: Vec::new() }));
        return Ok(());
    }
    if let Some(what) = line.strip_prefix("app sees ") {
        if what != "nothing" {
            case.seen.push(Sight { line: what.to_owned(), optional: false });
        }
        return Ok(());
    }
    if let Some(what) = line.strip_prefix("app may see ") {
        case.seen.push(Sight { line: what.to_owned(), optional: true });
        return Ok(());
    }
    case.steps.push(match line {
        "" => return Ok(()),
        "taken" => Step::Taken,
        "half-close" => Step::HalfClose,
        "close" => Step::Close,
        "open" => Step::Open,
        "closed" => Step::Closed,
        "gone" => Step::Gone,
        "broken" => Step::Broken,
        _ => return Err(format!("cannot read {line:?}")),
    });
    Ok(())
}

fn rule(text: &str) -> Result<Rule, String> {
    for (prefix, make) in [
        ("body = ", Rule::Body as fn(Vec<u8>) -> Rule),
        ("body has ", Rule::BodyHas),
        ("body lacks ", Rule::BodyLacks),
    ] {
        if let Some(text) = text.strip_prefix(prefix) {
            return Ok(make(unescape(text)?));
        }
    }
    Ok(match (text.strip_prefix('!'), text.split_once(": ")) {
        (Some(name), _) => Rule::LacksField(name.to_owned()),
        (None, Some((name, value))) => Rule::Field(name.to_owned(), value.to_owned()),
        (None, None) => Rule::HasField(text.to_owned()),
    })
}

#[test]
fn a_case_is_read_for_its_model() {
    let text = "# A title\n# RFC 9112 2\n\n> GET / HTTP/1.1\\r\\n\n> \\r\\n\n< 200\n<   !Server\n\
        <   body has x\n# It differs.\nin-process: app sees GET /\nout-of-process: app sees nothing\n\
        closed\n";
    let case = parse(text, Model::InProcess).unwrap();
    assert_eq!(case.title, "A title");
    assert_eq!(case.seen, [Sight { line: "GET /".to_owned(), optional: false }]);
    let [Step::Send(sent), Step::Answer(answer), Step::Closed] = &case.steps[..] else {
        panic!("{:?}", case.steps)
    };
    assert_eq!(sent, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!((answer.status, answer.rules.len()), (200, 2));
    assert!(parse(text, Model::OutOfProcess).unwrap().seen.is_empty());
    for bad in
        ["", "# a\n# b\nnonsense", "# a\n# b\nin-process: open\napp sees nothing", "# a\n# b"]
    {
        assert!(parse(bad, Model::InProcess).is_err(), "{bad:?}");
    }
}
