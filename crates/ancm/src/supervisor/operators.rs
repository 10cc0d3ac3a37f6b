//! Operators' commands, and who waits for what.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use control::operator::{self, Answer, ClientId, Command, Desk, Place, Source};
use lifecycle::generation::Payload;
use lifecycle::report::StartReport;
use lifecycle::{GenerationId, Reason};
use os::poll::Readiness;

use super::{Launch, Supervisor};
use crate::operate;

/// The desk, and those who wait there.
#[derive(Debug)]
pub(super) struct Operators {
    desk: Option<Desk>,
    wishes: Vec<Wish>,
}

/// A client that waits for a generation.
#[derive(Debug)]
struct Wish {
    client: ClientId,
    /// Generations before this one are not the answer.
    first: GenerationId,
}

impl Operators {
    /// A desk for the site, or why there is none.
    pub(super) fn open(launch: &Launch) -> (Self, Option<String>) {
        let desk = Place::of_user(operate::variables(&launch.env))
            .and_then(|place| Desk::open(&place, &launch.dir));
        let (desk, refusal) = match desk {
            Ok(desk) => (Some(desk), None),
            Err(error) => (None, Some(error.to_string())),
        };
        (Self { desk, wishes: Vec::new() }, refusal)
    }

    pub(super) fn watched(&self) -> Vec<(Source, BorrowedFd<'_>, Readiness)> {
        self.desk.as_ref().map(Desk::watched).unwrap_or_default()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.desk.as_ref().and_then(Desk::next_deadline)
    }

    pub(super) fn on_time(&mut self, now: Duration) {
        if let Some(desk) = &mut self.desk {
            desk.on_time(now);
            self.wishes.retain(|wish| desk.has(wish.client));
        }
    }
}

impl Supervisor {
    pub(super) fn on_operator(&mut self, source: Source, ready: Readiness) {
        let now = self.now();
        let desk = self.operators.desk.as_mut();
        let Some((client, command)) = desk.and_then(|it| it.on_ready(source, ready, now)) else {
            return;
        };
        match command {
            Command::Recycle { by } => self.on_recycle_command(client, by),
            Command::Status => {
                let status = Box::new(self.status());
                self.answer(client, &Answer::Status(status));
            }
        }
    }

    fn on_recycle_command(&mut self, client: ClientId, by: operator::Asked) {
        let refusal = if self.site.is_stopping() {
            Some("the site is being stopped")
        } else if self.site.is_offline() {
            Some("the application is offline; it starts when app_offline.htm is removed")
        } else {
            None
        };
        if let Some(text) = refusal {
            return self.answer(client, &Answer::Refused { text: text.to_owned() });
        }
        let first = self.site.next_id();
        if self.recycle(Reason::from(by)) {
            self.operators.wishes.push(Wish { client, first });
        } else {
            let text = "the configuration cannot be used; `ancm check` and the log say why";
            self.answer(client, &Answer::Failed { text: text.to_owned(), report: None });
        }
    }

    /// Answers those whose wish came true, or cannot any more.
    pub(super) fn grant_wishes(&mut self) {
        if self.operators.wishes.is_empty() {
            return;
        }
        let generations = self.site.generations().iter();
        let serving = generations.filter(|it| it.is_serving(Payload::App)).map(|it| it.id).max();
        let lost = if self.site.is_stopping() {
            Some("the site is being stopped")
        } else if self.site.is_offline() {
            Some("the application went offline meanwhile")
        } else {
            None
        };
        for wish in std::mem::take(&mut self.operators.wishes) {
            match (serving.filter(|id| *id >= wish.first), lost) {
                (Some(id), _) => {
                    let text = format!("generation {id} serves");
                    self.answer(wish.client, &Answer::Done { text, generation: Some(id) });
                }
                (None, Some(text)) => {
                    let answer = Answer::Failed { text: text.to_owned(), report: None };
                    self.answer(wish.client, &answer);
                }
                (None, None) => self.operators.wishes.push(wish),
            }
        }
    }

    /// Answers those who waited for a generation that failed.
    pub(super) fn fail_wishes(&mut self, id: GenerationId, report: &StartReport) {
        let is_failed = |wish: &mut Wish| id >= wish.first;
        let failed: Vec<Wish> = self.operators.wishes.extract_if(.., is_failed).collect();
        for wish in failed {
            let text = format!("generation {id} did not start: {} {}", report.code, report.summary);
            let report = Some(Box::new(report.clone()));
            self.answer(wish.client, &Answer::Failed { text, report });
        }
    }

    fn answer(&mut self, client: ClientId, answer: &Answer) {
        let now = self.now();
        if let Some(desk) = &mut self.operators.desk {
            desk.finish(client, answer, now);
        }
    }
}
