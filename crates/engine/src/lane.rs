//! One lane: a thread's event loop over its own connections, exchanges and timers.
//!
//! The loop never calls the application while a part of the lane is borrowed: [`Lane::next`]
//! hands out what to dispatch, [`LaneRun`] calls the application through the gate, and
//! [`Lane::dispatched`] takes the outcome. Between the two the lane may have gone to another
//! thread (see `handoff`), which is why all of its state, the position in the event array
//! included, lives in [`Lane`] and nothing on the stack.

use std::cell::UnsafeCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use abi::{event, progress};
use os::epoll::{self, Epoll, Event};
use os::socket::Socket;

use crate::application::{Answer, Application, Exchange, Outcome};
use crate::client::{Client, Fate};
use crate::clock::Clock;
use crate::engine::{Ends, Options};
use crate::exchange::{ConnectionKey, SlotRef};
use crate::forward::Idle;
use crate::handoff::{self, Crew, Ended, Runnable};
use crate::inbox::{Command, LaneShared};
use crate::slab::Slab;
use crate::wheel::Wheel;

/// Events taken from the kernel at once.
const EVENTS: usize = 256;
/// Connections accepted before others get a turn.
const ACCEPTS: usize = 64;
/// Calls of the application per event: a client that never stops sending requests must not have
/// the lane to itself.
const CALLS: usize = 64;
/// Bytes of the buffer that all connections of a lane read into.
pub(crate) const SCRATCH: usize = 64 * 1024;
/// How often is tried again what failed for lack of something.
const TICK: Duration = Duration::from_secs(1);
/// When an exchange is tried again that failed on its way to a backend, in milliseconds.
const SOON: u64 = 50;

/// Tokens of descriptors that are not connections; connection keys never have the top bit.
const WAKE: u64 = u64::MAX;
const LISTENER: u64 = 1 << 63;

/// What is under a connection key.
pub(crate) enum Entry {
    /// A client.
    Client(Box<Client>),
    /// A connection to a backend that a client's exchange is using.
    Busy(ConnectionKey),
    /// A connection to a backend that waits for its next exchange.
    Idle(Idle),
}

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
        };
        lane.set_accepting(true);
        Ok(lane)
    }

    /// Works until an exchange is ready for the application, or the lane is over.
    fn next(&mut self) -> Next {
        loop {
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

    fn on_tick(&mut self) {
        self.retry_held();
        if !self.accepting && !self.draining && self.clients < self.options.connections {
            self.set_accepting(true);
        }
    }

    /// Looks after connections whose time may have come.
    fn turn_wheel(&mut self) {
        let now = self.clock.now();
        let mut up = std::mem::take(&mut self.come_up);
        self.wheel.turn(now, &mut up);
        for key in up.drain(..) {
            match self.entries.take(key) {
                // Put in again for an earlier time since; else each would come up for ever.
                Some(Entry::Client(client)) if client.armed > now => {
                    self.entries.put(key, Entry::Client(client));
                }
                Some(Entry::Client(mut client)) => {
                    client.armed = u64::MAX;
                    let late = now >= client.deadline();
                    let fate = if late { client.on_late(self) } else { Fate::Keep };
                    self.settle(client, fate);
                }
                Some(Entry::Idle(idle)) if now >= idle.deadline() => self.drop_idle(key, &idle),
                Some(Entry::Idle(mut idle)) => {
                    if idle.armed <= now {
                        idle.armed = self.wheel.insert(key, idle.deadline());
                    }
                    self.entries.put(key, Entry::Idle(idle));
                }
                Some(Entry::Busy(owner)) => self.entries.put(key, Entry::Busy(owner)),
                None => {}
            }
        }
        self.come_up = up;
    }

    fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS {
            if self.clients >= self.options.connections {
                self.set_accepting(false);
                return;
            }
            match Socket::accept(self.listeners[index].as_fd()) {
                Ok(Some((socket, remote))) => self.add_client(socket, remote),
                Ok(None) => return,
                Err(_) => {
                    // Out of descriptors or memory: look away until the next tick, or the
                    // level-triggered listener would spin.
                    self.set_accepting(false);
                    return;
                }
            }
        }
    }

    fn add_client(&mut self, socket: Socket, remote: Option<std::net::SocketAddr>) {
        let key = self.entries.reserve();
        let interest = epoll::IN | epoll::OUT | epoll::RDHUP | epoll::EDGE;
        if self.epoll.add(socket.as_fd(), interest, key).is_err() {
            self.entries.remove(key);
            return;
        }
        let number = self.connection_numbers.fetch_add(1, Ordering::Relaxed);
        let deadline = self.clock.now() + self.options.keep_alive.as_millis() as u64;
        self.clients += 1;
        let client = Client::new(key, socket, remote, number, deadline);
        self.settle(Box::new(client), Fate::Keep);
    }

    fn set_accepting(&mut self, accepting: bool) {
        if self.accepting == accepting {
            return;
        }
        self.accepting = accepting;
        for (index, listener) in self.listeners.iter().enumerate() {
            // Failing to watch leaves clients in the queue of the shared socket until the next
            // tick tries again.
            let done = if accepting {
                self.epoll.add(listener.as_fd(), epoll::IN, LISTENER | index as u64)
            } else {
                self.epoll.remove(listener.as_fd())
            };
            if done.is_err() && accepting {
                self.accepting = false;
            }
        }
    }

    /// Lets a connection go on, with new epoll bits or none.
    pub(crate) fn drive(&mut self, key: ConnectionKey, bits: u32) {
        match self.entries.take(key) {
            Some(Entry::Client(mut client)) => {
                client.on_bits(bits);
                let fate = client.drive(self);
                self.settle(client, fate);
            }
            Some(Entry::Busy(owner)) => {
                self.entries.put(key, Entry::Busy(owner));
                if let Some(Entry::Client(mut client)) = self.entries.take(owner) {
                    client.on_upstream_bits(key, bits);
                    let fate = client.drive(self);
                    self.settle(client, fate);
                }
            }
            // Whatever a backend sends or does on an idle connection makes it useless. The one
            // harmless event is writability.
            Some(Entry::Idle(idle)) => {
                if bits & !epoll::OUT == 0 && !self.draining {
                    self.entries.put(key, Entry::Idle(idle));
                } else {
                    self.drop_idle(key, &idle);
                }
            }
            None => {}
        }
    }

    fn settle(&mut self, mut client: Box<Client>, fate: Fate) {
        match fate {
            Fate::Keep => {
                let key = client.key;
                if client.deadline() < client.armed {
                    client.armed = self.wheel.insert(key, client.deadline());
                }
                self.entries.put(key, Entry::Client(client));
            }
            Fate::Close => {
                client.close(self);
                self.clients -= 1;
                self.entries.remove(client.key);
                if !self.accepting && !self.draining && self.clients < self.options.connections {
                    self.set_accepting(true);
                }
            }
        }
    }

    fn drop_idle(&mut self, key: ConnectionKey, idle: &Idle) {
        if let Some(pool) = self.pools.get_mut(&idle.upstream) {
            pool.retain(|other| *other != key);
            if pool.is_empty() {
                self.pools.remove(&idle.upstream);
            }
        }
        self.entries.remove(key);
    }

    fn take_posted(&mut self) {
        let mut posted = SlotRef::from_ptr(self.shared.take_posted());
        let mut order = Vec::new();
        while let Some(slot) = posted {
            posted = slot.next_posted();
            order.push(slot);
        }
        // The list has the newest first.
        for slot in order.into_iter().rev() {
            if slot.heard() {
                self.attend(slot);
            } else {
                self.recycle(slot);
            }
        }
    }

    /// Looks after an exchange that is with the application: something was published.
    fn attend(&mut self, slot: SlotRef) {
        if !slot.lane().in_use || slot.lane().spent {
            // A word that came after the last one was heard.
            return;
        }
        match slot.lane().owner {
            Some(key) => self.drive(key, 0),
            None => self.settle_orphan(slot),
        }
    }

    /// An exchange without a connection: what it writes is dropped until its handler lets go.
    pub(crate) fn settle_orphan(&mut self, slot: SlotRef) {
        let over = slot.progress() & progress::RELEASED != 0;
        let unsent = slot.lane().unsent();
        slot.take_sent(unsent);
        if over && self.running != Some(slot) {
            self.recycle(slot);
        } else if slot.take_space_wish() {
            self.application.signal(slot.as_abi(), slot.id(), event::WRITABLE);
        }
    }

    /// Takes the outcome of a dispatch, or the news that it will come from elsewhere.
    fn dispatched(&mut self, slot: SlotRef, outcome: Outcome) {
        self.running = None;
        match outcome {
            Outcome::Done => {
                if slot.progress() & progress::RELEASED == 0 {
                    // Whoever is done without having answered will not answer later. Only the
                    // lane may judge: for anybody else the slot may already be another exchange.
                    slot.add_progress(progress::ABORT | progress::RELEASED);
                }
                self.attend(slot);
            }
            Outcome::Pending => {
                slot.listen();
                self.attend(slot);
            }
            Outcome::Hold => {
                slot.lane().in_use = false;
                slot.lane().held_since.get_or_insert_with(std::time::Instant::now);
                self.held.push(slot);
                if let Some(owner) = slot.lane().owner {
                    // Answers before this one need not wait for it.
                    self.drive(owner, 0);
                }
            }
            Outcome::Forward(upstream) => {
                slot.lane().in_use = false;
                let owner = slot.lane().owner;
                match owner.and_then(|key| self.entries.take(key)) {
                    Some(Entry::Client(mut client)) => {
                        let fate = client.forward(self, upstream);
                        self.settle(client, fate);
                    }
                    _ => self.recycle(slot),
                }
            }
        }
    }

    /// The thread before is still in the application with the running exchange. It goes on as if
    /// it were pending: what it publishes from now on is told to us.
    fn taken_over(&mut self) {
        if let Some(slot) = self.running.take() {
            slot.listen();
            self.attend(slot);
        }
    }

    /// Offers an exchange to the application once more, now or when told.
    pub(crate) fn hold(&mut self, slot: SlotRef) {
        slot.lane().held_since.get_or_insert_with(std::time::Instant::now);
        self.held.push(slot);
        self.next_tick = self.next_tick.min(self.clock.now() + SOON);
    }

    fn retry_held(&mut self) {
        for slot in std::mem::take(&mut self.held) {
            self.enqueue(slot);
        }
    }

    /// Gives an exchange its turn in the application.
    pub(crate) fn enqueue(&mut self, slot: SlotRef) {
        slot.lane().queued = true;
        self.runnable.push_back(slot);
    }

    /// A slot for a new exchange.
    pub(crate) fn slot(&mut self) -> SlotRef {
        self.in_use += 1;
        self.free.pop().unwrap_or_else(|| {
            let number = self.slot_numbers.fetch_add(1, Ordering::Relaxed) as u32;
            SlotRef::allocate(number, self.shared.clone())
        })
    }

    /// Takes a slot back that nobody uses any more.
    pub(crate) fn recycle(&mut self, slot: SlotRef) {
        if slot.recycle() {
            self.in_use -= 1;
            self.free.push(slot);
        }
    }

    fn is_over(&self) -> bool {
        let late = self.deadline.is_some_and(|deadline| self.clock.now() >= deadline);
        (self.clients == 0 && self.in_use == 0) || late
    }
}

/// A lane as a thread runs it.
pub(crate) struct LaneRun {
    lane: UnsafeCell<Lane>,
    shared: Arc<LaneShared>,
    application: Arc<dyn Application>,
    crew: Arc<Crew>,
    ends: Arc<Ends>,
}

// SAFETY: `lane` is only touched by the thread that owns it: the one that `Crew` gave the lane
// to, until it enters the gate; then whoever moves the gate, which is one thread by the
// compare-and-swaps there. Acquire and release on the gate order their accesses. What the lane
// holds may move between threads: descriptors, buffers, slots (see `SlotRef`).
unsafe impl Sync for LaneRun {}
// SAFETY: as above.
unsafe impl Send for LaneRun {}

impl LaneRun {
    pub(crate) fn new(
        lane: Lane,
        shared: Arc<LaneShared>,
        application: Arc<dyn Application>,
        crew: Arc<Crew>,
        ends: Arc<Ends>,
    ) -> Self {
        Self { lane: UnsafeCell::new(lane), shared, application, crew, ends }
    }
}

impl Runnable for LaneRun {
    fn gate(&self) -> &AtomicU64 {
        &self.shared.gate
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
                Next::End => {
                    // SAFETY: the lane is ours.
                    let lane = unsafe { &mut *self.lane.get() };
                    self.ends.report(lane.in_use);
                    return Ended::Finished;
                }
            };
            self.crew.rouse();
            let ticket = handoff::enter(&self.shared.gate);
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
