//! The answers that this handler gives in a backend's place.

use std::io;

use engine::{Answer, UpstreamFailure, UpstreamPhase};
use lifecycle::StartReport;
use shim::page::{self, Form};

use crate::failures;

/// What decides how much an answer says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    /// Show causes and output to whoever asks.
    pub(crate) detailed: bool,
    /// `disableStartUpErrorPage`: status only.
    pub(crate) blank: bool,
}

impl Answers {
    /// 502.5: there is no backend, and this is why.
    pub(crate) fn no_backend(self, report: &StartReport, accept: Option<&str>) -> Answer {
        let status = report.code.status();
        if self.blank {
            return Answer { status, fields: Vec::new(), body: Vec::new() };
        }
        let form = Form::preferred(accept);
        answer(status, form.content_type(), page::render(report, self.detailed, form))
    }

    /// 502.3: a backend that is running did not answer, and on the way to what. Its silence beyond
    /// `requestTimeout` is a 504: the module says 502.3 to that too, and people look for the fault
    /// in the gateway.
    pub(crate) fn forward_failed(self, failure: &UpstreamFailure) -> Answer {
        let (status, what) = match (failure.error.kind(), failure.phase) {
            (io::ErrorKind::TimedOut, _) => {
                (504, "504 - The backend took longer than requestTimeout")
            }
            (io::ErrorKind::InvalidData, _) => {
                (502, "502.3 - The backend's answer is not valid HTTP")
            }
            (_, UpstreamPhase::Connect) => (502, "502.3 - The backend could not be connected to"),
            (_, UpstreamPhase::Send) => (502, "502.3 - The backend did not take the request"),
            (_, UpstreamPhase::Head | UpstreamPhase::Body) => {
                (502, "502.3 - The backend did not answer")
            }
        };
        // On the way to what, and how long that took, is nobody's secret.
        let story = if self.detailed {
            failures::words(failure)
        } else {
            format!(
                "Failed while {}, after {:.1?}.",
                failures::doing(failure.phase),
                failure.elapsed
            )
        };
        let body = format!("HTTP Error {what}\n{story}\n");
        answer(status, "text/plain; charset=utf-8", body)
    }

    /// 503: the application is being stopped.
    pub(crate) fn stopping(self) -> Answer {
        Answer::text(503, "Service Unavailable")
    }
}

fn answer(status: u16, content_type: &str, body: String) -> Answer {
    let fields = vec![
        ("Content-Type".to_owned(), content_type.to_owned()),
        ("Cache-Control".to_owned(), "no-store".to_owned()),
    ];
    Answer { status, fields, body: body.into_bytes() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lifecycle::Code;

    use super::*;

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    #[test]
    fn details_are_shown_only_when_asked_for_and_always_escaped() {
        let mut report = StartReport::new(Code::BackendDidNotStart, "exit of the process");
        report.stderr = "<b>bold</b>".to_owned();
        let public = Answers { detailed: false, blank: false }.no_backend(&report, None);
        assert_eq!(public.status, 502);
        assert!(text(&public).contains("HTTP Error 502.5 - "), "{}", text(&public));
        assert!(!text(&public).contains("bold") && !text(&public).contains("xit of the process"));
        let answers = Answers { detailed: true, blank: false };
        assert!(text(&answers.no_backend(&report, None)).contains("&lt;b&gt;bold"));
        let json = answers.no_backend(&report, Some("application/json"));
        assert_eq!(json.fields[0].1, "application/json");
        let blank = Answers { detailed: true, blank: true }.no_backend(&report, None);
        assert_eq!((blank.status, blank.body.len()), (502, 0));
    }

    #[test]
    fn a_failure_to_forward_names_what_failed_and_in_detail_why() {
        for (phase, kind, status, what) in [
            (UpstreamPhase::Connect, io::ErrorKind::NotFound, 502, "could not be connected to"),
            (UpstreamPhase::Send, io::ErrorKind::BrokenPipe, 502, "did not take the request"),
            (UpstreamPhase::Head, io::ErrorKind::UnexpectedEof, 502, "did not answer"),
            (UpstreamPhase::Head, io::ErrorKind::InvalidData, 502, "is not valid HTTP"),
            (UpstreamPhase::Head, io::ErrorKind::TimedOut, 504, "took longer than requestTimeout"),
        ] {
            let failure = UpstreamFailure { phase, error: kind.into(), elapsed: Duration::ZERO };
            for detailed in [true, false] {
                let answer = Answers { detailed, blank: false }.forward_failed(&failure);
                assert_eq!(answer.status, status);
                assert!(text(&answer).contains(what), "{}", text(&answer));
                let story = format!("while {}, after 0.0ns", failures::doing(phase));
                assert!(text(&answer).contains(&story), "{}", text(&answer));
                let name = failures::name_of(&failure);
                assert_eq!(text(&answer).contains(name), detailed, "{}", text(&answer));
            }
        }
    }
}
