//! All orders of the handlers' protocol, many times, on several threads.

use std::sync::atomic::Ordering;

use abi::progress;

use crate::support::handler::{Call, Handler};
use crate::support::{Client, Dice, PATIENCE, Site, pattern};

/// What a path asks for: `/KIND/SEED/LEN`.
fn parse(path: &str) -> (u64, usize) {
    let mut parts = path.split('/').skip(2).map(|part| part.parse::<u64>().unwrap());
    (parts.next().unwrap(), parts.next().unwrap() as usize)
}

/// Answers with a pattern of the wished length, in an order of steps that the dice choose.
fn script(mut call: Call) {
    let (seed, len) = parse(&call.path);
    let mut dice = Dice::new(seed);
    let body = pattern(len);
    let reads = dice.below(3);
    if reads == 0 {
        call.read_all(1 + dice.below(5000) as usize);
    }
    let declared = (dice.below(2) == 0).then_some(len as u64);
    call.head(200, declared, &[("X-Seed", &seed.to_string())]);
    match dice.below(4) {
        0 => call.flush(),
        1 => {
            call.add(progress::HEAD);
            call.tell();
        }
        2 => call.tell(),
        _ => {}
    }
    let mut rest = &body[..];
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(1 + dice.below(60_000) as usize)];
        rest = &rest[piece.len()..];
        match dice.below(3) {
            0 => call.write_in_new_block(piece),
            _ => call.write(piece),
        }
        match dice.below(4) {
            0 => call.flush(),
            1 => {
                call.flush();
                call.wait_for_space();
            }
            2 => call.events.pause(),
            _ => {}
        }
    }
    if reads == 1 {
        call.read_all(1 + dice.below(50_000) as usize);
    }
    match dice.below(5) {
        0 => {
            call.add(progress::HEAD | progress::ENDED);
            call.publish(progress::RELEASED);
        }
        1 => {
            call.publish(progress::HEAD | progress::ENDED);
            call.publish(progress::RELEASED);
        }
        2 => {
            call.publish(progress::HEAD | progress::ENDED);
            call.events.pause();
            call.publish(progress::RELEASED);
        }
        3 => {
            // Visible before it is told: an event may bring the lane here in between.
            call.add(progress::HEAD | progress::ENDED | progress::RELEASED);
            call.events.pause();
            call.tell();
        }
        _ => call.finish(),
    }
}

fn check(client: &mut Client, seed: u64, len: usize) {
    let response = client.response();
    assert_eq!(response.field("x-seed"), Some(&*seed.to_string()), "answers are mixed up");
    assert!(response.body == pattern(len), "seed {seed}: a body of {len} is damaged");
}

fn run(threads: u64, connections: usize, rounds: u64, is_late: bool, largest: u64) {
    let handler = Handler::new(4, script);
    let (began, over) = (handler.began.clone(), handler.over.clone());
    let site = Site::start(handler);
    let kind = if is_late { "finished-first" } else { "plain" };
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let site = &site;
            scope.spawn(move || {
                let mut dice = Dice::new(thread + 1);
                let mut clients: Vec<_> = (0..connections).map(|_| site.connect()).collect();
                for round in 0..rounds {
                    let mut expected = Vec::new();
                    for client in &mut clients {
                        let mut batch = Vec::new();
                        let mut bytes = Vec::new();
                        // Handlers wait for space, and clients are read one after the other: more
                        // than one large answer is more than buffers hold.
                        let mut has_large = false;
                        for at in 0..=dice.below(8) {
                            let seed = thread * 1_000_000 + round * 1000 + at;
                            let len = match dice.below(8) {
                                0 if !std::mem::replace(&mut has_large, true) => {
                                    dice.below(largest)
                                }
                                _ => dice.below(200),
                            } as usize;
                            let sent = dice.below(40) as usize;
                            bytes.extend_from_slice(
                                format!(
                                    "POST /{kind}/{seed}/{len} HTTP/1.1\r\nHost: a\r\n\
                                     Content-Length: {sent}\r\n\r\n{}",
                                    "b".repeat(sent)
                                )
                                .as_bytes(),
                            );
                            batch.push((seed, len));
                        }
                        // In two pieces, so that requests come while answers are under way.
                        let cut = dice.below(bytes.len() as u64) as usize;
                        client.send(&bytes[..cut]);
                        client.send(&bytes[cut..]);
                        expected.push(batch);
                    }
                    for (client, batch) in clients.iter_mut().zip(expected) {
                        for (seed, len) in batch {
                            check(client, seed, len);
                        }
                    }
                    if dice.below(10) == 0 {
                        clients.pop().unwrap().reset();
                        clients.push(site.connect());
                    }
                }
            });
        }
    });
    crate::support::eventually("all exchanges end", || {
        began.load(Ordering::SeqCst) == over.load(Ordering::SeqCst)
    });
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0, "exchanges are left");
}

#[test]
fn all_orders_of_steps_give_whole_answers_in_order() {
    run(4, 16, 60, false, 200_000);
}

#[test]
fn small_answers_at_full_speed_are_never_mixed_up() {
    run(4, 16, 200, false, 300);
}

#[test]
fn answers_finished_before_dispatch_returns_are_never_mixed_up() {
    run(2, 4, 60, true, 50_000);
}

/// Clients that leave at any point, beside others that must not notice.
#[test]
fn clients_that_leave_disturb_nobody() {
    let handler = Handler::new(4, script);
    let (began, over) = (handler.began.clone(), handler.over.clone());
    let site = Site::start(handler);
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let site = &site;
            scope.spawn(move || {
                let mut dice = Dice::new(thread + 77);
                for at in 0..300 {
                    let mut client = site.connect();
                    let len = dice.below(400_000);
                    let sent = dice.below(1000) as usize;
                    client.send(format!(
                        "POST /leave/{at}/{len} HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\
                         \r\n{}",
                        "b".repeat(sent)
                    ));
                    match dice.below(4) {
                        0 => client.reset(),
                        1 => drop(client),
                        2 if sent == 999 => check(&mut client, at, len as usize),
                        _ => {
                            client.wait_a_little_for_bytes();
                            client.reset();
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            let mut client = site.connect();
            for at in 0..500 {
                client.send(format!(
                    "POST /stay/{at}/1000 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
                ));
                check(&mut client, at, 1000);
            }
        });
    });
    crate::support::eventually("all exchanges end", || {
        began.load(Ordering::SeqCst) == over.load(Ordering::SeqCst)
    });
    assert_eq!(site.engine.drain(PATIENCE).requests(), 0, "exchanges are left");
}
