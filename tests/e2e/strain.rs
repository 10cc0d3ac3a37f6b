//! Threads under strain: blocked handlers beyond their bound, collections, a starved pool, children.

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use testkit::{App, Load, Model, Request, Site, both_models};

both_models! {
    fn children_of_the_application_are_waited_for(model: Model) {
        let site = Site::start(App::test("Site"), model);
        for _ in 0..20 {
            assert_eq!(site.get("/Child").ok().text(), "to the child to stderr 7");
        }
        site.stop();
    }

    /// As a debugger holds it at a breakpoint, or a hypervisor while it moves a machine.
    fn a_process_that_is_held_for_a_while_goes_on_where_it_was(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let load = Load::start(site.address(), "/HelloWorld", 3, 3);
        let blocked = Load::start(site.address(), "/Sleep", 2, 0);
        let (first, backend) = (site.worker(), site.application());
        for held in [&[first, backend][..], &[first], &[backend]] {
            held.iter().for_each(|process| process.signal("STOP"));
            thread::sleep(Duration::from_secs(1));
            held.iter().for_each(|process| process.signal("CONT"));
            load.wait_for_more(50);
            blocked.wait_for_more(2);
        }
        load.stop().assert_lossless();
        blocked.stop().assert_lossless();
        assert_eq!((site.worker(), site.application()), (first, backend));
        site.stop();
    }

    /// What waits for bytes or for room goes on in the lane that has them: others do not wait for it.
    fn waits_that_end_in_blocking_work_hold_nobody_up(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let body: Vec<u8> = (0..2_000_000_u32).map(|at| (at / 7) as u8).collect();
        let others = Load::start(site.address(), "/HelloWorld", 2, 3);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut connection = site.connect();
                    connection.send(Request::post("/EchoAndSleep", &*body).head());
                    let mut sender = connection.sender();
                    let sent = body.clone();
                    let sending = thread::spawn(move || {
                        for piece in sent.chunks(50_000) {
                            sender.write_all(piece).unwrap();
                        }
                    });
                    let echo = connection.response().ok();
                    assert!(echo.body == body, "{} bytes came back, or others", echo.body.len());
                    sending.join().unwrap();
                });
            }
            others.wait_for_more(100);
        });
        others.stop().assert_lossless();
        site.stop();
    }

    fn blocked_requests_collections_and_aborts_mix(model: Model) {
        let site = Site::start(App::test("Site"), model);
        thread::scope(|scope| {
            for seed in 0..12_usize {
                let site = &site;
                scope.spawn(move || {
                    for round in 0..25 {
                        match (seed + round * 5) % 7 {
                            0 => assert_eq!(site.get("/Sleep").ok().text(), "slept"),
                            1 => assert_eq!(site.get("/SleepAndAwait").ok().text(), "slept twice"),
                            2 => assert_eq!(site.get("/SleepAndThrow").status(), 500),
                            3 => {
                                let mut connection = site.connect();
                                connection.send(Request::get("/SleepAndAbort").to_bytes());
                                // A proxy may say that the backend broke off.
                                if connection.answers() {
                                    assert_eq!(connection.response().status(), 502);
                                }
                            }
                            4 => assert_eq!(site.get("/Collect").ok().text(), "collected"),
                            5 => assert_eq!(site.get("/StarvePool").ok().text(), "starved"),
                            _ => assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World"),
                        }
                    }
                });
            }
        });
        assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
        site.stop();
    }
}

/// How many threads of the worker are lanes, blocked ones, or spares.
fn lane_threads(site: &Site) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", site.worker().0)).unwrap();
    let names =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "ancm-lane").count()
}

#[test]
fn blocked_requests_beyond_the_bound_wait_and_are_all_answered_in_process() {
    let app = App::test("Site").handler_setting("maxBlockedThreads", "3");
    let site =
        testkit::Start::of(app.model(Model::InProcess)).argument("--lanes").argument("2").run();
    thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert_eq!(site.get("/Sleep").ok().text(), "slept");
                }
            });
        }
    });
    let threads = lane_threads(&site);
    assert!((2..=5).contains(&threads), "{threads} threads for 2 lanes and 3 that may block");
    site.stop();
}
