//! Applications whose life is not that of one host: what they do before, between and after hosts.

use testkit::{App, Load, Model, Process, Request, Site, both_models, eventually};

fn shape(name: &str) -> App {
    App::test("Shapes").arguments(&format!(r".\Shapes.dll {name}"))
}

fn pid(site: &Site) -> Process {
    Process(site.get("/pid").ok().text().parse().unwrap())
}

fn runs_one_host_after_the_other(name: &str, model: Model) {
    let site = Site::start(shape(name), model);
    let first = pid(&site);
    assert_eq!(site.get("/again").ok().text(), "again");
    match model {
        Model::InProcess => {
            eventually("the end of the first process", || (!first.is_alive()).then_some(()));
            assert_ne!(pid(&site), first);
        }
        // As under any other host: it may go on in its process, and takes its place there again.
        Model::OutOfProcess => {
            let listening = || site.log().matches("Now listening on: http://").count();
            eventually("the second host in its place", || (listening() == 2).then_some(()));
            assert_eq!(pid(&site), first);
        }
    }
    assert_eq!(site.get("/").ok().text(), name);
    // Nobody has asked for a port beside the site.
    assert!(!site.log().contains("http://localhost:"), "{}", site.log());
    let log = stopped(site);
    assert!(log.contains("life: Main returns"), "{log}");
}

/// Ends it; nothing had to be killed.
fn stopped(site: Site) -> String {
    site.signal("TERM");
    ended(site)
}

/// Waits for the end that was asked for; nothing had to be killed.
fn ended(mut site: Site) -> String {
    assert_eq!(site.wait_for_end().code(), Some(0));
    let log = site.log();
    assert!(!log.contains(" 1005: "), "{log}");
    log
}

both_models! {
    fn hosts_that_follow_each_other_are_served(model: Model) {
        runs_one_host_after_the_other("Restarts", model);
    }

    fn hosts_of_old_that_follow_each_other_are_served(model: Model) {
        runs_one_host_after_the_other("RestartsLegacy", model);
    }

    fn hosts_that_follow_each_other_under_load_lose_nothing(model: Model) {
        let site = Site::start(shape("Restarts"), model);
        let load = Load::start(site.address(), "/", 3, 3);
        let hosts = || site.log().matches("life: host").count();
        for _ in 0..3 {
            let before = hosts();
            assert_eq!(site.get("/again").ok().text(), "again");
            eventually("another host", || (hosts() > before).then_some(()));
            load.wait_for_more(50);
        }
        load.stop().assert_lossless();
        stopped(site);
    }

    fn what_serves_longer_than_main_is_served(model: Model) {
        let site = Site::start(shape("OutlivesMain"), model);
        site.wait_for_log("life: Main returns");
        assert_eq!(site.get("/").ok().text(), "CreateBuilder");
        assert_eq!(site.get("/stop").ok().text(), "stopping");
        site.wait_for_log(match model {
            Model::InProcess => "1011: the application's Main returned 9",
            Model::OutOfProcess => "exited with code 9",
        });
        // The process has gone on when the thread has ended.
        assert_eq!(site.get("/").ok().text(), "CreateBuilder");
        let log = stopped(site);
        assert_eq!(log.matches("life: the thread ends").count(), 2, "{log}");
    }

    fn the_code_that_main_returns_after_its_host_is_told(model: Model) {
        let site = Site::start(shape("ExitCode"), model);
        assert_eq!(site.get("/stop").ok().text(), "stopping");
        site.wait_for_log(match model {
            Model::InProcess => "1011: the application's Main returned 7",
            Model::OutOfProcess => "exited with code 7",
        });
        assert_eq!(site.get("/").ok().text(), "ExitCode");
        stopped(site);
    }

    fn all_hosts_of_a_process_are_told_to_stop(model: Model) {
        let app = shape("Together").attribute("shutdownTimeLimit", "8");
        let site = Site::start(app, model);
        eventually("the start of all hosts", || {
            let log = site.log();
            (log.matches("Application started.").count() == 3).then_some(())
        });
        assert_eq!(site.get("/").ok().text(), "Together");
        let mut last = site.connect();
        last.send(Request::get("/last").to_bytes());
        site.wait_for_log("waiting");
        site.signal("TERM");
        // The last requests have all that they had before.
        assert_eq!(last.response().ok().text(), "2");
        let log = ended(site);
        assert!(log.contains("life: Main returns"), "{log}");
    }

    fn everything_that_announces_an_end_is_heard(model: Model) {
        let site = Site::start(shape("Ends"), model);
        assert_eq!(site.get("/").ok().text(), "CreateBuilder");
        let log = stopped(site);
        let steps: Vec<_> = log.lines().filter_map(|line| line.strip_prefix("life: ")).collect();
        // Of signals nothing: an end is asked for by messages.
        assert_eq!(steps, ["Main returns", "Unloading", "ProcessExit"]);
    }

    fn a_startup_hook_of_the_application_is_found_by_path_and_by_name(model: Model) {
        for is_path in [true, false] {
            let app = App::test("Site");
            let path = app.path("Site.dll").display().to_string();
            let hook = if is_path { path } else { "Site".to_owned() };
            let site = Site::start(app.variables(&[("DOTNET_STARTUP_HOOKS", &hook)]), model);
            assert_eq!(site.get("/StartupHookRan").ok().text(), "True", "{hook}");
            // And ours has run beside it.
            let addresses = site.get("/ServerAddresses").ok().text();
            assert!(addresses.contains(&site.address().to_string()), "{hook}: {addresses}");
            site.stop();
        }
    }

    fn standard_input_is_at_its_end(model: Model) {
        let site = Site::start(shape("ReadsInput"), model);
        assert_eq!(site.get("/").ok().text(), "ReadsInput 0 True");
        stopped(site);
    }

    fn programs_are_started_and_waited_for(model: Model) {
        let site = Site::start(shape("Forks"), model);
        std::thread::scope(|scope| {
            for code in 0..16 {
                let site = &site;
                scope.spawn(move || {
                    let expected = format!("said {code}, exited with {code}");
                    assert_eq!(site.get(&format!("/run?code={code}")).ok().text(), expected);
                });
            }
        });
        for _ in 0..3 {
            assert_eq!(site.get("/orphan").ok().text(), "exited with 3");
        }
        // They hear signals: what the host has blocked for itself is not their affair.
        assert_eq!(site.get("/ended").ok().text(), "143\n");
        assert_eq!(site.get("/blocked").ok().text(), "SigBlk:\t0000000000000000\n");
        // Also looks that nobody is left unwaited for.
        site.stop();
    }

    fn what_nobody_catches_on_the_pool_ends_one_generation_only(model: Model) {
        let site = Site::start(shape("Drops"), model);
        let first = pid(&site);
        assert_eq!(site.get("/task").ok().text(), "forgotten");
        assert_eq!(pid(&site), first);
        for (target, words) in [("/pool", "dropped by the pool"), ("/void", "dropped by async void")] {
            let last = pid(&site);
            let mut connection = site.connect();
            connection.send(Request::post(target, "").to_bytes());
            let _ = connection.rest_or_response();
            eventually("the end of the process", || (!last.is_alive()).then_some(()));
            site.wait_for_log(words);
            assert_ne!(pid(&site), last);
            let log = site.log();
            let (event, end) = match model {
                Model::InProcess => ("error 1018: a thread of the app threw", "SIGABRT"),
                Model::OutOfProcess => ("Unhandled exception.", "warning 1030: "),
            };
            assert!(log.contains(event) && log.contains(end), "{log}");
        }
        site.stop();
    }
}

/// Without a server that could be asked to stop there is no other way.
#[test]
fn a_host_that_is_run_for_ever_does_not_hold_up_the_end_in_process() {
    let site = Site::start(shape("RestartsForEver"), Model::InProcess);
    assert_eq!(site.get("/").ok().text(), "CreateBuilder");
    stopped(site);
}
