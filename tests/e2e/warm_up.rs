//! What is requested of a new generation before clients may come.

use testkit::{App, Load, Model, Site, Start, both_models, eventually};

/// An application with these pages and handler settings.
fn app(pages: &str, settings: &[(&str, &str)]) -> App {
    let setting = |(name, value): &(&str, &str)| {
        format!(r#"<handlerSetting name="{name}" value="{value}" />"#)
    };
    let settings: String = settings.iter().map(setting).collect();
    let app = App::test("Site").element(&format!("<handlerSettings>{settings}</handlerSettings>"));
    match pages {
        "" => app,
        pages => app.replace(
            "<aspNetCore",
            &format!("<applicationInitialization>{pages}</applicationInitialization><aspNetCore"),
        ),
    }
}

both_models! {
    fn shim_34_configured_pages_are_requested_before_anybody_comes(model: Model) {
        let pages = r#"<add initializationPage="/WarmUp/one?x=a b" />
            <add initializationPage="/WarmUp/two?status=500" hostName="example.com" />"#;
        let site = Site::start(app(pages, &[]), model);
        let requests = site.get("/WarmedUp").ok().text();
        let lines: Vec<&str> = requests.lines().collect();
        let [one, two] = lines[..] else { panic!("{requests}") };
        assert!(one.starts_with("/one?x=a%20b localhost "), "{requests}");
        assert!(one.contains("127.0.0.1") && one.ends_with("(warm-up)"), "{requests}");
        assert!(two.starts_with("/two?status=500 example.com "), "{requests}");
        site.wait_for_log("initializationPage /WarmUp/two?status=500 (host example.com) gave 500");
        site.stop();
    }

    fn an_application_that_is_not_ready_yet_is_waited_for(model: Model) {
        let settings = [("readinessPath", "/ReadyAfter/3"), ("readinessStatus", "204")];
        let site = Site::start(app("", &settings), model);
        // Asked once more, it has been asked four times before.
        assert_eq!(site.get("/ReadyAfter/4").status(), 204);
        site.stop();
    }

    fn a_readiness_path_with_another_status_is_a_failed_start_that_names_it(model: Model) {
        let site = Start::of(app("", &[("readinessPath", "/NoSuchEndpoint")]).model(model));
        let site = site.env("ASPNETCORE_DETAILEDERRORS", "true").run();
        let page = site.get("/HelloWorld");
        assert_eq!(page.status(), 503);
        assert!(page.text().contains("HTTP Error 503.1"), "{}", page.text());
        let words = "readiness path /NoSuchEndpoint gave 404, expected 200";
        assert!(page.text().contains(words), "{}", page.text());
        site.wait_for_log(words);
        site.wait_for_log("then warming up");
        site.wait_for_log("| no such endpoint");
        site.stop();
    }

    fn an_application_that_never_gets_ready_ends_at_the_limit(model: Model) {
        let settings = [("readinessPath", "/ReadyAfter/1000000"), ("readinessStatus", "204")];
        let site = app("", &settings).attribute("startupTimeLimit", "15");
        let site = Site::start(site, model);
        assert_eq!(site.get("/HelloWorld").status(), 500);
        site.wait_for_log("500.37");
        site.wait_for_log("readiness path /ReadyAfter/1000000 gave 503, expected 204 within 15 s");
        site.stop();
    }

    fn a_page_without_an_end_does_not_keep_clients_out(model: Model) {
        let page = r#"<add initializationPage="/WaitForAbort" />"#;
        let site = app(page, &[]).attribute("startupTimeLimit", "15");
        let site = Site::start(site, model);
        assert_eq!(site.get("/HelloWorld").status(), 200);
        site.wait_for_log("initializationPage /WaitForAbort gave no answer");
        site.stop();
    }

    fn a_new_generation_that_is_not_ready_leaves_the_old_one_serving(model: Model) {
        let site = Site::start(app("", &[("readinessPath", "/WarmUp")]), model);
        let first = site.application();
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        let good = site.app().read("web.config");
        site.app().write("web.config", good.replace("/WarmUp", "/NoSuchEndpoint"));
        site.wait_for_log("readiness path /NoSuchEndpoint gave 404, expected 200");
        assert_eq!(site.application(), first);
        site.app().write("web.config", good);
        eventually("the end of the first", || (!first.is_alive()).then_some(()));
        load.stop().assert_lossless();
        site.stop();
    }
}

#[test]
fn an_application_that_stops_while_it_is_warmed_up_has_not_started() {
    let page = r#"<add initializationPage="/StopAndWait" />"#;
    let site = Start::of(app(page, &[]).model(Model::InProcess)).spawn();
    site.wait_for_log("the application stopped while it was warmed up");
    site.signal("TERM");
    eventually("the end", || (!site.supervisor().is_alive()).then_some(()));
}
