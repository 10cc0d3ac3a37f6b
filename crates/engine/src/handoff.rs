//! Inline dispatch without unfairness: a lane whose application blocks is taken over.
//!
//! The application runs on the lane's thread. A counter per lane, the gate, is odd while it does.
//! A watchdog looks at all gates every millisecond; one that is odd and unchanged since the last
//! look is stuck, and the watchdog moves it on by itself. That transfers the lane to a spare
//! thread. The stuck thread finds the gate moved when the application returns, touches nothing of
//! the lane, posts its exchange, and becomes a spare.
//!
//! ```text
//!   even ──enter──► odd ──leave (owner)──► even        the lane stays
//!                    └──── steal (watchdog) ──► even   the lane goes, the owner becomes a guest
//! ```
//!
//! Values of a gate only grow, so a guest that comes back late can never mistake a later visit
//! for its own. Cost per request: one store and one compare-and-swap.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, compiler_fence};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

/// Two looks at an odd gate this far apart make it stuck.
const LOOK: Duration = Duration::from_millis(1);
/// Looks without any movement after which the watchdog lies down.
const QUIET: u32 = 100;
/// How long it lies at most where threads cannot be given a barrier: entering a gate wakes it before, but
/// for a rare race.
const NAP: Duration = Duration::from_millis(50);

/// What a lane is to the watchdog: something that a thread can run until it ends or is taken.
pub(crate) trait Runnable: Send + Sync + 'static {
    /// The gate of this lane.
    fn gate(&self) -> &AtomicU64;
    /// A thread has come back; a lane that waits for one can go on.
    fn rouse(&self);
    /// Runs the lane. `taken_over`: the thread before was left in the application.
    fn run(&self, taken_over: bool) -> Ended;
}

/// Why [`Runnable::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The lane is over.
    Finished,
    /// Another thread has the lane.
    TakenOver,
}

/// Enters the gate before the application is called; returns the ticket for [`leave`]. To be followed by
/// [`Crew::rouse`].
pub(crate) fn enter(gate: &AtomicU64) -> u64 {
    // Only the owner changes an even gate, so a plain read-and-store is enough.
    let ticket = gate.load(Ordering::Relaxed) + 1;
    gate.store(ticket, Ordering::Release);
    ticket
}

/// Leaves the gate. `false`: the lane was taken over in the meantime.
pub(crate) fn leave(gate: &AtomicU64, ticket: u64) -> bool {
    gate.compare_exchange(ticket, ticket + 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// The threads of an engine: those that run lanes, the spares, and the watchdog.
pub(crate) struct Crew {
    spares: Mutex<Vec<Arc<Spare>>>,
    threads: AtomicUsize,
    limit: usize,
    /// Bytes of stack that each thread which runs lanes has.
    stack: usize,
    lanes: OnceLock<Vec<Weak<dyn Runnable>>>,
    /// Threads that an application blocks and whose lane is with another thread.
    blocked: AtomicUsize,
    /// So many threads may be blocked when a lane enters its application: all lanes may be about
    /// to block, and each must find a thread to go on in.
    room: AtomicUsize,
    /// A lane waits until fewer threads are blocked.
    awaited: AtomicBool,
    dozing: AtomicBool,
    watchdog: OnceLock<Thread>,
    stopping: AtomicBool,
}

/// A thread that waits for a lane.
struct Spare {
    work: Mutex<Option<(Arc<dyn Runnable>, bool)>>,
    given: Condvar,
}

impl Crew {
    /// `limit`: most threads that may exist at once, those of the `lanes` included.
    pub(crate) fn new(limit: usize, lanes: usize, stack: usize) -> Arc<Self> {
        Arc::new(Self {
            spares: Mutex::new(Vec::new()),
            threads: AtomicUsize::new(0),
            limit,
            stack,
            lanes: OnceLock::new(),
            blocked: AtomicUsize::new(0),
            room: AtomicUsize::new(limit.saturating_sub(2 * lanes)),
            awaited: AtomicBool::new(false),
            dozing: AtomicBool::new(false),
            watchdog: OnceLock::new(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Gives each lane a thread, and starts the watchdog over them.
    pub(crate) fn start(self: &Arc<Self>, lanes: &[Arc<dyn Runnable>]) -> std::io::Result<()> {
        for lane in lanes {
            if !self.give(lane.clone(), false) {
                return Err(std::io::Error::other("cannot create a thread for a lane"));
            }
        }
        let _ = self.lanes.set(lanes.iter().map(Arc::downgrade).collect());
        let (crew, lanes) = (self.clone(), lanes.to_vec());
        let handle = thread::Builder::new()
            .name("ancm-watchdog".into())
            .stack_size(64 << 10)
            .spawn(move || crew.watch(&lanes))?;
        let _ = self.watchdog.set(handle.thread().clone());
        Ok(())
    }

    /// Whether a lane may call its application: should that block, another thread is there.
    /// With no thread to spare at all, it may while no application blocks.
    pub(crate) fn has_room(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) <= self.room.load(Ordering::Relaxed)
    }

    /// As [`Self::has_room`]; if not, all lanes are roused when a thread comes back.
    pub(crate) fn has_room_or_rouses(&self) -> bool {
        self.awaited.store(true, Ordering::SeqCst);
        self.blocked.load(Ordering::SeqCst) <= self.room.load(Ordering::Relaxed)
    }

    fn come_back(&self) {
        self.blocked.fetch_sub(1, Ordering::SeqCst);
        if self.awaited.swap(false, Ordering::SeqCst) {
            self.lanes
                .get()
                .into_iter()
                .flatten()
                .filter_map(Weak::upgrade)
                .for_each(|it| it.rouse());
        }
    }

    /// Ends the watchdog. Spares stay parked until the process ends: the runtime may know them.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.rouse();
    }

    /// Wakes the watchdog if it lies down. One load when it does not.
    pub(crate) fn rouse(&self) {
        // The gate was entered before: see `lie_down`, which has the barrier for the processor.
        compiler_fence(Ordering::SeqCst);
        if self.dozing.load(Ordering::Relaxed)
            && self.dozing.swap(false, Ordering::Relaxed)
            && let Some(watchdog) = self.watchdog.get()
        {
            watchdog.unpark();
        }
    }

    fn watch(self: &Arc<Self>, lanes: &[Arc<dyn Runnable>]) {
        let mut seen: Vec<u64> = vec![0; lanes.len()];
        let mut quiet = 0;
        while !self.stopping.load(Ordering::Relaxed) {
            if quiet < QUIET {
                thread::sleep(LOOK);
            } else {
                self.lie_down(lanes, &seen);
            }
            quiet += 1;
            for (lane, seen) in lanes.iter().zip(&mut seen) {
                let now = lane.gate().load(Ordering::Acquire);
                if now != *seen {
                    *seen = now;
                    quiet = 0;
                } else if now % 2 == 1 {
                    quiet = 0;
                    self.take_over(lane, now);
                }
            }
        }
    }

    /// Until a gate is entered. Behind the barrier, a lane that has entered one is either seen here, or
    /// sees that we doze.
    fn lie_down(&self, lanes: &[Arc<dyn Runnable>], seen: &[u64]) {
        self.dozing.store(true, Ordering::SeqCst);
        if !os::memory::barrier_for_all() {
            thread::park_timeout(NAP);
        } else if !self.stopping.load(Ordering::Relaxed)
            && lanes.iter().zip(seen).all(|(it, seen)| it.gate().load(Ordering::Acquire) == *seen)
        {
            thread::park();
        }
        self.dozing.store(false, Ordering::Relaxed);
    }

    fn take_over(self: &Arc<Self>, lane: &Arc<dyn Runnable>, stuck: u64) {
        // A thread first: a gate that has moved must have somebody behind it.
        let Some(spare) = self.spare() else { return };
        let gate = lane.gate();
        // Before the gate moves: the blocked thread may come back at once.
        self.blocked.fetch_add(1, Ordering::SeqCst);
        if gate.compare_exchange(stuck, stuck + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            spare.give(lane.clone(), true);
        } else {
            self.come_back();
            self.spares.lock().unwrap_or_else(PoisonError::into_inner).push(spare);
        }
    }

    fn give(self: &Arc<Self>, lane: Arc<dyn Runnable>, taken_over: bool) -> bool {
        self.spare().inspect(|spare| spare.give(lane, taken_over)).is_some()
    }

    /// A parked thread, new if need be; `None` at the limit, or when the system gives no more.
    fn spare(self: &Arc<Self>) -> Option<Arc<Spare>> {
        if let Some(spare) = self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Some(spare);
        }
        if self.threads.load(Ordering::Relaxed) >= self.limit {
            return None;
        }
        let spare = Arc::new(Spare { work: Mutex::new(None), given: Condvar::new() });
        let (crew, own) = (self.clone(), spare.clone());
        thread::Builder::new()
            .name("ancm-lane".into())
            .stack_size(self.stack)
            .spawn(move || {
                // An application that faults is the runtime's to handle. Without memory for that
                // there is less room, not less service.
                let _stack = os::signal_stack::SignalStack::begin();
                crew.serve(&own);
            })
            .inspect_err(|_| self.no_more_threads())
            .ok()?;
        self.threads.fetch_add(1, Ordering::Relaxed);
        Some(spare)
    }

    /// The system gives fewer threads than the limit: what there is must do.
    fn no_more_threads(&self) {
        let lanes = self.lanes.get().map_or(0, Vec::len);
        let there = self.threads.load(Ordering::Relaxed);
        self.room.store(there.saturating_sub(2 * lanes), Ordering::Relaxed);
    }

    fn serve(&self, own: &Arc<Spare>) {
        loop {
            let (lane, taken_over) = own.wait();
            match lane.run(taken_over) {
                Ended::Finished => {
                    self.threads.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                Ended::TakenOver => {
                    drop(lane);
                    self.spares.lock().unwrap_or_else(PoisonError::into_inner).push(own.clone());
                    self.come_back();
                }
            }
        }
    }
}

impl Spare {
    fn give(&self, lane: Arc<dyn Runnable>, taken_over: bool) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some((lane, taken_over));
        self.given.notify_one();
    }

    fn wait(&self) -> (Arc<dyn Runnable>, bool) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match work.take() {
                Some(work) => return work,
                None => work = self.given.wait(work).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_was_not_stolen_is_left_by_its_owner() {
        let gate = AtomicU64::new(0);
        let ticket = enter(&gate);
        assert!(leave(&gate, ticket));
        assert_eq!(gate.load(Ordering::Relaxed), 2);
    }

    /// The first run blocks in its application; the second must come from the watchdog.
    #[test]
    fn a_stuck_lane_is_taken_over_and_its_guest_is_told() {
        struct Stuck {
            gate: AtomicU64,
            runs: Mutex<Vec<bool>>,
            release: (Mutex<bool>, Condvar),
            told: Mutex<Option<bool>>,
        }
        impl Runnable for Stuck {
            fn gate(&self) -> &AtomicU64 {
                &self.gate
            }
            fn rouse(&self) {}
            fn run(&self, taken_over: bool) -> Ended {
                self.runs.lock().unwrap().push(taken_over);
                if taken_over {
                    *self.release.0.lock().unwrap() = true;
                    self.release.1.notify_all();
                    return Ended::Finished;
                }
                let ticket = enter(&self.gate);
                let mut go = self.release.0.lock().unwrap();
                while !*go {
                    go = self.release.1.wait(go).unwrap();
                }
                let owner = leave(&self.gate, ticket);
                *self.told.lock().unwrap() = Some(owner);
                Ended::TakenOver
            }
        }
        let lane = Arc::new(Stuck {
            gate: AtomicU64::new(0),
            runs: Mutex::new(Vec::new()),
            release: (Mutex::new(false), Condvar::new()),
            told: Mutex::new(None),
        });
        let crew = Crew::new(4, 1, 1 << 20);
        crew.start(&[lane.clone() as Arc<dyn Runnable>]).unwrap();
        while lane.told.lock().unwrap().is_none() {
            thread::yield_now();
        }
        assert_eq!(*lane.told.lock().unwrap(), Some(false));
        assert_eq!(*lane.runs.lock().unwrap(), [false, true]);
        crew.stop();
    }
}
