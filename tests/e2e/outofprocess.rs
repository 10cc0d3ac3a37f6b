//! Backend processes: how many, which one, and for how long they are waited for.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use testkit::{App, Model, Process, Request, Site, Start, eventually};

use crate::platform::script;

fn pid(site: &Site) -> Process {
    Process(site.get("/pid").ok().text().parse().unwrap())
}

#[test]
fn v1_02_too_many_crashes_in_a_minute_are_answered_with_a_page() {
    let app = script("node", "server.js")
        .replace("startupRetryCount", r#"rapidFailsPerMinute="2" startupRetryCount"#);
    let site = Start::of(app).run();
    for _ in 0..3 {
        let backend = pid(&site);
        backend.signal("KILL");
        eventually("its end", || (!backend.is_alive()).then_some(()));
    }
    site.wait_for_log("error 1003: ");
    let page = site.get("/pid");
    assert_eq!(page.status(), 502);
    assert!(page.text().contains("HTTP Error 502.5"), "{}", page.text());
    assert!(site.worker().children().is_empty());
    site.stop();
}

#[test]
fn v1_19_processes_take_turns_and_all_are_replaced_after_a_change() {
    let app = script("node", "server.js")
        .replace("startupRetryCount", r#"processesPerApplication="4" startupRetryCount"#);
    let site = Start::of(app).run();
    let all = |site: &Site| {
        eventually("four processes that answer", || {
            let seen: BTreeSet<Process> = (0..12).map(|_| pid(site)).collect();
            (seen.len() == 4).then_some(seen)
        })
    };
    let first = all(&site);
    let config = site.app().read("web.config");
    site.app().write("web.config", config.replace("BY_VALUE", "CHANGED"));
    eventually("the end of all of them", || {
        first.iter().all(|process| !process.is_alive()).then_some(())
    });
    let second = all(&site);
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    assert!(site.get("/env/CHANGED").ok().text().starts_with("port "));
    site.stop();
}

/// A backend that runs, takes connections and ends them at once: no request fails for it while there
/// is another, it is hardly asked, and it is asked again once it is well.
#[test]
fn a_backend_that_resets_its_connections_is_passed_over_while_it_does() {
    let app = script("python3", "moody.py")
        .replace("startupRetryCount", r#"processesPerApplication="2" startupRetryCount"#);
    let site = Start::of(app).run();
    let both = || {
        eventually("two processes that answer", || {
            let seen: BTreeSet<String> = (0..8).map(|_| site.get("/").ok().text()).collect();
            (seen.len() == 2).then_some(seen)
        })
    };
    let moody = both().into_iter().next().unwrap();
    site.app().write("moody", &moody);
    for _ in 0..100 {
        assert_ne!(site.get("/").ok().text(), moody);
    }
    let resets = site.app().read(&format!("resets-{moody}")).len();
    assert!((3..50).contains(&resets), "{resets} connections of 100 requests went to it");
    fs::remove_file(site.app().path("moody")).unwrap();
    assert!(both().contains(&moody));
    site.stop();
}

/// Alone, it is asked all the same; who cannot be answered is told at what.
#[test]
fn a_backend_that_resets_its_connections_is_asked_if_there_is_no_other() {
    let site = Start::of(script("python3", "moody.py")).run();
    let own = site.get("/").ok().text();
    site.app().write("moody", &own);
    for _ in 0..6 {
        let page = site.get("/");
        assert_eq!(page.status(), 502);
    }
    site.wait_for_log("waiting for the head of the answer");
    fs::remove_file(site.app().path("moody")).unwrap();
    assert_eq!(site.get("/").ok().text(), own);
    site.stop();
}

/// The module's own order, also where one of them has nothing to do.
#[test]
fn v1_19_processes_take_turns_one_by_one_when_that_is_asked_for() {
    let app = App::test("Site")
        .attribute("processesPerApplication", "3")
        .handler_setting("backendChoice", "roundRobin");
    let site = Site::start(app, Model::OutOfProcess);
    let pid = || site.get("/ProcessId").ok().text();
    eventually("three processes that answer", || {
        let seen: BTreeSet<String> = (0..9).map(|_| pid()).collect();
        (seen.len() == 3).then_some(())
    });
    // Beside a request that one of them is busy with.
    let mut busy = site.connect();
    busy.send(Request::get("/WaitForAbort?id=busy").to_bytes());
    site.wait_for_outcome("busy", "waiting");
    let turns: Vec<String> = (0..9).map(|_| pid()).collect();
    assert_eq!(turns[..3].iter().collect::<BTreeSet<_>>().len(), 3, "{turns:?}");
    assert_eq!((&turns[..3], &turns[..3]), (&turns[3..6], &turns[6..]));
    site.stop();
}

#[test]
fn a_timeout_of_zero_is_none_out_of_process() {
    let app = App::test("Site").attribute("requestTimeout", "00:00:00");
    let site = Site::start(app, Model::OutOfProcess);
    assert_eq!(site.get("/Slow?ms=500&id=slow").ok().text(), "waited");
    site.stop();
}

#[test]
fn v1_20_v1_21_a_request_that_takes_longer_than_its_timeout_is_given_up() {
    let app = App::test("Site").attribute("requestTimeout", "00:00:02");
    let site = Site::start(app, Model::OutOfProcess);
    assert_eq!(site.get("/Slow?ms=10&id=fast").ok().text(), "waited");
    let late = site.get("/WaitForAbort?id=slow");
    assert_eq!(late.status(), 504);
    assert!(late.text().contains("longer than requestTimeout"), "{}", late.text());
    site.wait_for_log("GET /WaitForAbort: BackendTimeout while waiting for the head of the answer");
    // The backend learns that nobody waits, and serves on.
    site.wait_for_outcome("slow", "aborted");
    assert_eq!(site.get("/Slow?ms=10&id=again").ok().text(), "waited");
    site.stop();
}

#[test]
fn what_a_backend_is_told_of_the_client_is_set_in_web_config() {
    let settings = r#"<handlerSettings>
        <handlerSetting name="trustedProxies" value="192.0.2.0/24" />
        <handlerSetting name="forwardedFields" value="x-forwarded-for, forwarded, via" />
        </handlerSettings></httpPlatform>"#;
    let app = script("node", "server.js").replace("</httpPlatform>", settings);
    let site = Start::of(app).run();
    let request = Request::get("/headers")
        .header("X-Forwarded-For", "203.0.113.1")
        .header("X-Forwarded-Proto", "https")
        .header("X-Real-IP", "203.0.113.1")
        .header("Forwarded", "for=203.0.113.1");
    let told = site.request(&request).ok().text();
    assert!(!told.contains("203.0.113.1") && !told.contains("https"), "{told}");
    assert!(told.contains("X-Forwarded-For: 127.0.0.1:"), "{told}");
    assert!(told.contains("Forwarded: for=\"127.0.0.1:"), "{told}");
    assert!(told.contains("Via: 1.1 ancm\n"), "{told}");
    assert!(!told.contains("X-Forwarded-Proto"), "{told}");
    site.stop();
}

#[test]
fn v1_27_an_application_sees_the_client_and_the_scheme_that_a_listed_proxy_tells() {
    let app = App::test("Kitchen").handler_setting("trustedProxies", "127.0.0.1");
    let site = Site::start(app, Model::OutOfProcess);
    let ask = |target| {
        let request = Request::get(target)
            .header("X-Forwarded-For", "203.0.113.1")
            .header("X-Forwarded-Proto", "https");
        site.request(&request).ok().text()
    };
    let request = ask("/request");
    assert!(request.contains("https"), "{request}");
    let connection = ask("/connection");
    assert!(connection.contains(" 203.0.113.1 "), "{connection}");
    site.stop();
}

/// Processes that write side by side, in pieces, and those of two generations: every line is of one.
#[test]
fn lines_of_several_processes_are_not_mixed_and_an_end_has_its_own_last_words() {
    let app = script("python3", "chatty.py").replace(
        "startupRetryCount",
        r#"processesPerApplication="3" stdoutLogEnabled="true" stdoutLogFile="logs/out" startupRetryCount"#,
    );
    let site = Start::of(app).run();
    let all = || {
        eventually("three processes that answer", || {
            let seen: BTreeSet<String> = (0..9).map(|_| site.get("/").ok().text()).collect();
            (seen.len() == 3).then_some(seen)
        })
    };
    all();
    // Whoever gets it ends, and somebody else answers for it.
    let pages = site.get("/end");
    assert!(pages.status() == 502 || pages.status() == 200, "{pages:?}");
    site.wait_for_log("; its last lines:");
    let before = all();
    site.signal("HUP");
    site.wait_for_log("generation 2 serves now");
    eventually("the others", || before.is_disjoint(&all()).then_some(()));
    site.wait_for_log("generation 2 serves now");
    let files = fs::read_dir(site.app().path("logs")).unwrap();
    let files = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    for text in [site.stdout(), site.stderr()].into_iter().chain(files) {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = || whole.lines().filter(|line| line.contains("begin") || line.contains("end"));
        let lines = || lines().filter(|line| line.contains(" of "));
        assert!(lines().count() > 10, "{text}");
        for line in lines().filter(|line| !line.contains("ancm:") && !line.contains("| ")) {
            let words: Vec<&str> = line.split(' ').collect();
            let ["begin", one, "of", other, "end"] = words[..] else { panic!("{line:?}") };
            assert_eq!(one, other, "{line:?}");
        }
    }
    let told = site.stderr();
    let (_, ends) = told.split_once("; its last lines:\n").unwrap();
    let own: Vec<&str> = ends.lines().map_while(|line| line.strip_prefix("    | ")).collect();
    let number = own.iter().find_map(|line| line.strip_prefix("last words of ")).unwrap();
    assert!(own.contains(&"and an unfinished"), "{own:?}");
    let begun: Vec<_> = own.iter().filter(|line| line.starts_with("begin ")).collect();
    assert!(begun.iter().all(|line| line.contains(number)), "{own:?}");
    site.stop();
}

/// The port was free when it was drawn, and is another's before the backend listens.
#[test]
fn a_port_that_is_taken_between_choice_and_use_is_drawn_again() {
    let site = Start::of(script("python3", "stubborn.py")).spawn();
    let told = || fs::read_to_string(site.app().path("port")).ok();
    let port = eventually("the port", told);
    let stranger = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    stranger.set_nonblocking(true).unwrap();
    site.app().write("go", "");
    site.wait_until_listening();
    site.wait_for_log("an attempt to start a backend failed");
    let other = site.get("/").ok().text();
    assert_ne!(other, port);
    // It was looked at, and told nothing.
    while let Ok((mut stream, _)) = stranger.accept() {
        stream.set_nonblocking(false).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"");
    }
    site.stop();
}

/// At what a backend is silent is on the page, if there still can be one, and in the log.
#[test]
fn v1_20_v1_21_a_backend_that_is_silent_in_a_body_is_given_up() {
    let app = script("python3", "stubborn.py")
        .file("go", "")
        .replace("startupRetryCount", r#"requestTimeout="00:00:02" startupRetryCount"#);
    let app = Start::of(app).env("ASPNETCORE_DETAILEDERRORS", "1");
    let site = app.run();
    // More than sockets and buffers take.
    let mut connection = site.connect();
    let mut sender = connection.sender();
    let sending = thread::spawn(move || {
        // It ends with the connection.
        let _ = sender.write_all(&Request::post("/unread", vec![b'x'; 20 << 20]).to_bytes());
    });
    let late = connection.response();
    assert_eq!(late.status(), 504);
    let page = late.text();
    assert!(page.contains("BackendTimeout while sending the request"), "{page}");
    site.wait_for_log("POST /unread: BackendTimeout while sending the request");
    drop(connection);
    sending.join().unwrap();

    let mut connection = site.connect();
    connection.send(Request::get("/half").to_bytes());
    assert!(connection.rest_or_broken().is_none());
    // The second within ten seconds is one of a sum.
    site.wait_for_log("BackendTimeout while passing the body of the answer on");
    assert_eq!(site.get("/").status(), 200);
    site.stop();
}
