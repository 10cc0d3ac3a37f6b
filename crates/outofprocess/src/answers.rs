//! The answers that this handler gives in a backend's place.

use std::io;

use engine::{Answer, UpstreamFailure, UpstreamPhase};
use lifecycle::StartReport;
use shim::page::{self, Form};

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

    /// 502.3: a backend that is running did not answer. Its silence beyond `requestTimeout` is a
    /// 504: the module says 502.3 to that too, and people look for the fault in the gateway.
    pub(crate) fn forward_failed(self, failure: &UpstreamFailure) -> Answer {
        let (status, text) = match failure.error.kind() {
            io::ErrorKind::TimedOut => {
                (504, "HTTP Error 504 - The backend took longer than requestTimeout\n")
            }
            _ => (502, "HTTP Error 502.3 - The backend did not answer\n"),
        };
        let mut body = text.to_owned();
        if self.detailed {
            let UpstreamFailure { elapsed, error, .. } = failure;
            body.push_str(&format!("{} after {elapsed:.1?}: {error}\n", name_of(failure)));
        }
        answer(status, "text/plain; charset=utf-8", body)
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
            assert_eq!(answer.status, if name == "BackendTimeout" { 504 } else { 502 });
            assert!(text(&answer).contains(name), "{}", text(&answer));
        }
    }
}
