//! `app_offline.htm`: the application stops and the file is served while it is there.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use testkit::{App, Model, Request, Site, Start, both_models, eventually};

const FILE: &str = "app_offline.htm";
const TEXT: &str = "<html>back soon</html>";

fn wait_for_status(site: &Site, status: u16) {
    eventually(&format!("status {status}"), || {
        (site.get("/HelloWorld").status() == status).then_some(())
    });
}

fn is_offline(site: &Site, text: &str) {
    // For a moment both generations accept; whichever answers does so in full.
    let answer = eventually("status 503", || {
        let answer = site.get("/HelloWorld");
        (answer.status() == 503).then_some(answer)
    });
    assert_eq!(answer.text(), text);
    assert_eq!(answer.header("Content-Type"), Some("text/html"));
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert!(answer.header("Retry-After").is_some());
}

fn go_online(site: &Site) {
    fs::remove_file(site.app().path(FILE)).unwrap();
    wait_for_status(site, 200);
}

both_models! {
    fn off_01_off_02_l22_08_a_file_from_before_the_start_is_served(model: Model) {
        let site = Start::of(App::test("Site").model(model).file(FILE, TEXT)).run();
        is_offline(&site, TEXT);
        let tree = site.supervisor().tree();
        assert!(tree.iter().all(|process| !process.has_mapped("Site.dll")), "nobody runs it");
        site.stop();
    }

    fn off_03_off_04_l22_09_a_file_that_cannot_be_read_is_an_empty_answer(model: Model) {
        let site = Site::start(App::test("Site"), model);
        std::os::unix::fs::symlink("/no/such/file", site.app().path(FILE)).unwrap();
        is_offline(&site, "");
        go_online(&site);
        site.stop();
    }

    fn off_05_off_06_l22_10_a_failed_start_gives_way_to_the_file(model: Model) {
        let app = App::test("Site").attribute("processPath", "no-such-program");
        let site = Start::of(app.model(model)).run();
        assert!(site.get("/").status() >= 500);
        site.app().write(FILE, TEXT);
        is_offline(&site, TEXT);
        site.stop();
    }

    fn off_08_off_10_off_11_l22_11_a_running_application_makes_way_and_comes_back(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        site.app().write("App_Offline.HTM", TEXT);
        is_offline(&site, TEXT);
        eventually("the application's end", || (!first.is_alive()).then_some(()));
        site.app().write("App_Offline.HTM", "changed");
        eventually("the new text", || {
            (site.get("/").text() == "changed").then_some(())
        });
        site.app().write("App_Offline.HTM", vec![b'a'; (4 << 20) + 1]);
        eventually("what stands for a file that is too long", || {
            site.get("/").text().contains("more than 4 MiB").then_some(())
        });
        fs::remove_file(site.app().path("App_Offline.HTM")).unwrap();
        // Who comes after the removal was noticed waits for the application.
        wait_for_status(&site, 200);
        assert_ne!(site.application().0, first.0);
        site.wait_for_log("app_offline.htm is there");
        site.wait_for_log("serves now: app_offline.htm was removed");
        site.stop();
    }

    fn off_09_again_and_again(model: Model) {
        let site = Start::of(App::test("Site").model(model).file(FILE, TEXT)).run();
        for _ in 0..3 {
            is_offline(&site, TEXT);
            go_online(&site);
            site.app().write(FILE, TEXT);
        }
        is_offline(&site, TEXT);
        site.stop();
    }

    fn off_12_off_13_l22_12_whatever_happens_under_load_the_end_is_what_the_folder_says(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let path = site.app().path(FILE);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let status = site.get("/HelloWorld").status();
                        assert!(matches!(status, 200 | 503), "{status}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let mut random = 7_u32;
            for round in 0..8 {
                for _ in 0..50 {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Each may fail, since the file is there or is not.
                    let _ = match random >> 30 {
                        0 => fs::write(&path, TEXT),
                        1 => fs::remove_file(&path),
                        2 => fs::rename(&path, path.with_extension("off")),
                        _ => fs::rename(path.with_extension("off"), &path),
                    };
                    thread::yield_now();
                }
                let wanted = if path.exists() { 503 } else { 200 };
                eventually(&format!("{wanted} after round {round}"), || {
                    (site.get("/HelloWorld").status() == wanted).then_some(())
                });
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(answered.into_inner() > 0);
        site.stop();
    }

    fn who_has_just_removed_the_file_is_not_told_that_it_is_there(model: Model) {
        let site = Site::start(App::test("Site").file(FILE, TEXT), model);
        let recycle = || site.command("recycle", &[]);
        for _ in 0..5 {
            let refused = recycle();
            assert_eq!(refused.status.code(), Some(5));
            assert!(refused.stderr.contains("app_offline.htm"), "{}", refused.stderr);
            fs::remove_file(site.app().path(FILE)).unwrap();
            let done = recycle();
            assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
            assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
            site.app().write(FILE, TEXT);
            wait_for_status(&site, 503);
        }
        site.stop();
    }

    fn off_14_an_application_that_is_still_starting_makes_way(model: Model) {
        let site = Start::of(App::misbehaving("Hang").model(model)).spawn();
        site.wait_for_log("hanging before there is a host");
        site.app().write(FILE, TEXT);
        site.wait_until_listening();
        is_offline(&site, TEXT);
        site.wait_for_log("app_offline.htm is there");
        site.stop();
    }

    fn off_15_what_is_in_flight_finishes(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let mut waiting = site.connect();
        waiting.send(Request::get("/Slow?ms=700&id=slow").to_bytes());
        site.wait_for_outcome("slow", "waiting");
        let mut upload = site.connect();
        upload.send(Request::post_chunked("/ReadAndWriteEchoLines", b"", 1).head());
        upload.send_chunk(b"one\n");
        upload.head();
        assert_eq!(upload.piece().unwrap().bytes, b"one\n");
        site.app().write(FILE, TEXT);
        is_offline(&site, TEXT);
        upload.send_chunk(b"two\n");
        assert_eq!(upload.piece().unwrap().bytes, b"two\n");
        upload.send("0\r\n\r\n");
        assert!(upload.piece().is_none());
        assert_eq!(waiting.response().ok().text(), "waited");
        site.stop();
    }

    fn a_changed_web_config_is_followed_and_a_broken_one_is_not(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let good = site.app().read("web.config");
        site.app().write("web.config", "<configuration><system.webServer>");
        site.wait_for_log("going on with the one before");
        assert_eq!(site.application().0, first.0);
        let variable = r#"<environmentVariables><environmentVariable name="NEW" value="1"/>
            </environmentVariables></aspNetCore>"#;
        let open = good.replace("\" />\n    </system", "\">\n</aspNetCore></system");
        assert_ne!(open, good);
        site.app().write("web.config", open.replace("</aspNetCore>", variable));
        eventually("the new variable", || {
            (site.get("/GetEnvironmentVariable?name=NEW").text() == "1").then_some(())
        });
        site.wait_for_log("web.config has changed");
        site.stop();
    }

    fn changed_files_are_followed_without_a_lost_request(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let dll = site.app().path("Site.dll");
        let copy = dll.with_extension("new");
        fs::copy(&dll, &copy).unwrap();
        fs::rename(&copy, &dll).unwrap();
        eventually("another process", || {
            let answer = site.get("/ProcessId").ok().text();
            (answer != first.0.to_string()).then_some(())
        });
        site.wait_for_log("files of the application have changed");
        site.stop();
    }

    fn a_failed_start_is_tried_again_when_its_cause_is_gone(model: Model) {
        let app = App::test("Site").file("Other.dll", "no assembly").arguments(r".\Other.dll");
        let site = Start::of(app.model(model)).run();
        assert!(site.get("/").status() >= 500);
        let text = site.app().read("web.config").replace("Other.dll", "Site.dll");
        site.app().write("web.config", text);
        wait_for_status(&site, 200);
        site.stop();
    }
}

#[test]
fn off_07_an_exception_at_start_gives_way_to_the_file_in_process() {
    let site = Start::of(App::misbehaving("Throw").model(Model::InProcess)).run();
    assert_eq!(site.get("/").status(), 500);
    site.app().write(FILE, TEXT);
    is_offline(&site, TEXT);
    site.stop();
}
