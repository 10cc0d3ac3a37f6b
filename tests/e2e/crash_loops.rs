//! What fails again and again takes little of the machine, whatever a start costs.

use testkit::{App, Site, both_models, eventually};

use crate::control::status;

const COST: &str = "s of CPU time, and 5 % of a core is theirs";

fn fail(site: &Site) {
    let mut connection = site.connect();
    connection.send("POST /exit?code=3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let _ = connection.rest_or_response();
}

both_models! {
    fn an_expensive_start_is_tried_slowly_and_at_once_after_a_change(model: Model) {
        let site = Site::start(App::misbehaving("Burn 5000"), model);
        site.wait_for_log(COST);
        let failure = &status(&site)["last_failure"];
        // After a cheap one it would be a second.
        assert!(failure["retry_in_seconds"].as_u64().unwrap() > 15, "{failure}");
        let why = failure["retry_waits_because"].as_str().unwrap();
        assert!(why.contains(COST), "{why}");
        let text = site.command("status", &[]).stdout;
        assert!(text.contains("tried again in ") && text.contains(COST), "{text}");
        assert!(site.get("/").status() >= 500);
        assert_eq!(site.log().matches("did not start: ").count(), 1);
        site.app().write("web.config", site.app().read("web.config").replace("Burn", "Serve"));
        eventually("an answer", || (site.get("/").status() == 200).then_some(()));
        site.stop();
    }

    fn a_start_that_took_too_long_is_left_alone_if_that_is_wanted(model: Model) {
        let app = App::misbehaving("Hang")
            .attribute("startupTimeLimit", "1")
            .handler_setting("suppressRecycleOnStartupTimeout", "true");
        let site = Site::start(app, model);
        site.wait_for_log("no further attempt: suppressRecycleOnStartupTimeout");
        let told = status(&site);
        let failure = &told["last_failure"];
        assert!(failure["retry_in_seconds"].is_null(), "{failure}");
        let why = failure["retry_waits_because"].as_str().unwrap();
        assert!(why.contains("suppressRecycleOnStartupTimeout"), "{why}");
        let text = site.command("status", &[]).stdout;
        assert!(text.contains("not tried again: suppressRecycle"), "{text}");
        assert!(site.get("/").status() >= 500);
        assert_eq!(site.command("recycle", &[]).status.code(), Some(5));
        let tries = || site.log().matches("did not start: ").count();
        eventually("the second failure in the log", || (tries() == 2).then_some(()));
        site.app().write("web.config", site.app().read("web.config").replace("Hang", "Serve")
            .replace("startupTimeLimit=\"1\"", ""));
        eventually("an answer", || (site.get("/").status() == 200).then_some(()));
        site.stop();
    }

    fn a_cheap_start_that_fails_is_tried_again_in_a_moment(model: Model) {
        let site = Site::start(App::misbehaving("Throw"), model);
        site.wait_for_log("pauses grow from failure to failure");
        let tries = || site.log().matches("did not start: ").count();
        eventually("the third try", || (tries() >= 3).then_some(()));
        site.stop();
    }

    fn what_ends_young_is_started_at_once_and_then_as_its_cost_allows(model: Model) {
        let site = Site::start(App::misbehaving("BurnAndServe 2000"), model);
        let first = site.get("/pid").ok().text();
        fail(&site);
        assert_ne!(site.get("/pid").ok().text(), first);
        assert!(!site.log().contains(COST), "{}", site.log());
        fail(&site);
        site.wait_for_log(COST);
        assert!(site.get("/pid").status() >= 500);
        site.app().write("web.config", site.app().read("web.config"));
        eventually("an answer", || (site.get("/pid").status() == 200).then_some(()));
        site.stop();
    }
}
