//! Generations that do well are replaced, or stopped, when their time has come: no request is lost.

use std::process::Command;

use testkit::{App, Load, Model, Site, Start, WebSocket, both_models, eventually};

use crate::changes::rewrite;
use crate::control::status;

/// Waits until the newest generation serves for `reason`, which log and `status` say in the same words.
fn serves_for(site: &Site, reason: &str, words: &str) {
    let newest = eventually(&format!("a generation because of {reason}"), || {
        let newest = status(site)["generations"].as_array()?.last().cloned()?;
        let is_it = newest["reason"] == reason && newest["state"] == "serving";
        (is_it && newest["serves"] == "app").then_some(newest)
    });
    assert_eq!(newest["why"], words);
    site.wait_for_log(&format!("generation {} serves now: {words}", newest["id"]));
    let text = site.command("status", &[]).stdout;
    assert!(text.contains(words), "{text}");
}

/// Starts the application with a setting and waits, under load, until it was replaced for `reason`.
fn is_replaced(model: Model, (name, value): (&str, &str), reason: &str) {
    let app = App::test("Site").handler_setting(name, value);
    let site = Site::start(app, model);
    // Kept connections are the matter of `changes`.
    let load = Load::start(site.address(), "/HelloWorld", 0, 4);
    site.wait_for_log(name);
    eventually("a generation with that reason", || {
        let told = status(&site);
        let mut generations = told["generations"].as_array().unwrap().iter();
        generations.any(|it| it["reason"] == reason && it["state"] == "serving").then_some(())
    });
    load.wait_for_more(20);
    load.stop().assert_lossless();
    site.stop();
}

/// Waits until the application is gone because nobody asks.
fn wait_until_idle(site: &Site) {
    site.wait_for_log("1132");
    eventually("the end of all workers", || site.supervisor().children().is_empty().then_some(()));
    assert_eq!(status(site)["state"], "idle");
}

both_models! {
    fn log_and_status_say_why_there_is_a_generation(model: Model) {
        let site = Site::start(App::test("Site"), model);
        serves_for(&site, "first", "the site was started");
        site.signal("HUP");
        serves_for(&site, "signal", "a signal asks for it");
        assert_eq!(site.command("recycle", &[]).status.code(), Some(0));
        serves_for(&site, "command", "an operator asked for it");
        rewrite(&site.app().path("web.config"));
        serves_for(&site, "configuration", "web.config has changed");
        rewrite(&site.app().path("Site.dll"));
        serves_for(&site, "files", "files of the application have changed");
        site.worker().signal("KILL");
        serves_for(&site, "died", "the one before ended unasked");
        site.app().write("app_offline.htm", "");
        eventually("the page", || (site.get("/HelloWorld").status() == 503).then_some(()));
        std::fs::remove_file(site.app().path("app_offline.htm")).unwrap();
        serves_for(&site, "online", "app_offline.htm was removed");
        for command in ["stop", "start"] {
            assert_eq!(site.command(command, &[]).status.code(), Some(0));
        }
        serves_for(&site, "started", "an operator has started the application");
        let _ = site.get("/Shutdown");
        match model {
            Model::InProcess => serves_for(&site, "quit", "the application stopped by itself"),
            // The worker starts another in its place.
            Model::OutOfProcess => {
                let ends = eventually("the end of a backend", || {
                    let mut status = status(&site);
                    let ends = status["generations"][0]["backend_ends"].take();
                    (!ends.is_null()).then_some(ends)
                });
                assert_eq!(ends["count"], 1);
                let words = ends["text"].as_str().unwrap();
                assert!(words.contains("exited with code 0"), "{words}");
                site.wait_for_log(words);
                let text = site.command("status", &[]).stdout;
                assert!(text.contains("backends ended: 1, last at ") && text.contains(words), "{text}");
            }
        }
        let good = std::fs::read(site.app().path("Site.dll")).unwrap();
        site.app().write("Site.dll", "no assembly");
        site.wait_for_log("did not start");
        site.app().write("Site.dll", good);
        serves_for(&site, "files", "files of the application have changed");
        site.stop();
    }

    fn enough_requests_are_enough(model: Model) {
        is_replaced(model, ("periodicRestartRequests", "100"), "requests");
    }

    fn enough_time_is_enough(model: Model) {
        is_replaced(model, ("periodicRestartTime", "00:00:02"), "lifetime");
    }

    fn too_much_memory_is_too_much(model: Model) {
        is_replaced(model, ("periodicRestartPrivateMemory", "1000"), "memory");
    }

    fn who_is_not_well_any_more_is_replaced_and_the_log_says_why(model: Model) {
        let app = App::test("Site")
            .handler_setting("healthCheckPath", "/WellUntil/2")
            .handler_setting("healthCheckInterval", "00:00:01")
            .handler_setting("healthCheckFailures", "2");
        let site = Site::start(app, model);
        let load = Load::start(site.address(), "/HelloWorld", 0, 4);
        site.wait_for_log("warning 1134: health check /WellUntil/2 gave 503 (1 of 2 in a row)");
        site.wait_for_log("the checks of healthCheckPath have failed");
        eventually("a generation with that reason", || {
            let told = status(&site);
            let mut generations = told["generations"].as_array().unwrap().iter();
            generations.any(|it| it["reason"] == "unhealthy").then_some(())
        });
        load.wait_for_more(20);
        load.stop().assert_lossless();
        site.stop();
    }

    fn who_has_never_been_well_stays_and_checks_are_no_requests_of_clients(model: Model) {
        let app = App::test("Site")
            .handler_setting("healthCheckPath", "/NoSuchEndpoint")
            .handler_setting("healthCheckInterval", "00:00:01")
            .handler_setting("healthCheckFailures", "2")
            .handler_setting("idleTimeout", "00:00:05");
        let site = Site::start(app, model);
        site.wait_for_log("never passed");
        wait_until_idle(&site);
        assert!(!site.log().contains("healthCheckPath have failed"));
        site.stop();
    }

    fn an_idle_application_is_gone_and_comes_back_with_the_next_request(model: Model) {
        let app = App::test("Site").handler_setting("idleTimeout", "00:00:01");
        let site = Site::start(app, model);
        let first = site.application();
        wait_until_idle(&site);
        assert!(!first.is_alive());
        // Held, and answered when the application is up again.
        assert_eq!(site.get("/HelloWorld").status(), 200);
        site.wait_for_log("serves now: a request came for an application that was idle");
        wait_until_idle(&site);
        let ended = site.command("start", &[]);
        assert!(ended.stdout.ends_with("serves\n"), "{} {}", ended.stdout, ended.stderr);
        site.wait_for_log("serves now: an operator has started the application");
        eventually("idleness again", || site.supervisor().children().is_empty().then_some(()));
        assert_eq!(site.command("stop", &[]).status.code(), Some(0));
        assert_eq!(site.get("/HelloWorld").status(), 503);
        site.stop();
    }

    fn who_has_a_websocket_is_not_idle(model: Model) {
        let app = App::test("Site").handler_setting("idleTimeout", "00:00:01");
        let site = Start::of(app.model(model).handler_setting("periodicRestartTime", "00:00:06")).run();
        let mut socket = WebSocket::open(site.connect(), "/WebSocketEcho");
        socket.send_text("hello");
        assert_eq!(socket.receive().payload, b"hello");
        // It may have been idle before, if this machine is slow; not from now on.
        let count = |text: &str| site.log().matches(text).count();
        let (idle, replaced) = (count("1132"), count("periodicRestartTime"));
        // Longer than it may be idle.
        eventually("a replacement", || (count("periodicRestartTime") > replaced).then_some(()));
        assert_eq!(count("1132"), idle);
        drop(socket);
        wait_until_idle(&site);
        site.stop();
    }
}

#[test]
fn a_time_of_day_is_kept() {
    // Its first look may come late, so there are many.
    let script = "for i in $(seq 2 2 120); do date +%T -d \"+$i seconds\"; done";
    let times = Command::new("sh").args(["-c", script]).output().unwrap().stdout;
    let times = String::from_utf8(times).unwrap().trim().replace('\n', ",");
    is_replaced(Model::InProcess, ("periodicRestartSchedule", &times), "schedule");
}

#[test]
fn what_is_idle_is_started_with_what_the_folder_has_then() {
    let app = App::test("Site").handler_setting("idleTimeout", "00:00:01");
    let site = Site::start(app, Model::InProcess);
    wait_until_idle(&site);
    let text = site.app().read("web.config");
    let variable = r#"<environmentVariables><environmentVariable name="NEW" value="1"/>
        </environmentVariables></aspNetCore>"#;
    site.app().write("web.config", text.replace("</aspNetCore>", variable));
    eventually("the new variable", || {
        let answer = site.get("/GetEnvironmentVariable?name=NEW");
        (answer.status() == 200 && answer.text() == "1").then_some(())
    });
    site.stop();
}
