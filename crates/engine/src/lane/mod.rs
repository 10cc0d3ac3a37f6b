//! One lane: a thread's event loop over its own connections, exchanges and timers.
//!
//! The loop never calls the application while a part of the lane is borrowed: [`Lane::next`]
//! hands out what to dispatch, [`LaneRun`] calls the application through the gate, and
//! [`Lane::dispatched`] takes the outcome. Between the two the lane may have gone to another
//! thread (see `handoff`), which is why all of its state, the position in the event array
//! included, lives in [`Lane`] and nothing on the stack.

mod accept;
mod connections;
mod draining;
mod exchanges;
mod links;
mod load;
mod run;
mod timers;
mod together;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use os::epoll::{self, Epoll, Event};

pub(crate) use self::connections::Entry;
pub(crate) use self::links::{ChannelRef, Links, Received};
pub(crate) use self::run::LaneRun;
use self::together::Together;
use crate::application::Application;
use crate::clock::Clock;
use crate::engine::{Ends, Goodbye, Options};
use crate::exchange::{ConnectionKey, SlotRef};
use crate::forward::Pools;
use crate::handoff::Crew;
use crate::inbox::{Command, LaneShared};
use crate::limits::Tally;
use crate::slab::Slab;
use crate::wheel::Wheel;

/// Events taken from the kernel at once.
const EVENTS: usize = 256;
/// Calls of the application per look at the kernel, beside one per event: a client that never
/// stops sending requests must not have the lane to itself.
const CALLS: usize = 64;
/// Bytes of the buffer that all connections of a lane read into.
pub(crate) const SCRATCH: usize = 64 * 1024;
/// How often is tried again what failed for lack of something.
const TICK: Duration = Duration::from_secs(1);

/// Tokens of descriptors that are not connections; connection keys never have the top bit.
const WAKE: u64 = u64::MAX;
const LISTENER: u64 = 1 << 63;

/// What the lanes of an engine have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) options: Arc<Options>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) lanes: Arc<[Arc<LaneShared>]>,
    pub(crate) crew: Arc<Crew>,
    pub(crate) ends: Arc<Ends>,
    pub(crate) slot_numbers: Arc<AtomicUsize>,
    pub(crate) connection_numbers: Arc<AtomicU64>,
}

/// The state of a lane; see the module text.
pub(crate) struct Lane {
    pub(crate) number: usize,
    pub(crate) common: Common,
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
    /// Events whose turn in the application has come.
    wakes: VecDeque<Wake>,
    /// Connections that can go on without an event.
    pub(crate) backlog: VecDeque<ConnectionKey>,
    /// Of the backlog, so many have their turn before new events are looked for.
    due: usize,
    /// So many calls of the application before the next event.
    calls: usize,
    /// Exchanges that wait for their application.
    held: Vec<SlotRef>,
    /// Connections to backends, by backend.
    pub(crate) pools: Pools,
    /// What carries those that need no socket of their own.
    pub(crate) links: Links,
    /// No more connections or requests are taken.
    pub(crate) draining: bool,
    /// When that began, in the lane's milliseconds.
    pub(crate) drain_begun: u64,
    /// When the application heard of it.
    told: Option<u64>,
    clients: usize,
    /// Those for whom the kernel holds more.
    roomy: usize,
    deadline: Option<u64>,
    /// When a drain closes the WebSockets that are left, before the deadline.
    parts_at: Option<u64>,
    /// That time has come.
    pub(crate) is_parting: bool,
    /// What it says to them.
    pub(crate) goodbye: Goodbye,
    /// It was said that no requests are left.
    is_quiet: bool,
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
    /// Present when the transfers of a turn go to the kernel together.
    together: Option<Together>,
    /// Of [`Lane::take_posted`]; kept for its memory.
    order: Vec<SlotRef>,
    /// How many exchanges are known to be looked after next, apart from those with an event.
    company: usize,
    /// Exchanges that the application, or a backend, has.
    inside: usize,
    /// Exchanges that the application was given so far.
    taken: u64,
    /// What the other lanes had when last looked at.
    others: load::Others,
}

/// What the loop does next.
enum Next {
    Dispatch(SlotRef),
    /// The first of the lane's wakes.
    Wake,
    End,
}

/// What an application waits for that has an exchange.
struct Wake {
    slot: SlotRef,
    id: u64,
    events: u32,
}

impl Lane {
    pub(crate) fn new(
        number: usize,
        application: Arc<dyn Application>,
        common: Common,
        listeners: Vec<OwnedFd>,
    ) -> io::Result<Self> {
        let (shared, options) = (common.lanes[number].clone(), common.options.clone());
        let epoll = Epoll::new()?;
        epoll.add(shared.wake.as_fd(), epoll::IN, WAKE)?;
        let mut lane = Self {
            number,
            common,
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
            wakes: VecDeque::new(),
            backlog: VecDeque::new(),
            due: 0,
            calls: CALLS,
            held: Vec::new(),
            pools: Pools::default(),
            links: Links::default(),
            draining: false,
            drain_begun: 0,
            told: None,
            clients: 0,
            roomy: 0,
            deadline: None,
            parts_at: None,
            is_parting: false,
            goodbye: Goodbye::GoingAway,
            is_quiet: false,
            listeners,
            accepting: false,
            events: vec![Event::EMPTY; EVENTS],
            event_count: 0,
            event_next: 0,
            next_tick: 0,
            running: None,
            free: Vec::new(),
            in_use: 0,
            together: None,
            order: Vec::new(),
            company: 0,
            inside: 0,
            taken: 0,
            others: load::Others::default(),
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
            if !self.wakes.is_empty() && self.may_wake() {
                return Next::Wake;
            }
            if let Some(slot) = self.next_runnable() {
                return Next::Dispatch(slot);
            }
            if self.event_next < self.event_count {
                let event = self.events[self.event_next];
                self.event_next += 1;
                // Each event has a call, but does not lengthen the turn of who has many.
                self.calls = self.calls.max(1);
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
            if self.calls > 0 && !self.runnable.is_empty() && self.common.crew.has_room() {
                continue;
            }
            if self.together.is_some() {
                self.send_together();
            }
            self.flush_links();
            if self.draining {
                if self.is_over() {
                    return Next::End;
                }
                self.report_quiet();
                self.part_if_due();
            }
            self.sleep();
        }
    }

    fn sleep(&mut self) {
        let ticks = !self.held.is_empty() || !self.accepting || !self.runnable.is_empty();
        let until =
            [self.wheel.next(), self.parts_at, self.deadline, ticks.then_some(self.next_tick)];
        let timeout = until
            .into_iter()
            .flatten()
            .min()
            .map(|until| Duration::from_millis(until.saturating_sub(self.clock.now()).max(1)));
        self.publish_load();
        let quiet = self.shared.fall_asleep();
        // After the announcement of sleep: a thread that comes back from now on wakes us.
        let stalled = self.runnable.is_empty() || !self.common.crew.has_room_or_rouses();
        let idle = quiet && self.backlog.is_empty() && self.wakes.is_empty() && stalled;
        let timeout = if idle { timeout } else { Some(Duration::ZERO) };
        // A broken epoll instance cannot happen short of memory corruption; spinning is the most
        // visible way to go on serving what still works.
        self.event_count = self.epoll.wait(&mut self.events, timeout).unwrap_or(0);
        self.event_next = 0;
        self.due = self.backlog.len();
        self.calls = CALLS;
        self.shared.awake();
        self.clock.tick();
        self.look_at_others();
        if self.clock.now() >= self.next_tick {
            self.next_tick = self.clock.now() + TICK.as_millis() as u64;
            self.on_tick();
        }
        self.turn_wheel();
        self.put_links_first();
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
            Command::Listen(sockets) => self.listen(sockets),
            Command::Resume => self.retry_held(),
            Command::Serve(socket, remote) => self.add_client(socket, remote),
            Command::Late(slot, outcome) => self.dispatched(slot, outcome),
            Command::Drain(deadline, goodbye) => self.drain(deadline, goodbye),
            Command::Told(at) => self.told = Some(self.clock.at(at)),
        }
    }
}
