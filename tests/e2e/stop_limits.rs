//! How long what is replaced or stopped by a change in the folder may take for its end.

use std::fs;

use testkit::{App, Connection, Model, Process, Request, Site, WebSocket, both_models, eventually};

const OFFLINE: &str = "app_offline.htm";
const CLOSE: u8 = 8;

/// A new `web.config` with the same content.
fn touch(site: &Site) {
    site.app().write("web.config", site.app().read("web.config"));
}

/// An upload that ends when the test says so.
fn upload(site: &Site) -> Connection {
    let mut upload = site.connect();
    upload.send(Request::post_chunked("/ReadAndWriteEchoLines", b"", 1).head());
    upload.send_chunk(b"one\n");
    upload.head();
    assert_eq!(upload.piece().unwrap().bytes, b"one\n");
    upload
}

fn finish(mut upload: Connection) {
    upload.send_chunk(b"two\n");
    assert_eq!(upload.piece().unwrap().bytes, b"two\n");
    upload.send("0\r\n\r\n");
    assert!(upload.piece().is_none());
}

fn wait_for_status(site: &Site, target: &str, status: u16) {
    eventually(&format!("status {status}"), || (site.get(target).status() == status).then_some(()));
}

fn wait_for_the_end(processes: &[Process]) {
    eventually("the end of the first", || {
        processes.iter().all(|process| !process.is_alive()).then_some(())
    });
}

/// Worker and, out of process, backend.
fn generation(site: &Site) -> Vec<Process> {
    site.worker().tree()
}

/// An application that never ends by itself is ended, and the log says so.
fn is_ended(model: Model, limit: &str, change: impl Fn(&Site), status: u16) {
    let app = App::misbehaving("HangOnStopping").attribute("shutdownTimeLimit", limit);
    let site = Site::start(app, model);
    assert_eq!(site.get("/").status(), 200);
    let first = generation(&site);
    change(&site);
    wait_for_the_end(&first);
    site.wait_for_log("1005: ");
    // Worker, supervisor or proxy notices first, and the proxy has what is left of the limit.
    let told = [format!("({limit} s)"), format!("within {limit}ns "), format!("within {limit}s ")];
    let words = told.iter().map(String::as_str).chain(["within its limit", "ms and was killed"]);
    let log = site.log();
    for line in log.lines().filter(|line| line.contains("1005: ")) {
        assert!(words.clone().any(|words| line.contains(words)), "{line}");
    }
    wait_for_status(&site, "/", status);
    site.stop();
}

both_models! {
    fn v1_03_v1_07_after_a_change_only_as_long_as_needed_is_waited(model: Model) {
        let app = App::test("Site").attribute("shutdownTimeLimit", "600");
        let site = Site::start(app, model);
        let (first, all) = (site.application(), generation(&site));
        let upload = upload(&site);
        touch(&site);
        eventually("another process", || {
            (site.get("/ProcessId").ok().text() != first.0.to_string()).then_some(())
        });
        assert!(first.is_alive());
        finish(upload);
        wait_for_the_end(&all);
        assert!(!site.log().contains("1005: "), "{}", site.log());
        site.stop();
    }

    fn v1_07_offline_waits_only_as_long_as_needed(model: Model) {
        let app = App::test("Site").attribute("shutdownTimeLimit", "600");
        let site = Site::start(app, model);
        let (first, all) = (site.application(), generation(&site));
        let upload = upload(&site);
        site.app().write(OFFLINE, "back soon");
        wait_for_status(&site, "/HelloWorld", 503);
        assert!(first.is_alive());
        finish(upload);
        wait_for_the_end(&all);
        assert!(!site.log().contains("1005: "), "{}", site.log());
        site.stop();
    }

    fn v1_04_without_any_time_a_change_ends_the_application_at_once(model: Model) {
        is_ended(model, "0", touch, 200);
    }

    fn v1_05_without_any_time_app_offline_ends_the_application_at_once(model: Model) {
        is_ended(model, "0", |site| site.app().write(OFFLINE, "back soon"), 503);
    }

    fn v1_06_app_offline_in_any_casing_ends_the_application_at_its_limit(model: Model) {
        is_ended(model, "1", |site| site.app().write("App_OffLine.Htm", "back soon"), 503);
    }

    fn v1_15_a_page_that_is_renamed_to_and_from_the_name_counts(model: Model) {
        let site = Site::start(App::test("Site").file("_offline.htm", "back soon"), model);
        let (other, page) = (site.app().path("_offline.htm"), site.app().path(OFFLINE));
        for _ in 0..2 {
            assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
            let first = generation(&site);
            fs::rename(&other, &page).unwrap();
            wait_for_status(&site, "/HelloWorld", 503);
            // Until it is told to drain it takes connections beside the page.
            wait_for_the_end(&first);
            assert_eq!(site.get("/HelloWorld").text(), "back soon");
            fs::rename(&page, &other).unwrap();
            wait_for_status(&site, "/HelloWorld", 200);
        }
        site.stop();
    }

    fn v1_32_app_offline_lets_the_application_close_its_web_sockets(model: Model) {
        let app = App::test("Site").attribute("shutdownTimeLimit", "600");
        let site = Site::start(app, model);
        let first = generation(&site);
        let mut socket = WebSocket::open(site.connect(), "/WebSocketUntilStop");
        site.app().write(OFFLINE, "back soon");
        assert_eq!(socket.receive().opcode, CLOSE);
        socket.send(CLOSE, &1001_u16.to_be_bytes());
        assert!(socket.connection().is_closed());
        wait_for_status(&site, "/HelloWorld", 503);
        wait_for_the_end(&first);
        site.stop();
    }

    fn v1_33_a_changed_configuration_lets_the_application_close_its_web_sockets(model: Model) {
        let app = App::test("Site").attribute("shutdownTimeLimit", "600");
        let site = Site::start(app, model);
        let first = generation(&site);
        let mut socket = WebSocket::open(site.connect(), "/WebSocketUntilStop");
        let upload = upload(&site);
        touch(&site);
        eventually("another process", || {
            (site.get("/ProcessId").ok().text() != first[0].0.to_string()
                && site.get("/ProcessId").ok().text() != first.last()?.0.to_string()).then_some(())
        });
        // Out of process a backend is not told while it has a request.
        finish(upload);
        assert_eq!(socket.receive().opcode, CLOSE);
        socket.send(CLOSE, &1001_u16.to_be_bytes());
        assert!(socket.connection().is_closed());
        wait_for_the_end(&first);
        assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
        site.stop();
    }
}
