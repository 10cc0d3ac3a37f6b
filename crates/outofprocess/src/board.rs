//! Which backends are ready: written by the threads that own them, read by the lanes.
//!
//! One place per backend. A lane asks for every request; it takes a read lock that is written only
//! when a backend comes or goes, and never waits for a start.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// What a place holds. `U` is what requests are forwarded by, `A` what they are refused with.
#[derive(Debug)]
pub(crate) enum State<U, A> {
    /// No backend, and none in sight.
    Failed(Arc<A>),
    /// Requests can be forwarded.
    Ready(Arc<U>),
    /// A backend is being started.
    Starting,
    /// The application stops.
    Stopped,
}

/// What to do with a request.
#[derive(Debug)]
pub(crate) enum Choice<U, A> {
    /// Forward it.
    Forward(Arc<U>),
    /// Keep it until the board changes.
    Hold,
    /// Answer it with this.
    Refuse(Arc<A>),
    /// Answer it with "stopping".
    Stopped,
}

/// Which of several ready backends takes a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// The one with the fewest requests in flight; among equals they take turns. A backend that
    /// has become slow is given less.
    #[default]
    LeastInFlight,
    /// They take turns, as in the module.
    RoundRobin,
}

/// The places of one application.
pub(crate) struct Board<U, A> {
    places: Vec<RwLock<State<U, A>>>,
    order: Order,
    /// The place whose turn is next.
    turn: AtomicUsize,
    on_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl<U, A> Board<U, A> {
    /// `places` places in which a backend is being started.
    pub(crate) fn new(places: usize, order: Order) -> Self {
        Self {
            order,
            places: (0..places.max(1)).map(|_| RwLock::new(State::Starting)).collect(),
            turn: AtomicUsize::new(0),
            on_change: OnceLock::new(),
        }
    }

    /// Has `wake` called after every change; only the first call counts.
    pub(crate) fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>) {
        let _ = self.on_change.set(wake);
    }

    /// Changes one place. A place that has stopped stays so.
    pub(crate) fn publish(&self, place: usize, state: State<U, A>) {
        let Some(lock) = self.places.get(place) else { return };
        {
            let mut current = lock.write().unwrap_or_else(PoisonError::into_inner);
            if matches!(*current, State::Stopped) {
                return;
            }
            *current = state;
        }
        if let Some(wake) = self.on_change.get() {
            wake();
        }
    }

    /// Stops every place.
    pub(crate) fn stop(&self) {
        (0..self.places.len()).for_each(|place| self.publish(place, State::Stopped));
    }

    /// What to do with one request: a backend that is ready takes it, one that is `preferred` if there is.
    pub(crate) fn choose(&self, preferred: impl Fn(&U) -> bool) -> Choice<U, A> {
        let count = self.places.len();
        let first = match count {
            1 => 0,
            _ => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        let mut otherwise = Choice::Stopped;
        let mut best: Option<((bool, usize), Arc<U>)> = None;
        for offset in 0..count {
            let place = &self.places[(first + offset) % count];
            match &*place.read().unwrap_or_else(PoisonError::into_inner) {
                // INVARIANT: every exchange in flight holds its upstream, in whichever lane it is, and
                // beside them only this board does.
                State::Ready(upstream) => {
                    let in_flight = match self.order {
                        Order::LeastInFlight => Arc::strong_count(upstream) - 1,
                        Order::RoundRobin => 0,
                    };
                    let rank = (!preferred(upstream), in_flight);
                    if rank == (false, 0) {
                        return Choice::Forward(Arc::clone(upstream));
                    }
                    if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                        best = Some((rank, Arc::clone(upstream)));
                    }
                }
                State::Starting => otherwise = Choice::Hold,
                State::Failed(answer) if !matches!(otherwise, Choice::Hold) => {
                    otherwise = Choice::Refuse(Arc::clone(answer));
                }
                State::Failed(_) | State::Stopped => {}
            }
        }
        best.map_or(otherwise, |(_, upstream)| Choice::Forward(upstream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What both orders say, four times, without anything in flight, for places written as: a digit is ready, `s` starting,
    /// `f` failed, `x` stopped.
    fn check(places: &str, expected: &str) {
        for order in [Order::LeastInFlight, Order::RoundRobin] {
            check_order(places, expected, order);
        }
    }

    fn check_order(places: &str, expected: &str, order: Order) {
        let board = Board::<char, ()>::new(places.len(), order);
        for (at, place) in places.chars().enumerate() {
            board.publish(
                at,
                match place {
                    's' => State::Starting,
                    'f' => State::Failed(Arc::new(())),
                    'x' => State::Stopped,
                    name => State::Ready(Arc::new(name)),
                },
            );
        }
        let said: String = (0..4)
            .map(|_| match board.choose(|_| true) {
                Choice::Forward(name) => *name,
                Choice::Hold => 'h',
                Choice::Refuse(_) => 'r',
                Choice::Stopped => 'x',
            })
            .collect();
        assert_eq!(said, expected, "{places}");
    }

    #[test]
    fn ready_backends_take_turns_and_stand_in_for_others() {
        check("1", "1111");
        check("123", "1231");
        check("1s3", "1331");
        check("f2", "2222");
        check("s", "hhhh");
        check("fs", "hhhh");
        check("sf", "hhhh");
        check("ff", "rrrr");
        check("xf", "rrrr");
        check("x", "xxxx");
    }

    /// Takes requests that stay in flight until `takes` says otherwise: `+` takes one, a digit ends
    /// the oldest of that backend.
    fn taken(order: Order, places: &str, takes: &str) -> String {
        let board = Board::<char, ()>::new(places.len(), order);
        for (at, name) in places.chars().enumerate() {
            board.publish(at, State::Ready(Arc::new(name)));
        }
        let mut in_flight: Vec<Arc<char>> = Vec::new();
        let mut said = String::new();
        for step in takes.chars() {
            if step == '+' {
                let Choice::Forward(name) = board.choose(|_| true) else { panic!("one is ready") };
                said.push(*name);
                in_flight.push(name);
            } else {
                let oldest = in_flight.iter().position(|name| **name == step).unwrap();
                in_flight.remove(oldest);
            }
        }
        said
    }

    #[test]
    fn who_has_fewest_in_flight_takes_the_next_unless_turns_were_asked_for() {
        let least = |takes| taken(Order::LeastInFlight, "123", takes);
        assert_eq!(least("++++++"), "123123");
        // The third never answers.
        assert_eq!(least("+++1+1+1+2+2+"), "12311122");
        assert_eq!(taken(Order::RoundRobin, "123", "+++1+1+"), "12312");
    }

    #[test]
    fn who_is_not_preferred_takes_what_nobody_else_can() {
        for order in [Order::LeastInFlight, Order::RoundRobin] {
            let board = Board::<char, ()>::new(2, order);
            board.publish(0, State::Ready(Arc::new('1')));
            for (second, expected) in [(State::Starting, '1'), (State::Ready(Arc::new('2')), '2')] {
                board.publish(1, second);
                let mut in_flight = Vec::new();
                for _ in 0..3 {
                    let choice = board.choose(|name| *name != '1');
                    let Choice::Forward(name) = choice else { panic!("{choice:?}") };
                    assert_eq!(*name, expected, "{order:?}");
                    in_flight.push(name);
                }
            }
        }
    }

    #[test]
    fn a_change_is_told_and_a_stop_is_final() {
        let told = Arc::new(AtomicUsize::new(0));
        let board = Board::<char, ()>::new(1, Order::default());
        let counter = Arc::clone(&told);
        board.on_change(Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        board.publish(0, State::Ready(Arc::new('1')));
        board.stop();
        board.publish(0, State::Ready(Arc::new('2')));
        assert!(matches!(board.choose(|_| true), Choice::Stopped));
        assert_eq!(told.load(Ordering::Relaxed), 2);
    }
}
