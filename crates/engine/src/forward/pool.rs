//! A lane's connections to one backend: how many there are, which are free, and who waits for one.
//!
//! Who waits is an exchange that stays with its client. Whenever a connection is free or may be
//! opened, the first who waits is woken, and takes it on the lane's next round; nobody overtakes.
//! What a reader would get wrong: whoever is woken may be gone by then, and passes the turn on.

use std::collections::VecDeque;

use crate::exchange::ConnectionKey;

/// The pools of a lane, by backend. There are few of them, and each request asks several times.
#[derive(Default)]
pub(crate) struct Pools(Vec<(u64, Pool)>);

/// Connections of a lane to one backend.
#[derive(Default)]
pub(crate) struct Pool {
    /// Free ones, the last used at the end.
    pub(super) idle: Vec<ConnectionKey>,
    /// All of them, but for those that have become tunnels.
    pub(super) open: usize,
    /// The clients whose exchanges wait for one.
    waiting: VecDeque<ConnectionKey>,
}

impl Pools {
    pub(crate) fn of(&mut self, upstream: u64) -> &mut Pool {
        let at = self.0.iter().position(|(other, _)| *other == upstream).unwrap_or_else(|| {
            self.0.push((upstream, Pool::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    /// An idle connection is gone.
    pub(crate) fn forget(&mut self, upstream: u64, key: ConnectionKey) -> Option<ConnectionKey> {
        let pool = self.of(upstream);
        pool.idle.retain(|other| *other != key);
        self.closed(upstream)
    }

    /// A connection is gone. Returns who may go on.
    pub(super) fn closed(&mut self, upstream: u64) -> Option<ConnectionKey> {
        let pool = self.of(upstream);
        pool.open = pool.open.saturating_sub(1);
        let next = pool.waiting.front().copied();
        self.tidy(upstream);
        next
    }

    /// Forgets a backend of which nothing is left.
    pub(super) fn tidy(&mut self, upstream: u64) {
        let is_used = |pool: &Pool| pool.open > 0 || !pool.waiting.is_empty();
        self.0.retain(|(other, pool)| *other != upstream || is_used(pool));
    }
}

impl Pool {
    /// A connection is free. Returns who may have it.
    pub(super) fn gave_back(&mut self, key: ConnectionKey) -> Option<ConnectionKey> {
        self.idle.push(key);
        self.waiting.front().copied()
    }

    /// Whether `client` may take a connection: nobody has waited for longer.
    pub(super) fn is_first(&self, client: ConnectionKey) -> bool {
        self.waiting.front().is_none_or(|first| *first == client)
    }

    /// Puts `client` behind all who wait, unless it waits already.
    pub(super) fn wait(&mut self, client: ConnectionKey) {
        if !self.waiting.contains(&client) {
            self.waiting.push_back(client);
        }
    }

    /// `client` waits no more. Returns who is the first now.
    pub(super) fn leave(&mut self, client: ConnectionKey) -> Option<ConnectionKey> {
        self.waiting.retain(|other| *other != client);
        self.waiting.front().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_goes_first_and_the_last_takes_the_pool_along() {
        let mut pools = Pools::default();
        let pool = pools.of(7);
        pool.open = 2;
        assert!(pool.is_first(1));
        pool.wait(1);
        pool.wait(2);
        pool.wait(1);
        assert!(pool.is_first(1) && !pool.is_first(2) && !pool.is_first(3));
        assert_eq!(pool.leave(1), Some(2));
        assert_eq!(pools.closed(7), Some(2));
        assert_eq!(pools.of(7).leave(2), None);
        pools.of(7).idle.push(9);
        assert_eq!(pools.forget(7, 9), None);
        assert!(pools.0.is_empty());
    }
}
