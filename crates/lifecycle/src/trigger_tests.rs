use super::*;

const ID: GenerationId = GenerationId::FIRST;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Shows a generation that serves since zero, once per second, until there is a reason.
fn run(limits: Limits, measured: impl Fn(u64) -> Measured, clock: u64) -> Option<(u64, Reason)> {
    let mut triggers = Triggers::new(limits, 7);
    (0..100_000).find_map(|second| {
        let clock = seconds((clock + second) % 86_400);
        let now = seconds(second);
        let serving = Some((ID, Duration::ZERO, measured(second)));
        Some((second, triggers.look(serving, Some(clock), now)?))
    })
}

fn busy(_: u64) -> Measured {
    Measured { busy: 1, ..Measured::default() }
}

#[test]
fn limits_are_reached_a_little_early_and_never_late() {
    let limits = Limits { lifetime: Some(seconds(3600)), ..Limits::default() };
    let (second, reason) = run(limits, busy, 0).unwrap();
    assert!((3240..=3600).contains(&second) && reason == Reason::Lifetime, "{second} {reason}");

    let limits = Limits { requests: Some(1000), ..Limits::default() };
    let measured = |second| Measured { taken: second, ..Measured::default() };
    let (second, reason) = run(limits, measured, 0).unwrap();
    assert!((900..=1000).contains(&second) && reason == Reason::Requests, "{second} {reason}");
}

#[test]
fn too_much_memory_is_too_much_when_it_lasts() {
    let limits = Limits { memory: Some(100), ..Limits::default() };
    let memory = |bytes| Measured { memory: Some(bytes), ..Measured::default() };
    let peaks = |second: u64| memory(if second % 3 < 2 { 101 } else { 100 });
    assert_eq!(run(limits.clone(), peaks, 0), None);
    let (second, reason) = run(limits, |second| memory(second * 10), 0).unwrap();
    assert!((13..=15).contains(&second) && reason == Reason::Memory, "{second}");
}

#[test]
fn a_time_of_day_has_its_effect_within_a_minute() {
    let schedule = vec![seconds(30), seconds(40_000)];
    let limits = Limits { schedule, ..Limits::default() };
    let (second, reason) = run(limits.clone(), busy, 39_000).unwrap();
    assert!((1000..=1020).contains(&second) && reason == Reason::Schedule, "{second}");
    let (second, _) = run(limits, busy, 86_399).unwrap();
    assert!((31..=51).contains(&second), "{second}");
}

#[test]
fn clocks_that_are_set_trigger_nothing() {
    for (before, clock, expected) in [
        (99, 100, true),
        (100, 101, false),
        (100, 100, false),
        (86_399, 100, true),
        (86_390, 5, false),
        (200, 50, false),
        (4100, 90, false),
        (0, 5000, false),
        (86_000, 3700, false),
        (99, 3600, true),
    ] {
        let passed = is_passed(seconds(before), seconds(clock), seconds(100));
        assert_eq!(passed, expected, "{before} {clock}");
    }
}

#[test]
fn idle_is_who_has_nothing_to_do_for_long() {
    let limits = Limits { idle: Some(seconds(60)), ..Limits::default() };
    let nothing = |_| Measured::default();
    assert_eq!(run(limits.clone(), nothing, 0), Some((60, Reason::Idle)));
    assert_eq!(run(limits.clone(), busy, 0), None);
    let until = |second: u64| Measured { taken: second.min(500) / 50, ..Measured::default() };
    assert_eq!(run(limits, until, 0), Some((560, Reason::Idle)));
}

#[test]
fn a_generation_has_one_reason_and_the_next_one_its_own() {
    let limits = Limits { lifetime: Some(seconds(100)), ..Limits::default() };
    let mut triggers = Triggers::new(limits, 3);
    let mut look = |id, since, now| {
        triggers.look(Some((id, seconds(since), Measured::default())), None, seconds(now))
    };
    assert_eq!(look(ID, 0, 0), None);
    assert_eq!(look(ID, 0, 100), Some(Reason::Lifetime));
    assert_eq!(look(ID, 0, 200), None, "its replacement has failed: that is tried again anyway");
    assert_eq!(look(ID.next(), 200, 201), None);
    assert_eq!(look(ID.next(), 200, 300), Some(Reason::Lifetime));
}

#[test]
fn without_limits_there_is_nothing_to_look_for() {
    let triggers = Triggers::new(Limits::default(), 1);
    assert_eq!(triggers.next_look(), None);
}

#[test]
fn whatever_is_measured_the_reasons_are_those_that_are_on() {
    let mut random = Random::new(11);
    for seed in 0..500 {
        let mut chance = |of: u64| random.next() % of;
        let limits = Limits {
            idle: (chance(2) == 0).then(|| seconds(1 + chance(100))),
            lifetime: (chance(2) == 0).then(|| seconds(1 + chance(1000))),
            memory: (chance(2) == 0).then(|| chance(1000)),
            requests: (chance(2) == 0).then(|| 1 + chance(1000)),
            schedule: (0..chance(4)).map(|_| seconds(chance(86_400))).collect(),
        };
        let mut triggers = Triggers::new(limits.clone(), seed);
        let (mut now, mut id, mut since, mut answered) = (0, ID, 0, false);
        for _ in 0..200 {
            now += chance(100);
            if chance(20) == 0 {
                (id, since, answered) = (id.next(), now, false);
            }
            let measured = Measured {
                taken: chance(2000),
                busy: chance(3) as usize,
                memory: (chance(2) == 0).then(|| chance(2000)),
            };
            let serving = (chance(10) > 0).then_some((id, seconds(since), measured));
            if serving.is_none() {
                answered = false;
            }
            let clock = (chance(10) > 0).then(|| seconds(chance(86_400)));
            let reason = triggers.look(serving, clock, seconds(now));
            assert!(!(answered && reason.is_some()), "once for each");
            answered |= reason.is_some_and(|reason| reason != Reason::Idle);
            let is_on = match reason {
                None => true,
                Some(Reason::Idle) => limits.idle.is_some() && measured.busy == 0,
                Some(Reason::Lifetime) => limits.lifetime.is_some(),
                Some(Reason::Memory) => limits.memory.is_some(),
                Some(Reason::Requests) => limits.requests.is_some(),
                Some(Reason::Schedule) => !limits.schedule.is_empty(),
                Some(other) => panic!("{other}"),
            };
            assert!(is_on && (reason.is_none() || serving.is_some()), "{reason:?} {limits:?}");
        }
    }
}
