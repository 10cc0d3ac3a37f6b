//! What checks of a generation's health come to. One that has never passed is not replaced: another
//! would be no better, and whoever it needs is away.

/// Counts checks of one generation.
#[derive(Clone, Debug)]
pub struct Health {
    limit: u32,
    in_a_row: u32,
    has_passed: bool,
    is_told: bool,
}

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passed, or has been told to fail before.
    Fine,
    /// It failed, so often in a row.
    Failed(u32),
    /// It is to be replaced. Said once.
    Unhealthy,
    /// It has failed as often, but has never passed. Said once.
    NeverPassed,
}

impl Health {
    /// A generation that has not been checked; `limit` failures in a row are too many.
    pub const fn new(limit: u32) -> Self {
        Self { limit, in_a_row: 0, has_passed: false, is_told: false }
    }

    /// Takes the outcome of a check.
    pub const fn on_check(&mut self, is_passed: bool) -> Verdict {
        if is_passed {
            (self.in_a_row, self.has_passed, self.is_told) = (0, true, false);
            return Verdict::Fine;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.is_told {
            return Verdict::Fine;
        }
        if self.in_a_row < self.limit {
            return Verdict::Failed(self.in_a_row);
        }
        self.is_told = true;
        if self.has_passed { Verdict::Unhealthy } else { Verdict::NeverPassed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restart::Random;

    fn verdicts(limit: u32, checks: &[bool]) -> Vec<Verdict> {
        let mut health = Health::new(limit);
        checks.iter().map(|is_passed| health.on_check(*is_passed)).collect()
    }

    #[test]
    fn failures_in_a_row_are_too_many_once() {
        use Verdict::{Failed, Fine, Unhealthy};
        let checks = [true, false, true, false, false, false, true, false, false];
        let expected =
            [Fine, Failed(1), Fine, Failed(1), Unhealthy, Fine, Fine, Failed(1), Unhealthy];
        assert_eq!(verdicts(2, &checks), expected);
        assert_eq!(verdicts(1, &[true, false]), [Fine, Unhealthy]);
    }

    #[test]
    fn what_has_never_passed_is_not_replaced() {
        use Verdict::{Failed, Fine, NeverPassed, Unhealthy};
        let checks = [false, false, false, true, false, false];
        let expected = [Failed(1), NeverPassed, Fine, Fine, Failed(1), Unhealthy];
        assert_eq!(verdicts(2, &checks), expected);
    }

    #[test]
    fn whatever_happens_only_a_row_of_failures_after_a_pass_replaces() {
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let limit = (random.next() % 5 + 1) as u32;
            let mut health = Health::new(limit);
            let (mut row, mut has_passed) = (0, false);
            for _ in 0..200 {
                let is_passed = random.next().is_multiple_of(3);
                row = if is_passed { 0 } else { row + 1 };
                has_passed |= is_passed;
                let is_unhealthy = health.on_check(is_passed) == Verdict::Unhealthy;
                assert_eq!(is_unhealthy, has_passed && row == limit);
            }
        }
    }
}
