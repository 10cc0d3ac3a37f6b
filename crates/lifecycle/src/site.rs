//! One site: which generations there are, and what to do next. Events in, actions out.
//!
//! The promises, held by the tests for random orders of events:
//!
//! 1. Unless it is being stopped, a site serves its application, or is starting it, or knows when
//!    it will, or is idle and told when somebody asks, or tells on a page that a start took too long
//!    and is not to be repeated.
//! 2. At most one generation of the application is starting; when one becomes ready, every other
//!    generation is drained.
//! 3. Without overlap, never are two processes of the application alive at once; and without room
//!    none is started beside another.
//! 4. While what it is started from is being changed, the application is started because somebody
//!    wishes that, or because the change has no end.
//! 5. Every generation that does not serve has a deadline at which it is killed, so a stop ends.

mod terms;

use std::time::Duration;

pub use self::terms::{Action, Event, Notice, Policy};
use crate::Reason;
use crate::generation::{Generation, Payload, StartFailure, State};
use crate::ids::GenerationId;
use crate::restart::{Breaker, LONGEST_CHANGE, Pause, Restart, Wait};

/// Between the deadline that a worker was given and its kill.
const KILL_GRACE: Duration = Duration::from_secs(2);
/// For a worker that has reported a failure, to flush and end.
const FAILING_LIMIT: Duration = Duration::from_secs(2);
/// For the start of a page, which needs no application.
const PAGE_START_LIMIT: Duration = Duration::from_secs(20);
/// Between two attempts to start a page.
const PAGE_PAUSE: Duration = Duration::from_secs(1);
/// How long clients may wait in the queue before they are better served by a page.
const PATIENCE: Duration = Duration::from_secs(2);

/// A start that is for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retry {
    at: Duration,
    /// Of the start.
    reason: Reason,
    /// Of the wait.
    why: Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Stopped,
    Stopping,
}

/// The state machine of one site.
#[derive(Clone, Debug)]
pub struct Site {
    policy: Policy,
    phase: Phase,
    restart: Restart,
    breaker: Breaker,
    generations: Vec<Generation>,
    next_id: GenerationId,
    /// When the application is started again.
    retry_at: Option<Retry>,
    /// A start took too long and is not repeated.
    is_left_alone: bool,
    /// When the page is started again.
    page_at: Option<Duration>,
    /// A generation was asked for while one was starting with what was known before.
    outdated: Option<Reason>,
    /// Its file says that the application is not to run.
    is_offline: bool,
    /// An operator says so.
    is_halted: bool,
    /// Nobody asks for the application; it is started when somebody does.
    is_idle: bool,
    /// Whether memory suffices for a second generation beside the first.
    has_room: bool,
    /// What the application is started from is being changed.
    is_changing: bool,
    /// The application is started when its last process has ended.
    waits_for_end: Option<Reason>,
    is_announced: bool,
    /// Somebody has killed a start, and none has come to its end since.
    has_forgiven: bool,
    actions: Vec<Action>,
}

impl Site {
    /// A site whose first generation is to be started now: of the application, unless that is
    /// offline.
    pub fn start(policy: Policy, is_offline: bool, now: Duration) -> (Self, Vec<Action>) {
        let mut site = Self {
            policy,
            phase: Phase::Running,
            restart: Restart::new(policy.seed),
            breaker: Breaker::default(),
            generations: Vec::new(),
            next_id: GenerationId::FIRST,
            retry_at: None,
            is_left_alone: false,
            page_at: None,
            outdated: None,
            is_offline,
            is_halted: false,
            is_idle: false,
            has_room: true,
            is_changing: false,
            waits_for_end: None,
            is_announced: false,
            has_forgiven: false,
            actions: Vec::new(),
        };
        if is_offline {
            site.start_page(Reason::Offline, now)
        } else {
            site.start_app(Reason::First, now)
        }
        let actions = std::mem::take(&mut site.actions);
        (site, actions)
    }

    /// What `event`, happening `now`, leads to.
    pub fn on_event(&mut self, event: Event, now: Duration) -> Vec<Action> {
        match event {
            Event::Exited(id) => self.on_exited(id, now),
            Event::Failed(id) => self.on_failed(id, StartFailure::Reported, now),
            Event::Late(id) => self.on_failed(id, StartFailure::TimeLimit, now),
            Event::NotSpawned(id) => self.on_not_spawned(id, now),
            Event::Halted(is_halted) => {
                self.substitute(|site| site.is_halted = is_halted, Reason::Started, now);
            }
            Event::Offline(is_offline) => {
                self.substitute(|site| site.is_offline = is_offline, Reason::Online, now);
            }
            Event::Idle => self.on_idle(now),
            Event::Ready(id) => self.on_ready(id, now),
            Event::Recycle(reason) => self.on_recycle(reason, now),
            Event::Stop => self.on_stop(now),
            Event::StopAtOnce => self.on_stop_at_once(),
            Event::Stopping(id) => self.on_stopping(id, now),
            Event::Tick => self.on_tick(now),
            Event::Wanted if self.is_idle => self.start_app(Reason::Woken, now),
            Event::Wanted => {}
        }
        if self.phase == Phase::Stopping && self.generations.is_empty() {
            self.phase = Phase::Stopped;
            self.actions.push(Action::Finish);
        }
        std::mem::take(&mut self.actions)
    }

    /// The limits from now on; what runs keeps the deadlines it has.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Whether memory suffices, from now on, for a second generation beside the first.
    pub fn set_room(&mut self, has_room: bool) {
        self.has_room = has_room;
    }

    /// Whether, from now on, what the application is started from is being changed: a start that nobody
    /// asks for would get the half of it, and waits for the end, for so long that requests had better wait,
    /// too.
    pub fn set_changing(&mut self, is_changing: bool) {
        self.is_changing = is_changing;
    }

    /// Whether `event` may start a generation of the application beside another, so that it has to be
    /// known before whether there is room.
    pub fn may_double(&self, event: Event, now: Duration) -> bool {
        let may_start = match event {
            Event::Recycle(_) | Event::Stopping(_) => true,
            Event::Halted(is_away) | Event::Offline(is_away) => !is_away,
            Event::Wanted => self.is_idle,
            Event::Ready(_) => self.outdated.is_some(),
            Event::Exited(_) | Event::NotSpawned(_) => true,
            Event::Tick => self.next_try().is_some_and(|at| at <= now),
            Event::Failed(_) | Event::Late(_) | Event::Idle | Event::Stop | Event::StopAtOnce => {
                false
            }
        };
        may_start && self.phase == Phase::Running && self.policy.overlap && self.has_app()
    }

    /// Whether `event` may start a generation that nobody asks for, so that it has to be known before
    /// whether something is being changed.
    pub fn may_start_by_itself(&self, event: Event, now: Duration) -> bool {
        let may_start = match event {
            Event::Exited(id) => {
                let ended = self.index(id).map(|index| &self.generations[index]);
                let is_loss = |it: &Generation| !matches!(it.state, State::Draining { .. });
                let is_loss = ended.is_some_and(|it| it.payload == Payload::App && is_loss(it));
                is_loss || self.waits_for_end.is_some()
            }
            Event::Ready(_) => self.outdated.is_some(),
            Event::Stopping(_) => true,
            Event::Tick => self.next_try().is_some_and(|at| at <= now),
            Event::Wanted => self.is_idle,
            _ => false,
        };
        may_start && self.phase == Phase::Running && self.may_run()
    }

    /// When the next [`Event::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Duration> {
        let deadlines = self.generations.iter().filter_map(Generation::deadline);
        deadlines.chain(self.next_try()).chain(self.page_at).min()
    }

    /// When the application is started again, if that is for later.
    pub fn next_try(&self) -> Option<Duration> {
        let wait = if self.is_changing { LONGEST_CHANGE } else { Duration::ZERO };
        self.retry_at.map(|retry| retry.at + wait)
    }

    /// Why it is for later, or for never.
    pub fn waits_because(&self) -> Option<Wait> {
        let left_alone = self.is_left_alone.then_some(Wait::LeftAlone);
        let why = |retry: Retry| if self.is_changing { Wait::Change } else { retry.why };
        self.retry_at.map(why).or(left_alone)
    }

    /// The CPU time that a generation has taken, told before its end.
    pub fn note_cost(&mut self, id: GenerationId, cpu: Duration) {
        if let Some(index) = self.index(id) {
            self.generations[index].cpu = cpu;
        }
    }

    /// Somebody has killed a generation, told before its end: that is no failure of the application, so no
    /// pause follows. `rapidFailsPerMinute` counts it all the same.
    pub fn note_kill(&mut self, id: GenerationId) {
        if let Some(index) = self.index(id) {
            self.generations[index].is_by_hand = true;
        }
    }

    /// What the next generation will be called: whatever is asked for now, no generation before it
    /// can be the answer.
    pub fn next_id(&self) -> GenerationId {
        self.next_id
    }

    /// Whether `app_offline.htm` is there.
    pub fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// Whether an operator has stopped the application.
    pub fn is_halted(&self) -> bool {
        self.is_halted
    }

    /// Whether the application is stopped because nobody asks: requests that come are to be told.
    pub fn is_idle(&self) -> bool {
        self.is_idle
    }

    /// Whether the application may run.
    pub fn may_run(&self) -> bool {
        self.absence().is_none()
    }

    /// Whether the application is served by another generation when one ends that is told to now.
    pub fn goes_on(&self) -> bool {
        self.phase == Phase::Running && self.may_run() && !self.is_idle
    }

    /// Whether any process of the application is alive.
    pub fn has_app(&self) -> bool {
        self.generations.iter().any(|generation| generation.payload == Payload::App)
    }

    /// The generations that have a process.
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// Whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        self.phase != Phase::Running
    }

    /// The application goes, comes back, or is away for another reason.
    ///
    /// The page is ready before the application drains, so that nobody is refused. The way back is
    /// the other way round: whoever comes from now on waits for the application.
    fn substitute(&mut self, change: impl FnOnce(&mut Self), back: Reason, now: Duration) {
        if self.phase != Phase::Running {
            return;
        }
        let before = self.absence();
        change(self);
        if self.absence() == before {
            return;
        }
        self.waits_for_end = None;
        self.is_idle = false;
        // What made starts fail may be mended.
        self.restart.forget();
        self.breaker.forget();
        (self.retry_at, self.page_at, self.outdated) = (None, None, None);
        self.is_left_alone = false;
        if self.may_run() {
            let is_away =
                |it: &Generation| matches!(it.payload, Payload::Halted | Payload::Offline);
            self.drain_where(now, is_away);
            self.start_app(back, now);
        } else {
            self.start_page(self.page_reason(), now);
        }
    }

    /// What is served in place of an application that is not to run.
    const fn absence(&self) -> Option<Payload> {
        match (self.is_offline, self.is_halted) {
            (true, _) => Some(Payload::Offline),
            (false, true) => Some(Payload::Halted),
            (false, false) => None,
        }
    }

    fn on_idle(&mut self, now: Duration) {
        let is_starting = self.generations.iter().any(Generation::is_starting_app);
        let is_needed = is_starting || !self.is_app_served() || !self.may_run();
        if self.phase != Phase::Running || is_needed {
            return;
        }
        self.is_idle = true;
        (self.retry_at, self.page_at) = (None, None);
        self.actions.push(Action::Tell(Notice::Idle));
        self.drain_where(now, |_| true);
    }

    fn on_ready(&mut self, id: GenerationId, now: Duration) {
        let Some(index) = self.index(id) else { return };
        let State::Starting { .. } = self.generations[index].state else { return };
        if self.generations[index].is_killed {
            return; // Its limit was reached a moment before.
        }
        self.generations[index].enter(State::Serving, now);
        let payload = self.generations[index].payload;
        self.has_forgiven &= payload != Payload::App;
        if !self.is_announced {
            self.is_announced = true;
            self.actions.push(Action::Announce);
        } else if payload == Payload::App {
            self.actions.push(Action::Tell(Notice::Replaced(id)));
        }
        match payload {
            Payload::Halted | Payload::Offline if Some(payload) == self.absence() => {
                let is_offline = payload == Payload::Offline;
                let notice = if is_offline { Notice::Offline } else { Notice::Halted };
                self.actions.push(Action::Tell(notice));
                self.drain_where(now, |other| other.id != id);
            }
            Payload::Halted | Payload::Offline => self.drain_where(now, |other| other.id == id),
            // Its page is on its way, and drains this one when it is ready.
            Payload::App | Payload::Page if !self.may_run() => {
                self.drain_where(now, |other| other.id != id && other.payload == payload);
            }
            Payload::App => {
                (self.retry_at, self.page_at) = (None, None);
                self.drain_where(now, |other| other.id != id);
                if let Some(reason) = self.outdated.take() {
                    self.start_app(reason, now);
                }
            }
            // The application was faster.
            Payload::Page if self.is_app_served() => self.drain_where(now, |other| other.id == id),
            Payload::Page => {
                self.drain_where(now, |other| other.id != id && other.payload == Payload::Page);
            }
        }
    }

    fn on_failed(&mut self, id: GenerationId, why: StartFailure, now: Duration) {
        let Some(generation) = self.generations.iter_mut().find(|other| other.id == id) else {
            return;
        };
        if generation.is_starting_app() {
            generation.enter(State::Failing { why, until: now + FAILING_LIMIT }, now);
        }
    }

    fn on_not_spawned(&mut self, id: GenerationId, now: Duration) {
        let Some(index) = self.index(id) else { return };
        let generation = self.generations.remove(index);
        if self.phase != Phase::Running {
            return;
        }
        match generation.payload {
            Payload::App => {
                self.on_dead_start(&generation, StartFailure::NotSpawned, now);
            }
            Payload::Halted | Payload::Offline | Payload::Page => {
                self.page_at = Some(now + PAGE_PAUSE)
            }
        }
    }

    fn on_stopping(&mut self, id: GenerationId, now: Duration) {
        // A page has nothing that could stop by itself.
        let is_app = |index: &usize| self.generations[*index].payload == Payload::App;
        let Some(index) = self.index(id).filter(is_app) else { return };
        let until = now + self.policy.drain_limit + KILL_GRACE;
        match self.generations[index].state {
            State::Serving => {
                let served = now.saturating_sub(self.generations[index].since);
                self.generations[index].enter(State::Leaving { until, served }, now);
                self.actions.push(Action::Tell(Notice::Stopping(id)));
                let pause = self.restart.after_end(served, Duration::ZERO);
                self.replace(id, pause, Reason::Quit, now);
            }
            State::Starting { .. } => {
                let why = StartFailure::ExitedBeforeReady;
                self.generations[index].enter(State::Failing { why, until }, now);
            }
            State::Draining { .. } | State::Failing { .. } | State::Leaving { .. } => {}
        }
    }

    fn on_exited(&mut self, id: GenerationId, now: Duration) {
        let Some(index) = self.index(id) else { return };
        let generation = self.generations.remove(index);
        if self.phase != Phase::Running {
            return;
        }
        match (generation.state, generation.payload) {
            (State::Draining { .. }, _) => {}
            (State::Leaving { served, .. }, _) => self.on_left(&generation, served, now),
            (State::Failing { why, .. }, _) => self.on_dead_start(&generation, why, now),
            // Nobody learns from it what is wrong with the start, unless it happens again; with
            // something that serves, whoever asked for the start is told.
            (State::Starting { .. }, Payload::App)
                if generation.is_by_hand && !self.has_forgiven && !self.is_app_served() =>
            {
                self.has_forgiven = true;
                self.replace(id, Pause::NONE, generation.reason, now);
            }
            (State::Starting { .. }, Payload::App) => {
                self.on_dead_start(&generation, StartFailure::ExitedBeforeReady, now);
            }
            (State::Starting { .. }, Payload::Halted | Payload::Offline | Payload::Page) => {
                self.page_at = Some(now + PAGE_PAUSE);
            }
            (State::Serving, Payload::Halted | Payload::Offline | Payload::Page) => {
                self.start_page(generation.reason, now);
            }
            (State::Serving, Payload::App) => {
                let served = now.saturating_sub(generation.since);
                let pause = match generation.is_by_hand {
                    true => Pause::NONE,
                    false => self.restart.after_end(served, generation.cpu),
                };
                self.replace(id, pause, Reason::Died, now);
                // Nothing follows an application that is offline.
                let restart = match (self.next_try(), self.waits_because()) {
                    (Some(at), Some(why)) => Pause { length: at.saturating_sub(now), why },
                    _ => Pause::NONE,
                };
                // Before the start that it announces.
                self.actions.insert(0, Action::Tell(Notice::Died { id, restart }));
            }
        }
        if let Some(reason) = self.waits_for_end.filter(|_| !self.has_app()) {
            self.start_app(reason, now);
        }
    }

    fn on_recycle(&mut self, reason: Reason, now: Duration) {
        // What is idle is started with what the folder says then.
        let is_for_later = self.is_idle && !reason.is_wish();
        if self.phase != Phase::Running || !self.may_run() || is_for_later {
            return;
        }
        self.restart.forget();
        self.breaker.forget();
        if self.generations.iter().any(Generation::is_starting_app) {
            self.outdated = Some(reason);
        } else {
            self.start_app(reason, now);
        }
    }

    fn on_stop(&mut self, now: Duration) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Stopping;
        self.waits_for_end = None;
        self.is_idle = false;
        (self.retry_at, self.page_at) = (None, None);
        self.drain_where(now, |_| true);
    }

    fn on_stop_at_once(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Stopping;
        }
        self.waits_for_end = None;
        self.is_idle = false;
        (self.retry_at, self.page_at) = (None, None);
        for generation in &mut self.generations {
            generation.is_killed = true;
            self.actions.push(Action::Kill(generation.id));
        }
    }

    fn on_tick(&mut self, now: Duration) {
        for generation in &mut self.generations {
            if generation.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            generation.is_killed = true;
            match generation.state {
                State::Starting { .. } if generation.payload == Payload::App => {
                    let why = StartFailure::TimeLimit;
                    generation.enter(State::Failing { why, until: now }, now);
                }
                State::Draining { .. } | State::Leaving { .. } => {
                    self.actions.push(Action::Tell(Notice::DrainIncomplete(generation.id)));
                }
                State::Failing { .. } | State::Serving | State::Starting { .. } => {}
            }
            self.actions.push(Action::Kill(generation.id));
        }
        if let Some(retry) = self.retry_at
            && self.next_try().is_some_and(|at| at <= now)
        {
            // A change that goes on by now has no end.
            self.start_app_now(retry.reason, now);
        }
        if self.page_at.is_some_and(|at| at <= now) {
            self.start_page(self.page_reason(), now);
        }
    }

    /// A start has ended in failure and its process is gone. Who serves goes on serving; if nobody
    /// does, a page explains.
    fn on_dead_start(&mut self, generation: &Generation, why: StartFailure, now: Duration) {
        if !self.may_run() {
            return;
        }
        let id = generation.id;
        let (retry, reason) = match self.outdated.take() {
            // What failed was not what is wanted now.
            Some(reason) => {
                self.restart.note_failed_start(generation.cpu);
                (Pause::NONE, reason)
            }
            None => {
                let pause = self.restart.after_failed_start(generation.cpu);
                (self.broken(pause, now), Reason::Retry)
            }
        };
        let is_late = why == StartFailure::TimeLimit && reason == Reason::Retry;
        if is_late && !self.policy.repeats_late_starts {
            (self.retry_at, self.is_left_alone) = (None, true);
            self.actions.push(Action::Explain { id, why, retry: None });
        } else {
            self.retry_at = Some(Retry { at: now + retry.length, reason, why: retry.why });
            self.actions.push(Action::Explain { id, why, retry: Some(retry) });
        }
        if !self.is_app_served() {
            self.start_page(Reason::Failed, now);
        }
        if retry.is_none() {
            self.start_app(reason, now);
        }
    }

    /// A generation will serve no more, unasked; another follows after a pause.
    fn replace(&mut self, id: GenerationId, pause: Pause, reason: Reason, now: Duration) {
        if !self.may_run() {
            return;
        }
        let pause = self.broken(pause, now);
        let is_followed = self
            .generations
            .iter()
            .any(|other| other.is_starting_app() || other.is_serving(Payload::App));
        if is_followed {
            return;
        }
        if pause.is_none() {
            return self.start_app(reason, now);
        }
        self.retry_at = Some(Retry { at: now + pause.length, reason, why: pause.why });
        self.excuse(id, pause, now);
    }

    /// The application has stopped by itself, and what follows was decided when it began to.
    fn on_left(&mut self, generation: &Generation, served: Duration, now: Duration) {
        self.restart.note_end(served, generation.cpu);
        if let Some(retry) = self.retry_at
            && let Some(rest) = self.restart.rest()
        {
            let at = retry.at + rest.length;
            self.retry_at = Some(Retry { at, why: rest.why, ..retry });
            self.excuse(generation.id, Pause { length: at.saturating_sub(now), ..rest }, now);
        }
    }

    /// Has a page tell that the application does not run, if that takes long.
    fn excuse(&mut self, id: GenerationId, retry: Pause, now: Duration) {
        if retry.length > PATIENCE {
            let why = match retry.why {
                Wait::RapidFails => StartFailure::RapidFails,
                Wait::Change | Wait::Cost(_) | Wait::Failures | Wait::LeftAlone => {
                    StartFailure::KeepsEnding
                }
            };
            self.actions.push(Action::Explain { id, why, retry: Some(retry) });
            self.start_page(Reason::Failed, now);
        }
    }

    /// The pause after a failure, or what is left of the minute if there were too many.
    fn broken(&mut self, pause: Pause, now: Duration) -> Pause {
        pause.at_least(self.breaker.on_failure(self.policy.rapid_fails_per_minute, now))
    }

    /// Starts the application: now, or when what it is started from has come to rest.
    fn start_app(&mut self, reason: Reason, now: Duration) {
        if self.is_changing && !reason.is_wish() && self.may_run() {
            (self.is_idle, self.is_left_alone) = (false, false);
            self.waits_for_end = self.waits_for_end.filter(|_| self.has_app());
            self.retry_at = Some(Retry { at: now, reason, why: Wait::Change });
        } else {
            self.start_app_now(reason, now);
        }
    }

    fn start_app_now(&mut self, reason: Reason, now: Duration) {
        (self.retry_at, self.is_left_alone) = (None, false);
        if !self.may_run() || self.generations.iter().any(Generation::is_starting_app) {
            return;
        }
        self.is_idle = false;
        let is_alone = !self.policy.overlap || !self.has_room;
        let waited = self.waits_for_end.is_some();
        self.waits_for_end = Some(reason).filter(|_| is_alone && self.has_app());
        if self.waits_for_end.is_some() && self.policy.overlap && !waited {
            self.actions.push(Action::Tell(Notice::NoRoom));
        }
        match self.waits_for_end {
            Some(_) => self.drain_where(now, |other| other.is_serving(Payload::App)),
            None => self.spawn(Payload::App, reason, self.policy.start_limit, now),
        }
    }

    /// Starts the page of whatever keeps the application from running; one that is still starting
    /// shows something older and is not waited for.
    fn start_page(&mut self, reason: Reason, now: Duration) {
        self.page_at = None;
        if self.is_app_served() && self.may_run() {
            return;
        }
        self.drain_where(now, |other| {
            other.payload != Payload::App && matches!(other.state, State::Starting { .. })
        });
        let payload = self.absence().unwrap_or(Payload::Page);
        self.spawn(payload, reason, PAGE_START_LIMIT, now);
    }

    fn page_reason(&self) -> Reason {
        match self.absence() {
            Some(Payload::Halted) => Reason::Halted,
            Some(_) => Reason::Offline,
            None => Reason::Failed,
        }
    }

    fn spawn(&mut self, payload: Payload, reason: Reason, limit: Duration, now: Duration) {
        let id = self.next_id;
        self.next_id = id.next();
        let state = State::Starting { until: now + limit };
        self.generations.push(Generation {
            id,
            payload,
            state,
            since: now,
            reason,
            cpu: Duration::ZERO,
            is_by_hand: false,
            is_killed: false,
        });
        self.actions.push(Action::Start { id, payload });
    }

    fn drain_where(&mut self, now: Duration, which: impl Fn(&Generation) -> bool) {
        let limit = self.policy.drain_limit;
        for generation in self.generations.iter_mut().filter(|generation| which(generation)) {
            if !matches!(generation.state, State::Draining { .. }) {
                generation.enter(State::Draining { until: now + limit + KILL_GRACE }, now);
                self.actions.push(Action::Drain { id: generation.id, limit });
            }
        }
    }

    fn is_app_served(&self) -> bool {
        self.generations.iter().any(|generation| generation.is_serving(Payload::App))
    }

    fn index(&self, id: GenerationId) -> Option<usize> {
        self.generations.iter().position(|generation| generation.id == id)
    }
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
