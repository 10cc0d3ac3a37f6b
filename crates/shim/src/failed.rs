//! The application in place of one that could not be started: it answers with the reason.

use std::sync::Arc;

use engine::{Answer, Application, Exchange, Outcome};
use lifecycle::{Disclosure, StartReport};

use crate::page::{Form, render};

/// Answers every request with the page of a failed start.
pub struct Failed {
    report: StartReport,
    disclosure: Disclosure,
}

/// An application that explains `report` as far as `disclosure` allows.
pub fn failed(report: StartReport, disclosure: Disclosure) -> Arc<dyn Application> {
    Arc::new(Failed { report, disclosure })
}

impl Application for Failed {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let accept = exchange.request().header("accept").and_then(|it| str::from_utf8(it).ok());
        let form = Form::preferred(accept);
        let mut fields = vec![
            // The next request may find the application running.
            ("Cache-Control".into(), "no-store".into()),
            ("Retry-After".into(), "5".into()),
        ];
        let body = match self.disclosure {
            Disclosure::Status => Vec::new(),
            disclosure => {
                fields.push(("Content-Type".into(), form.content_type().into()));
                let is_detailed = disclosure == Disclosure::Everything;
                render(&self.report, is_detailed, form).into_bytes()
            }
        };
        let answer = Answer { status: self.report.code.status(), fields, body };
        exchange.respond(&answer);
        Outcome::Done
    }
}
