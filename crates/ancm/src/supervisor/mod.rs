//! The loop that keeps one site alive: waits for something to happen, asks the state machine what
//! to do, does it.
//!
//! One thread, which never waits for a worker or for whoever reads our output. What to do is
//! decided in `lifecycle::site`; here it is only carried out.

mod configuration;
pub(crate) mod explain;
mod launch;
mod log_file;
mod operators;
mod processes;
mod recycling;
mod snapshots;
mod status;
mod strays;
mod tell;
mod watch;
mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use control::{ToSupervisor, ToWorker};
use lifecycle::GenerationId;
use lifecycle::event::{Event as Told, Level};
use lifecycle::exit::Ending;
use lifecycle::generation::Payload;
use lifecycle::headroom::Headroom;
use lifecycle::report::StartReport;
use lifecycle::site::{Action, Event, Site};
use lifecycle::trigger::Triggers;
use lifecycle::{Reason, exit};
use os::poll::{Readiness, poll};
use os::signal::{Signal, Signals};

use self::configuration::Refused;
pub(crate) use self::launch::Launch;
use self::launch::LaunchError;
use self::log_file::LogFile;
use self::operators::Operators;
use self::snapshots::Snapshots;
use self::tell::Kind;
use self::watch::{Change, Watch};
use self::worker::Worker;
use crate::output::{Output, Stream};
use crate::service::ServiceManager;

/// Signals that come closer together are one wish: some tools signal the process and then its
/// group. Nobody asks a second time that fast.
const ONE_STOP: Duration = Duration::from_millis(200);

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The module's number of a line of the debug log.
const DEBUG_LINE: u16 = 1036;
/// The number of a backend's end.
const BACKEND_EXITED: u16 = 1030;

/// Reads the configuration again; when it cannot be used, what prevents that, which was told by then.
pub(crate) type Reload = Box<dyn FnMut(&mut Output) -> Result<config::App, Vec<config::Finding>>>;

/// One site and its processes.
pub(crate) struct Supervisor {
    launch: Launch,
    reload: Reload,
    refused: Option<Refused>,
    signals: Signals,
    service: ServiceManager,
    watch: Watch,
    operators: Operators,
    snapshots: Snapshots,
    site: Site,
    triggers: Triggers,
    /// What there was when a generation was to be started beside another last.
    headroom: Headroom,
    /// A generation that was idle at the last look, and the requests that it had had by then.
    idle: Option<(GenerationId, u64)>,
    workers: BTreeMap<GenerationId, Worker>,
    /// Why a generation has no process, until the site has heard of it.
    unlaunched: BTreeMap<GenerationId, LaunchError>,
    events: VecDeque<Event>,
    /// What a page shows.
    report: Option<StartReport>,
    /// The failure that was told in full.
    told: Option<Kind>,
    output: Output,
    begun: Instant,
    exit_code: Option<u8>,
    forced_by: Option<Signal>,
    first_stop: Option<Instant>,
}

/// What became ready.
#[derive(Clone, Copy, Debug)]
enum Source {
    Control(GenerationId),
    /// A client, while nobody serves.
    Door,
    Folder,
    /// A look at the folder is over.
    Looked,
    Operator(control::operator::Source),
    Output(Stream),
    Pipe(GenerationId, Stream),
    Process(GenerationId),
    Signals,
}

impl Supervisor {
    /// A site whose first generation is started by [`Supervisor::run`].
    ///
    /// # Errors
    ///
    /// The system grants no thread, or no descriptor.
    pub(crate) fn new(
        launch: Launch,
        signals: Signals,
        output: Output,
        reload: Reload,
    ) -> io::Result<Self> {
        let service = ServiceManager::of(&launch.env);
        let listed = launch.app.settings.watched_files(&launch.dir);
        let watch = Watch::new(&launch.dir, &listed, Duration::ZERO)?;
        let (operators, refusal) = Operators::open(&launch);
        let (site, actions) = Site::start(
            configuration::policy(&launch.app, &launch.env),
            watch.is_offline(),
            Duration::ZERO,
        );
        let seed = u64::from(std::process::id());
        let triggers = Triggers::new(recycling::limits(&launch.app), seed);
        let mut supervisor = Self {
            launch,
            reload,
            refused: None,
            signals,
            service,
            watch,
            operators,
            snapshots: Snapshots::default(),
            site,
            triggers,
            headroom: Headroom::default(),
            idle: None,
            workers: BTreeMap::new(),
            unlaunched: BTreeMap::new(),
            events: VecDeque::new(),
            report: None,
            told: None,
            output,
            begun: Instant::now(),
            exit_code: None,
            forced_by: None,
            first_stop: None,
        };
        if let Some(reason) = refusal {
            supervisor.tell(&Told::NoControl { reason });
        }
        supervisor.perform(actions);
        supervisor.settle();
        Ok(supervisor)
    }

    /// Keeps the site alive until it was asked to stop and has stopped; answers the exit code.
    ///
    /// # Errors
    ///
    /// The system does not let us wait.
    pub(crate) fn run(mut self) -> io::Result<u8> {
        loop {
            if let Some(code) = self.exit_code {
                self.tell_followers();
                self.snapshots.finish(&self.launch.app, &self.launch.env);
                self.output.finish();
                return Ok(code);
            }
            self.service.sign_of_life(self.begun.elapsed());
            for (source, readiness) in self.wait()? {
                self.on_ready(source, readiness);
                self.settle();
            }
            for worker in self.workers.values_mut() {
                worker.relay_begun(&mut self.output);
                worker.tell_of_log(&mut self.output);
            }
            self.follow_changes();
            self.follow_triggers();
            self.events.push_back(Event::Tick);
            self.settle();
            self.serve_operators();
        }
    }

    /// Does what changes of the application's folder ask for.
    fn follow_changes(&mut self) {
        let changes = self.watch.changes(self.now());
        self.note_changing();
        self.follow(changes);
    }

    /// The same, with what there is at this moment.
    fn follow_latest_changes(&mut self) {
        let changes = self.watch.changes_until_now(self.now());
        self.note_changing();
        self.follow(changes);
    }

    /// Has nothing started that nobody asks for while files are written, neither here nor by workers
    /// whose backends run from these files.
    fn note_changing(&mut self) {
        let is_on = self.watch.is_settling();
        self.site.set_changing(is_on);
        let told =
            self.workers.iter_mut().filter_map(|(id, it)| it.is_to_be_told(is_on).then_some(*id));
        for id in told.collect::<Vec<_>>() {
            self.send(id, &ToWorker::Changing { is_on });
        }
    }

    fn follow(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Configuration if self.ignores_configuration() => {
                    self.output.tell(
                        "info: web.config has changed; disallowRotationOnConfigChange keeps the \
                         application as it was",
                    );
                }
                Change::Configuration => drop(self.recycle(Reason::Configuration)),
                Change::Files => drop(self.recycle(Reason::Files)),
                Change::Runtime => drop(self.recycle(Reason::Runtime)),
                Change::Beyond(what) => self.tell(&Told::NotWatched { what }),
                Change::Offline(is_offline) => {
                    if !is_offline {
                        // Whoever took the application offline did so to change it.
                        self.reload();
                    }
                    self.events.push_back(Event::Offline(is_offline));
                }
            }
        }
    }

    /// Asks for a new generation with what the configuration says now; `false` if that cannot be
    /// used. Nothing is started while the application is not to run.
    fn recycle(&mut self, reason: Reason) -> bool {
        self.watch.follow(self.now());
        self.note_changing();
        let is_for_later = self.site.is_idle() && !reason.is_wish();
        let is_followed = self.site.may_run() && !is_for_later;
        if is_followed {
            self.tell(&Told::Recycling { reason: reason.to_string() });
        }
        let is_usable = self.reload();
        self.service.reloading();
        if !is_usable {
            self.service.ready(tell::REFUSED);
            return false;
        }
        if !is_followed {
            self.service.ready(tell::AWAY);
        }
        self.events.push_back(Event::Recycle(reason));
        true
    }

    /// Waits for whatever happens next.
    fn wait(&self) -> io::Result<Vec<(Source, Readiness)>> {
        let mut sources = vec![Source::Signals];
        let mut watched: Vec<(BorrowedFd<'_>, Readiness)> =
            vec![(self.signals.as_fd(), Readiness::READ)];
        let mut watch = |source, fd, interest| {
            sources.push(source);
            watched.push((fd, interest));
        };
        if let Some(fd) = self.watch.fd() {
            watch(Source::Folder, fd, Readiness::READ);
        }
        watch(Source::Looked, self.watch.looked(), Readiness::READ);
        if self.site.is_idle() {
            for socket in &self.launch.sockets.descriptors {
                watch(Source::Door, socket.as_fd(), Readiness::READ);
            }
        }
        for (source, fd, interest) in self.operators.watched() {
            watch(Source::Operator(source), fd, interest);
        }
        for stream in Stream::BOTH {
            if let Some(fd) = self.output.waits_for(stream) {
                watch(Source::Output(stream), fd, Readiness::WRITE);
            }
        }
        for (id, worker) in &self.workers {
            if worker.is_connected {
                let writable = worker.connection.wants_to_send();
                let interest = Readiness { readable: true, writable };
                watch(Source::Control(*id), worker.connection.as_fd(), interest);
            }
            for stream in Stream::BOTH {
                if let Some(fd) = worker.pipe_fd(stream).filter(|_| !self.output.is_full(stream)) {
                    watch(Source::Pipe(*id, stream), fd, Readiness::READ);
                }
            }
            watch(Source::Process(*id), worker.child.as_fd(), Readiness::READ);
        }
        let next = [
            self.site.next_deadline(),
            self.service.next_sign(),
            self.operators.deadline(),
            self.triggers.next_look(),
            self.watch.next_look(),
        ];
        let next = next.into_iter().flatten().map(|at| at.saturating_sub(self.now()));
        let begun = self.workers.values().filter_map(Worker::begun_in);
        let timeout = next.chain(self.output.stalls_in()).chain(begun).min();
        let found = poll(&watched, timeout)?;
        Ok(sources.into_iter().zip(found).filter(|(_, readiness)| readiness.any()).collect())
    }

    fn on_ready(&mut self, source: Source, readiness: Readiness) {
        match source {
            Source::Signals => {
                while let Some(signal) = self.signals.next() {
                    self.on_signal(signal);
                }
            }
            Source::Door => self.events.push_back(Event::Wanted),
            Source::Folder => self.watch.on_event(),
            // What was seen is followed in any case.
            Source::Looked => {}
            Source::Operator(source) => self.on_operator(source, readiness),
            Source::Output(stream) => self.output.flush(stream),
            Source::Pipe(id, stream) => {
                if let Some(worker) = self.workers.get_mut(&id) {
                    worker.relay(stream, &mut self.output);
                }
            }
            Source::Control(id) => self.on_control(id, readiness),
            Source::Process(id) => {
                // What it said last comes before its end.
                self.on_control(id, Readiness::READ);
                if let Some(worker) = self.workers.get_mut(&id) {
                    worker.on_ended(&mut self.output);
                    self.site.note_cost(id, worker.cpu_time());
                    if worker.ending.is_some_and(Ending::is_by_hand) && !worker.is_killed {
                        self.site.note_kill(id);
                    }
                    let others = self.workers.iter().filter(|(other, _)| **other != id);
                    strays::end(&others.map(|(_, it)| it.child.pid().number()).collect::<Vec<_>>());
                    self.events.push_back(Event::Exited(id));
                }
            }
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        if signal == Signal::CHLD {
            let workers = self.workers.values().map(|worker| worker.child.pid().number());
            strays::reap(&workers.collect::<Vec<_>>());
        } else if signal == Signal::HUP {
            self.recycle(Reason::Signal);
        } else if self.site.is_stopping() {
            if self.first_stop.is_some_and(|first| first.elapsed() < ONE_STOP) {
                return;
            }
            self.tell(&Told::StoppedAtOnce);
            self.forced_by = Some(signal);
            self.events.push_back(Event::StopAtOnce);
        } else {
            self.first_stop = Some(Instant::now());
            self.service.stopping();
            self.events.push_back(Event::Stop);
            // Two signals that arrive together are still two.
            self.settle();
        }
    }

    fn on_control(&mut self, id: GenerationId, readiness: Readiness) {
        let now = self.now();
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.is_connected) else {
            return;
        };
        let flushed = if readiness.writable { worker.connection.flush() } else { Ok(()) };
        match flushed.and_then(|()| worker.receive(now)) {
            Ok(messages) => {
                let is_lost = !worker.is_connected && !worker.child.has_ended();
                messages.into_iter().for_each(|message| self.on_message(id, message));
                if is_lost {
                    self.on_control_lost(id, "the worker has closed its end".to_owned());
                }
            }
            Err(error) => self.on_control_lost(id, explain::chain(&error)),
        }
    }

    /// Without control a worker can be neither drained nor believed.
    fn on_control_lost(&mut self, generation: GenerationId, reason: String) {
        let Some(worker) = self.workers.get_mut(&generation) else { return };
        worker.is_connected = false;
        // A worker that is just ending closes its end a moment before it is seen to have ended.
        let grace = [(worker.child.as_fd(), Readiness::READ)];
        let _ = poll(&grace, Some(Duration::from_millis(50)));
        if !worker.child.has_ended() {
            self.tell(&Told::ControlLost { generation, reason });
            self.kill(generation);
        }
    }

    fn on_message(&mut self, id: GenerationId, message: ToSupervisor) {
        match message {
            ToSupervisor::Debug { line } => self.log(Level::Information, DEBUG_LINE, line),
            ToSupervisor::Drained { left: 0, .. } | ToSupervisor::Step { .. } => {}
            ToSupervisor::Load { .. } => self.stop_if_idle(id),
            ToSupervisor::Drained { left, report } => {
                self.tell(&Told::ExchangesLeft { generation: id, left, report });
            }
            ToSupervisor::Failed { report } if report.is_late => {
                self.events.push_back(Event::Late(id));
            }
            ToSupervisor::Failed { .. } => self.events.push_back(Event::Failed(id)),
            ToSupervisor::Log { level: Level::Information, .. } => {}
            ToSupervisor::Log { event, level, text } => {
                let now = self.now();
                if event == BACKEND_EXITED
                    && let Some(worker) = self.workers.get_mut(&id)
                {
                    worker.note_backend_end(&text, now);
                }
                self.log(level, event, text);
            }
            ToSupervisor::Snapshot { dir, files, bytes, took_ms } => {
                self.snapshots.note(dir.as_ref());
                self.tell(&Told::Snapshot { generation: id, files, bytes, took_ms, dir });
            }
            ToSupervisor::Ready => {
                if let Some(worker) = self.workers.get(&id).filter(|it| it.has_served_app()) {
                    self.watch.follow_runtime_of(worker.child.pid().number());
                }
                self.events.push_back(Event::Ready(id));
            }
            ToSupervisor::Unhealthy => self.replace_unhealthy(id),
            ToSupervisor::Stopping { .. } => self.events.push_back(Event::Stopping(id)),
        }
    }

    /// Gives every event to the site and does what it says, until there is nothing left to do.
    fn settle(&mut self) {
        while let Some(event) = self.events.pop_front() {
            if self.site.may_start_by_itself(event, self.now()) {
                self.follow_latest_changes();
            }
            if self.site.may_double(event, self.now()) {
                self.headroom = self.measured_headroom();
                self.site.set_room(self.headroom.is_enough());
            }
            let actions = self.site.on_event(event, self.now());
            self.perform(actions);
            self.grant_wishes();
            match event {
                Event::Exited(id) => {
                    self.forget(id);
                    self.snapshots.sweep();
                }
                Event::NotSpawned(id) => drop(self.unlaunched.remove(&id)),
                _ => {}
            }
        }
    }

    fn forget(&mut self, generation: GenerationId) {
        let Some(worker) = self.workers.remove(&generation) else { return };
        let is_clean = worker.ending.is_some_and(Ending::is_clean);
        if is_clean && worker.has_served_app() && worker.stopping.is_none() {
            self.tell(&Told::Ended { generation });
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Announce => self.announce(),
                Action::Drain { id, limit } => {
                    let deadline_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                    let goes_on = self.site.goes_on();
                    self.send(id, &ToWorker::Drain { deadline_ms, goes_on });
                }
                Action::Explain { id, why, retry } => {
                    self.explain(id, why, retry);
                    self.watch.follow_places(self.launch.dotnet_places());
                }
                Action::Finish => {
                    let forced = self.forced_by.map(|signal| exit::forced_by(signal.number()));
                    self.exit_code = Some(forced.unwrap_or(exit::OK));
                }
                Action::Kill(id) => self.kill(id),
                Action::Start { id, payload } => self.start(id, payload),
                Action::Tell(notice) => self.notice(notice),
            }
        }
    }

    fn start(&mut self, id: GenerationId, payload: Payload) {
        strays::adopt(self.launch.app.settings.hosting_model);
        if payload == Payload::App {
            self.watch.note_start(self.launch.dotnet_places());
        }
        let route = explain::route(&self.launch.app);
        let started = self.launch.start(id, payload, self.report.as_ref());
        let app = Some(&self.launch.app).filter(|_| payload == Payload::App);
        let worker = started.and_then(|(child, connection)| {
            let log = app.and_then(|app| LogFile::of(app, child.pid().number()));
            let now = self.begun.elapsed();
            Worker::new(child, connection, route, app.is_some(), log, now).map_err(Into::into)
        });
        match worker {
            Ok(worker) => drop(self.workers.insert(id, worker)),
            Err(error) => {
                self.unlaunched.insert(id, error);
                self.events.push_back(Event::NotSpawned(id));
            }
        }
    }

    fn send(&mut self, id: GenerationId, message: &ToWorker) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if let Err(error) = worker.connection.send(message) {
            self.on_control_lost(id, explain::chain(&error));
        }
    }

    /// Ends the process and whatever it has started in its group.
    fn kill(&mut self, id: GenerationId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if let Err(error) = worker.kill() {
            self.output.tell(format_args!("cannot kill generation {id}: {error}"));
        }
    }

    fn announce(&mut self) {
        for address in &self.launch.sockets.addresses {
            self.output.line(Stream::Stdout, &format!("listening on {address}"));
        }
        let first = self.workers.iter().find(|(_, worker)| worker.has_served_app());
        match (first.map(|(id, _)| *id), &self.report) {
            (None, Some(report)) => self.service.ready(&tell::failed(report)),
            (first, _) => {
                self.service.ready(&format!("serving {}", self.launch.app.name));
                if let Some(generation) = first {
                    self.tell(&self.started(generation));
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}
