//! The order to stop, given once and seen by every thread of the application.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::Instant;

use os::eventfd::EventFd;

/// Readable from the moment the order is given, for ever.
pub(crate) struct StopOrder {
    event: EventFd,
    deadline: OnceLock<Instant>,
}

impl StopOrder {
    /// An order that is not given yet.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { event: EventFd::new()?, deadline: OnceLock::new() })
    }

    /// Gives the order. The first deadline stands.
    pub(crate) fn give(&self, deadline: Instant) {
        self.deadline.get_or_init(|| deadline);
        // INVARIANT: never cleared, and the deadline is there before the event.
        self.event.wake();
    }

    /// By when everything must be over, if the order was given.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }
}

impl AsFd for StopOrder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
