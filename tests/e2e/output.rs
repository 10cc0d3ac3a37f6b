//! What applications write: passed on, captured, logged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{App, Model, Request, Site, Start, both_models};

/// The texts of the files in a folder of the application.
fn logs(site: &Site, folder: &str) -> Vec<String> {
    let files = fs::read_dir(site.app().path(folder)).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
}

/// All bytes of the files in a folder of the application.
fn raw_logs(site: &Site, folder: &str) -> Vec<u8> {
    let files = fs::read_dir(site.app().path(folder)).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read(file.path()).ok()).flatten().collect()
}

/// The same as text, whatever it is.
fn bytes_of_logs(site: &Site, folder: &str) -> String {
    String::from_utf8_lossy(&raw_logs(site, folder)).into_owned()
}

/// A folder of an application with a disk of its own.
fn inside(site: &Site, folder: &str) -> PathBuf {
    let root = format!("/proc/{}/root", site.supervisor().0);
    let path = site.app().path(folder);
    Path::new(&root).join(path.strip_prefix("/").expect("it is absolute"))
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn wait_for_text(path: &Path, text: &str) {
    testkit::eventually(text, || fs::read_to_string(path).ok()?.contains(text).then_some(()));
}

both_models! {
    fn the_life_of_an_application_is_told_as_on_its_own(model: Model) {
        let app = App::test("Shapes").arguments(r".\Shapes.dll CreateBuilder");
        let site = Site::start(app, model);
        let root = format!("Content root path: {}", site.app().dir().display());
        for line in ["Application started. Press Ctrl+C to shut down.", "Hosting environment: ", &root] {
            site.wait_for_log(line);
        }
        assert!(!site.log().contains("Application is shutting down..."));
        site.signal("TERM");
        site.wait_for_log("Application is shutting down...");
    }

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
        // A folder that cannot be made; a file where a folder should be.
        for path in ["/proc/not/there/stdout", r".\Site.dll\stdout"] {
            let app = App::test("Site")
                .attribute("stdoutLogEnabled", "true")
                .attribute("stdoutLogFile", path);
            let site = Site::start(app, model);
            assert_eq!(site.get("/HelloWorld").status(), 200);
            site.wait_for_log("nothing is written to the log file");
            site.stop();
        }
    }

    fn log_03_a_log_folder_that_becomes_usable_is_written_to(model: Model) {
        let app = App::test("Site").attribute("stdoutLogEnabled", "true").model(model);
        let folder = app.path("logs");
        fs::create_dir(&folder).unwrap();
        let site = Start::with_disk(app, &folder, "ro").run();
        site.wait_for_log("Read-only file system");
        for _ in 0..3 {
            assert_eq!(site.get("/Write?text=lost").status(), 200);
        }
        let pid = site.supervisor().0.to_string();
        let mut mount = Command::new("nsenter");
        mount.args(["--user", "--mount", "--preserve-credentials", "--target", &pid]);
        let mounted = mount.args(["mount", "-o", "remount,rw"]).arg(&folder).status();
        assert!(mounted.unwrap().success());
        assert_eq!(site.get("/Write?text=and-on-it-goes").status(), 200);
        site.wait_for_log("is written again");
        let file = only_file(&inside(&site, "logs"));
        wait_for_text(&file, "and-on-it-goes");
        wait_for_text(&file, "bytes are missing here]\n");
        assert_eq!(site.log().matches("nothing is written to the log file").count(), 1);
        site.stop();
    }

    fn log_11_the_output_of_a_failed_start_is_in_the_log(model: Model) {
        let site = Site::start(App::misbehaving("ConsoleErrorWrite 400"), model);
        assert!(site.get("/").status() >= 500);
        site.wait_for_log(&"a".repeat(400));
        site.stop();
    }

    fn log_02_nat_33_nat_34_every_writer_is_heard_on_both_streams_and_in_the_file(model: Model) {
        let app = App::test("Site").attribute("stdoutLogEnabled", "true");
        let site = Site::start(app, model);
        for to in ["stdout", "stderr"] {
            for by in ["console", "native", "garbage"] {
                let text = format!("written-by-{by}-to-{to}");
                assert_eq!(site.get(&format!("/Write?to={to}&by={by}&text={text}")).status(), 200);
                let own = if to == "stdout" { Site::stdout } else { Site::stderr };
                testkit::eventually(&text, || own(&site).contains(&text).then_some(()));
                testkit::eventually("it in the file", || {
                    bytes_of_logs(&site, "logs").contains(&format!("{text}\n")).then_some(())
                });
            }
        }
        // Passed on as it is.
        let raw = raw_logs(&site, "logs");
        assert!(raw.windows(5).any(|bytes| bytes == [0, 0xff, 0xfe, 0x80, 0x1b]));
        site.stop();
    }

    fn log_09_nat_33_names_and_words_of_any_language_are_written(model: Model) {
        let app = App::test("Site")
            .attribute("stdoutLogEnabled", "true")
            .attribute("stdoutLogFile", r".\журнал\日誌");
        let site = Site::start(app, model);
        assert_eq!(site.get("/Write?text=%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82").status(), 200);
        testkit::eventually("the words in the file", || {
            bytes_of_logs(&site, "журнал").contains("привет\n").then_some(())
        });
        site.wait_for_log("привет");
        site.stop();
    }

    fn log_17_what_the_host_library_says_is_in_the_file(model: Model) {
        let app = App::sample("hello").attribute("stdoutLogEnabled", "true");
        let config = app.read("Hello.runtimeconfig.json").replace("\"version\": \"", "\"version\": \"99.");
        let site = Site::start(app.file("Hello.runtimeconfig.json", config), model);
        assert!(site.get("/").status() >= 500);
        site.wait_for_log("99.");
        testkit::eventually("the words in the file", || {
            bytes_of_logs(&site, "logs").contains("You must install or update .NET").then_some(())
        });
        site.stop();
    }

    fn log_18_log_20_the_trace_of_the_host_library_is_in_the_one_file(model: Model) {
        let app = App::test("Site").attribute("stdoutLogEnabled", "true");
        let site = Start::of(app.model(model)).env("COREHOST_TRACE", "1").run();
        assert_eq!(site.get("/HelloWorld").status(), 200);
        testkit::eventually("the trace in the file", || {
            bytes_of_logs(&site, "logs").contains("--- Invoked hostfxr").then_some(())
        });
        assert_eq!(logs(&site, "logs").len(), 1);
        site.stop();
    }

    fn log_19_log_22_l22_31_much_output_and_an_early_end_are_in_log_and_file(model: Model) {
        for how in ["ConsoleWrite 31000", "ConsoleErrorWrite 31000"] {
            let app = App::misbehaving(how).attribute("stdoutLogEnabled", "true");
            let site = Start::of(app.model(model)).env("COREHOST_TRACE", "1").run();
            assert!(site.get("/").status() >= 500);
            site.wait_for_log(&"a".repeat(31_000));
            site.wait_for_log("--- Invoked hostfxr");
            testkit::eventually("it in a file", || {
                bytes_of_logs(&site, "logs").contains(&"a".repeat(31_000)).then_some(())
            });
            site.stop();
        }
    }

    fn nat_40_every_generation_is_heard(model: Model) {
        let site = Site::start(App::test("Site"), model);
        for generation in 1..=3 {
            for (to, own) in [("stdout", Site::stdout as fn(&Site) -> String), ("stderr", Site::stderr)] {
                let text = format!("{to}-of-generation-{generation}");
                assert_eq!(site.get(&format!("/Write?to={to}&text={text}")).status(), 200);
                testkit::eventually(&text, || own(&site).contains(&text).then_some(()));
            }
            site.signal("HUP");
            site.wait_for_log(&format!("generation {} serves now", generation + 1));
        }
        site.stop();
    }

    fn nat_35_nat_37_nat_42_nat_43_both_streams_are_in_the_report(model: Model) {
        for (how, stream) in [("ConsoleWrite 400", "stdout"), ("ConsoleErrorWrite 400", "stderr")] {
            let app = App::misbehaving(how).model(model);
            let site = Start::of(app).env("ASPNETCORE_DETAILEDERRORS", "1").run();
            let json = site.request(&Request::get("/").header("Accept", "application/json")).json();
            let text = json["report"][stream].as_str().unwrap_or_default();
            assert!(text.contains(&"a".repeat(400)), "{how}: {json:#}");
            site.stop();
        }
    }

    fn a_full_log_file_is_put_aside_for_a_new_one(model: Model) {
        let app = App::test("Site")
            .attribute("stdoutLogEnabled", "true")
            .handler_setting("stdoutLogSizeLimit", "100000");
        let site = Site::start(app, model);
        // One after the other, so that the writer keeps up.
        for part in 0..40 {
            assert_eq!(site.get("/Flood?lines=100").status(), 200);
            let marker = format!("part-{part}-is-over");
            assert_eq!(site.get(&format!("/Write?text={marker}")).status(), 200);
            testkit::eventually("the part in the file", || {
                bytes_of_logs(&site, "logs").contains(&marker).then_some(())
            });
        }
        let files = fs::read_dir(site.app().path("logs")).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), 2, "{files:?}");
        for file in &files {
            // The last piece may go beyond the limit.
            assert!(file.metadata().unwrap().len() < 300_000, "{file:?}");
        }
        assert!(files.iter().any(|file| file.file_name().to_str().unwrap().ends_with(".1.log")));
        site.stop();
    }

    fn a_log_file_that_was_removed_or_moved_is_followed_by_a_new_one(model: Model) {
        let app = App::test("Site")
            .attribute("stdoutLogEnabled", "true")
            .handler_setting("stdoutLogSizeLimit", "20000");
        let site = Site::start(app, model);
        let folder = site.app().path("logs");
        // Goes beyond the limit.
        let write = |marker: &str| {
            assert_eq!(site.get("/Flood?lines=400").status(), 200);
            assert_eq!(site.get(&format!("/Write?text={marker}")).status(), 200);
            testkit::eventually(marker, || {
                bytes_of_logs(&site, "logs").contains(marker).then_some(())
            });
        };
        let files = || fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        write("the-first");
        files().for_each(|file| fs::remove_file(file).unwrap());
        write("the-second");
        for file in files() {
            fs::rename(&file, site.app().path("moved").with_extension(file.extension().unwrap())).unwrap();
        }
        write("the-third");
        fs::remove_dir_all(&folder).unwrap();
        write("the-fourth");
        assert!(!site.log().contains("log file"), "nothing is wrong");
        site.stop();
    }

    fn a_full_disk_holds_nobody_up_and_is_written_to_when_it_has_room(model: Model) {
        let app = App::test("Site").attribute("stdoutLogEnabled", "true").model(model);
        let folder = app.path("logs");
        fs::create_dir(&folder).unwrap();
        let site = Start::with_disk(app, &folder, "size=256k").run();
        for _ in 0..10 {
            assert_eq!(site.get("/Flood?lines=1000").ok().text(), "ok");
        }
        site.wait_for_log("No space left on device");
        assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
        let file = only_file(&inside(&site, "logs"));
        fs::remove_file(&file).unwrap();
        assert_eq!(site.get("/Write?text=and-on-it-goes").status(), 200);
        site.wait_for_log("is written again");
        wait_for_text(&file, "and-on-it-goes");
        assert!(fs::read_to_string(&file).unwrap().starts_with("\n[ancm: "));
        assert_eq!(site.log().matches("No space left on device").count(), 1);
        site.stop();
    }

    fn a_reader_that_stands_still_does_not_hold_the_application_up(model: Model) {
        let site = Site::start(App::test("Site"), model);
        site.read_output(false);
        // Several times what pipes and buffers hold.
        assert_eq!(site.get("/Flood?lines=20000").ok().text(), "ok");
        assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
        site.read_output(true);
        site.wait_for_log("bytes of output are missing here]");
        assert_eq!(site.get("/Write?text=and-on-it-goes").status(), 200);
        site.wait_for_log("and-on-it-goes");
        site.stop();
    }

    fn a_flood_that_is_read_arrives_whole(model: Model) {
        let site = Site::start(App::test("Site"), model);
        assert_eq!(site.get("/Flood?lines=20000").status(), 200);
        for stream in [Site::stdout, Site::stderr] {
            let name = if stream(&site).contains("out 1 ") { "out" } else { "err" };
            testkit::eventually("the last line", || {
                stream(&site).contains(&format!("{name} 19999 ")).then_some(())
            });
            let text = stream(&site);
            let numbers = text.lines().filter_map(|line| line.strip_prefix(&format!("{name} ")));
            let numbers = numbers.filter_map(|line| line.split(' ').next()?.parse::<u32>().ok());
            assert!(numbers.eq(0..20_000));
        }
        site.stop();
    }
}

#[test]
fn nat_39_closed_streams_of_the_host_are_no_harm_to_those_of_the_application() {
    for model in [Model::InProcess, Model::OutOfProcess] {
        let app = App::test("Site").attribute("stdoutLogEnabled", "true").model(model);
        let closed = ["-c", r#"exec "$@" --url http://127.0.0.1:0 <&- 2>&-"#, "sh"];
        let site = Start::of(app).through("sh", &closed).run();
        for to in ["stdout", "stderr"] {
            let text = format!("written-to-{to}");
            assert_eq!(site.get(&format!("/Write?to={to}&by=native&text={text}")).status(), 200);
            testkit::eventually(&text, || {
                bytes_of_logs(&site, "logs").contains(&text).then_some(())
            });
        }
        site.stop();
    }
}

#[test]
fn log_13_a_report_has_the_first_30000_characters_and_the_last_lines_out_of_process() {
    let app = App::misbehaving("ConsoleErrorWrite 31000").model(Model::OutOfProcess);
    let site = Start::of(app).env("ASPNETCORE_DETAILEDERRORS", "1").run();
    let json = site.request(&Request::get("/").header("Accept", "application/json")).json();
    let stderr = json["report"]["stderr"].as_str().unwrap();
    assert_eq!(stderr, format!("{}\n{}", "a".repeat(30_000), "a".repeat(1_000)));
    site.stop();
}

#[test]
fn log_12_output_that_is_not_redirected_is_in_no_report_out_of_process() {
    let app = App::misbehaving("ConsoleErrorWrite 400").model(Model::OutOfProcess);
    let app = app.handler_setting("enableOutOfProcessConsoleRedirection", "false");
    let site = Start::of(app).env("ASPNETCORE_DETAILEDERRORS", "1").run();
    let page = site.get("/");
    assert_eq!(page.status(), 502);
    assert!(!page.text().contains(&"a".repeat(400)), "{}", page.text());
    site.stop();
}
