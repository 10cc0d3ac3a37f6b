//! What ends a worker: orders from the supervisor, from the application, from signals.
//!
//! They are collected by threads and followed by the main thread, one after the other. While the
//! application is still starting there is nothing to drain, and the main thread may be waiting for
//! ever: an order then ends the process on the spot.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use control::{ToSupervisor, ToWorker};
use engine::Goodbye;
use lifecycle::exit;
use os::poll::{Readiness, poll};
use os::process::exit_now;
use os::signal::{Signal, Signals};

use crate::health::Checks;
use crate::supervisor::Supervisor;

/// What the main thread has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The supervisor wants this generation to end within this time, and says so to clients.
    Drain(Duration, Goodbye),
    /// It ends for a reason of its own.
    Leave(String),
    /// Nobody is left to give orders, or to kill us at a deadline.
    SupervisorGone,
    /// End at once.
    Stop,
}

/// Where orders are given.
#[derive(Clone)]
pub(crate) struct Orders {
    sender: Sender<Order>,
    phase: Phase,
    gauges: Arc<OnceLock<engine::Gauges>>,
    checks: Checks,
}

/// How far the worker is. Set by the main thread alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

impl Phase {
    const STARTED: u8 = 1;
    const SERVING: u8 = 2;

    /// The application runs; clients cannot reach it yet.
    pub(crate) fn is_started(&self) {
        self.0.store(Self::STARTED, Ordering::Release);
    }

    /// Clients come: there is something to drain.
    pub(crate) fn is_serving(&self) {
        self.0.store(Self::SERVING, Ordering::Release);
    }

    fn has_reached(&self, phase: u8) -> bool {
        self.0.load(Ordering::Acquire) >= phase
    }
}

impl Orders {
    pub(crate) fn new(sender: Sender<Order>, phase: Phase) -> Self {
        Self { sender, phase, gauges: Arc::default(), checks: Checks::default() }
    }

    /// Where checks of the application's health are counted.
    pub(crate) const fn checks(&self) -> &Checks {
        &self.checks
    }

    /// What can be measured from now on.
    pub(crate) fn measure(&self, gauges: engine::Gauges) {
        let _ = self.gauges.set(gauges);
    }

    /// Gives an order from outside.
    pub(crate) fn give(&self, order: Order) {
        if !self.phase.has_reached(Phase::SERVING) || order == Order::Stop {
            if order == Order::SupervisorGone {
                // Otherwise it has what is left of a backend that was being started.
                outofprocess::end_everything();
            }
            exit_now(exit::OK);
        }
        // The receiver lives as long as the process.
        let _ = self.sender.send(order);
    }

    /// The application stops by itself. Before it serves, that is a failed start, which the start
    /// itself notices.
    pub(crate) fn on_app_stopping(&self, reason: String) {
        if self.phase.has_reached(Phase::STARTED) {
            let _ = self.sender.send(Order::Leave(reason));
        }
    }

    /// Listens to the supervisor until it is gone.
    pub(crate) fn follow_supervisor(
        &self,
        control: &mut control::Receiver<ToWorker>,
        supervisor: &Supervisor,
    ) {
        loop {
            match control.receive() {
                Ok(Some(ToWorker::Drain { deadline_ms, goes_on })) => {
                    let goodbye = if goes_on { Goodbye::Restart } else { Goodbye::GoingAway };
                    self.give(Order::Drain(Duration::from_millis(deadline_ms), goodbye));
                }
                Ok(Some(ToWorker::Changing { is_on })) => outofprocess::note_changing(is_on),
                Ok(Some(ToWorker::Measure)) => {
                    let load = self.gauges.get().map(engine::Gauges::load).unwrap_or_default();
                    let (taken, in_flight) = self.checks.without(load.taken, load.in_flight);
                    let upgraded = load.upgraded;
                    supervisor.tell(&ToSupervisor::Load { in_flight, upgraded, taken });
                }
                Ok(Some(ToWorker::Stop)) => self.give(Order::Stop),
                // It is sent once; a second one means that the two do not understand each other.
                Ok(Some(ToWorker::Start(_))) => exit_now(exit::WORKER_CONTROL),
                Ok(None) => return self.give(Order::SupervisorGone),
                Err(_) => exit_now(exit::WORKER_CONTROL),
            }
        }
    }

    /// A person may signal the worker instead of the supervisor: it ends in good order, and the
    /// supervisor starts another.
    pub(crate) fn follow_signals(&self, mut signals: Signals) {
        loop {
            if poll(&[(signals.as_fd(), Readiness::READ)], None).is_err() {
                return;
            }
            while let Some(signal) = signals.next() {
                if signal != Signal::HUP {
                    self.give(Order::Leave(format!("the worker was sent {signal}")));
                }
            }
        }
    }
}
