//! The beginning of a report: what failed, by cause, with the facts of the application.
//!
//! The type itself lives in `lifecycle`, because the supervisor completes it; numbers, titles and
//! hints are derived from the code there.

use std::path::Path;
use std::time::Duration;

use config::{App, HostingModel};
pub use lifecycle::{Code, StartReport};
use lifecycle::{Journey, Route};

/// A failure of `app`, with what was run and where.
pub fn of_app(app: &App, code: Code, summary: impl Into<String>) -> StartReport {
    let mut report = StartReport::new(code, summary)
        .of_command(command_line(app), app.dir.display().to_string());
    report.journey = Journey::new(route(app));
    report
}

/// 500.30: Main ended or threw before the server was registered; `words` are those of the
/// exception, if there was one.
pub fn app_did_not_start(app: &App, summary: impl Into<String>, words: &str) -> StartReport {
    of_app(app, Code::AppDidNotStart, summary).with_detail(words)
}

/// 500.31: the host library could not resolve what the application needs; `words` are its own.
pub fn framework_missing(app: &App, words: &str) -> StartReport {
    let summary =
        "the .NET host could not resolve the frameworks or dependencies of the application";
    of_app(app, Code::FrameworkMissing, summary).with_detail(words)
}

/// 500.32: no usable host library; `words` are the loader's.
pub fn host_library(app: &App, library: &Path, words: &str) -> StartReport {
    let summary = format!("{} could not be loaded", library.display());
    of_app(app, Code::HostLibraryNotLoadable, summary).with_detail(words)
}

/// 500.33: the in-process handler is in none of the folders `searched`.
pub fn handler_missing(app: &App, file: &str, searched: &[impl AsRef<Path>]) -> StartReport {
    let folders: Vec<String> =
        searched.iter().map(|folder| folder.as_ref().display().to_string()).collect();
    let report = of_app(app, Code::InProcessHandlerMissing, format!("{file} was not found"));
    report.with_detail(format!("looked for in:\n{}", folders.join("\n")))
}

/// 500.0, as in the module: `handlerVersion` names a version that is not among those `installed`.
pub fn handler_version(app: &App, wanted: &str, installed: &[String]) -> StartReport {
    let summary = format!("handlerVersion=\"{wanted}\" is not an installed version of the handler");
    let versions = if installed.is_empty() { "none".to_owned() } else { installed.join("\n") };
    of_app(app, Code::General, summary)
        .with_detail(format!("installed:\n{versions}"))
        .suggest("write one of the installed versions, or remove the setting for the highest")
}

/// 500.37: not ready within the limit.
pub fn time_limit(app: &App, limit: Duration) -> StartReport {
    let summary = format!("the application was not ready within {} s", limit.as_secs_f32());
    of_app(app, Code::StartTimeLimit, summary)
}

/// 500.38: the assembly that the command line names is not there, or is a single file.
pub fn app_missing(app: &App, expected: &Path) -> StartReport {
    of_app(app, Code::AppMissing, format!("{} does not exist", expected.display()))
}

/// 502.5: no backend process, or one that does not listen.
pub fn backend_did_not_start(app: &App, summary: impl Into<String>, words: &str) -> StartReport {
    of_app(app, Code::BackendDidNotStart, summary).with_detail(words)
}

/// Anything that has no number of its own: 500.0.
pub fn general(app: &App, summary: impl Into<String>, words: &str) -> StartReport {
    of_app(app, Code::General, summary).with_detail(words)
}

/// The way a start of `app` takes.
pub fn route(app: &App) -> Route {
    match app.settings.hosting_model {
        HostingModel::InProcess => Route::InProcess,
        HostingModel::OutOfProcess => Route::OutOfProcess,
    }
}

fn command_line(app: &App) -> String {
    let quoted = |text: &String| match text.contains(char::is_whitespace) || text.is_empty() {
        true => format!("\"{text}\""),
        false => text.clone(),
    };
    let words = std::iter::once(&app.settings.process_path).chain(&app.settings.arguments);
    words.map(quoted).collect::<Vec<_>>().join(" ")
}
