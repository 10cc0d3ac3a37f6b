//! Applications that do not start are answered for by a page with the number and the cause.

use std::time::{Duration, Instant};

use testkit::{App, Model, Request, Response, Site, Start, both_models, env};

const DETAILS: (&str, &str) = ("ASPNETCORE_DETAILEDERRORS", "true");

/// The page of an application that misbehaves.
fn page_of(app: App, model: Model, variables: &[(&str, &str)]) -> (Site, Response) {
    let start = variables
        .iter()
        .fold(Start::of(app.model(model)), |start, (name, value)| start.env(name, value));
    let site = start.run();
    let page = site.get("/");
    (site, page)
}

/// In-process or out-of-process number of a start that failed in the application.
fn assert_did_not_start(page: &Response, model: Model) {
    let (status, number) = match model {
        Model::InProcess => (500, "500.30"),
        Model::OutOfProcess => (502, "502.5"),
    };
    assert_eq!(page.status(), status, "{}", page.text());
    assert!(page.text().contains(&format!("HTTP Error {number}")), "{}", page.text());
    assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    let control = page.header("Cache-Control").unwrap_or_default();
    assert!(control.contains("no-store") || control.contains("no-cache"), "{control}");
}

both_models! {
    fn inp_02_inp_11_an_exception_in_main_is_in_the_log_and_not_on_the_page(model: Model) {
        let (site, page) = page_of(App::misbehaving("Throw"), model, &[]);
        assert_did_not_start(&page, model);
        assert!(!page.text().contains("thrown by Main"), "{}", page.text());
        assert!(!page.text().contains(site.app().dir().to_str().unwrap()), "{}", page.text());
        site.wait_for_log("thrown by Main on purpose");
        site.stop();
    }

    fn a_plain_page_has_the_reference_that_the_log_has(model: Model) {
        let (site, page) = page_of(App::misbehaving("Throw"), model, &[]);
        let text = page.text();
        let reference = text.split_once("Reference ").unwrap().1.split(' ').next().unwrap();
        assert!(reference.len() >= 8, "{text}");
        site.wait_for_log(&format!("  reference {reference}\n"));
        let json = site.request(&Request::get("/").header("Accept", "application/json")).json();
        assert_eq!(json["reference"], reference);
        assert!(json.get("report").is_none(), "{json}");
        // The next attempt fails for the same reason, so its page leads to the same block.
        testkit::eventually("two attempts", || {
            (site.log().matches(&format!("(reference {reference})")).count() > 1).then_some(())
        });
        assert_eq!(site.log().matches("  reference ").count(), 1, "{}", site.log());
        site.stop();
    }

    fn diag_01_diag_02_diag_04_a_page_has_the_link_of_the_operator(model: Model) {
        let link = "https://help.example/failures?a=1&b=<2>";
        for (variable, expected) in [
            (link, "href=\"https://help.example/failures?a=1&amp;b=&lt;2&gt;\""),
            ("javascript:alert(1)", ""),
        ] {
            for app in [App::misbehaving("Throw"), App::sample("hello").arguments("serve")] {
                let link = ("ANCM_ADDITIONAL_ERROR_PAGE_LINK", variable);
                let (site, page) = page_of(app, model, &[link]);
                let text = page.text();
                assert!(page.status() >= 500 && text.contains(expected), "{text}");
                assert!(!text.contains("javascript"), "{text}");
                // Nothing behind the page.
                assert!(text.ends_with("</html>\n"), "{text}");
                site.stop();
            }
        }
    }

    fn v1_18_without_the_page_there_is_only_the_status(model: Model) {
        let app = App::misbehaving("Throw").attribute("disableStartUpErrorPage", "true");
        let (site, page) = page_of(app, model, &[DETAILS]);
        let expected = match model {
            Model::InProcess => 500,
            Model::OutOfProcess => 502,
        };
        assert_eq!((page.status(), page.text().as_str()), (expected, ""));
        assert_eq!(page.header("Content-Length"), Some("0"));
        site.wait_for_log("thrown by Main on purpose");
        site.stop();
    }

    fn a_report_says_what_was_run_and_on_what(model: Model) {
        let (site, _) = page_of(App::misbehaving("Throw"), model, &[DETAILS]);
        let json = site.request(&Request::get("/").header("Accept", "application/json")).json();
        let report = &json["report"];
        let dir = site.app().dir().to_str().unwrap();
        assert_eq!(report["app_dir"], dir, "{json:#}");
        assert!(report["command"].as_str().unwrap().contains("Misbehave.dll"), "{json:#}");
        let wanted = report["runtime_wanted"].as_str().unwrap();
        assert!(wanted.contains("Microsoft.AspNetCore.App"), "{json:#}");
        let version = env::framework_version();
        let installed = report["runtimes_installed"].as_array().unwrap();
        let is_listed = |name: &str| installed.iter().any(|it| *it == format!("{name} {version}"));
        assert!(is_listed("Microsoft.NETCore.App") && is_listed("Microsoft.AspNetCore.App"));
        // The stack, down to the method that threw.
        assert!(report["detail"].as_str().unwrap().contains("   at Program."), "{json:#}");
        assert!(!report["journey"]["reached"].as_array().unwrap().is_empty(), "{json:#}");
        site.stop();
    }

    fn inp_07_an_exception_in_main_is_shown_to_developers(model: Model) {
        for variable in [
            DETAILS,
            ("ASPNETCORE_DETAILEDERRORS", "1"),
            ("ASPNETCORE_ENVIRONMENT", "Development"),
            ("DOTNET_ENVIRONMENT", "Development"),
        ] {
            let (_site, page) = page_of(App::misbehaving("Throw"), model, &[variable]);
            assert_did_not_start(&page, model);
            let text = page.text();
            assert!(text.contains("InvalidOperationException"), "{variable:?}: {text}");
            assert!(text.contains("thrown by Main on purpose"), "{variable:?}: {text}");
        }
    }

    fn what_an_application_has_registered_for_its_end_is_called(model: Model) {
        for how in ["ThrowAndTell", "ThrowAndExit"] {
            let (site, page) = page_of(App::misbehaving(how), model, &[DETAILS]);
            assert_did_not_start(&page, model);
            site.wait_for_log("own handler: thrown by Main on purpose");
            if how == "ThrowAndTell" || model == Model::InProcess {
                assert!(page.text().contains("thrown by Main on purpose"), "{}", page.text());
            }
            site.stop();
        }
    }

    fn inp_08_details_are_switched_on_in_web_config(model: Model) {
        let app = App::misbehaving("Throw").variables(&[DETAILS]);
        let (_site, page) = page_of(app, model, &[]);
        assert_did_not_start(&page, model);
        assert!(page.text().contains("thrown by Main on purpose"), "{}", page.text());
    }

    fn inp_09_an_exception_while_the_host_starts_is_shown(model: Model) {
        let app = App::misbehaving("ThrowInStartup");
        let (_site, page) = page_of(app, model, &[DETAILS]);
        assert_did_not_start(&page, model);
        assert!(page.text().contains("thrown by a hosted service on purpose"), "{}", page.text());

        let app = App::misbehaving("ThrowInConfigure");
        let (_site, page) = page_of(app, model, &[DETAILS]);
        match model {
            Model::InProcess => assert_did_not_start(&page, model),
            // The integration makes the application itself answer.
            Model::OutOfProcess => assert_eq!(page.status(), 500),
        }
        assert!(page.text().contains("thrown by Configure on purpose"), "{}", page.text());
    }

    fn inp_03_inp_04_an_early_return_is_named_with_its_code(model: Model) {
        let (site, page) = page_of(App::misbehaving("EarlyReturn"), model, &[DETAILS]);
        assert_did_not_start(&page, model);
        assert!(page.text().contains("12"), "{}", page.text());
        site.wait_for_log("12");
        site.stop();
    }

    fn an_exit_before_the_start_is_answered_for(model: Model) {
        let (_site, page) = page_of(App::misbehaving("Exit"), model, &[DETAILS]);
        assert_did_not_start(&page, model);
        assert!(page.text().contains("13"), "{}", page.text());
    }

    fn a_fail_fast_before_the_start_is_answered_for(model: Model) {
        let (site, page) = page_of(App::misbehaving("Abort"), model, &[DETAILS]);
        assert_did_not_start(&page, model);
        assert!(page.text().contains("failed fast on purpose"), "{}", page.text());
        site.stop();
    }

    fn a_main_that_never_serves_is_answered_for(model: Model) {
        let (_site, page) = page_of(App::misbehaving("NeverServes"), model, &[]);
        assert_did_not_start(&page, model);
    }

    fn log_21_output_before_the_end_is_captured(model: Model) {
        for how in ["ConsoleWrite 500", "ConsoleErrorWrite 500", "ConsoleWrite 30000", "ConsoleErrorWrite 31000"] {
            let (site, page) = page_of(App::misbehaving(how), model, &[DETAILS]);
            assert_did_not_start(&page, model);
            assert!(page.text().contains(&"a".repeat(500)), "{how}");
            site.wait_for_log(&"a".repeat(500));
            site.stop();
        }
    }

    fn a_start_that_failed_is_answered_in_the_form_that_the_client_asks_for(model: Model) {
        let site = Site::start(App::misbehaving("Throw"), model);
        let json = site.request(&Request::get("/").header("Accept", "application/json"));
        assert_eq!(json.header("Content-Type"), Some("application/json"));
        assert_eq!(json.json()["status"], json.status());
        let text = site.request(&Request::get("/").header("Accept", "text/plain"));
        assert!(text.header("Content-Type").unwrap().starts_with("text/plain"));
        assert!(text.text().starts_with("HTTP Error 50"), "{}", text.text());
        site.stop();
    }

    fn an_application_that_starts_at_last_replaces_the_page(model: Model) {
        let app = App::misbehaving("Throw");
        let site = Site::start(app, model);
        assert!(site.get("/").status() >= 500);
        let good = site.app().read("web.config").replace("Misbehave.dll Throw", "Misbehave.dll Serve");
        site.app().write("web.config", good);
        site.signal("HUP");
        testkit::eventually("the application", || (site.get("/").status() == 200).then_some(()));
        site.stop();
    }

    fn shim_13_shim_14_log_16_l22_30_a_missing_framework_is_named(model: Model) {
        let app = App::sample("hello");
        let name = "Hello.runtimeconfig.json";
        let version = "99.9.9";
        let config = app.read(name);
        let at = config.find("\"version\": \"").unwrap() + "\"version\": \"".len();
        let end = at + config[at..].find('"').unwrap();
        let current = config[at..end].to_owned();
        let app = app.file(name, config.replace(&current, version));
        let (site, page) = page_of(app, model, &[DETAILS]);
        match model {
            Model::InProcess => {
                assert_eq!(page.status(), 500);
                assert!(page.text().contains("HTTP Error 500.31"), "{}", page.text());
            }
            Model::OutOfProcess => assert_did_not_start(&page, model),
        }
        assert!(page.text().contains(version), "{}", page.text());
        assert!(page.text().contains("Microsoft."), "{}", page.text());
        site.wait_for_log("You must install or update .NET");
        site.wait_for_log(version);
        assert!(!site.app().path("logs").exists(), "there is no log file");
        site.stop();
    }

    fn shim_16_a_program_without_its_assembly_is_named(model: Model) {
        let app = App::sample("hello").attribute("processPath", r".\Hello").arguments("");
        let (site, page) = page_of(app.without("Hello.dll"), model, &[DETAILS]);
        match model {
            Model::InProcess => {
                assert_eq!(page.status(), 500);
                assert!(page.text().contains("HTTP Error 500.38"), "{}", page.text());
            }
            Model::OutOfProcess => assert_did_not_start(&page, model),
        }
        assert!(page.text().contains("Hello.dll"), "{}", page.text());
        site.wait_for_log("Hello.dll");
        site.stop();
    }

    fn log_23_l22_28_the_console_works(model: Model) {
        let site = Site::start(App::misbehaving("CheckConsoleFunctions"), model);
        assert_eq!(site.get("/").ok().text(), "Hello, World!");
        site.wait_for_log("Is Console redirection: True");
        site.wait_for_log("彡⾔");
    }

    fn inp_05_v1_08_a_start_that_hangs_ends_at_its_limit(model: Model) {
        for how in ["Hang", "HangInStart"] {
            let app = App::misbehaving(how).attribute("startupTimeLimit", "1");
            let begun = Instant::now();
            let (site, page) = page_of(app, model, &[]);
            let text = page.text();
            match model {
                Model::InProcess => assert!(text.contains("HTTP Error 500.37"), "{how}: {text}"),
                Model::OutOfProcess => assert!(text.contains("HTTP Error 502.5"), "{how}: {text}"),
            }
            assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
            site.stop();
        }
    }

    fn the_announcement_has_a_line_of_its_own(model: Model) {
        let (site, _) = page_of(App::misbehaving("ConsoleWrite 10"), model, &[]);
        let stdout = site.stdout();
        assert!(stdout.lines().any(|line| line.starts_with("listening on ")), "{stdout}");
    }

    fn a_failing_application_is_not_started_all_the_time(model: Model) {
        let site = Site::start(App::misbehaving("Throw"), model);
        for _ in 0..50 {
            assert!(site.get("/").status() >= 500);
        }
        // Its message is there once per start.
        let starts = site.stderr().matches("Unhandled exception").count();
        assert!(starts < 10, "{starts} starts");
        site.stop();
    }
}

/// What only happens when the runtime is within the worker.
mod in_process {
    use super::*;

    #[test]
    fn shim_11_l22_29_a_host_library_that_cannot_be_loaded_is_named() {
        // The application brings what looks like its own runtime.
        let app = App::sample("hello").file("libhostfxr.so", "this is no library");
        let app = app.attribute("processPath", r".\Hello").arguments("");
        let (site, page) = page_of(app, Model::InProcess, &[DETAILS]);
        assert!(page.text().contains("HTTP Error 500.32"), "{}", page.text());
        site.stop();
    }

    /// The page of an application that brings this as its host library.
    fn with_host_library(library: &[u8]) -> (Site, Response) {
        let app = App::sample("hello").file("libhostfxr.so", library);
        let app = app.attribute("processPath", r".\Hello").arguments("");
        page_of(app, Model::InProcess, &[DETAILS])
    }

    fn some_library() -> Vec<u8> {
        let frameworks = env::dotnet_root().join("shared/Microsoft.NETCore.App");
        let path = frameworks.join(env::framework_version()).join("libSystem.Native.so");
        std::fs::read(path).unwrap()
    }

    #[test]
    fn shim_10_a_host_library_without_its_functions_is_named() {
        let (site, page) = with_host_library(&some_library());
        assert!(page.text().contains("HTTP Error 500.32"), "{}", page.text());
        site.wait_for_log("500.32");
        site.wait_for_log("libhostfxr.so");
        site.stop();
    }

    #[test]
    fn shim_12_an_application_for_another_processor_is_named() {
        let mut library = some_library();
        // `e_machine` of the ELF header: SPARC.
        library[18..20].copy_from_slice(&2_u16.to_le_bytes());
        let (site, page) = with_host_library(&library);
        assert!(page.text().contains("HTTP Error 500.32"), "{}", page.text());
        site.wait_for_log("500.32");
        site.stop();
    }
}

#[test]
fn the_framework_of_this_run_is_known() {
    assert!(
        env::dotnet_root()
            .join("shared/Microsoft.NETCore.App")
            .join(env::framework_version())
            .is_dir()
    );
}
