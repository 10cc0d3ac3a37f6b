//! What is requested of a new generation before clients may come.

use std::collections::BTreeSet;
use std::fs;

use testkit::{App, Load, Model, Process, Site, Start, both_models, eventually};

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
        // And so has the one that takes its place.
        let first = site.application();
        first.signal("KILL");
        eventually("the end of the first", || (!first.is_alive()).then_some(()));
        assert_eq!(site.get("/ReadyAfter/4").status(), 204);
        assert_ne!(site.application(), first);
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

/// Each of several processes, and one that takes the place of another, is asked itself, after the pages.
#[test]
fn a_process_that_is_not_ready_has_no_requests() {
    let settings = r#"<handlerSettings><handlerSetting name="readinessPath" value="/ready" />
        </handlerSettings></httpPlatform>"#;
    let pages = r#"<applicationInitialization><add initializationPage="/page" />
        </applicationInitialization><httpPlatform"#;
    let app = crate::platform::script("python3", "warming.py")
        .replace("startupRetryCount", r#"processesPerApplication="2" startupRetryCount"#)
        .replace("</httpPlatform>", settings)
        .replace("<httpPlatform", pages);
    let site = Start::of(app).run();
    let seen = || (0..8).map(|_| site.get("/").ok().text()).collect::<BTreeSet<_>>();
    let both = || eventually("two processes", || Some(seen()).filter(|seen| seen.len() == 2));
    let first = both();

    site.app().write("hold", "");
    let (killed, left) = (first.first().unwrap(), first.last().unwrap());
    Process(killed.parse().unwrap()).signal("KILL");
    let listening = || {
        let log = site.stdout();
        let all = log.lines().filter_map(|line| line.strip_suffix(" listens"));
        all.map(str::to_owned).find(|number| !first.contains(number))
    };
    let another = eventually("another process", listening);
    eventually("that it was asked often enough", || {
        let asked = fs::read_to_string(site.app().path(&format!("asked-{another}"))).ok()?;
        (asked.len() > 3).then_some(())
    });
    assert_eq!(seen(), BTreeSet::from([left.clone()]));
    fs::remove_file(site.app().path("hold")).unwrap();
    assert_eq!(both(), BTreeSet::from([left.clone(), another]));

    let files = fs::read_dir(site.app().dir()).unwrap().flatten();
    let names = files.map(|file| file.file_name().into_string().unwrap());
    let early: Vec<_> = names.filter(|name| name.starts_with("too-early")).collect();
    // Whoever was well before says so while `hold` is there.
    assert!(early.iter().all(|name| *name == format!("too-early-{left}")), "{early:?}");
    site.stop();
}
