//! The report of a failed start: what the worker knew, completed with what only we see.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use config::{App, HostingModel};
use lifecycle::cause::{Cause, last_line};
use lifecycle::generation::StartFailure;
use lifecycle::report::StartReport;
use lifecycle::time::utc;
use lifecycle::{Code, Journey, Route};

use super::launch::LaunchError;
use super::worker::Worker;
use crate::output::Stream;

/// The way that a start of `app` takes.
pub(super) fn route(app: &App) -> Route {
    match app.settings.hosting_model {
        HostingModel::InProcess => Route::InProcess,
        HostingModel::OutOfProcess => Route::OutOfProcess,
    }
}

/// The report about a generation that has a process, or had one.
pub(super) fn of_worker(worker: &Worker, why: StartFailure, app: &App) -> StartReport {
    let ending = worker.ending.map(|ending| ending.to_string());
    let mut report = worker.report.clone().unwrap_or_else(|| {
        let (code, summary) = match why {
            StartFailure::TimeLimit => {
                let limit = app.settings.startup_time_limit.as_secs_f32();
                let summary = format!("the application was not ready within {limit} s");
                (Code::StartTimeLimit, summary)
            }
            StartFailure::KeepsEnding => {
                let ending = ending.as_deref().unwrap_or("stopped by itself");
                let summary =
                    format!("the application starts, but ends within seconds: it {ending}");
                (Code::KeepsCrashing, summary)
            }
            StartFailure::RapidFails => {
                let (ending, limit) = (
                    ending.as_deref().unwrap_or("stopped by itself"),
                    app.settings.rapid_fails_per_minute,
                );
                let summary = format!(
                    "the application has ended more than {limit} time(s) within a minute \
                     (rapidFailsPerMinute); the last time it {ending}"
                );
                (Code::KeepsCrashing, summary)
            }
            StartFailure::ExitedBeforeReady | StartFailure::NotSpawned | StartFailure::Reported => {
                let ending = ending.as_deref().unwrap_or("ended in an unknown way");
                (
                    did_not_start(app),
                    format!("the process {ending} before the application was ready"),
                )
            }
        };
        let mut report = StartReport::new(code, summary);
        // The end of a worker that sends a report is of its own making, and one at the limit ours.
        if why != StartFailure::TimeLimit {
            report.exit.clone_from(&ending);
        }
        report
    });
    complete(&mut report, app);
    // Whoever started a backend knows more of the way than what was told of it.
    if report.journey.reached.len() < worker.journey.reached.len() {
        report.journey = worker.journey.clone();
    }
    if report.stdout.is_empty() {
        report.stdout = worker.text(Stream::Stdout);
    }
    if report.stderr.is_empty() {
        report.stderr = worker.text(Stream::Stderr);
    }
    name_cause(&mut report);
    report
}

/// Makes the report as exact as what is known by now allows: the step that a start was stuck in,
/// the last words of a process that ended, what helps against them.
fn name_cause(report: &mut StartReport) {
    if report.code == Code::StartTimeLimit && report.detail.is_none() {
        if let Some(step) = report.journey.next_step() {
            report.summary = format!("{}; it was {}", report.summary, step.toward());
        }
        return;
    }
    if report.detail.is_none() && report.exit.is_some() {
        let streams = [&report.stderr, &report.stdout];
        if let Some(cause) = streams.into_iter().find_map(|text| Cause::in_output(text)) {
            report.summary = format!("{}: {}", report.summary, cause.summary);
            report.detail = Some(cause.detail);
        } else if let Some(words) = last_words(streams) {
            report.summary = format!("{}; its last words were: {words}", report.summary);
        }
    }
    let words = report.detail.as_deref().unwrap_or(&report.stderr);
    if let Some(advice) = lifecycle::cause::advice(words) {
        report.suggestions.insert(0, advice.to_owned());
    }
}

fn last_words(streams: [&String; 2]) -> Option<String> {
    const ENOUGH_CHARS: usize = 200;
    let line = streams.into_iter().map(|text| last_line(text)).find(|line| !line.is_empty())?;
    Some(line.chars().take(ENOUGH_CHARS).collect())
}

/// The report about a generation that never had a process.
pub(super) fn of_launch(error: &LaunchError, app: &App) -> StartReport {
    let mut report = StartReport::new(Code::General, chain(error));
    report.journey = Journey::new(route(app));
    complete(&mut report, app);
    report
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn did_not_start(app: &App) -> Code {
    match app.settings.hosting_model {
        HostingModel::InProcess => Code::AppDidNotStart,
        HostingModel::OutOfProcess => Code::BackendDidNotStart,
    }
}

fn complete(report: &mut StartReport, app: &App) {
    let settings = &app.settings;
    if report.command.is_none() {
        let words = std::iter::once(&settings.process_path).chain(&settings.arguments);
        report.command = Some(words.map(String::as_str).collect::<Vec<_>>().join(" "));
    }
    if report.app_dir.is_none() {
        report.app_dir = Some(app.dir.display().to_string());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    report.time = utc(now);
    let mut random = lifecycle::restart::Random::new(now.as_nanos() as u64);
    report.reference = format!("{:08x}", random.next() as u32);
}
