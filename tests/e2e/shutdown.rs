//! Signals, drains, exit codes.

use std::time::{Duration, Instant};

use testkit::{App, Model, Request, Site, both_models};

/// A site with one request in flight that takes as long as it says.
fn with_slow_request(model: Model, ms: u32) -> (Site, testkit::Connection) {
    let site = Site::start(App::test("Site"), model);
    let mut connection = site.connect();
    connection.send(Request::get(&format!("/Slow?ms={ms}&id=slow")).to_bytes());
    site.wait_for_outcome("slow", "waiting");
    (site, connection)
}

fn drains_on(signal: &str, model: Model) {
    let (mut site, mut connection) = with_slow_request(model, 1000);
    site.signal(signal);
    assert_eq!(connection.response().ok().text(), "waited");
    assert!(connection.is_closed());
    let status = site.wait_for_end();
    assert_eq!(status.code(), Some(0), "{status}");
}

/// While one application ends and the next one starts, a backend may leave requests unanswered.
fn wait_for_another(site: &Site, first: testkit::Process) {
    testkit::eventually("another process", || {
        let response = site.get("/ProcessId");
        (response.status() == 200 && response.text() != first.0.to_string()).then_some(())
    });
}

both_models! {
    fn shut_16_sigterm_lets_requests_finish(model: Model) {
        drains_on("TERM", model);
    }

    fn shim_33_l22_23_l22_24_a_start_without_a_client_and_a_clean_stop_are_events(model: Model) {
        let mut site = Site::start(App::test("Site"), model);
        site.wait_for_log("info 1032: generation 1 serves now");
        assert!(!site.log().contains("1033"), "{}", site.log());
        site.signal("TERM");
        site.wait_for_end();
        assert!(site.log().contains("info 1033: generation 1 has ended"), "{}", site.log());
    }

    fn sigint_lets_requests_finish(model: Model) {
        drains_on("INT", model);
    }

    /// As hosts of .NET do.
    fn sigquit_lets_requests_finish(model: Model) {
        drains_on("QUIT", model);
    }

    /// A service manager may signal all processes of a service.
    fn a_worker_that_is_signalled_ends_in_good_order_and_another_follows(model: Model) {
        let site = Site::start(App::test("Site"), model);
        for signal in ["TERM", "INT", "QUIT"] {
            let (worker, first) = (site.worker(), site.application());
            let mut connection = site.connect();
            connection.send(Request::get(&format!("/Slow?ms=1000&id={signal}")).to_bytes());
            site.wait_for_outcome(signal, "waiting");
            worker.signal(signal);
            assert_eq!(connection.response().ok().text(), "waited", "{signal}");
            wait_for_another(&site, first);
            testkit::eventually("the end of the first", || (!worker.is_alive()).then_some(()));
            assert!(site.log().contains(&format!("the worker was sent SIG{signal}")));
        }
        assert!(!site.log().contains(" 1100: "), "{}", site.log());
        site.stop();
    }

    /// As `KillMode=control-group` has it.
    fn a_signal_to_all_processes_lets_requests_finish(model: Model) {
        for signal in ["TERM", "INT", "QUIT"] {
            let (mut site, mut connection) = with_slow_request(model, 1000);
            site.started().iter().for_each(|process| process.signal(signal));
            assert_eq!(connection.response().ok().text(), "waited", "{signal}");
            assert_eq!(site.wait_for_end().code(), Some(0), "{signal}");
            site.wait_until_all_is_gone();
        }
    }

    fn shut_17_a_second_signal_ends_it_at_once(model: Model) {
        let (mut site, _connection) = with_slow_request(model, 60_000);
        let begun = Instant::now();
        site.signal("TERM");
        // What follows closely is the same wish: whoever stops a group of processes signals twice.
        let supervisor = site.supervisor();
        testkit::eventually("the end", || {
            supervisor.signal("INT");
            (!supervisor.is_alive()).then_some(())
        });
        let status = site.wait_for_end();
        assert!(matches!(status.code(), Some(130 | 143)), "{status}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }

    fn an_idle_connection_does_not_hold_up_the_stop(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let mut idle = site.connect();
        assert_eq!(idle.get("/HelloWorld").status(), 200);
        let _silent = site.connect();
        let begun = Instant::now();
        site.stop();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(idle.is_closed());
    }

    fn shut_01_an_application_that_hangs_in_its_stop_is_ended(model: Model) {
        let app = App::misbehaving("HangOnStop").attribute("shutdownTimeLimit", "1").model(model);
        let mut site = testkit::Start::of(app).run();
        assert_eq!(site.get("/").status(), 200);
        let begun = Instant::now();
        site.signal("TERM");
        let status = site.wait_for_end();
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    fn shut_01_the_limit_of_a_stop_holds_wherever_the_application_stays(model: Model) {
        for how in ["HangOnStopping", "HangInService", "HangOnExit", "HangInBackground"] {
            let app = App::misbehaving(how).attribute("shutdownTimeLimit", "1");
            let mut site = Site::start(app, model);
            assert_eq!(site.get("/").status(), 200);
            let tree = site.supervisor().tree();
            site.signal("TERM");
            assert_eq!(site.wait_for_end().code(), Some(0), "{how}");
            site.wait_for_log("1005: ");
            for process in tree {
                testkit::eventually("the end", || (!process.is_alive()).then_some(()));
            }
        }
    }

    fn the_application_hears_that_it_is_stopped(model: Model) {
        let mut site = Site::start(App::test("Site"), model);
        let mut connection = site.connect();
        connection.send(Request::get("/WaitForAppToStartShuttingDown?id=stop").to_bytes());
        site.wait_for_outcome("stop", "waiting");
        site.signal("TERM");
        assert_eq!(connection.response().ok().text(), "stopping");
        assert_eq!(site.wait_for_end().code(), Some(0));
    }

    fn shut_14_an_application_that_stops_itself_is_started_again(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        assert_eq!(site.get("/Shutdown").ok().text(), "Shutting down");
        wait_for_another(&site, first);
        site.stop();
    }

    fn shut_15_under_load_as_well(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let load = testkit::Load::start(site.address(), "/HelloWorld", 2, 2);
        load.wait_for_more(50);
        assert_eq!(site.get("/Shutdown").ok().text(), "Shutting down");
        wait_for_another(&site, first);
        load.wait_for_more(50);
        let tally = load.stop();
        assert!(tally.statuses.keys().all(|status| [200, 502, 503].contains(status)), "{tally:?}");
        site.stop();
    }

    fn an_answer_that_ends_during_a_drain_is_followed_by_one_more_if_it_promised_so(model: Model) {
        // The application hears of the drain when the stream has long ended by itself.
        let app = App::sample("hello").attribute("shutdownTimeLimit", "60");
        let site = Site::start(app.handler_setting("shutdownDelay", "45000"), model);
        let first = site.worker();
        let mut stream = site.connect();
        stream.send(Request::get("/stream?lines=20&ms=200").to_bytes());
        // Nothing was known of a drain then.
        assert_eq!(stream.head().header("connection"), None);
        site.signal("HUP");
        site.wait_for_log("generation 2 serves now");
        assert!(first.is_alive());
        while stream.piece().is_some() {}
        let next = stream.get("/plaintext").ok();
        assert_eq!(next.header("connection").map(str::to_lowercase).as_deref(), Some("close"));
        testkit::eventually("the end of the first", || (!first.is_alive()).then_some(()));
        site.stop();
    }

    fn shut_02_a_stop_awaited_within_a_request_ends(model: Model) {
        // The host gives a stop 30 s by default, and this one needs all of its time.
        let app = App::test("Site").variables(&[("ASPNETCORE_SHUTDOWNTIMEOUTSECONDS", "2")]);
        let site = Site::start(app, model);
        let first = site.application();
        let mut connection = site.connect();
        connection.send(Request::get("/ShutdownStopAsync").to_bytes());
        wait_for_another(&site, first);
        site.stop();
    }
}

/// The process runs on without a server, which its host notices at the next request.
#[test]
fn a_server_that_the_application_stops_is_started_again_out_of_process() {
    let site = Site::start(App::test("Site"), Model::OutOfProcess);
    let first = site.application();
    site.connect().send(Request::get("/ShutdownServer?given-up").to_bytes());
    wait_for_another(&site, first);
    site.stop();
}

/// Out-of-process Kestrel stops to listen.
#[test]
fn shut_02_the_end_of_the_server_is_that_of_the_application_in_process() {
    let app = App::test("Site").variables(&[("ASPNETCORE_SHUTDOWNTIMEOUTSECONDS", "2")]);
    let site = Site::start(app, Model::InProcess);
    let first = site.application();
    assert_eq!(site.get("/ShutdownServer?given-up").ok().text(), "Stopped");
    wait_for_another(&site, first);
    let second = site.application();
    let mut connection = site.connect();
    connection.send(Request::get("/ShutdownServer").to_bytes());
    wait_for_another(&site, second);
    site.stop();
}

// Backends are told late, since many end at once.
#[test]
fn uploads_finish_while_it_stops_in_process() {
    let mut site = Site::start(App::test("Site"), Model::InProcess);
    let mut uploads = [site.connect(), site.connect()];
    for (number, upload) in uploads.iter_mut().enumerate() {
        let target = format!("/ReadAndCountRequestBody?id={number}");
        upload.send(Request::post_chunked(&target, b"", 1).head());
        upload.send_chunk(b"12345");
        site.wait_for_outcome(&number.to_string(), "reading");
    }
    let mut waiting = site.connect();
    waiting.send(Request::get("/WaitForAppToStartShuttingDown?id=stop").to_bytes());
    site.wait_for_outcome("stop", "waiting");
    site.signal("TERM");
    assert_eq!(waiting.response().ok().text(), "stopping");
    for upload in &mut uploads {
        upload.send_chunk(b"67890");
        upload.send_chunk(b"");
        assert_eq!(upload.response().ok().text(), "10");
    }
    assert_eq!(site.wait_for_end().code(), Some(0));
}
