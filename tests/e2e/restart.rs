//! Processes that die come back; nobody is refused.

use std::fs;

use testkit::{App, Load, Model, Process, Site, Start, both_models, eventually};

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

    /// The sockets and pipes by which tools reach a .NET process.
    fn what_dotnet_leaves_of_a_killed_process_is_taken_away(model: Model) {
        let temporary = tempfile::tempdir().unwrap();
        let app = App::test("Site").model(model);
        let site = Start::of(app).env("TMPDIR", temporary.path()).run();
        let count = |site: &Site| {
            let own = [site.worker().0, site.application().0].map(|pid| format!("-{pid}-"));
            let all = fs::read_dir(temporary.path()).unwrap().flatten();
            let names = all.map(|it| it.file_name().into_string().unwrap());
            let (own, others): (Vec<_>, Vec<_>) = names
                .filter(|name| name.starts_with("dotnet-diagnostic-") || name.starts_with("clr-"))
                .partition(|name| own.iter().any(|pid| name.contains(pid)));
            (own.len(), others.len())
        };
        for process in [Site::application, Site::worker, Site::application] {
            eventually("the pipes of the application", || (count(&site).0 == 3).then_some(()));
            process(&site).signal("KILL");
            eventually("an answer of the next", || (count(&site) == (3, 0)).then_some(()));
            assert_eq!(site.get("/HelloWorld").status(), 200);
        }
        site.stop();
    }

    fn a_supervisor_that_is_killed_leaves_nothing_behind(model: Model) {
        let site = Site::start(App::test("Site"), model);
        assert!(site.started().len() > 1);
        site.signal("KILL");
        site.wait_until_all_is_gone();
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

    fn too_many_ends_within_a_minute_wait_until_something_changes(model: Model) {
        let app = App::test("Site").attribute("rapidFailsPerMinute", "1");
        let site = Site::start(app, model);
        let starts = |site: &Site| site.log().matches("runs from a snapshot").count();
        site.worker().signal("KILL");
        eventually("the second start", || (starts(&site) == 2).then_some(()));
        eventually("an answer", || (site.get("/HelloWorld").status() == 200).then_some(()));
        site.worker().signal("KILL");
        site.wait_for_log("(rapidFailsPerMinute)");
        assert!(site.get("/HelloWorld").status() >= 500);
        assert_eq!(starts(&site), 2);
        let text = site.app().read("web.config");
        site.app().write("web.config", text);
        eventually("an answer", || (site.get("/HelloWorld").status() == 200).then_some(()));
        assert_eq!(starts(&site), 3);
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

/// A shell that started a daemon, which left its session and its parent, and waits for the program.
fn with_daemon(program: &str) -> App {
    daemon("setsid sleep 3600", program)
}

fn daemon(daemon: &str, program: &str) -> App {
    let arguments = format!("-c \"({daemon} &); sleep 3600 & {program}\"");
    let arguments = testkit::app::escape(&arguments);
    App::empty().file(
        "web.config",
        format!(
            r#"<configuration><system.webServer>
<handlers><add name="a" path="*" verb="*" modules="httpPlatformHandler" /></handlers>
<httpPlatform processPath="sh" arguments="{arguments}" startupTimeLimit="60" />
</system.webServer></configuration>"#
        ),
    )
}

/// The program of all these processes whose number `/pid` tells.
fn pid(site: &Site) -> Process {
    Process(site.get("/pid").ok().text().parse().unwrap())
}

fn server() -> App {
    let app = with_daemon("./server %HTTP_PLATFORM_PORT%; true");
    crate::platform::compile_server(&app);
    app
}

#[test]
fn whatever_happens_nothing_that_a_backend_has_started_is_left() {
    // The supervisor and worker, a shell, two sleepers, and the program.
    const ALL: usize = 6;
    let site = Start::of(server()).run();
    let first = pid(&site);
    eventually("all processes", || (site.started().len() == ALL).then_some(()));

    // The program dies, and the shell after it.
    let before = site.started();
    first.signal("KILL");
    let second = eventually("another program", || {
        let text = site.get("/pid").ok().text();
        (text != first.0.to_string()).then(|| Process(text.parse().unwrap()))
    });
    eventually("the end of what it had started", || {
        (before.iter().filter(|process| process.is_alive()).count() == 2).then_some(())
    });
    let none_is_left = || site.supervisor().zombies().is_empty().then_some(());
    eventually("that somebody has waited for each", none_is_left);
    eventually("all processes", || (site.started().len() == ALL).then_some(()));

    // The worker dies, who would have ended them.
    let before = site.started();
    site.worker().signal("KILL");
    eventually("the end of what the worker had started", || {
        (before.iter().filter(|process| process.is_alive()).count() == 1).then_some(())
    });
    eventually("that somebody has waited for each", none_is_left);
    assert_ne!(pid(&site), second);
    eventually("all processes", || (site.started().len() == ALL).then_some(()));
    site.stop();
}

#[test]
fn a_supervisor_that_is_killed_leaves_nothing_of_a_backend_behind() {
    let site = Start::of(server()).run();
    pid(&site);
    let all = site.started();
    site.signal("KILL");
    site.wait_until_all_is_gone();
    // Also what has no variables any more, or is waited for by nobody that could be asked.
    assert!(all.iter().all(|process| !process.is_alive()), "{all:?}");
}

/// Without environment, session and parent, and its worker was killed.
#[test]
fn a_daemon_that_has_dropped_everything_does_not_outlive_its_worker() {
    let script = "echo $$ > daemon.new; mv daemon.new daemon; exec sleep 3600";
    let way = format!("setsid env -i PATH=/usr/bin:/bin sh -c '{script}'");
    let app = daemon(&way, "./server %HTTP_PLATFORM_PORT%; true");
    crate::platform::compile_server(&app);
    let site = Start::of(app).run();
    let file = site.app().path("daemon");
    for target in [Site::worker, Site::supervisor] {
        let daemon = eventually("the daemon", || fs::read_to_string(&file).ok());
        let daemon = Process(daemon.trim().parse().unwrap());
        assert!(daemon.is_alive() && daemon.variables().len() < 5, "{:?}", daemon.variables());
        fs::remove_file(&file).unwrap();
        target(&site).signal("KILL");
        eventually("its end", || (!daemon.is_alive()).then_some(()));
    }
    site.wait_until_all_is_gone();
}

#[test]
fn backends_that_are_killed_under_load_cost_no_idempotent_request_while_another_lives() {
    const PLACES: usize = 3;
    const KILLS: usize = 9;
    let app = crate::platform::script("node", "server.js").replace(
        "startupRetryCount",
        "rapidFailsPerMinute=\"100\" processesPerApplication=\"3\" startupRetryCount",
    );
    let site = Start::of(app).run();
    let started = |site: &Site| site.stdout().matches("ready to serve").count();
    eventually("all backends", || (started(&site) == PLACES).then_some(()));
    let load = Load::start(site.address(), "/pid", 6, 2);
    for kill in 0..KILLS {
        load.wait_for_more(50);
        let backends = site.worker().children();
        backends[kill % backends.len()].signal("KILL");
        eventually("another one in its place", || {
            (started(&site) == PLACES + kill + 1 && site.worker().children().len() == PLACES)
                .then_some(())
        });
    }
    let tally = load.stop();
    tally.assert_lossless();
    site.stop();
}

#[test]
fn the_only_backend_that_is_killed_takes_nothing_along_but_what_it_was_at() {
    let app = crate::platform::script("node", "server.js")
        .replace("startupRetryCount", "rapidFailsPerMinute=\"100\" startupRetryCount");
    let site = Start::of(app).run();
    let load = Load::start(site.address(), "/pid", 4, 1);
    for _ in 0..2 {
        load.wait_for_more(50);
        let first = site.worker().children()[0];
        first.signal("KILL");
        eventually("its end", || (!first.is_alive()).then_some(()));
        // Requests wait meanwhile.
        load.wait_for_more(50);
    }
    let tally = load.stop();
    assert!(tally.broken.is_empty(), "{tally:?}");
    tally.assert_only(&[200, 502]);
    let lost = tally.statuses.get(&502).copied().unwrap_or_default();
    assert!(lost <= 2 * 5, "more than were in flight: {tally:?}");
    site.stop();
}
