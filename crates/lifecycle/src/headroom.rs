//! Whether there is memory for a second generation beside the first.

/// What is known before a generation is started beside another, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headroom {
    /// What the largest generation that runs has for itself.
    pub used: u64,
    /// What processes of this group can still have, if anything says so.
    pub available: Option<u64>,
    /// What is to be left of it.
    pub reserve: u64,
}

impl Headroom {
    /// What has to be available: a new generation will have as much as those before it.
    pub const fn needed(&self) -> u64 {
        self.used.saturating_add(self.reserve)
    }

    /// Whether a second generation fits. What nothing is known of does.
    pub fn is_enough(&self) -> bool {
        self.available.is_none_or(|available| available >= self.needed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restart::Random;

    #[test]
    fn a_second_generation_needs_as_much_as_the_first_and_the_reserve() {
        let headroom = |used, available, reserve| Headroom { used, available, reserve }.is_enough();
        assert!(headroom(100, Some(100), 0) && headroom(100, None, u64::MAX));
        assert!(!headroom(100, Some(99), 0) && !headroom(100, Some(199), 100));
        assert!(!headroom(1, Some(u64::MAX - 1), u64::MAX));
    }

    #[test]
    fn more_memory_never_makes_less_room() {
        let mut random = Random::new(3);
        for _ in 0..10_000 {
            let [used, available, reserve, more] = [(); 4].map(|()| random.next());
            let less = Headroom { used, available: Some(available), reserve };
            let more = Headroom { available: Some(available.saturating_add(more)), ..less };
            assert!(!less.is_enough() || more.is_enough());
        }
    }
}
