//! The application in place of one that an operator has stopped: 503, as of a stopped application
//! pool.

use std::sync::Arc;

use engine::{Answer, Application, Exchange, Outcome};

/// Answers every request with 503.
pub fn halted() -> Arc<dyn Application> {
    Arc::new(Halted)
}

struct Halted;

impl Application for Halted {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let mut answer = Answer::text(503, "503: the application is stopped\n".to_owned());
        // The next request may find it started.
        answer.fields.push(("Cache-Control".into(), "no-store".into()));
        answer.fields.push(("Retry-After".into(), "5".into()));
        exchange.respond(&answer);
        Outcome::Done
    }
}
