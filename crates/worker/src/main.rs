//! `ancm-worker`: one generation of one application. Started by `ancm`, of no use alone.
//!
//! 1. Signals are blocked before the first thread: a hosted runtime would take them over.
//! 2. The supervisor says what to serve and where.
//! 3. A snapshot of its code is taken. The application is started; a failure is reported and ends the process.
//! 4. The engine runs; pages that warm the application up are requested through it.
//! 5. It accepts, and the supervisor is told that requests are served.
//! 6. Whoever asks first (supervisor, application, a signal, the end of the supervisor) ends it:
//!    requests finish, the application stops, the process goes without running destructors, since
//!    threads of the runtime still run.
#![forbid(unsafe_code)]

mod code;
mod debug_log;
mod gate;
mod health;
mod hosted;
mod options;
mod orders;
mod supervisor;
mod tallied;
mod warm_up;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use config::HostingModel;
use control::{CONTROL_DESCRIPTOR, FIRST_LISTENER, Start, ToSupervisor, ToWorker};
use engine::{Drained, Engine, Goodbye};
use lifecycle::event::{Event, Level};
use lifecycle::{Code, StartReport, Step, exit};
use os::process::exit_now;
use os::signal::{Signal, Signals};

use hosted::Hosted;
use orders::{Order, Orders, Phase};
use supervisor::Supervisor;

/// Bytes that each heap keeps for large answers: those of a lane come and go by megabytes.
const FREED_MEMORY: u32 = 4 << 20;
/// The application did not stop in time.
const STOP_INCOMPLETE: u16 = 1005;
/// The application has ended with a code.
const MAIN_RETURNED: u16 = 1011;
/// A page that warms the application up failed.
const WARM_UP_PROBLEM: u16 = 1125;

os::own_pthread_sigmask!();

fn main() {
    let ours = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP];
    let Ok(signals) = Signals::open(&ours) else {
        exit_now(exit::SYSTEM);
    };
    os::child_mask::keep_from_children(&ours);
    os::memory::keep_freed(FREED_MEMORY);
    // While there is one thread.
    os::memory::register_barriers();
    // A connection is a descriptor. What the system does not grant, accepting copes with.
    let descriptors = os::limits::raise_open_files().unwrap_or(1024);
    let Some((mut control, supervisor, start)) = meet_supervisor() else {
        eprintln!("ancm-worker is started by `ancm run`, which tells it what to serve");
        exit_now(exit::WORKER_CONTROL);
    };
    let begun = Instant::now();
    supervisor.tell(&ToSupervisor::Step { step: Step::WorkerStarted });

    let (sender, orders) = channel();
    let phase = Phase::default();
    let give = Orders::new(sender, phase.clone());
    let (listening, told) = (give.clone(), supervisor.clone());
    thread::spawn(move || listening.follow_supervisor(&mut control, &told));
    let listening = give.clone();
    thread::spawn(move || listening.follow_signals(signals));

    let hosted = Hosted::start(&start, &supervisor, give.clone());
    let hosted = hosted.unwrap_or_else(|report| fail(&supervisor, report));
    phase.is_started();
    let cannot_serve = |error| -> ! {
        let summary = format!("the worker cannot serve: {error}");
        fail(&supervisor, Box::new(StartReport::new(Code::General, summary)))
    };
    let options = options::options(&start, hosted.app(), descriptors);
    // It accepts nobody yet.
    let engine = Engine::start(Vec::new(), hosted.application(), options)
        .unwrap_or_else(|error| cannot_serve(error));
    let engine = Arc::new(engine);
    if let Some(refusal) = engine.ring_refusal() {
        let event = Event::RingRefused { reason: refusal.to_string() };
        let (level, text) = (event.level(), event.to_string());
        supervisor.tell(&ToSupervisor::Log { event: event.id(), level, text });
    }
    let (tally, told) = (engine.tally(), supervisor.clone());
    thread::spawn(move || tallied::tell(&tally, &told));
    give.measure(engine.gauges());
    let waker = engine.waker();
    hosted.on_change(move || waker.wake());
    if let Some(app) = hosted.app().filter(|app| app.settings.is_warmed_up()) {
        let tell = |text| {
            let (event, level) = (WARM_UP_PROBLEM, Level::Warning);
            supervisor.tell(&ToSupervisor::Log { event, level, text });
        };
        let step = match app.settings.hosting_model {
            HostingModel::InProcess => Step::ServerStarted,
            HostingModel::OutOfProcess => Step::BackendListening,
        };
        supervisor.tell(&ToSupervisor::Step { step });
        let deadline = begun + app.settings.startup_time_limit;
        let warmed_up = warm_up::warm_up(app, &engine, deadline, tell);
        // What stops by itself gives no better answer, so this comes first.
        if let Ok(Order::Leave(reason)) = orders.try_recv() {
            let summary = format!("the application stopped while it was warmed up: {reason}");
            fail(&supervisor, Box::new(shim::report::of_app(app, Code::NotReady, summary)));
        }
        warmed_up.unwrap_or_else(|report| fail(&supervisor, report));
        supervisor.tell(&ToSupervisor::Step { step: Step::WarmedUp });
    }
    hosted.is_warm();
    phase.is_serving();
    listeners(&start)
        .and_then(|listeners| engine.listen(listeners))
        .unwrap_or_else(|error| cannot_serve(error));
    supervisor.tell(&ToSupervisor::Ready);
    let recycling = hosted.app().map(|app| &app.settings.handler_settings.recycling);
    if let Some(check) = recycling.and_then(|recycling| recycling.health_check.clone()) {
        let (engine, checks, told) = (engine.clone(), give.checks().clone(), supervisor.clone());
        thread::spawn(move || health::follow(&check, &engine, &checks, &told));
    }

    let (limit, goodbye) = match orders.recv() {
        Ok(Order::Drain(limit, goodbye)) => (limit, goodbye),
        Ok(Order::Leave(reason)) => {
            supervisor.tell(&ToSupervisor::Stopping { reason });
            // The supervisor starts another.
            (hosted.stop_limit(), Goodbye::Restart)
        }
        Ok(Order::SupervisorGone) | Err(_) => (hosted.stop_limit(), Goodbye::GoingAway),
        Ok(Order::Stop) => exit_now(exit::OK),
    };
    drain(&engine, &hosted, (limit, goodbye), &orders, &supervisor)
}

/// The control socket and the first message; `None` when this is no child of a supervisor.
fn meet_supervisor() -> Option<(control::Receiver<ToWorker>, Supervisor, Start)> {
    let descriptor = os::inherited::take(CONTROL_DESCRIPTOR).ok()?;
    let (mut receiver, sender) = control::Receiver::<ToWorker>::open(descriptor).ok()?;
    match receiver.receive() {
        Ok(Some(ToWorker::Start(start))) => Some((receiver, Supervisor::new(sender), *start)),
        _ => None,
    }
}

/// The sockets that were passed on.
fn listeners(start: &Start) -> std::io::Result<Vec<engine::Listener>> {
    let listeners = start.listeners.iter().zip(FIRST_LISTENER..);
    let listeners = listeners.map(|(listener, number)| {
        let socket = os::inherited::take(number)?;
        Ok(engine::Listener { socket, lane: listener.lane })
    });
    listeners.collect()
}

/// The supervisor serves the report; this process has nothing more to do.
fn fail(supervisor: &Supervisor, report: Box<StartReport>) -> ! {
    supervisor.tell(&ToSupervisor::Failed { report });
    exit_now(exit::WORKER_START_FAILED)
}

/// Lets requests finish, then stops the application. Requests that have not finished after the
/// shutdown delay need the application's help: it is told while they still run. So do connections
/// that have left HTTP, which nobody waits for.
fn drain(
    engine: &Arc<Engine>,
    hosted: &Hosted,
    (limit, goodbye): (Duration, Goodbye),
    orders: &Receiver<Order>,
    supervisor: &Supervisor,
) -> ! {
    const LAST_RESORT: Duration = Duration::from_millis(1500);
    let end = Instant::now() + limit;
    thread::spawn(move || {
        thread::sleep(limit + LAST_RESORT);
        exit_now(exit::WORKER_DRAIN_INCOMPLETE);
    });
    let (sender, drained) = channel();
    let draining = engine.clone();
    thread::spawn(move || sender.send(draining.drain_saying(limit, goodbye)));

    engine.wait_for_requests(hosted.shutdown_delay(limit));
    let mut left = drained.try_recv().ok();
    engine.application_hears();
    let code = hosted.stop(end.saturating_duration_since(Instant::now()));
    let is_stopped = code.is_some();
    if let Some(code) = code.filter(|code| *code != 0) {
        let (level, text) = (Level::Warning, format!("the application's Main returned {code}"));
        supervisor.tell(&ToSupervisor::Log { event: MAIN_RETURNED, level, text });
    }
    if !is_stopped {
        let text = format!(
            "the application has not stopped within shutdownTimeLimit ({} s); its process ends",
            limit.as_secs_f32()
        );
        let level = Level::Warning;
        supervisor.tell(&ToSupervisor::Log { event: STOP_INCOMPLETE, level, text });
    }
    while left.is_none() && Instant::now() < end + LAST_RESORT {
        left = drained.recv_timeout(Duration::from_millis(20)).ok();
        if let Ok(Order::Stop) = orders.try_recv() {
            break;
        }
    }
    let is_complete = is_stopped && left.as_ref().is_some_and(Drained::is_clean);
    let (left, report) = left.map_or_else(
        || (1, "the engine did not say what it leaves".to_owned()),
        |left| (left.requests(), left.to_string()),
    );
    let message = ToSupervisor::Drained { left, report };
    supervisor.tell(&message);
    exit_now(if is_complete { exit::OK } else { exit::WORKER_DRAIN_INCOMPLETE })
}

/// The folder of this program, where handlers are installed.
fn own_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().map(PathBuf::from).unwrap_or_default()
}
