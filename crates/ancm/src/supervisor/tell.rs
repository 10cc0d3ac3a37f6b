//! What the operator is told: the log, the service manager, the report that pages show.

use std::fmt::Display;

use lifecycle::event::{Event as Told, Level};
use lifecycle::generation::StartFailure;
use lifecycle::restart::{Pause, Wait};
use lifecycle::site::Notice;
use lifecycle::{Code, GenerationId, StartReport};

use super::{Supervisor, explain};

/// A failure, to recognise it when it comes again.
#[derive(Debug)]
pub(super) struct Kind {
    code: Code,
    /// Its summary without digits.
    words: String,
    /// What the log and the pages call it.
    reference: String,
}

/// What the service manager shows after a failed start.
pub(super) fn failed(report: &StartReport) -> String {
    format!("{} {}", report.code, report.summary)
}

/// What it shows when the configuration cannot be used: the log has the reasons.
pub(super) const REFUSED: &str = "web.config is refused; the application is as it was";

/// What it shows of an application that does not run now.
pub(super) const AWAY: &str = "the application is offline, stopped or idle";

impl Supervisor {
    /// Composes the report of a failed start. The first of its kind is told in full.
    pub(super) fn explain(&mut self, id: GenerationId, why: StartFailure, retry: Option<Pause>) {
        let app = &self.launch.app;
        let mut report = match (self.workers.get(&id), self.unlaunched.remove(&id)) {
            (Some(worker), _) => explain::of_worker(worker, why, app),
            (None, Some(error)) => explain::of_launch(&error, app),
            (None, None) => return,
        };
        // Ports, process ids and times differ from one attempt to the next.
        let words = report.summary.chars().filter(|c| !c.is_ascii_digit()).collect();
        match self.told.as_ref().filter(|told| (told.code, &told.words) == (report.code, &words)) {
            // The page leads to the block that was told.
            Some(told) => report.reference.clone_from(&told.reference),
            None => {
                self.log(Level::Error, report.event(), report.to_string().trim_end());
                let reference = report.reference.clone();
                self.told = Some(Kind { code: report.code, words, reference });
            }
        }
        // Also the answer to a reload: what was served before goes on, or the page is served.
        self.service.ready(&failed(&report));
        self.tell(&Told::StartFailed {
            generation: id,
            cause: format!("{} {}", report.code, report.summary),
            reference: report.reference.clone(),
            retry: match retry {
                None => format!("no further attempt: {}", Wait::LeftAlone),
                Some(pause) if pause.is_none() => "next attempt now".to_owned(),
                Some(pause) => format!("next attempt in {pause}"),
            },
        });
        self.fail_wishes(id, &report);
        self.report = Some(report);
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        let worker = |id: &GenerationId| self.workers.get(id);
        let event = match notice {
            Notice::Died { id: generation, restart } => {
                let ending = worker(&generation).and_then(|worker| worker.ending);
                Told::GenerationDied {
                    generation,
                    pid: worker(&generation).map_or(0, |worker| worker.child.pid().number()),
                    ending: ending.map_or_else(|| "is gone".to_owned(), |end| end.to_string()),
                    follows: match restart {
                        _ if restart.is_none() => "a new generation is started".to_owned(),
                        Pause { why: Wait::Change, length } => format!(
                            "a new one is started when that has come to rest which is being \
                             changed of its files or its .NET, in {} s at the latest",
                            length.as_secs()
                        ),
                        Pause { length, .. } => {
                            format!("a new one is started in {:.1} s", length.as_secs_f32())
                        }
                    },
                }
            }
            Notice::Halted => {
                self.service.ready(AWAY);
                Told::Halted
            }
            Notice::Idle => {
                self.service.ready(AWAY);
                Told::Idle
            }
            Notice::NoRoom => Told::NoRoom {
                needed: self.headroom.needed(),
                available: self.headroom.available.unwrap_or(0),
            },
            Notice::Offline => {
                self.service.ready(AWAY);
                Told::Offline
            }
            Notice::DrainIncomplete(generation) => Told::DrainIncomplete { generation },
            Notice::Replaced(generation) => {
                self.told = None;
                self.service
                    .ready(&format!("serving {}, generation {generation}", self.launch.app.name));
                self.started(generation)
            }
            Notice::Stopping(generation) => {
                let reason = worker(&generation).and_then(|worker| worker.stopping.clone());
                Told::Stopping { generation, reason: reason.unwrap_or_default() }
            }
        };
        self.tell(&event);
    }

    /// That a generation serves, and why it was wanted.
    pub(super) fn started(&self, generation: GenerationId) -> Told {
        let all = self.site.generations().iter();
        let reason = all.clone().find(|it| it.id == generation).map(|it| it.reason.to_string());
        Told::Started { generation, reason: reason.unwrap_or_default() }
    }

    pub(super) fn tell(&mut self, event: &Told) {
        self.log(event.level(), event.id(), event);
    }

    /// One event for the operator.
    pub(super) fn log(&mut self, level: Level, event: u16, text: impl Display) {
        self.output.event(level, event, &text.to_string());
    }
}
