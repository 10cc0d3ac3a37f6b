//! One lane: a thread's event loop over its own connections, exchanges and timers.
//!
//! The loop never calls the application while a part of the lane is borrowed: [`Lane::next`]
//! hands out what to dispatch, [`LaneRun`] calls the application through the gate, and
//! [`Lane::dispatched`] takes the outcome. Between the two the lane may have gone to another
//! thread (see `handoff`), which is why all of its state, the position in the event array
//! included, lives in [`Lane`] and nothing on the stack.

mod accept;
mod connections;
mod exchanges;
mod run;
mod timers;
mod together;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use os::epoll::{self, Epoll, Event};

pub(crate) use self::connections::Entry;
pub(crate) use self::run::LaneRun;
use self::together::Together;
use crate::application::Application;
use crate::clock::Clock;
use crate::engine::Options;
use crate::exchange::{ConnectionKey, SlotRef};
use crate::inbox::{Command, LaneShared};
use crate::slab::Slab;
use crate::wheel::Wheel;

/// Events taken from the kernel at once.
const EVENTS: usize = 256;
/// Calls of the application per event: a client that never stops sending requests must not have
/// the lane to itself.
const CALLS: usize = 64;
/// Bytes of the buffer that all connections of a lane read into.
pub(crate) const SCRATCH: usize = 64 * 1024;
/// How often is tried again what failed for lack of something.
const TICK: Duration = Duration::from_secs(1);

/// Tokens of descriptors that are not connections; connection keys never have the top bit.
const WAKE: u64 = u64::MAX;
const LISTENER: u64 = 1 << 63;

/// The state of a lane; see the module text.
pub(crate) struct Lane {
    pub(crate) shared: Arc<LaneShared>,
    pub(crate) application: Arc<dyn Application>,
    pub(crate) options: Arc<Options>,
    pub(crate) epoll: Epoll,
    pub(crate) entries: Slab<Entry>,
    pub(crate) clock: Clock,
    pub(crate) wheel: Wheel,
    come_up: Vec<ConnectionKey>,
    pub(crate) scratch: Box<[u8]>,
    /// Fields and encoded head of the answer that a backend is giving.
    pub(crate) fields: Vec<abi::Header>,
    pub(crate) encoded: Vec<u8>,
    /// Exchanges whose turn in the application has come.
    pub(crate) runnable: VecDeque<SlotRef>,
    /// Connections that can go on without an event.
    pub(crate) backlog: VecDeque<ConnectionKey>,
    /// Of the backlog, so many have their turn before new events are looked for.
    due: usize,
    /// So many calls of the application before another event is looked at.
    calls: usize,
    /// Exchanges that wait for their application.
    held: Vec<SlotRef>,
    /// Connections to backends that are free, by backend.
    pub(crate) pools: HashMap<u64, Vec<ConnectionKey>>,
    /// No more connections or requests are taken.
    pub(crate) draining: bool,
    /// When that began, in the lane's milliseconds.
    pub(crate) drain_begun: u64,
    clients: usize,
    deadline: Option<u64>,
    listeners: Vec<OwnedFd>,
    accepting: bool,
    events: Vec<Event>,
    event_count: usize,
    event_next: usize,
    next_tick: u64,
    /// The exchange that is in the application now.
    running: Option<SlotRef>,
    free: Vec<SlotRef>,
    in_use: usize,
    slot_numbers: Arc<AtomicUsize>,
    connection_numbers: Arc<AtomicU64>,
    /// Present when the transfers of a turn go to the kernel together.
    together: Option<Together>,
}

/// What the loop does next.
enum Next {
    Dispatch(SlotRef),
    End,
}

impl Lane {
    pub(crate) fn new(
        shared: Arc<LaneShared>,
        application: Arc<dyn Application>,
        options: Arc<Options>,
        listeners: Vec<OwnedFd>,
        slot_numbers: Arc<AtomicUsize>,
        connection_numbers: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(shared.wake.as_fd(), epoll::IN, WAKE)?;
        let mut lane = Self {
            shared,
            application,
            options,
            epoll,
            entries: Slab::new(),
            clock: Clock::new(),
            wheel: Wheel::new(),
            come_up: Vec::new(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            fields: Vec::new(),
            encoded: Vec::new(),
            runnable: VecDeque::new(),
            backlog: VecDeque::new(),
            due: 0,
            calls: CALLS,
            held: Vec::new(),
            pools: HashMap::new(),
            draining: false,
            drain_begun: 0,
            clients: 0,
            deadline: None,
            listeners,
            accepting: false,
            events: vec![Event::EMPTY; EVENTS],
            event_count: 0,
            event_next: 0,
            next_tick: 0,
            running: None,
            free: Vec::new(),
            in_use: 0,
            slot_numbers,
            connection_numbers,
            together: None,
        };
        lane.set_accepting(true);
        Ok(lane)
    }

    /// Has transfers go to the kernel together from now on.
    pub(crate) fn use_uring(&mut self) -> io::Result<()> {
        self.together = Some(Together::new()?);
        Ok(())
    }

    /// Works until an exchange is ready for the application, or the lane is over.
    fn next(&mut self) -> Next {
        loop {
            if self.together.is_some() && self.answers_are_due() {
                self.send_together();
            }
            if self.calls > 0
                && let Some(slot) = self.runnable.pop_front()
            {
                self.calls -= 1;
                slot.lane().queued = false;
                // A client that left while its exchange waited needs no answer.
                if slot.lane().owner.is_none() {
                    self.recycle(slot);
                    continue;
                }
                slot.lane().in_use = true;
                self.running = Some(slot);
                return Next::Dispatch(slot);
            }
            if self.event_next < self.event_count {
                let event = self.events[self.event_next];
                self.event_next += 1;
                self.calls = CALLS;
                self.on_event(event);
                continue;
            }
            self.take_posted();
            for command in self.shared.take_commands() {
                self.on_command(command);
            }
            if self.due > 0
                && let Some(key) = self.backlog.pop_front()
            {
                self.due -= 1;
                self.drive(key, 0);
                continue;
            }
            if self.calls > 0 && !self.runnable.is_empty() {
                continue;
            }
            if self.together.is_some() {
                self.send_together();
            }
            if self.draining && self.is_over() {
                return Next::End;
            }
            self.sleep();
        }
    }

    fn sleep(&mut self) {
        let ticks = !self.held.is_empty() || !self.accepting;
        let until = [self.wheel.next(), self.deadline, ticks.then_some(self.next_tick)];
        let timeout = until
            .into_iter()
            .flatten()
            .min()
            .map(|until| Duration::from_millis(until.saturating_sub(self.clock.now()).max(1)));
        let idle = self.backlog.is_empty() && self.runnable.is_empty();
        let timeout =
            if self.shared.fall_asleep() && idle { timeout } else { Some(Duration::ZERO) };
        // A broken epoll instance cannot happen short of memory corruption; spinning is the most
        // visible way to go on serving what still works.
        self.event_count = self.epoll.wait(&mut self.events, timeout).unwrap_or(0);
        self.event_next = 0;
        self.due = self.backlog.len();
        self.calls = CALLS;
        self.shared.awake();
        self.clock.tick();
        if self.clock.now() >= self.next_tick {
            self.next_tick = self.clock.now() + TICK.as_millis() as u64;
            self.on_tick();
        }
        self.turn_wheel();
        if self.together.is_some() {
            self.receive_together();
        }
    }

    fn on_event(&mut self, event: Event) {
        match event.token() {
            // What was said is found by looking, also by a lane that was awake anyway.
            WAKE => self.shared.wake.clear(),
            token if token & LISTENER != 0 => self.accept((token & !LISTENER) as usize),
            key => self.drive(key, event.bits()),
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Resume => self.retry_held(),
            Command::Late(slot, outcome) => self.dispatched(slot, outcome),
            Command::Drain(deadline) => {
                // Who has already connected is served, not refused.
                for index in 0..self.listeners.len() {
                    self.accept(index);
                }
                self.set_accepting(false);
                self.draining = true;
                self.drain_begun = self.clock.now();
                self.deadline = Some(self.clock.at(deadline));
                for key in self.entries.keys() {
                    if let Some(mut entry) = self.entries.take(key) {
                        if let Entry::Client(client) = &mut entry {
                            client.look_again();
                        }
                        self.entries.put(key, entry);
                    }
                    self.drive(key, 0);
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        let late = self.deadline.is_some_and(|deadline| self.clock.now() >= deadline);
        (self.clients == 0 && self.in_use == 0) || late
    }
}
