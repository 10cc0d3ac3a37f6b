//! The limits of docs/limits.md, set from `web.config`: each bites, and says its name.

use std::{io::Read, thread};

use testkit::{App, Connection, Model, Request, Response, Site, Start, both_models, eventually};

const FILTERING: &str = r#"<security>
  <requestFiltering removeServerHeader="true">
    <requestLimits maxAllowedContentLength="1000" maxUrl="100" maxQueryString="50">
      <headerLimits><add header="X-Small" sizeLimit="3" /></headerLimits>
    </requestLimits>
  </requestFiltering>
</security></system.webServer>"#;

fn site(app: &str, settings: &[(&str, &str)], model: Model) -> Site {
    let app = settings
        .iter()
        .fold(App::sample(app), |app, (name, value)| app.handler_setting(name, value))
        .replace("</system.webServer>", FILTERING);
    // Limits of threads and connections are easier to count with one lane.
    Start::of(app.model(model)).argument("--lanes").argument("1").run()
}

#[track_caller]
fn refused(response: &Response, status: u16, word: &str) {
    assert_eq!(response.status(), status, "{}", response.text());
    assert!(response.text().contains(word), "{word:?} is not in {:?}", response.text());
}

both_models! {
    fn sizes_of_a_request_have_limits(model: Model) {
        let settings = [
            ("maxRequestLineSize", "1000"),
            ("maxRequestHeadersTotalSize", "2000"),
            ("maxRequestHeaderCount", "5"),
        ];
        let site = site("hello", &settings, model);
        let long = |count| "x".repeat(count);
        let get = |target: &str| Request::get(target);
        let plain = || get("/plaintext");
        for (request, status, word) in [
            (get(&format!("/{}", long(1000))), 414, "1000 bytes"),
            (plain().header("X-Large", &long(2000)), 431, "2000 bytes"),
            ((0..5).fold(plain(), |request, at| request.header("X", &at.to_string())), 431, "more than 5"),
            (get(&format!("/{}", long(100))), 404, "100 bytes"),
            (get(&format!("/?{}", long(51))), 404, "50 bytes"),
            (plain().header("x-small", "four"), 431, "limit"),
            (Request::post("/echo", long(1001)), 413, "1000 bytes"),
        ] {
            refused(&site.request(&request), status, word);
        }
        let request = get(&format!("/plaintext?{}", long(50))).header("X-Small", "ths");
        let response = site.request(&request).ok();
        assert_eq!(response.text(), "Hello, World!");
        if model == Model::InProcess {
            assert_eq!(response.head.header("server"), None, "{response:?}");
        }
        assert_eq!(site.request(&Request::post("/echo", long(1000))).ok().body.len(), 1000);
        site.stop();
    }

    /// Out-of-process the server has limits as well, and is told more than the client said.
    fn what_the_limits_allow_arrives(model: Model) {
        let site = Start::of(App::sample("hello").model(model)).run();
        // With the host's name.
        let most = (0..99).fold(Request::get("/plaintext"), |it, at| it.header("X", &at.to_string()));
        assert_eq!(site.request(&most).ok().text(), "Hello, World!");
        site.stop();

        let app = [
            ("maxRequestLineSize", "20000"),
            ("maxRequestHeadersTotalSize", "100000"),
            ("maxRequestHeaderCount", "300"),
        ]
        .iter()
        .fold(App::sample("hello"), |app, (name, value)| app.handler_setting(name, value));
        let site = Start::of(app.model(model)).run();
        let long = Request::get(&format!("/plaintext?{}", "x".repeat(19_000)));
        let value = "v".repeat(250);
        let most = (0..290).fold(long, |request, _| request.header("X", &value));
        assert_eq!(site.request(&most).ok().text(), "Hello, World!");
        site.stop();
    }

    fn clocks_are_as_they_are_set(model: Model) {
        let settings = [
            ("requestHeadersTimeout", "00:00:01"),
            ("keepAliveTimeout", "00:00:01"),
            ("minDataRate", "1000000"),
            ("minDataRateGracePeriod", "00:00:01"),
        ];
        let site = site("hello", &settings, model);
        let mut slow = site.connect();
        slow.send("GET / HT");
        refused(&slow.response(), 408, "1 s");
        let mut slow = site.connect();
        slow.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\na");
        // The echo has begun, so the connection is all that can be ended.
        let mut rest = Vec::new();
        let _ = slow.sender().read_to_end(&mut rest);
        site.wait_for_log("time(s): body rate");
        let mut idle = site.connect();
        assert_eq!(idle.get("/plaintext").ok().text(), "Hello, World!");
        assert!(idle.is_closed());
        site.stop();
    }

    fn a_connection_has_so_many_requests(model: Model) {
        let site = site("hello", &[("maxRequestsPerConnection", "2")], model);
        let mut connection = site.connect();
        assert_eq!(connection.get("/plaintext").ok().head.header("connection"), None);
        let last = connection.get("/plaintext").ok();
        assert_eq!(last.head.header("connection"), Some("close"));
        assert!(connection.is_closed());
        site.stop();
    }

    fn connections_beyond_the_limit_wait(model: Model) {
        let site = site("hello", &[("maxConcurrentConnections", "2")], model);
        let mut first = site.connect();
        assert_eq!(first.get("/plaintext").status(), 200);
        let mut second = site.connect();
        assert_eq!(second.get("/plaintext").status(), 200);
        let mut third = site.connect();
        third.send(Request::get("/plaintext").to_bytes());
        site.wait_for_log("time(s): connections");
        assert!(!third.has_unread());
        drop(first);
        assert_eq!(third.response().ok().text(), "Hello, World!");
        site.stop();
    }

    fn requests_beyond_what_the_application_may_have_are_503(model: Model) {
        let site = site("hello", &[("appConcurrentRequestLimit", "1")], model);
        let mut busy = site.connect();
        busy.send(Request::get("/stream?lines=100000&ms=10").to_bytes());
        assert_eq!(busy.head().status, 200);
        let response = site.get("/plaintext");
        refused(&response, 503, "busy with 1 requests");
        assert_eq!(response.head.header("retry-after"), Some("1"));
        site.wait_for_log("time(s): concurrent requests");
        drop(busy);
        eventually("there is room again", || (site.get("/plaintext").status() == 200).then_some(()));
        site.stop();
    }

    fn what_a_drain_had_to_leave_is_told(model: Model) {
        let app = App::sample("hello").model(model).attribute("shutdownTimeLimit", "1");
        let mut site = Start::of(app).run();
        let mut busy = site.connect();
        busy.send(Request::get("/stream?lines=100000&ms=10").to_bytes());
        assert_eq!(busy.head().status, 200);
        site.signal("TERM");
        site.wait_for_end();
        let log = site.log();
        let told = log.lines().find(|line| line.contains(" 1102: ")).unwrap_or_default();
        assert!(told.contains("1 request") && told.contains("GET /stream"), "{log}");
    }
}

/// A site whose only thread beside the lane's own is blocked.
fn blocked(settings: &[(&str, &str)]) -> (Site, Connection) {
    let mut all = vec![("maxBlockedThreads", "1")];
    all.extend(settings);
    let site = site("hello", &all, Model::InProcess);
    assert_eq!(site.get("/plaintext").status(), 200);
    let mut blocking = site.connect();
    blocking.send(Request::get("/block?ms=5000").to_bytes());
    (site, blocking)
}

#[test]
fn a_full_queue_is_503_in_process() {
    let (site, mut blocking) = blocked(&[("queueLength", "0")]);
    thread::scope(|scope| {
        scope.spawn(move || {
            // On a busy machine one of the others may take long enough to be the one that blocks.
            while blocking.response().status() != 200 {
                blocking.send(Request::get("/block?ms=5000").to_bytes());
            }
        });
        // Until the handler blocks, others are answered.
        let response = eventually("a 503", || {
            let response = site.get("/plaintext");
            (response.status() != 200).then_some(response)
        });
        refused(&response, 503, "limit of its queue");
        assert_eq!(response.head.header("retry-after"), Some("1"));
    });
    site.wait_for_log("time(s): queue (");
    eventually("a thread is back", || (site.get("/plaintext").status() == 200).then_some(()));
    site.stop();
}

#[test]
fn who_waits_too_long_for_a_thread_is_told_in_process() {
    let (site, mut blocking) = blocked(&[("queueTimeLimit", "00:00:01")]);
    let response = eventually("a 503", || {
        let response = site.get("/plaintext");
        (response.status() != 200).then_some(response)
    });
    refused(&response, 503, "no thread for this request within 1 s");
    site.wait_for_log("time(s): queue time");
    assert_eq!(blocking.response().ok().text(), "blocked 5000 ms\n");
    site.stop();
}
