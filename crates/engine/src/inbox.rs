//! What other threads say to a lane: exchanges with something to do, and commands.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use std::{io, mem};

use os::eventfd::EventFd;
use os::socket::Socket;

use crate::application::Outcome;
use crate::engine::Goodbye;
use crate::exchange::{Slot, SlotRef};

/// The part of a lane that other threads may touch.
pub(crate) struct LaneShared {
    /// Posted exchanges, the newest first. Each slot is in it at most once: only who changes its
    /// `signal` from 0 to 1 posts it.
    posted: AtomicPtr<Slot>,
    /// The lane sleeps, or is about to: who posts must wake it.
    sleeping: AtomicBool,
    /// Ownership of the lane, see `handoff`.
    pub(crate) gate: AtomicU64,
    commands: Mutex<Vec<Command>>,
    commanded: AtomicBool,
    pub(crate) wake: EventFd,
    pub(crate) gauge: Gauge,
}

/// What a lane tells the others of its load. In a cache line of its own: it is written with every
/// request that does not end at once.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Gauge {
    /// Exchanges that wait for the application.
    pub(crate) waiting: AtomicUsize,
    /// Exchanges that the application, or a backend, has.
    pub(crate) inside: AtomicUsize,
    /// Exchanges that have become something else than a request.
    pub(crate) upgraded: AtomicUsize,
    /// Exchanges that it was given so far.
    pub(crate) taken: AtomicU64,
}

/// A word to a whole lane.
pub(crate) enum Command {
    /// Accept from these sockets too.
    Listen(Vec<OwnedFd>),
    /// Ask the application again about the exchanges that are held.
    Resume,
    /// Serve a connection that was made elsewhere.
    Serve(Socket, Option<SocketAddr>),
    /// Accept no more, finish what runs, give up at the deadline with these words.
    Drain(Instant, Goodbye),
    /// The application is about to hear of the drain.
    Told(Instant),
    /// What a dispatch gave whose thread had lost the lane.
    Late(SlotRef, Outcome),
}

impl LaneShared {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            posted: AtomicPtr::new(ptr::null_mut()),
            sleeping: AtomicBool::new(false),
            gate: AtomicU64::new(0),
            commands: Mutex::new(Vec::new()),
            commanded: AtomicBool::new(false),
            wake: EventFd::new()?,
            gauge: Gauge::default(),
        })
    }

    /// Posts an exchange whose `signal` the caller has just changed from 0 to 1.
    pub(crate) fn post(&self, slot: *mut Slot) {
        let mut head = self.posted.load(Ordering::Relaxed);
        loop {
            // SAFETY: slots are never freed, and the change of `signal` gave the caller the
            // link until the lane takes it.
            unsafe { (*slot).next_posted.store(head, Ordering::Relaxed) };
            match self.posted.compare_exchange_weak(head, slot, Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        self.rouse();
    }

    /// Gives a command.
    pub(crate) fn command(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        self.commanded.store(true, Ordering::SeqCst);
        self.rouse();
    }

    /// Wakes the lane, which then looks at everything.
    pub(crate) fn rouse(&self) {
        // The load spares a busy lane the write to its cache line.
        if self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            self.wake.wake();
        }
    }

    /// Lane: the posted exchanges, linked by `next_posted`, the newest first.
    pub(crate) fn take_posted(&self) -> *mut Slot {
        if self.posted.load(Ordering::Acquire).is_null() {
            return ptr::null_mut();
        }
        self.posted.swap(ptr::null_mut(), Ordering::Acquire)
    }

    /// Lane: the commands given since the last call.
    pub(crate) fn take_commands(&self) -> Vec<Command> {
        if !self.commanded.load(Ordering::Acquire) || !self.commanded.swap(false, Ordering::SeqCst)
        {
            return Vec::new();
        }
        mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lane: announces sleep. `false` when something has come in, and sleep must wait.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        let quiet =
            self.posted.load(Ordering::SeqCst).is_null() && !self.commanded.load(Ordering::SeqCst);
        if !quiet {
            self.sleeping.store(false, Ordering::SeqCst);
        }
        quiet
    }

    /// Lane: sleep is over.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }
}
