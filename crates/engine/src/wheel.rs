//! A lane's timers: one wheel, turned by the loop.
//!
//! Deadlines move far more often than they pass: a keep-alive connection sets one per request. So
//! the wheel is told only when a deadline comes *earlier* than what it knows, and a key that comes
//! up before its time is simply put in again. In the steady state a request costs no entry.

/// Milliseconds per slot: how exact every clock is.
const TICK: u64 = 100;
/// Slots; what lies beyond a turn of the wheel comes up early and is put in again.
const SLOTS: u64 = 512;

/// Keys for which an empty slot keeps room. A crowd must not cost memory for ever.
const KEPT: usize = 256;

/// Keys by the time at which they come up.
pub(crate) struct Wheel {
    slots: Vec<Vec<u64>>,
    /// A bit per slot that holds something: the loop asks for the next one at every turn.
    filled: [u64; SLOTS as usize / 64],
    /// The next tick to come up.
    tick: u64,
    len: usize,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { slots, filled: [0; _], tick: 0, len: 0 }
    }

    /// Lets `key` come up at `deadline` or, if that is far away, before. Returns when.
    pub(crate) fn insert(&mut self, key: u64, deadline: u64) -> u64 {
        // Rounded up: a deadline that comes up has passed.
        let tick = (deadline.div_ceil(TICK)).clamp(self.tick, self.tick + SLOTS - 1);
        let place = (tick % SLOTS) as usize;
        self.slots[place].push(key);
        self.filled[place / 64] |= 1 << (place % 64);
        self.len += 1;
        tick * TICK
    }

    /// Whether `deadline` passes before a key comes up that is in already, until `armed` as
    /// [`Wheel::insert`] said. Times are as exact as the wheel: to ask `deadline < armed` would put a
    /// key in again and again for one and the same time.
    pub(crate) fn is_before(deadline: u64, armed: u64) -> bool {
        deadline.div_ceil(TICK) < armed / TICK
    }

    /// Takes the keys that have come up by `now`.
    pub(crate) fn turn(&mut self, now: u64, out: &mut Vec<u64>) {
        let until = now / TICK;
        if self.len == 0 {
            self.tick = self.tick.max(until + 1);
            return;
        }
        while self.tick <= until {
            let place = (self.tick % SLOTS) as usize;
            self.len -= self.slots[place].len();
            out.append(&mut self.slots[place]);
            if self.slots[place].capacity() > KEPT {
                self.slots[place] = Vec::new();
            }
            self.filled[place / 64] &= !(1 << (place % 64));
            self.tick += 1;
            if self.len == 0 {
                self.tick = self.tick.max(until + 1);
            }
        }
    }

    /// When the next key comes up.
    pub(crate) fn next(&self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let start = (self.tick % SLOTS) as usize;
        let words = self.filled.len();
        // The first word once from the start's bit on and, a turn later, up to there.
        let place = (0..=words).find_map(|step| {
            let at = (start / 64 + step) % words;
            let seen = u64::MAX << (start % 64);
            let word = match step {
                0 => self.filled[at] & seen,
                _ if step == words => self.filled[at] & !seen,
                _ => self.filled[at],
            };
            (word != 0).then(|| at * 64 + word.trailing_zeros() as usize)
        })?;
        let ahead = (place + SLOTS as usize - start) as u64 % SLOTS;
        Some((self.tick + ahead) * TICK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(wheel: &mut Wheel, now: u64) -> Vec<u64> {
        let mut out = Vec::new();
        wheel.turn(now, &mut out);
        out
    }

    #[test]
    fn one_time_is_one_entry() {
        let armed = Wheel::new().insert(3, 9_150);
        assert_eq!(armed, 9_200);
        assert!(!Wheel::is_before(9_150, armed) && !Wheel::is_before(u64::MAX, armed));
        assert!(Wheel::is_before(9_100, armed) && Wheel::is_before(9_150, u64::MAX));
        assert!(!Wheel::is_before(u64::MAX, u64::MAX));
    }

    #[test]
    fn keys_come_up_when_their_deadline_has_passed_and_not_before() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.insert(1, 250), 300);
        wheel.insert(2, 90);
        assert_eq!(wheel.next(), Some(100));
        assert_eq!(up(&mut wheel, 99), []);
        assert_eq!(up(&mut wheel, 100), [2]);
        assert_eq!(wheel.next(), Some(300));
        assert_eq!(up(&mut wheel, 5_000), [1]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn the_next_key_is_found_wherever_the_wheel_stands() {
        for begin in [0, 1, 63, 64, 65, 300, 511, 512, 700] {
            for ahead in [0, 1, 62, 63, 64, 127, 448, 511] {
                let mut wheel = Wheel::new();
                up(&mut wheel, begin * TICK);
                let due = wheel.insert(1, (begin + 1 + ahead) * TICK);
                assert_eq!(wheel.next(), Some(due), "{ahead} ticks from {begin}");
                assert_eq!(up(&mut wheel, due - 1), []);
                assert_eq!(up(&mut wheel, due), [1]);
                assert_eq!(wheel.next(), None);
            }
        }
    }

    #[test]
    fn what_lies_beyond_a_turn_comes_up_early() {
        let mut wheel = Wheel::new();
        up(&mut wheel, 1_000_000);
        let due = wheel.insert(7, 1_000_000 + 10 * SLOTS * TICK);
        assert!(due < 1_000_000 + SLOTS * TICK + TICK, "{due}");
        assert_eq!(up(&mut wheel, due), [7]);
        wheel.insert(8, 5);
        assert_eq!(up(&mut wheel, due + TICK), [8], "the past comes up next");
    }
}
