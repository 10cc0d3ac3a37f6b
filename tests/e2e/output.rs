//! What applications write: passed on, captured, logged.

use std::fs;

use testkit::{App, Site, both_models};

/// The texts of the files in a folder of the application.
fn logs(site: &Site, folder: &str) -> Vec<String> {
    let files = fs::read_dir(site.app().path(folder)).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
}

both_models! {
    fn log_14_l22_27_what_is_written_before_the_server_starts_is_passed_on(model: Model) {
        let site = Site::start(App::test("Site"), model);
        assert_eq!(site.get("/HelloWorld").status(), 200);
        site.wait_for_log("TEST MESSAGE");
        site.stop();
    }

    fn log_01_log_10_v1_22_standard_output_is_in_one_file(model: Model) {
        let app = App::test("Site").attribute("stdoutLogEnabled", "true");
        let site = Site::start(app, model);
        assert_eq!(site.get("/HelloWorld").status(), 200);
        testkit::eventually("the message in the file", || {
            let logs = logs(&site, "logs");
            logs.iter().any(|text| text.contains("TEST MESSAGE\n")).then_some(())
        });
        assert_eq!(logs(&site, "logs").len(), 1);
        site.stop();
    }

    fn log_03_an_unusable_log_file_is_no_reason_not_to_serve(model: Model) {
        let app = App::test("Site")
            .attribute("stdoutLogEnabled", "true")
            .attribute("stdoutLogFile", "/proc/not/there/stdout");
        let site = Site::start(app, model);
        assert_eq!(site.get("/HelloWorld").status(), 200);
        site.wait_for_log("/proc/not/there");
        site.stop();
    }

    fn log_11_the_output_of_a_failed_start_is_in_the_log(model: Model) {
        let site = Site::start(App::misbehaving("ConsoleErrorWrite 400"), model);
        assert!(site.get("/").status() >= 500);
        site.wait_for_log(&"a".repeat(400));
        site.stop();
    }
}
