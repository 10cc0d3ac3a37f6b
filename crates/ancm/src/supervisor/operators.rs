//! Operators' commands, and who waits for what.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use control::ToWorker;
use control::operator::{self, Answer, ClientId, Command, Desk, Place, Source};
use lifecycle::generation::{Generation, Payload};
use lifecycle::report::StartReport;
use lifecycle::site::Event;
use lifecycle::{GenerationId, Reason};
use os::poll::Readiness;

use super::{Launch, Supervisor};
use crate::operate;
use crate::output::Stream;

/// How long workers have to tell what they do before `status` is answered without it.
const MEASURE_TIME: Duration = Duration::from_millis(500);

/// Of the clients at once, so that other commands are heard.
const MOST_FOLLOWERS: usize = 8;

const OFFLINE: &str = "the application is offline; it starts when app_offline.htm is removed";
const STOPPED: &str = "the application is stopped; `ancm start` starts it";
const ENDING: &str = "the supervisor is ending";

/// The desk, and those who wait there.
#[derive(Debug)]
pub(super) struct Operators {
    desk: Option<Desk>,
    wishes: Vec<(ClientId, Wish)>,
    followers: Vec<(ClientId, u64)>,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug)]
enum Wish {
    /// The application has ended.
    Ended,
    /// A generation serves; one before this is not the answer.
    Serves(GenerationId),
    /// Workers have told what they do, or have had their time.
    Status(Duration),
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
        (Self { desk, wishes: Vec::new(), followers: Vec::new() }, refusal)
    }

    pub(super) fn watched(&self) -> Vec<(Source, BorrowedFd<'_>, Readiness)> {
        self.desk.as_ref().map(Desk::watched).unwrap_or_default()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let measured = self.wishes.iter().filter_map(|(_, wish)| match wish {
            Wish::Status(until) => Some(*until),
            Wish::Ended | Wish::Serves(_) => None,
        });
        measured.chain(self.desk.as_ref().and_then(Desk::next_deadline)).min()
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
            Command::Logs { lines, follow } => self.on_logs(client, lines, follow),
            Command::Recycle { by } => self.on_recycle_command(client, by.into()),
            Command::Start => self.on_start(client),
            Command::Status => {
                self.measure();
                self.wish(client, Wish::Status(now + MEASURE_TIME));
            }
            Command::Stop if self.site.is_stopping() => self.refuse(client, ENDING),
            Command::Stop => {
                self.events.push_back(Event::Halted(true));
                self.wish(client, Wish::Ended);
            }
        }
    }

    /// Goes on with what takes time.
    pub(super) fn serve_operators(&mut self) {
        let now = self.now();
        if let Some(desk) = &mut self.operators.desk {
            desk.on_time(now);
            self.operators.wishes.retain(|(client, _)| desk.has(*client));
        }
        self.grant_wishes();
        self.tell_followers();
    }

    /// Asks those who serve what they have to do.
    pub(super) fn measure(&mut self) {
        let serving = self.site.generations().iter().filter(|it| it.is_serving(Payload::App));
        let ids: Vec<GenerationId> = serving.map(|generation| generation.id).collect();
        for id in ids {
            if let Some(worker) = self.workers.get_mut(&id).filter(|it| it.is_connected) {
                worker.is_asked = true;
                self.send(id, &ToWorker::Measure);
            }
        }
    }

    fn on_recycle_command(&mut self, client: ClientId, reason: Reason) {
        if self.site.is_offline() {
            // Whoever has just removed the file is not to be told that it is there.
            self.follow_latest_changes();
            if !self.watch.is_offline() {
                return self.wish(client, Wish::Serves(self.site.next_id()));
            }
        }
        match self.obstacle() {
            Some(text) => self.refuse(client, text),
            None => {
                let first = self.site.next_id();
                if self.recycle(reason) {
                    self.wish(client, Wish::Serves(first));
                } else {
                    let text = "the configuration cannot be used; `ancm check` and the log say why";
                    self.fail(client, text.to_owned(), None);
                }
            }
        }
    }

    fn on_start(&mut self, client: ClientId) {
        if !self.site.is_halted() {
            // What serves is the answer; what could not be started is tried at once.
            let is_live = |it: &Generation| it.is_starting_app() || it.is_serving(Payload::App);
            return match self.site.generations().iter().any(is_live) {
                true => self.wish(client, Wish::Serves(GenerationId::FIRST)),
                false => self.on_recycle_command(client, Reason::Started),
            };
        }
        let first = self.site.next_id();
        self.reload();
        self.events.push_back(Event::Halted(false));
        self.wish(client, Wish::Serves(first));
    }

    fn on_logs(&mut self, client: ClientId, lines: usize, follow: bool) {
        let Operators { desk, followers, .. } = &mut self.operators;
        followers.retain(|(other, _)| desk.as_ref().is_some_and(|desk| desk.has(*other)));
        if follow && followers.len() >= MOST_FOLLOWERS {
            let text = format!("the log is followed by {MOST_FOLLOWERS} commands already");
            return self.refuse(client, &text);
        }
        let kept = self.output.kept();
        let first = kept.next().saturating_sub(lines as u64).max(kept.first());
        self.operators.followers.push((client, first));
        self.tell_followers();
        if !follow {
            self.operators.followers.retain(|(other, _)| *other != client);
            let now = self.now();
            if let Some(desk) = &mut self.operators.desk {
                desk.dismiss(client, now);
            }
        }
    }

    /// Tells followers what was written; who has not taken what it was told waits.
    pub(super) fn tell_followers(&mut self) {
        let Some(desk) = &mut self.operators.desk else { return };
        let kept = self.output.kept();
        self.operators.followers.retain_mut(|(client, number)| {
            // Nobody would notice that a follower has left while nothing is written.
            if desk.is_silent(*client) && *number == kept.next() {
                desk.dismiss(*client, Duration::ZERO);
                return false;
            }
            if *number < kept.next() && desk.has_taken_all(*client) {
                let (missing, lines) = kept.since(*number);
                let gap = (missing > 0)
                    .then(|| (Stream::Stderr, format!("[ancm: {missing} lines are missing here]")));
                let lines = gap.into_iter().chain(lines.cloned());
                for (stream, text) in lines {
                    desk.say(*client, &Answer::Line { stream: stream.into(), text });
                }
                *number = kept.next();
            }
            desk.has(*client)
        });
    }

    /// Why nothing can be started.
    fn obstacle(&self) -> Option<&'static str> {
        if self.site.is_stopping() {
            Some(ENDING)
        } else if self.site.is_offline() {
            Some(OFFLINE)
        } else if self.site.is_halted() {
            Some(STOPPED)
        } else {
            None
        }
    }

    /// The generation of the application that serves.
    fn serving(&self) -> Option<GenerationId> {
        let generations = self.site.generations().iter();
        generations.filter(|it| it.is_serving(Payload::App)).map(|it| it.id).max()
    }

    fn is_measured(&self) -> bool {
        self.workers.values().all(|worker| !worker.is_asked || !worker.is_connected)
    }

    /// Answers those whose wish came true, or cannot any more.
    pub(super) fn grant_wishes(&mut self) {
        let is_over = self.exit_code.is_some();
        // An event that is still to come may be what a wish is about.
        if self.operators.wishes.is_empty() || !self.events.is_empty() && !is_over {
            return;
        }
        for (client, wish) in std::mem::take(&mut self.operators.wishes) {
            match wish {
                Wish::Ended if !self.site.is_halted() || self.site.is_stopping() => {
                    self.fail(client, "the application was started meanwhile".to_owned(), None);
                }
                Wish::Ended if !self.site.has_app() => {
                    self.grant(client, "the application is stopped".to_owned(), None);
                }
                Wish::Serves(first) => match (self.serving(), self.obstacle()) {
                    (Some(id), _) if id >= first => {
                        self.grant(client, format!("generation {id} serves"), Some(id));
                    }
                    (_, Some(text)) => self.fail(client, text.to_owned(), None),
                    (_, None) => self.wish(client, wish),
                },
                Wish::Status(until) if self.is_measured() || self.now() >= until => {
                    let status = Box::new(self.status());
                    self.answer(client, &Answer::Status(status));
                }
                Wish::Ended | Wish::Status(_) => self.wish(client, wish),
            }
        }
    }

    /// Answers those who waited for a generation that failed.
    pub(super) fn fail_wishes(&mut self, id: GenerationId, report: &StartReport) {
        let is_failed =
            |(_, wish): &mut (ClientId, Wish)| matches!(wish, Wish::Serves(first) if id >= *first);
        let failed: Vec<_> = self.operators.wishes.extract_if(.., is_failed).collect();
        for (client, _) in failed {
            let text = format!("generation {id} did not start: {} {}", report.code, report.summary);
            self.fail(client, text, Some(Box::new(report.clone())));
        }
    }

    fn wish(&mut self, client: ClientId, wish: Wish) {
        self.operators.wishes.push((client, wish));
    }

    fn grant(&mut self, client: ClientId, text: String, generation: Option<GenerationId>) {
        self.answer(client, &Answer::Done { text, generation });
    }

    fn fail(&mut self, client: ClientId, text: String, report: Option<Box<StartReport>>) {
        self.answer(client, &Answer::Failed { text, report });
    }

    fn refuse(&mut self, client: ClientId, text: &str) {
        self.answer(client, &Answer::Refused { text: text.to_owned() });
    }

    fn answer(&mut self, client: ClientId, answer: &Answer) {
        let now = self.now();
        if let Some(desk) = &mut self.operators.desk {
            desk.finish(client, answer, now);
        }
    }
}

impl From<Stream> for operator::Stream {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Stdout => Self::Stdout,
            Stream::Stderr => Self::Stderr,
        }
    }
}
