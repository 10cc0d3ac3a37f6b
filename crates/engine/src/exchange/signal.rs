//! Whether the lane of an exchange knows that there is something to do for it.

use std::sync::atomic::Ordering;

use super::SlotRef;

impl SlotRef {
    /// From now on the handler's side must tell us of news. Look for them after this: what was
    /// published before is not told.
    pub(crate) fn listen(self) {
        if !std::mem::replace(&mut self.lane().listening, true) {
            self.swap_signal(0);
        }
    }

    /// The slot was taken from the list of posted slots. `true`: listening goes on. `false`: the
    /// exchange is over, and the slot can be recycled now.
    pub(crate) fn heard(self) -> bool {
        if self.lane().spent {
            self.lane().listening = false;
            return false;
        }
        self.swap_signal(0);
        true
    }

    /// Ends listening. `false`: the slot is, or is about to be, in the list of posted slots, and
    /// must not be used for another exchange before it was taken from there.
    pub(super) fn stop_listening(self) -> bool {
        !self.lane().listening || self.swap_signal(1) == 0
    }

    /// Exchanges, and never stores: whoever exchanges second sees what the first has published.
    fn swap_signal(self, value: u32) -> u32 {
        // SAFETY: slots are never freed; the field is atomic.
        unsafe { (*self.as_ptr()).shared.signal.swap(value, Ordering::SeqCst) }
    }

    /// Posts the slot to its lane, from any thread, unless that is already known.
    pub(crate) fn tell_lane(self) {
        // SAFETY: slots are never freed; the field is atomic.
        let home = unsafe { &(*self.as_ptr()).home };
        if self.swap_signal(1) == 0 {
            home.post(self.as_ptr());
        }
    }

    /// Lane: the slot posted before this one.
    pub(crate) fn next_posted(self) -> Option<Self> {
        // SAFETY: slots are never freed; the field is atomic.
        Self::from_ptr(unsafe { (*self.as_ptr()).next_posted.load(Ordering::Relaxed) })
    }
}
