//! How slow a client may be, as the lane wants it or as the handler has said for its exchange.

use std::sync::atomic::Ordering;

use abi::progress;

use super::{Slot, SlotRef};

/// The least speed on one side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Bytes per second; 0 is none.
    pub(crate) bytes: u32,
    /// Milliseconds that are granted in any case.
    pub(crate) grace: u32,
}

impl Rate {
    /// How long that many bytes may take, in milliseconds.
    pub(crate) fn allows(self, bytes: u64) -> u64 {
        let time = bytes.saturating_mul(1000).checked_div(self.bytes.into());
        // Without a rate there is all the time in the world.
        time.map_or(u64::MAX / 2, |time| time.clamp(self.grace.into(), u64::MAX / 2))
    }
}

/// Both sides of an exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// The client as a sender of its request's body.
    pub(crate) body: Rate,
    /// The client as a taker of its answer.
    pub(crate) answer: Rate,
}

impl SlotRef {
    /// What the handler has set in place of the lane's own.
    pub(crate) fn own_rates(self) -> Option<Rates> {
        if self.progress() & progress::RATES == 0 {
            return None;
        }
        // SAFETY: slots are never freed; the fields are atomic.
        let shared = unsafe { &(*self.as_ptr()).shared };
        let [body, body_grace, answer, answer_grace] =
            [&shared.body_rate, &shared.body_grace, &shared.answer_rate, &shared.answer_grace]
                .map(|field| field.load(Ordering::Relaxed));
        Some(Rates {
            body: Rate { bytes: body, grace: body_grace },
            answer: Rate { bytes: answer, grace: answer_grace },
        })
    }
}

impl Slot {
    /// Shows a handler what holds unless it says otherwise.
    pub(super) fn show_rates(&mut self) {
        let Rates { body, answer } = self.lane.rates;
        let shared = &mut self.shared;
        *shared.body_rate.get_mut() = body.bytes;
        *shared.body_grace.get_mut() = body.grace;
        *shared.answer_rate.get_mut() = answer.bytes;
        *shared.answer_grace.get_mut() = answer.grace;
    }
}
