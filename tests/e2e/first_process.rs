//! The supervisor as the first process of a name space, as it is in a container: no signal has an
//! effect by itself, whoever has lost its parent is its child, and nothing outlives it.
//!
//! Where name spaces cannot be made these tests fail, and say so.

use testkit::{App, Model, Process, Request, Site, Start, both_models, eventually};

fn start(model: Model) -> Site {
    let site = Start::as_first_process(App::test("Site").model(model)).run();
    assert_eq!(site.supervisor().own_number(), Some(1));
    assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
    site
}

/// A process that the application has started and left alone, once somebody has taken it on.
fn orphan(site: &Site) -> Process {
    let before = site.started();
    assert_eq!(site.get("/Orphan").ok().text(), "left alone");
    let orphan = eventually("the orphan", || {
        let new = site.started().into_iter().filter(|process| !before.contains(process));
        new.into_iter().find(|process| process.program() != "sh")
    });
    let homes = [site.supervisor(), worker(site)];
    eventually("its new parent", || homes.contains(&orphan.parent()?).then_some(()));
    orphan
}

/// It may have adopted brothers.
fn worker(site: &Site) -> Process {
    let mut children = site.supervisor().children().into_iter();
    children.find(|child| child.program() == "ancm-worker").unwrap()
}

fn with_slow_request(site: &Site, ms: u32) -> testkit::Connection {
    let mut slow = site.connect();
    slow.send(Request::get(&format!("/Slow?ms={ms}&id=slow")).to_bytes());
    site.wait_for_outcome("slow", "waiting");
    slow
}

both_models! {
    fn the_first_process_serves_drains_and_exits_with_zero(model: Model) {
        let mut site = start(model);
        let status = site.command("status", &[]);
        assert!(status.status.success() && status.stdout.contains("serving"), "{status:?}");
        let mut slow = with_slow_request(&site, 1000);
        site.signal("TERM");
        assert_eq!(slow.response().ok().text(), "waited");
        assert_eq!(site.wait_for_end().code(), Some(0));
        site.wait_until_all_is_gone();
        assert!(!site.log().contains("panicked"), "something panicked");
    }

    fn the_first_process_takes_away_what_the_application_has_left_alone(model: Model) {
        let site = start(model);
        for _ in 0..3 {
            let orphan = orphan(&site);
            orphan.signal("KILL");
            eventually("its removal", || orphan.is_gone().then_some(()));
        }
        // Those that run when it stops are no obstacle.
        orphan(&site);
        site.stop();
    }

    fn a_worker_of_the_first_process_that_is_killed_is_replaced(model: Model) {
        let site = start(model);
        let orphan = orphan(&site);
        let worker = self::worker(&site);
        worker.signal("KILL");
        eventually("its removal", || worker.is_gone().then_some(()));
        assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
        // In-process it may outlive the application, as under other servers.
        if model == Model::OutOfProcess {
            eventually("the end of what it had started", || orphan.is_gone().then_some(()));
        }
        site.stop();
    }

    fn a_second_signal_ends_the_first_process_at_once(model: Model) {
        let mut site = start(model);
        let _slow = with_slow_request(&site, 60_000);
        site.signal("TERM");
        let supervisor = site.supervisor();
        eventually("the end", || {
            supervisor.signal("TERM");
            (!supervisor.is_alive()).then_some(())
        });
        assert_eq!(site.wait_for_end().code(), Some(143));
        site.wait_until_all_is_gone();
    }

    fn nothing_outlives_a_first_process_that_is_killed(model: Model) {
        let site = start(model);
        orphan(&site);
        site.signal("KILL");
        site.wait_until_all_is_gone();
    }
}
