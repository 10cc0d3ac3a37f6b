//! The answers that this handler gives in a backend's place.

use std::io;

use config::App;
use engine::{Answer, UpstreamFailure, UpstreamPhase};
use lifecycle::code::Code;
use lifecycle::report::StartReport;

use crate::backend::Remains;

/// What decides how much an answer says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    /// Show causes and output to whoever asks.
    pub(crate) detailed: bool,
    /// `disableStartUpErrorPage`: status only.
    pub(crate) blank: bool,
}

impl Answers {
    /// 502.5: no backend could be started.
    pub(crate) fn start_failed(self, report: &StartReport) -> Answer {
        if self.blank {
            return Answer { status: report.code.status(), fields: Vec::new(), body: Vec::new() };
        }
        let detail = self.detailed.then(|| report.to_string());
        page(report.code.number(), report.code.title(), report.code.hints(), detail.as_deref())
    }

    /// 502.5: backends ended too often to start another one now.
    pub(crate) fn crashed_too_often(
        self,
        app: &App,
        per_minute: u32,
        exit: String,
        remains: Remains,
    ) -> Answer {
        let summary = format!("the backend process ended more than {per_minute} times in a minute");
        let mut report = StartReport::new(Code::BackendDidNotStart, summary);
        report.app_dir = Some(app.dir.display().to_string());
        report.exit = Some(exit);
        report.stdout = remains.stdout;
        report.stderr = remains.stderr;
        self.start_failed(&report)
    }

    /// 502.3: a backend that is running did not answer.
    pub(crate) fn forward_failed(self, failure: &UpstreamFailure) -> Answer {
        let name = name_of(failure);
        let detail = self
            .detailed
            .then(|| format!("{name} after {:.1?}: {}", failure.elapsed, failure.error));
        page("502.3", "The backend did not answer", &[], detail.as_deref())
    }

    /// 503: the application is being stopped.
    pub(crate) fn stopping(self) -> Answer {
        Answer::text(503, "Service Unavailable")
    }
}

/// What the failure is called, in the log and on detailed pages.
fn name_of(failure: &UpstreamFailure) -> &'static str {
    match (failure.phase, failure.error.kind()) {
        (_, io::ErrorKind::TimedOut) => "BackendTimeout",
        (_, io::ErrorKind::InvalidData) => "BackendInvalidResponse",
        (UpstreamPhase::Connect, io::ErrorKind::ConnectionRefused) => "BackendConnectRefused",
        (UpstreamPhase::Connect, _) => "BackendConnectFailed",
        _ => "BackendConnectionLost",
    }
}

fn page(number: &str, title: &str, hints: &[&str], detail: Option<&str>) -> Answer {
    let hints: String = hints.iter().map(|hint| format!("<li>{}</li>\n", escaped(hint))).collect();
    let hints = if hints.is_empty() { hints } else { format!("<ul>\n{hints}</ul>\n") };
    let detail = detail.map(|text| format!("<pre>{}</pre>\n", escaped(text))).unwrap_or_default();
    let heading = format!("HTTP Error {number} - {title}");
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{heading}</title></head>\n\
         <body>\n<h1>{heading}</h1>\n{hints}{detail}</body>\n</html>\n"
    );
    let status = number.split('.').next().and_then(|status| status.parse().ok()).unwrap_or(502);
    let content_type = ("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned());
    Answer { status, fields: vec![content_type], body: body.into_bytes() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    #[test]
    fn details_are_shown_only_when_asked_for_and_always_escaped() {
        let mut report = StartReport::new(Code::BackendDidNotStart, "the process ended");
        report.stderr = "<script>".to_owned();
        let public = Answers { detailed: false, blank: false }.start_failed(&report);
        assert_eq!(public.status, 502);
        assert!(text(&public).contains("HTTP Error 502.5 - "), "{}", text(&public));
        assert!(!text(&public).contains("script") && !text(&public).contains("ended</pre>"));
        let detailed = Answers { detailed: true, blank: false }.start_failed(&report);
        assert!(text(&detailed).contains("&lt;script&gt;"));
        let blank = Answers { detailed: true, blank: true }.start_failed(&report);
        assert_eq!((blank.status, blank.body.len()), (502, 0));
    }

    #[test]
    fn a_failure_to_forward_has_a_name() {
        for (phase, kind, name) in [
            (UpstreamPhase::Connect, io::ErrorKind::ConnectionRefused, "BackendConnectRefused"),
            (UpstreamPhase::Connect, io::ErrorKind::NotFound, "BackendConnectFailed"),
            (UpstreamPhase::Head, io::ErrorKind::TimedOut, "BackendTimeout"),
            (UpstreamPhase::Head, io::ErrorKind::InvalidData, "BackendInvalidResponse"),
            (UpstreamPhase::Send, io::ErrorKind::BrokenPipe, "BackendConnectionLost"),
        ] {
            let failure = UpstreamFailure { phase, error: kind.into(), elapsed: Duration::ZERO };
            let answer = Answers { detailed: true, blank: false }.forward_failed(&failure);
            assert_eq!(answer.status, 502);
            assert!(text(&answer).contains(name), "{}", text(&answer));
        }
    }
}
