//! Generations that do well are replaced, or stopped, when their time has come: no request is lost.

use std::process::Command;

use serde_json::Value;
use testkit::{App, Load, Model, Site, Start, WebSocket, both_models, eventually};

fn status(site: &Site) -> Value {
    let ended = site.command("status", &["--json"]);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr))
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
