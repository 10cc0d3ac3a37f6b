//! The lane in a thread, and the calls of the application, which no lane is borrowed across.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use abi::event;

use super::{Lane, Next, Wake};
use crate::application::{Answer, Application, Exchange, Outcome};
use crate::exchange::SlotRef;
use crate::handoff::{self, Crew, Ended, Runnable};
use crate::inbox::{Command, LaneShared};

/// A lane as a thread runs it.
pub(crate) struct LaneRun {
    lane: UnsafeCell<Lane>,
    shared: Arc<LaneShared>,
    application: Arc<dyn Application>,
    crew: Arc<Crew>,
}

// SAFETY: `lane` is only touched by the thread that owns it: the one that `Crew` gave the lane
// to, until it enters the gate; then whoever moves the gate, which is one thread by the
// compare-and-swaps there. Acquire and release on the gate order their accesses. What the lane
// holds may move between threads: descriptors, buffers, slots (see `SlotRef`).
unsafe impl Sync for LaneRun {}
// SAFETY: as above.
unsafe impl Send for LaneRun {}

impl LaneRun {
    pub(crate) fn new(lane: Lane) -> Self {
        Self {
            shared: lane.shared.clone(),
            application: lane.application.clone(),
            crew: lane.common.crew.clone(),
            lane: UnsafeCell::new(lane),
        }
    }
}

impl Runnable for LaneRun {
    fn gate(&self) -> &AtomicU64 {
        &self.shared.gate
    }

    fn rouse(&self) {
        self.shared.rouse();
    }

    fn run(&self, taken_over: bool) -> Ended {
        if taken_over {
            // SAFETY: the gate was moved for us, so the lane is ours.
            unsafe { &mut *self.lane.get() }.taken_over();
        }
        loop {
            // SAFETY: the lane is ours until we enter the gate; the borrow ends with the call.
            let next = unsafe { &mut *self.lane.get() }.next();
            let slot = match next {
                Next::Dispatch(slot) => slot,
                Next::Wake => {
                    // SAFETY: the lane is ours until we enter the gate; the borrow ends with the call.
                    let wake = unsafe { &mut *self.lane.get() }.take_wake();
                    if !self.wake(wake) {
                        return Ended::TakenOver;
                    }
                    continue;
                }
                Next::End => {
                    // SAFETY: the lane is ours.
                    let lane = unsafe { &mut *self.lane.get() };
                    lane.report_end();
                    return Ended::Finished;
                }
            };
            let ticket = handoff::enter(&self.shared.gate);
            self.crew.rouse();
            let mut exchange = Exchange::new(slot);
            let outcome = self.dispatch(&mut exchange);
            exchange.release();
            if !handoff::leave(&self.shared.gate, ticket) {
                // The lane is somebody else's. What the application has answered goes there as
                // a message; nothing else of the lane may be touched from here on.
                return self.come_back_late(slot, outcome);
            }
            // SAFETY: the gate was left by us, so the lane is still ours.
            unsafe { &mut *self.lane.get() }.dispatched(slot, outcome);
        }
    }
}

impl LaneRun {
    /// Has the application go on. What it publishes comes as what is posted. `false`: the lane is
    /// somebody else's.
    #[inline(never)]
    fn wake(&self, wake: Option<Wake>) -> bool {
        let Some(wake) = wake else { return true };
        let ticket = handoff::enter(&self.shared.gate);
        self.crew.rouse();
        let events = wake.events | event::YIELDED;
        self.application.signal(wake.slot.as_abi(), wake.id, events);
        handoff::leave(&self.shared.gate, ticket)
    }

    /// A panic of the host's own application is a bug that costs one request, not the lane.
    /// Handlers behind the contract let none out.
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let call = AssertUnwindSafe(|| self.application.dispatch(exchange));
        catch_unwind(call).unwrap_or_else(|_| {
            exchange.respond(&Answer::text(500, "500: the host failed\n"));
            Outcome::Done
        })
    }

    fn come_back_late(&self, slot: SlotRef, outcome: Outcome) -> Ended {
        match outcome {
            Outcome::Done => slot.tell_lane(),
            Outcome::Pending => {}
            outcome @ (Outcome::Forward(_) | Outcome::Hold) => {
                self.shared.command(Command::Late(slot, outcome));
            }
        }
        Ended::TakenOver
    }
}
