//! The application in place of one that could not be started: it answers with the reason.

use std::sync::Arc;

use engine::{Answer, Application, Exchange, Outcome};
use lifecycle::StartReport;

use crate::page::{Form, render};

/// Answers every request with the page of a failed start.
pub struct Failed {
    report: StartReport,
    detailed: bool,
}

/// An application that explains `report`; to everybody in full if `detailed`.
pub fn failed(report: StartReport, detailed: bool) -> Arc<dyn Application> {
    Arc::new(Failed { report, detailed })
}

impl Application for Failed {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let accept = exchange.request().header("accept").and_then(|it| str::from_utf8(it).ok());
        let form = Form::preferred(accept);
        let answer = Answer {
            status: self.report.code.status(),
            fields: vec![
                ("Content-Type".into(), form.content_type().into()),
                // The next request may find the application running.
                ("Cache-Control".into(), "no-store".into()),
                ("Retry-After".into(), "5".into()),
            ],
            body: render(&self.report, self.detailed, form).into_bytes(),
        };
        exchange.respond(&answer);
        Outcome::Done
    }
}
