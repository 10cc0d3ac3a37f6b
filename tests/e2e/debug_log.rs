//! The debug log: what host and handlers write down for whoever looks for a fault.

use std::fs;

use testkit::{App, Model, Site, Start, both_models, eventually};

const DEFAULT: &str = "aspnetcore-debug.log";

/// The text of the file in the application's folder, once it has all of these.
fn wait_for(site: &Site, file: &str, words: &[&str]) -> String {
    eventually(&format!("{words:?} in {file}"), || {
        let text = fs::read_to_string(site.app().path(file)).ok()?;
        words.iter().all(|word| text.contains(word)).then_some(text)
    })
}

/// What the handler of this model begins its part with.
fn handler(model: Model) -> &'static str {
    match model {
        Model::InProcess => "libancm_inprocess.so 0.",
        Model::OutOfProcess => "[outofprocess] ",
    }
}

both_models! {
    fn log_04_log_15_a_file_in_a_sub_folder_begins_with_host_and_handler(model: Model) {
        let app = App::sample("hello")
            .handler_setting("debugFile", r".\logs\debug.txt")
            .handler_setting("debugLevel", "trace");
        let site = Site::start(app, model);
        assert_eq!(site.get("/").status(), 200);
        let text = wait_for(
            &site,
            "logs/debug.txt",
            &["ancm-worker 0.", handler(model), "requests are served"],
        );
        let process = format!(", PID: {}] [", site.worker().0);
        for line in text.lines() {
            // [2025-01-31T23:59:59.123Z, PID: 17] [host] ...
            assert!(line.contains(&process), "{line}");
            let time = line.strip_prefix('[').and_then(|line| line.split_once(", ")).unwrap().0;
            let digits = time.chars().filter(char::is_ascii_digit).count();
            assert_eq!((time.len(), digits, &time[19..20]), (24, 17, "."), "{line}");
        }
        site.stop();
    }

    fn log_05_a_file_that_is_wanted_and_not_named_is_the_default(model: Model) {
        let site = Site::start(App::sample("hello").handler_setting("debugLevel", "file"), model);
        assert_eq!(site.get("/").status(), 200);
        wait_for(&site, DEFAULT, &["ancm-worker 0.", handler(model), "requests are served"]);
        site.stop();
    }

    fn log_06_the_environment_alone_is_enough(model: Model) {
        let app = App::sample("hello").model(model);
        let site = Start::of(app).env("ASPNETCORE_MODULE_DEBUG", "file").run();
        assert_eq!(site.get("/").status(), 200);
        wait_for(&site, DEFAULT, &["ancm-worker 0.", handler(model), "requests are served"]);
        site.stop();
    }

    fn log_07_a_file_of_the_environment_leads_to_the_one_of_web_config(model: Model) {
        let app = App::sample("hello").model(model).handler_setting("debugFile", "second.log");
        let site = Start::of(app)
            .env("ASPNETCORE_MODULE_DEBUG", "trace")
            .env("ASPNETCORE_MODULE_DEBUG_FILE", "first.log")
            .run();
        assert_eq!(site.get("/").status(), 200);
        wait_for(&site, "second.log", &["ancm-worker 0.", handler(model), "requests are served"]);
        let first = wait_for(&site, "first.log", &["ancm-worker 0.", "second.log"]);
        assert!(!first.contains("requests are served"), "{first}");
        site.stop();
    }

    fn log_08_lines_can_be_events(model: Model) {
        for sink in ["eventlog", "journal", "console"] {
            let app = App::sample("hello").handler_setting("debugLevel", sink);
            let site = Site::start(app, model);
            assert_eq!(site.get("/").status(), 200);
            site.wait_for_log("info 1036: [");
            site.wait_for_log("[host] requests are served");
            site.stop();
        }
    }

    fn diag_06_a_failed_start_is_in_the_debug_log(model: Model) {
        let app = App::misbehaving("Throw").handler_setting("debugLevel", "file,error");
        let site = Site::start(app, model);
        assert!(site.get("/").status() >= 500);
        let words = match model {
            Model::InProcess => ["500.30", "thrown by Main on purpose"],
            Model::OutOfProcess => ["502.5", "event 1020: "],
        };
        wait_for(&site, DEFAULT, &words);
        site.stop();
    }

    fn nothing_that_is_not_wanted_is_written(model: Model) {
        let app = App::sample("hello").handler_setting("debugFile", "debug.log");
        let site = Site::start(app, model);
        assert_eq!(site.get("/").status(), 200);
        assert!(!site.app().path("debug.log").exists());
        assert!(!site.log().contains("1036"));
        site.stop();
    }

    fn a_debug_log_that_cannot_be_written_is_told_and_no_reason_not_to_serve(model: Model) {
        let app = App::sample("hello")
            .handler_setting("debugLevel", "trace")
            .handler_setting("debugFile", "/proc/not/there");
        let site = Site::start(app, model);
        assert_eq!(site.get("/").status(), 200);
        site.wait_for_log("warning 1026: nothing is written to the debug log /proc/not/there");
        site.stop();
    }
}
