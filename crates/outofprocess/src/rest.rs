//! Whether what backends are started from is at rest.
//!
//! A program that runs from the application's folder may end because somebody overwrites it, and would
//! be started again from the half that is there. Whoever watches the folder tells; it is of the process,
//! for a worker has one application.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Between the first byte that is written and the news of it, with room to spare.
const NEWS: Duration = Duration::from_millis(100);

/// Nobody watches, or nothing runs from there.
const UNTOLD: u8 = 0;
const AT_REST: u8 = 1;
const CHANGING: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNTOLD);

/// Somebody writes to the folder that backends run from, or does so no more: until then those that end
/// are not started again, for half a minute at most.
pub fn note_changing(is_on: bool) {
    STATE.store(if is_on { CHANGING } else { AT_REST }, Ordering::Relaxed);
}

/// Whether it is being changed as far as is known.
pub(crate) fn is_changing() -> bool {
    STATE.load(Ordering::Relaxed) == CHANGING
}

/// How long to wait before what is known counts for what ended just now.
pub(crate) fn time_of_news() -> Duration {
    if STATE.load(Ordering::Relaxed) == UNTOLD { Duration::ZERO } else { NEWS }
}
