use super::*;
use crate::restart::Random;

const POLICY: Policy = Policy {
    start_limit: Duration::from_secs(120),
    drain_limit: Duration::from_secs(10),
    overlap: true,
    repeats_late_starts: true,
    rapid_fails_per_minute: 10,
    seed: 1,
};

fn id(number: u64) -> GenerationId {
    (1..number).fold(GenerationId::FIRST, |id, _| id.next())
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn start(number: u64, payload: Payload) -> Action {
    Action::Start { id: id(number), payload }
}

fn drain(number: u64) -> Action {
    Action::Drain { id: id(number), limit: POLICY.drain_limit }
}

fn serving() -> Site {
    let (mut site, actions) = Site::start(POLICY, false, at(0));
    assert_eq!(actions, [start(1, Payload::App)]);
    assert_eq!(site.on_event(Event::Ready(id(1)), at(1)), [Action::Announce]);
    site
}

#[test]
fn a_recycle_drains_the_old_only_when_the_new_is_ready() {
    let mut site = serving();
    assert_eq!(site.on_event(Event::Recycle(Reason::Signal), at(50)), [start(2, Payload::App)]);
    assert_eq!(site.on_event(Event::Recycle(Reason::Signal), at(50)), []);
    let actions = site.on_event(Event::Ready(id(2)), at(52));
    let replaced = Action::Tell(Notice::Replaced(id(2)));
    // The second recycle came after generation 2 had read its configuration.
    assert_eq!(actions, [replaced, drain(1), start(3, Payload::App)]);
    assert_eq!(site.on_event(Event::Exited(id(1)), at(53)), []);
    assert_eq!(site.next_deadline(), Some(at(52) + POLICY.start_limit));
}

#[test]
fn who_is_told_to_end_knows_whether_another_serves() {
    for (event, goes_on) in [
        (Event::Recycle(Reason::Signal), true),
        (Event::Stopping(id(1)), true),
        (Event::Offline(true), false),
        (Event::Halted(true), false),
        (Event::Idle, false),
        (Event::Stop, false),
    ] {
        let mut site = serving();
        assert!(site.goes_on());
        site.on_event(event, at(50));
        assert_eq!(site.goes_on(), goes_on, "{event:?}");
    }
}

#[test]
fn a_failed_recycle_leaves_the_old_in_service() {
    let mut site = serving();
    site.on_event(Event::Recycle(Reason::Signal), at(50));
    let actions = site.on_event(Event::Exited(id(2)), at(51));
    assert!(matches!(actions[..], [Action::Explain { why: StartFailure::ExitedBeforeReady, .. }]));
    assert!(site.next_deadline().unwrap() > at(51));
}

#[test]
fn a_failed_start_is_served_as_a_page_until_a_retry_is_ready() {
    let (mut site, _) = Site::start(POLICY, false, at(0));
    assert_eq!(site.on_event(Event::Failed(id(1)), at(1)), []);
    let actions = site.on_event(Event::Exited(id(1)), at(1));
    assert!(matches!(actions[0], Action::Explain { why: StartFailure::Reported, .. }));
    assert_eq!(actions[1..], [start(2, Payload::Page)]);
    assert_eq!(site.on_event(Event::Ready(id(2)), at(1)), [Action::Announce]);

    let retry = site.next_deadline().unwrap();
    assert_eq!(site.on_event(Event::Tick, retry), [start(3, Payload::App)]);
    let actions = site.on_event(Event::Ready(id(3)), at(4));
    assert_eq!(actions, [Action::Tell(Notice::Replaced(id(3))), drain(2)]);
}

#[test]
fn a_retry_waits_for_the_end_of_a_change() {
    let mut site = serving();
    site.on_event(Event::Recycle(Reason::Files), at(50));
    site.on_event(Event::Exited(id(2)), at(51));
    let retry = site.next_deadline().unwrap();
    site.set_changing(true);
    assert_eq!(site.on_event(Event::Tick, retry), []);
    assert_eq!(site.next_deadline(), Some(retry + LONGEST_CHANGE));
    // The end of the change asks for a generation.
    let mut changed = site.clone();
    changed.set_changing(false);
    let actions = changed.on_event(Event::Recycle(Reason::Files), retry + at(1));
    assert_eq!(actions, [start(3, Payload::App)]);
    // A change without an end must not keep the application away.
    assert_eq!(site.on_event(Event::Tick, retry + LONGEST_CHANGE), [start(3, Payload::App)]);
}

#[test]
fn what_nobody_asks_for_is_not_started_in_the_middle_of_a_change() {
    let until = at(50) + LONGEST_CHANGE;
    for (reason, event) in [
        (Reason::Died, Event::Exited(id(1))),
        (Reason::Quit, Event::Stopping(id(1))),
        (Reason::Lifetime, Event::Recycle(Reason::Lifetime)),
    ] {
        let mut site = serving();
        site.set_changing(true);
        let told = site.on_event(event, at(50));
        let is_start = |it: &Action| matches!(it, Action::Start { .. });
        assert!(!told.iter().any(is_start), "{reason:?} {told:?}");
        assert_eq!((site.next_try(), site.waits_because()), (Some(until), Some(Wait::Change)));
        // It ends, and that is a reason of its own or not.
        let mut rested = site.clone();
        rested.set_changing(false);
        assert_eq!(rested.on_event(Event::Tick, at(51)), [start(2, Payload::App)]);
        assert_eq!(rested.generations().last().unwrap().reason, reason);
        rested = site.clone();
        rested.set_changing(false);
        let actions = rested.on_event(Event::Recycle(Reason::Files), at(51));
        assert_eq!((actions, rested.next_try()), (vec![start(2, Payload::App)], None));
        // Somebody does not wait, and nothing waits for ever.
        assert_eq!(
            site.clone().on_event(Event::Recycle(Reason::Command), at(51)),
            [start(2, Payload::App)]
        );
        let actions = site.on_event(Event::Tick, until);
        assert!(actions.contains(&start(2, Payload::App)), "{actions:?}");
    }
}

#[test]
fn who_asks_an_idle_application_waits_for_the_end_of_a_change_too() {
    let mut site = serving();
    site.on_event(Event::Idle, at(50));
    site.on_event(Event::Exited(id(1)), at(50));
    site.set_changing(true);
    assert_eq!(site.on_event(Event::Wanted, at(60)), []);
    // What is known need not be told again and again.
    assert!(!site.is_idle());
    site.set_changing(false);
    assert_eq!(site.on_event(Event::Tick, at(61)), [start(2, Payload::App)]);
}

#[test]
fn a_second_failure_replaces_the_page() {
    let (mut site, _) = Site::start(POLICY, false, at(0));
    site.on_event(Event::Exited(id(1)), at(1));
    site.on_event(Event::Ready(id(2)), at(1));
    site.on_event(Event::Tick, at(2));
    let actions = site.on_event(Event::Exited(id(3)), at(3));
    assert_eq!(actions[1..], [start(4, Payload::Page)]);
    assert_eq!(site.on_event(Event::Ready(id(4)), at(3)), [drain(2)]);
}

#[test]
fn a_start_that_takes_too_long_is_killed_and_explained() {
    let (mut site, _) = Site::start(POLICY, false, at(0));
    assert_eq!(site.on_event(Event::Tick, at(119)), []);
    assert_eq!(site.on_event(Event::Tick, at(120)), [Action::Kill(id(1))]);
    assert_eq!(site.on_event(Event::Ready(id(1)), at(120)), []);
    let actions = site.on_event(Event::Exited(id(1)), at(120));
    assert!(matches!(actions[0], Action::Explain { why: StartFailure::TimeLimit, .. }));
}

#[test]
fn a_serving_worker_that_dies_is_replaced_at_once_then_with_pauses() {
    let mut site = serving();
    let actions = site.on_event(Event::Exited(id(1)), at(100));
    let died = Notice::Died { id: id(1), restart: Pause::NONE };
    assert_eq!(actions, [Action::Tell(died), start(2, Payload::App)]);

    site.on_event(Event::Ready(id(2)), at(101));
    let actions = site.on_event(Event::Exited(id(2)), at(102));
    assert!(matches!(actions[..], [Action::Tell(Notice::Died { .. })]), "{actions:?}");
    site.on_event(Event::Tick, at(103));
    site.on_event(Event::Ready(id(3)), at(104));
    site.on_event(Event::Exited(id(3)), at(105));
    site.on_event(Event::Tick, at(107));
    site.on_event(Event::Ready(id(4)), at(108));
    // The third accident in a row: clients would wait too long.
    let actions = site.on_event(Event::Exited(id(4)), at(109));
    assert!(matches!(actions[1], Action::Explain { why: StartFailure::KeepsEnding, .. }));
    assert_eq!(actions[2..], [start(5, Payload::Page)]);
}

#[test]
fn an_application_that_stops_by_itself_is_followed_by_a_new_generation() {
    let mut site = serving();
    let actions = site.on_event(Event::Stopping(id(1)), at(60));
    assert_eq!(actions, [Action::Tell(Notice::Stopping(id(1))), start(2, Payload::App)]);
    assert_eq!(site.on_event(Event::Exited(id(1)), at(61)), []);
    let actions = site.on_event(Event::Ready(id(2)), at(62));
    assert_eq!(actions, [Action::Tell(Notice::Replaced(id(2)))]);
}

#[test]
fn a_stop_drains_kills_what_lingers_and_finishes() {
    let mut site = serving();
    assert_eq!(site.on_event(Event::Stop, at(60)), [drain(1)]);
    assert_eq!(site.on_event(Event::Stop, at(60)), []);
    assert_eq!(site.next_deadline(), Some(at(72)));
    let incomplete = Action::Tell(Notice::DrainIncomplete(id(1)));
    assert_eq!(site.on_event(Event::Tick, at(72)), [incomplete, Action::Kill(id(1))]);
    assert_eq!(site.on_event(Event::Exited(id(1)), at(72)), [Action::Finish]);
    assert_eq!(site.on_event(Event::Tick, at(99)), []);
}

#[test]
fn a_second_signal_kills_at_once() {
    let mut site = serving();
    site.on_event(Event::Stop, at(60));
    assert_eq!(site.on_event(Event::StopAtOnce, at(60)), [Action::Kill(id(1))]);
    assert_eq!(site.on_event(Event::Exited(id(1)), at(60)), [Action::Finish]);
}

#[test]
fn an_offline_application_is_replaced_by_its_page_and_comes_back_at_once() {
    let mut site = serving();
    assert_eq!(site.on_event(Event::Offline(true), at(50)), [start(2, Payload::Offline)]);
    assert_eq!(site.on_event(Event::Offline(true), at(50)), []);
    let offline = Action::Tell(Notice::Offline);
    assert_eq!(site.on_event(Event::Ready(id(2)), at(50)), [offline, drain(1)]);
    assert_eq!(site.on_event(Event::Exited(id(1)), at(51)), []);
    assert_eq!(site.on_event(Event::Recycle(Reason::Signal), at(52)), []);
    let actions = site.on_event(Event::Offline(false), at(60));
    assert_eq!(actions, [drain(2), start(3, Payload::App)]);
    let replaced = Action::Tell(Notice::Replaced(id(3)));
    assert_eq!(site.on_event(Event::Ready(id(3)), at(61)), [replaced]);
}

#[test]
fn a_stopped_application_is_away_until_it_is_started() {
    let mut site = serving();
    assert_eq!(site.on_event(Event::Halted(true), at(50)), [start(2, Payload::Halted)]);
    let halted = Action::Tell(Notice::Halted);
    assert_eq!(site.on_event(Event::Ready(id(2)), at(50)), [halted, drain(1)]);
    assert_eq!(site.on_event(Event::Exited(id(1)), at(51)), []);
    assert!(!site.has_app());
    // The file comes and goes meanwhile.
    assert_eq!(site.on_event(Event::Offline(true), at(52)), [start(3, Payload::Offline)]);
    let offline = Action::Tell(Notice::Offline);
    assert_eq!(site.on_event(Event::Ready(id(3)), at(52)), [offline, drain(2)]);
    assert_eq!(site.on_event(Event::Offline(false), at(53)), [start(4, Payload::Halted)]);
    assert_eq!(site.on_event(Event::Ready(id(4)), at(53)), [halted, drain(3)]);
    let actions = site.on_event(Event::Halted(false), at(60));
    assert_eq!(actions, [drain(4), start(5, Payload::App)]);
    assert_eq!(site.generations().last().unwrap().reason, Reason::Started);
}

#[test]
fn an_idle_application_is_gone_until_somebody_asks() {
    let mut site = serving();
    assert_eq!(site.on_event(Event::Wanted, at(40)), []);
    assert_eq!(site.on_event(Event::Idle, at(50)), [Action::Tell(Notice::Idle), drain(1)]);
    assert!(site.is_idle());
    assert_eq!(site.on_event(Event::Exited(id(1)), at(51)), []);
    assert_eq!((site.generations().len(), site.next_deadline()), (0, None));
    assert_eq!(site.on_event(Event::Recycle(Reason::Files), at(52)), []);
    assert_eq!(site.on_event(Event::Wanted, at(60)), [start(2, Payload::App)]);
    assert_eq!(site.on_event(Event::Wanted, at(60)), []);
    let replaced = Action::Tell(Notice::Replaced(id(2)));
    assert_eq!(site.on_event(Event::Ready(id(2)), at(61)), [replaced]);
    // Asked for while the old one is still ending, and by an operator.
    site.on_event(Event::Idle, at(70));
    assert_eq!(site.on_event(Event::Recycle(Reason::Command), at(70)), [start(3, Payload::App)]);
    site.on_event(Event::Ready(id(3)), at(71));
    site.on_event(Event::Exited(id(2)), at(71));
    site.on_event(Event::Idle, at(80));
    site.on_event(Event::Exited(id(3)), at(80));
    assert_eq!(site.on_event(Event::Stop, at(90)), [Action::Finish]);
}

#[test]
fn what_is_offline_at_first_starts_with_its_page() {
    let (mut site, actions) = Site::start(POLICY, true, at(0));
    assert_eq!(actions, [start(1, Payload::Offline)]);
    let actions = site.on_event(Event::Ready(id(1)), at(0));
    assert_eq!(actions, [Action::Announce, Action::Tell(Notice::Offline)]);
    assert_eq!(site.on_event(Event::Exited(id(1)), at(9)), [start(2, Payload::Offline)]);
}

#[test]
fn a_start_that_ends_while_offline_is_not_repeated() {
    let (mut site, _) = Site::start(POLICY, false, at(0));
    site.on_event(Event::Offline(true), at(1));
    assert_eq!(site.on_event(Event::Exited(id(1)), at(1)), []);
    assert_eq!(site.next_deadline(), Some(at(1) + PAGE_START_LIMIT));
}

#[test]
fn without_overlap_the_old_one_ends_first() {
    let policy = Policy { overlap: false, ..POLICY };
    let (mut site, _) = Site::start(policy, false, at(0));
    site.on_event(Event::Ready(id(1)), at(1));
    assert_eq!(site.on_event(Event::Recycle(Reason::Signal), at(50)), [drain(1)]);
    assert_eq!(site.on_event(Event::Recycle(Reason::Signal), at(50)), []);
    assert_eq!(site.on_event(Event::Exited(id(1)), at(51)), [start(2, Payload::App)]);
}

#[test]
fn without_room_the_old_one_ends_first_and_it_is_said() {
    let mut site = serving();
    assert!(site.may_double(Event::Recycle(Reason::Signal), at(50)));
    site.set_room(false);
    let no_room = Action::Tell(Notice::NoRoom);
    assert_eq!(site.on_event(Event::Recycle(Reason::Signal), at(50)), [no_room, drain(1)]);
    assert_eq!(site.on_event(Event::Recycle(Reason::Signal), at(50)), []);
    assert_eq!(site.on_event(Event::Exited(id(1)), at(51)), [start(2, Payload::App)]);
    site.on_event(Event::Ready(id(2)), at(52));
    site.set_room(true);
    assert_eq!(site.on_event(Event::Recycle(Reason::Signal), at(60)), [start(3, Payload::App)]);
}

/// How often the application is started within an hour, if each generation is ready after a second and
/// then serves for so many.
fn starts_in_an_hour(rapid_fails_per_minute: u32, serves: Option<u64>) -> Vec<Duration> {
    let (mut site, mut actions) =
        Site::start(Policy { rapid_fails_per_minute, ..POLICY }, false, at(0));
    let (mut now, mut starts) = (at(0), Vec::new());
    while now < at(3600) {
        let mut next = Vec::new();
        for action in actions {
            match action {
                Action::Start { id, payload: Payload::App } => {
                    starts.push(now);
                    if let Some(serves) = serves {
                        next.extend(site.on_event(Event::Ready(id), now + at(1)));
                        now += at(1 + serves);
                    }
                    next.extend(site.on_event(Event::Exited(id), now));
                }
                Action::Start { id, .. } => next.extend(site.on_event(Event::Ready(id), now)),
                Action::Drain { id, .. } => next.extend(site.on_event(Event::Exited(id), now)),
                _ => {}
            }
        }
        if next.is_empty() {
            now = site.next_deadline().unwrap_or(at(3600)).max(now);
            next = site.on_event(Event::Tick, now);
        }
        actions = next;
    }
    starts
}

#[test]
fn a_crash_loop_is_tried_slowly_and_for_ever() {
    // A start that costs two seconds of a processor then takes less than a twentieth of one.
    for serves in [None, Some(0), Some(5)] {
        let starts = starts_in_an_hour(100, serves);
        assert!((50..90).contains(&starts.len()), "{} for {serves:?}", starts.len());
        assert!(*starts.last().unwrap() > at(3500));
    }
}

/// The CPU time that an application takes which never comes to serve for long, and the time that
/// passes meanwhile.
fn cost_of_failures(seed: u64) -> (Duration, Duration) {
    let mut random = Random::new(seed);
    let policy = Policy { rapid_fails_per_minute: 100, seed, ..POLICY };
    let (mut site, mut actions) = Site::start(policy, false, at(0));
    let (mut now, mut spent) = (at(0), Duration::ZERO);
    let most = 1 + random.next() % 10_000;
    for _ in 0..200 {
        let mut next = Vec::new();
        for action in actions {
            match action {
                Action::Start { id, payload: Payload::App } => {
                    let cpu = Duration::from_millis(random.next() % most);
                    // On many cores it takes no time.
                    let how = random.next() % 5;
                    if how >= 3 {
                        next.extend(site.on_event(Event::Ready(id), now));
                        now += Duration::from_millis(random.next() % 9000);
                    }
                    match how {
                        1 => next.extend(site.on_event(Event::Failed(id), now)),
                        2 | 4 => next.extend(site.on_event(Event::Stopping(id), now)),
                        _ => {}
                    }
                    spent += cpu;
                    site.note_cost(id, cpu);
                    next.extend(site.on_event(Event::Exited(id), now));
                }
                Action::Start { id, .. } => next.extend(site.on_event(Event::Ready(id), now)),
                Action::Drain { id, .. } => next.extend(site.on_event(Event::Exited(id), now)),
                _ => {}
            }
        }
        if next.is_empty() {
            now = site.next_deadline().expect("it is tried again").max(now);
            next = site.on_event(Event::Tick, now);
        }
        actions = next;
    }
    (spent, now)
}

#[test]
fn a_crash_loop_takes_a_twentieth_of_a_core_whatever_a_start_costs() {
    for seed in 0..500 {
        let (spent, passed) = cost_of_failures(seed);
        // Beyond the advance, the last try and the first restart, which is at once.
        let granted = passed / 20 + at(3 + 10 + 10);
        assert!(spent <= granted, "{spent:?} within {passed:?}, seed {seed}");
        assert!(passed > at(600), "{passed:?}");
    }
}

#[test]
fn a_start_that_took_too_long_can_be_left_alone_until_something_changes() {
    let policy = Policy { repeats_late_starts: false, ..POLICY };
    for is_told in [true, false] {
        let (mut site, _) = Site::start(policy, false, at(0));
        if is_told {
            site.on_event(Event::Late(id(1)), at(9));
        } else {
            assert_eq!(site.on_event(Event::Tick, at(120)), [Action::Kill(id(1))]);
        }
        let actions = site.on_event(Event::Exited(id(1)), at(120));
        let why = StartFailure::TimeLimit;
        let explained = Action::Explain { id: id(1), why, retry: None };
        assert_eq!(actions, [explained, start(2, Payload::Page)]);
        site.on_event(Event::Ready(id(2)), at(120));
        assert_eq!((site.next_deadline(), site.waits_because()), (None, Some(Wait::LeftAlone)));
        assert_eq!(site.on_event(Event::Recycle(Reason::Files), at(999)), [start(3, Payload::App)]);
        assert_eq!(site.waits_because(), None);
        // What fails in another way is tried again.
        site.on_event(Event::Failed(id(3)), at(1000));
        site.on_event(Event::Exited(id(3)), at(1000));
        assert!(site.next_try().is_some());
    }
}

#[test]
fn what_a_generation_took_that_stopped_by_itself_makes_its_pause_longer() {
    let mut site = serving();
    site.on_event(Event::Stopping(id(1)), at(2));
    site.on_event(Event::Exited(id(1)), at(2));
    site.on_event(Event::Ready(id(2)), at(3));
    // Less than the patience of clients, as far as is known.
    assert_eq!(
        site.on_event(Event::Stopping(id(2)), at(4)),
        [Action::Tell(Notice::Stopping(id(2)))]
    );
    site.note_cost(id(2), at(10));
    let actions = site.on_event(Event::Exited(id(2)), at(5));
    let Action::Explain { why: StartFailure::KeepsEnding, retry: Some(retry), .. } = actions[0]
    else {
        panic!("{actions:?}");
    };
    assert!(retry.length > at(130) && retry.length < at(200), "{retry:?}");
    assert_eq!(retry.why, Wait::Cost(at(10)));
    assert_eq!(actions[1], start(3, Payload::Page));
    assert_eq!(site.next_try(), Some(at(5) + retry.length));
    assert_eq!(site.on_event(Event::Recycle(Reason::Files), at(6)), [start(4, Payload::App)]);
}

#[test]
fn more_ends_than_those_of_a_minute_wait_for_its_end() {
    // Each serves long enough to be started again at once.
    let starts = starts_in_an_hour(2, Some(11));
    for (index, start) in starts.iter().enumerate() {
        let minute = starts[index..].iter().take_while(|it| **it < *start + at(60)).count();
        assert!(minute <= 5, "{starts:?}");
    }
    assert!((100..200).contains(&starts.len()), "{}", starts.len());
    assert!(starts_in_an_hour(100, Some(11)).len() > 280);
}

#[test]
fn a_change_ends_the_wait_at_once() {
    let policy = Policy { rapid_fails_per_minute: 0, ..POLICY };
    let (mut site, _) = Site::start(policy, false, at(0));
    site.on_event(Event::Ready(id(1)), at(1));
    let actions = site.on_event(Event::Exited(id(1)), at(100));
    assert!(matches!(actions[1], Action::Explain { why: StartFailure::RapidFails, .. }));
    assert_eq!(site.next_try(), Some(at(160)));
    site.on_event(Event::Ready(id(2)), at(100));
    assert_eq!(site.on_event(Event::Recycle(Reason::Files), at(101)), [start(3, Payload::App)]);
}

/// Processes that do anything at any time, as long as it is possible.
struct World {
    random: Random,
    site: Site,
    now: Duration,
    alive: Vec<(GenerationId, Payload)>,
    killed: Vec<GenerationId>,
    announced: usize,
    is_finished: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let (site, actions) = Site::start(
            Policy {
                seed,
                overlap: !seed.is_multiple_of(3),
                repeats_late_starts: !seed.is_multiple_of(2),
                ..POLICY
            },
            seed.is_multiple_of(3),
            Duration::ZERO,
        );
        let random = Random::new(seed);
        let mut world = Self {
            random,
            site,
            now: Duration::ZERO,
            alive: Vec::new(),
            killed: Vec::new(),
            announced: 0,
            is_finished: false,
        };
        world.perform(actions);
        world
    }

    fn chance(&mut self, of: u64) -> u64 {
        self.random.next() % of
    }

    fn event(&mut self, event: Event) {
        let is_measured = self.site.may_double(event, self.now);
        if is_measured {
            let has_room = self.chance(3) > 0;
            self.site.set_room(has_room);
        }
        let is_beside = self.alive.iter().any(|(_, payload)| *payload == Payload::App);
        let is_asked = self.site.may_start_by_itself(event, self.now);
        if is_asked {
            let is_changing = self.chance(4) == 0;
            self.site.set_changing(is_changing);
        }
        let is_due = self.site.next_try().is_some_and(|at| at <= self.now);
        let actions = self.site.on_event(event, self.now);
        let is_start = |it: &Action| matches!(it, Action::Start { payload: Payload::App, .. });
        if is_beside && actions.iter().any(is_start) {
            assert!(is_measured && self.site.has_room, "{event:?} {:?}", self.site);
        }
        if self.site.is_changing && actions.iter().any(is_start) {
            let reason = self.site.generations().last().map(|it| it.reason);
            let is_wish = reason.is_some_and(Reason::is_wish);
            assert!(is_wish || is_due && event == Event::Tick, "{event:?} {:?}", self.site);
        }
        self.perform(actions);
        self.check();
    }

    fn perform(&mut self, actions: Vec<Action>) {
        let mut unspawned = Vec::new();
        for action in actions {
            assert!(!self.is_finished, "{action:?} after the end");
            match action {
                Action::Announce => self.announced += 1,
                Action::Finish => self.is_finished = true,
                Action::Kill(id) => {
                    assert!(self.alive.iter().any(|(other, _)| *other == id));
                    self.killed.push(id);
                }
                Action::Start { id, payload } => match self.chance(20) {
                    0 => unspawned.push(id),
                    _ => self.alive.push((id, payload)),
                },
                Action::Drain { .. } | Action::Explain { .. } | Action::Tell(_) => {}
            }
        }
        for id in unspawned {
            self.event(Event::NotSpawned(id));
        }
    }

    fn exit(&mut self, id: GenerationId) {
        self.alive.retain(|(other, _)| *other != id);
        self.killed.retain(|other| *other != id);
        self.event(Event::Exited(id));
    }

    fn step(&mut self) {
        let passed = self.chance(3000);
        self.now += Duration::from_millis(passed);
        if let Some(id) = self.killed.first().copied()
            && self.chance(2) == 0
        {
            return self.exit(id);
        }
        let index = self.chance(self.alive.len().max(1) as u64) as usize;
        let subject = self.alive.get(index).map(|(id, _)| *id);
        match (self.chance(12), subject) {
            (0, Some(id)) => self.exit(id),
            (1, Some(id)) if self.chance(2) == 0 => self.event(Event::Late(id)),
            (1, Some(id)) => self.event(Event::Failed(id)),
            (2, Some(id)) => self.event(Event::Stopping(id)),
            (3..6, Some(id)) => self.event(Event::Ready(id)),
            (6, _) if self.chance(5) == 0 => self.event(Event::Recycle(Reason::Signal)),
            (7, _) if self.chance(3) == 0 => {
                let is_offline = self.chance(2) == 0;
                self.event(Event::Offline(is_offline));
            }
            (8, _) if self.chance(4) == 0 => {
                let is_halted = self.chance(2) == 0;
                self.event(Event::Halted(is_halted));
            }
            (9, _) if self.chance(3) == 0 => self.event(Event::Idle),
            (10, _) if self.chance(2) == 0 => self.event(Event::Wanted),
            (11, _) if self.chance(4) == 0 => self.event(Event::Recycle(Reason::Memory)),
            (11, _) if self.chance(4) == 0 => self.site.set_changing(false),
            _ => self.event(Event::Tick),
        }
    }

    fn check(&self) {
        let generations = self.site.generations();
        assert!(self.announced <= 1);
        let starting = generations.iter().filter(|other| other.is_starting_app()).count();
        assert!(starting <= 1, "{generations:?}");
        let serving = generations.iter().filter(|other| other.is_serving(Payload::App)).count();
        assert!(serving <= 1, "{generations:?}");
        let is_failing = |other: &Generation| matches!(other.state, State::Failing { .. });
        let wanted = self.site.absence();
        let is_away = |it: &&Generation| [Payload::Halted, Payload::Offline].contains(&it.payload);
        let away = generations.iter().filter(is_away);
        let is_live =
            |it: &&Generation| matches!(it.state, State::Starting { .. } | State::Serving);
        let (pages, stale): (Vec<_>, Vec<_>) =
            away.filter(is_live).partition(|it| Some(it.payload) == wanted);
        let apps = self.alive.iter().filter(|(_, payload)| *payload == Payload::App).count();
        assert!(self.site.policy.overlap || apps <= 1, "{generations:?}");
        if !self.site.is_stopping() && wanted.is_some() {
            let is_pending = !pages.is_empty() || self.site.page_at.is_some();
            assert!(is_pending, "{:?}", self.site);
        } else if !self.site.is_stopping() {
            assert!(stale.is_empty(), "{:?}", self.site);
            let is_pending = starting + serving > 0
                || self.site.retry_at.is_some()
                || self.site.waits_for_end.is_some()
                || self.site.is_idle
                || self.site.is_left_alone
                || generations.iter().any(is_failing);
            assert!(is_pending, "{:?}", self.site);
        }
        assert!(!(self.site.is_left_alone && self.site.policy.repeats_late_starts));
        assert!(!(self.site.is_idle && starting + serving > 0), "{generations:?}");
        for generation in generations {
            let is_quiet = matches!(generation.state, State::Serving);
            assert!(is_quiet || generation.is_killed || generation.deadline().is_some());
        }
    }
}

#[test]
fn promises_hold_for_random_orders_of_events() {
    for seed in 0..2000 {
        let mut world = World::new(seed);
        for _ in 0..world.chance(150) {
            world.step();
        }
        world.event(Event::Stop);
        for _ in 0..200 {
            if world.is_finished {
                break;
            }
            if world.chance(40) == 0 {
                world.event(Event::StopAtOnce);
            }
            world.step();
        }
        // Those that ignore everything are killed at their deadline.
        world.now += POLICY.drain_limit * 2;
        if !world.is_finished {
            world.event(Event::Tick);
            assert_eq!(world.killed.len(), world.alive.len());
            for (id, _) in world.alive.clone() {
                world.exit(id);
            }
        }
        assert!(world.is_finished, "seed {seed}: {:?}", world.site);
    }
}

#[test]
fn what_somebody_kills_is_started_again_at_once_within_the_limit_of_a_minute() {
    let mut site = serving();
    let limit = POLICY.rapid_fails_per_minute;
    for number in 1..=u64::from(limit) {
        site.note_kill(id(number));
        site.note_cost(id(number), at(10));
        let actions = site.on_event(Event::Exited(id(number)), at(5));
        assert!(actions.contains(&start(number + 1, Payload::App)), "{actions:?}");
        // Every other one is killed before it serves.
        if number % 2 == 0 {
            site.on_event(Event::Ready(id(number + 1)), at(5));
        }
    }
    let last = id(u64::from(limit) + 1);
    site.note_kill(last);
    site.on_event(Event::Exited(last), at(5));
    assert_eq!(site.waits_because(), Some(Wait::RapidFails));
}

#[test]
fn a_start_that_is_killed_twice_has_failed() {
    let (mut site, _) = Site::start(POLICY, false, at(0));
    site.note_kill(id(1));
    assert_eq!(site.on_event(Event::Exited(id(1)), at(1)), [start(2, Payload::App)]);
    site.note_kill(id(2));
    let actions = site.on_event(Event::Exited(id(2)), at(2));
    assert!(matches!(actions[0], Action::Explain { id: it, .. } if it == id(2)), "{actions:?}");
}

#[test]
fn a_recycle_whose_generation_somebody_kills_has_failed() {
    let mut site = serving();
    site.on_event(Event::Recycle(Reason::Files), at(5));
    site.note_kill(id(2));
    let actions = site.on_event(Event::Exited(id(2)), at(6));
    assert!(matches!(actions[0], Action::Explain { .. }), "{actions:?}");
}
