//! Processes that die come back; nobody is refused.

use testkit::{App, Model, Site, both_models, eventually};

both_models! {
    fn v1_09_after_a_kill_the_next_request_is_served(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        first.signal("KILL");
        eventually("the end of the application", || (!first.is_alive()).then_some(()));
        let second = site.application();
        assert_ne!(first, second);
        site.stop();
    }

    fn v1_10_killing_the_worker_ends_all_of_it_and_brings_a_new_one(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let tree = site.worker().tree();
        tree[0].signal("KILL");
        for process in &tree {
            eventually("the end of the old processes", || (!process.is_alive()).then_some(()));
        }
        assert!(!tree.contains(&site.application()));
        site.stop();
    }

    fn a_supervisor_that_is_killed_leaves_nothing_behind(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let tree = site.supervisor().tree();
        assert!(tree.len() > 1);
        site.signal("KILL");
        for process in &tree {
            eventually(&format!("the end of {process:?}"), || (!process.is_alive()).then_some(()));
        }
    }

    fn an_application_that_fails_fast_is_started_again(model: Model) {
        let site = Site::start(App::misbehaving("Serve"), model);
        let first = site.get("/pid").ok().text();
        let mut connection = site.connect();
        connection.send("POST /abort HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        match model {
            Model::InProcess => assert!(connection.is_closed()),
            Model::OutOfProcess => assert_eq!(connection.response().status(), 502),
        }
        assert_ne!(site.get("/pid").ok().text(), first);
        site.wait_for_log("failed fast on request");
        site.stop();
    }

    fn a_request_that_ends_the_application_is_not_given_to_the_next_one(model: Model) {
        let site = Site::start(App::misbehaving("Serve"), model);
        let mut connection = site.connect();
        let first = connection.get("/pid").ok().text();
        // GET may be repeated, but not when that would end one process after the other.
        connection.send("GET /exit?code=3 HTTP/1.1\r\nHost: a\r\n\r\n");
        if let Some(response) = connection.rest_or_response() {
            assert_eq!(response.status(), 502, "{}", response.text());
        }
        assert_ne!(site.get("/pid").ok().text(), first);
        site.stop();
    }

    fn a_stack_overflow_ends_one_generation_only(model: Model) {
        let site = Site::start(App::misbehaving("Serve"), model);
        let first = site.get("/pid").ok().text();
        let mut connection = site.connect();
        connection.send("POST /overflow HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let _ = connection.rest_or_response();
        assert_ne!(site.get("/pid").ok().text(), first);
        site.stop();
    }

    fn an_exception_on_a_thread_of_the_application_ends_one_generation_only(model: Model) {
        let site = Site::start(App::misbehaving("Serve"), model);
        let first = site.get("/pid").ok().text();
        let mut connection = site.connect();
        connection.send("POST /crash-on-a-thread HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let _ = connection.rest_or_response();
        assert_ne!(site.get("/pid").ok().text(), first);
        site.wait_for_log("nobody catches this");
        site.stop();
    }

    fn an_application_that_exits_is_started_again(model: Model) {
        let site = Site::start(App::misbehaving("Serve"), model);
        let first = site.get("/pid").ok().text();
        let mut connection = site.connect();
        connection.send("POST /exit?code=3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let _ = connection.rest_or_response();
        assert_ne!(site.get("/pid").ok().text(), first);
        site.stop();
    }

    fn sighup_brings_a_new_generation_and_loses_nothing(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let mut slow = site.connect();
        slow.send("GET /Slow?ms=500&id=slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
        site.wait_for_outcome("slow", "waiting");
        site.signal("HUP");
        eventually("another process", || {
            (site.get("/ProcessId").ok().text() != first.0.to_string()).then_some(())
        });
        assert_eq!(slow.response().ok().text(), "waited");
        eventually("the end of the first", || (!first.is_alive()).then_some(()));
        site.stop();
    }
}
