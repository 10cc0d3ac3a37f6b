//! Commands for an application that is running: `status`, `recycle`, `logs`, …. They find its supervisors by
//! its folder, ask all of them, and wait.

mod show;

use std::io;
use std::path::{Path, PathBuf};

use config::Env;
use control::operator::{self, Answer, CallError, Command, Place, Status, Variables};
use lifecycle::exit;
use lifecycle::report::{StartReport, printable};

use crate::cli;
use crate::output::Output;
use crate::supervisor::explain::chain;

/// What the environment says about where sockets are.
pub(crate) fn variables(env: &Env) -> Variables {
    let value = |name| env.non_empty(name).map(str::to_owned);
    Variables {
        runtime_directory: value("RUNTIME_DIRECTORY"),
        xdg_runtime_dir: value("XDG_RUNTIME_DIR"),
    }
}

/// Shows how the sites of an application are; answers the exit code.
pub(crate) fn status(arguments: &cli::Status, out: &mut dyn io::Write) -> u8 {
    ask(&arguments.site, &Command::Status, |answer, code| match answer {
        Answer::Status(status) => write(&status, arguments.json, out).map_err(|_| exit::FAILED),
        answer => plain(answer, code),
    })
}

/// Has a new generation serve; answers the exit code.
pub(crate) fn recycle(site: &cli::Site) -> u8 {
    ask(site, &Command::Recycle { by: operator::Asked::Recycle }, plain)
}

/// What became of the wish that a folder's new content be served.
pub(crate) enum Followed {
    /// The application is not to run now; why.
    Away(String),
    /// No supervisor serves the folder.
    Nobody,
    /// A new generation serves; which.
    Serves(String),
}

/// Has all supervisors of `dir` serve what is there now.
///
/// # Errors
///
/// One of them does not: in words, and with the report of the start.
pub(crate) fn follow(
    dir: &Path,
    by: operator::Asked,
    output: &mut Output,
) -> Result<Followed, (String, Option<Box<StartReport>>)> {
    let place = Place::of_user(variables(&Env::of_process()));
    let sockets = place.and_then(|place| operator::supervisors_of(&place, dir));
    let sockets = match sockets {
        Ok(sockets) => sockets,
        Err(error) => {
            output.tell(format_args!("supervisors are not found: {error}"));
            Vec::new()
        }
    };
    // Asked all at once, then waited for.
    let command = Command::Recycle { by };
    let calls: Vec<_> =
        sockets.iter().map(|(_, path)| operator::call(path, command.clone())).collect();
    let mut followed = Followed::Nobody;
    for call in calls {
        let answer = call.and_then(|mut call| call.answer());
        match answer.map_err(|error| (chain(&error), None))? {
            Some(Answer::Done { text, .. }) => followed = Followed::Serves(text),
            Some(Answer::Refused { text }) => followed = Followed::Away(text),
            Some(Answer::Failed { text, report }) => return Err((text, report)),
            _ => return Err(("the supervisor has ended before it answered".to_owned(), None)),
        }
    }
    Ok(followed)
}

/// Has the application stopped; answers the exit code.
pub(crate) fn stop(site: &cli::Site) -> u8 {
    ask(site, &Command::Stop, plain)
}

/// Has a stopped application started; answers the exit code.
pub(crate) fn start(site: &cli::Site) -> u8 {
    ask(site, &Command::Start, plain)
}

/// Prints what was written lately; answers the exit code.
pub(crate) fn logs(arguments: &cli::Logs, out: &mut dyn io::Write) -> u8 {
    let cli::Logs { site, lines, follow } = arguments;
    let command = Command::Logs { lines: *lines, follow: *follow };
    ask(site, &command, |answer, output| match answer {
        // Whoever reads may have had enough.
        Answer::Line { text, .. } => {
            writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|_| exit::OK)
        }
        answer => plain(answer, output),
    })
}

fn write(status: &Status, json: bool, out: &mut dyn io::Write) -> io::Result<()> {
    match json {
        true => writeln!(out, "{}", serde_json::to_string(status)?),
        false => show::write(status, out),
    }?;
    out.flush()
}

/// Makes a request to every supervisor of the site, at once, and has `each` see the answers; answers
/// the exit code, which is that of the first failure.
fn ask(
    site: &cli::Site,
    command: &Command,
    mut each: impl FnMut(Answer, &mut Output) -> Result<(), u8>,
) -> u8 {
    let mut output = Output::new();
    let code = sockets(site, &mut output).and_then(|sockets| {
        if sockets.len() > 1 && matches!(command, Command::Logs { follow: true, .. }) {
            let pids: Vec<_> = sockets.iter().map(|(pid, _)| pid.to_string()).collect();
            let pids = pids.join(", ");
            output.tell(format_args!("several supervisors serve it: name one with --pid ({pids})"));
            return Err(exit::USAGE);
        }
        let calls: Vec<_> = sockets
            .iter()
            .map(|(pid, path)| (pid, operator::call(path, command.clone())))
            .collect();
        let mut first = Ok(());
        for (pid, call) in calls {
            let answers = || -> Result<(), u8> {
                let mut call = call.map_err(|error| unheard(*pid, &error, &mut output))?;
                while let Some(answer) =
                    call.answer().map_err(|error| unheard(*pid, &error, &mut output))?
                {
                    each(answer, &mut output)?;
                }
                Ok(())
            };
            first = first.and(answers());
        }
        first
    });
    output.finish();
    code.err().unwrap_or(exit::OK)
}

fn sockets(site: &cli::Site, output: &mut Output) -> Result<Vec<(u32, PathBuf)>, u8> {
    let found = Place::of_user(variables(&Env::of_process()))
        .and_then(|place| operator::supervisors_of(&place, &site.dir));
    let mut found = found.map_err(|error| {
        output.tell(format_args!("{}: {error}", site.dir.display()));
        exit::USAGE
    })?;
    found.retain(|(pid, _)| site.pid.is_none_or(|wanted| wanted == *pid));
    if found.is_empty() {
        output.tell(not_running(&site.dir, site.pid));
        return Err(exit::NOT_RUNNING);
    }
    Ok(found)
}

fn not_running(dir: &Path, pid: Option<u32>) -> String {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let dir = dir.display();
    match pid {
        Some(pid) => format!("process {pid} does not serve {dir}, or is not for this user"),
        None => format!(
            "nothing serves {dir} for this user; `ancm run` does (or ask as its user, or root)"
        ),
    }
}

/// One line on standard output, or the reasons on standard error.
fn plain(answer: Answer, output: &mut Output) -> Result<(), u8> {
    match answer {
        Answer::Done { text, .. } => {
            output.line(crate::output::Stream::Stdout, &printable(&text));
            Ok(())
        }
        Answer::Failed { text, report } => {
            output.tell(printable(&text));
            if let Some(report) = report {
                output.tell(report.to_string().trim_end());
            }
            Err(exit::FAILED)
        }
        Answer::Refused { text } => {
            output.tell(printable(&text));
            Err(exit::FAILED)
        }
        Answer::Line { .. } | Answer::Status(_) => Ok(()),
    }
}

/// Tells why a supervisor has not answered; answers the exit code.
fn unheard(pid: u32, error: &CallError, output: &mut Output) -> u8 {
    output.tell(format_args!("supervisor {pid}: {}", chain(error)));
    match error {
        CallError::Ended => exit::NOT_RUNNING,
        _ => exit::FAILED,
    }
}
