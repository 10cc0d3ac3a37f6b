//! The sample, as a newcomer tries it.

use std::time::{Duration, Instant};

use testkit::{App, Model, Process, Request, Site, Start, both_models, eventually};

fn hello(model: Model) -> Site {
    Site::start(App::sample("hello"), model)
}

/// Bytes that differ at every position, so that a lost or doubled part shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

both_models! {
    fn shim_01_hello_world_starts(model: Model) {
        let site = hello(model);
        assert_eq!(site.get("/plaintext").ok().text(), "Hello, World!");
        assert_eq!(site.get("/json").ok().json()["message"], "Hello, World!");
        site.stop();
    }

    fn the_application_is_where_its_model_says(model: Model) {
        let site = hello(model);
        let hosting = site.get("/hosting").ok().json();
        let process = Process(hosting["processId"].as_u64().unwrap() as u32);
        let server = hosting["server"].as_str().unwrap();
        match model {
            Model::InProcess => {
                assert_eq!(process, site.worker());
                assert!(server.starts_with("Ancm."), "{server}");
            }
            Model::OutOfProcess => {
                assert!(site.worker().tree()[1..].contains(&process));
                assert!(server.contains("Kestrel"), "{server}");
            }
        }
        assert_eq!(hosting["scheme"], "http");
        assert_eq!(hosting["host"], "localhost");
        assert_eq!(hosting["pathBase"], "");
        assert_eq!(hosting["protocol"], "HTTP/1.1");
        let remote = hosting["remoteAddress"].as_str().unwrap();
        assert!(remote.starts_with("127.0.0.1:"), "{remote}");
        site.stop();
    }

    fn bodies_of_any_size_come_back(model: Model) {
        let site = hello(model);
        let mut connection = site.connect();
        for length in [0, 1, 4095, 4096, 4097, 65_535, 65_537, 1 << 20, 5_000_000] {
            let body = pattern(length);
            let response = connection.request(&Request::post("/echo", body.clone())).ok();
            assert!(response.body == body, "{length} with Content-Length");
            let chunked = Request::post_chunked("/echo", &body, 10_000);
            assert!(connection.request(&chunked).ok().body == body, "{length} in chunks");
        }
        site.stop();
    }

    fn lines_arrive_as_they_are_flushed(model: Model) {
        let site = hello(model);
        let mut connection = site.connect();
        connection.send(Request::get("/stream?lines=10&ms=100").to_bytes());
        assert_eq!(connection.head().status, 200);
        let mut pieces = Vec::new();
        while let Some(piece) = connection.piece() {
            pieces.push(piece);
        }
        let text: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        let expected: String = (1..=10).map(|line| format!("line {line}\n")).collect();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert!(pieces.len() >= 10, "in {} pieces", pieces.len());
        let took = pieces[pieces.len() - 1].at - pieces[0].at;
        assert!(took > Duration::from_millis(700), "all within {took:?}");
    }

    fn request_headers_arrive(model: Model) {
        let site = hello(model);
        let request = Request::get("/headers").header("X-One", "1").header("x-two", "a, b");
        let headers = site.request(&request).ok().json();
        let value = |name: &str| {
            let fields = headers.as_object().unwrap().iter();
            let mut found = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.as_str().unwrap().to_owned())
        };
        assert_eq!(value("X-One").as_deref(), Some("1"));
        assert_eq!(value("X-Two").as_deref(), Some("a, b"));
        assert_eq!(value("Host").as_deref(), Some("localhost"));
    }

    fn an_exception_is_a_500_and_the_next_request_works(model: Model) {
        let site = hello(model);
        let mut connection = site.connect();
        assert_eq!(connection.get("/throw").status(), 500);
        assert_eq!(connection.get("/plaintext").ok().text(), "Hello, World!");
        site.stop();
    }

    fn a_connection_is_kept_and_pipelined_requests_are_answered_in_order(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let mut connection = site.connect();
        let id = connection.get("/ConnectionId").ok().text();
        let mut requests = Vec::new();
        for number in 0..20 {
            requests.extend(Request::get(&format!("/Query?{number}")).to_bytes());
            requests.extend(Request::post("/ReadAndWriteEcho", number.to_string()).to_bytes());
        }
        connection.send(requests);
        for number in 0..20 {
            assert_eq!(connection.response().ok().text(), format!("?{number}"));
            assert_eq!(connection.response().ok().text(), number.to_string());
        }
        if model == Model::InProcess {
            assert_eq!(connection.get("/ConnectionId").ok().text(), id);
        }
        assert!(!connection.has_unread());
    }

    fn a_client_may_ask_to_close(model: Model) {
        let site = hello(model);
        let mut connection = site.connect();
        let request = Request::get("/plaintext").header("Connection", "close");
        let response = connection.request(&request).ok();
        assert_eq!(response.header("Connection").map(str::to_lowercase).as_deref(), Some("close"));
        assert!(connection.is_closed());
    }

    fn blocking_requests_delay_only_themselves(model: Model) {
        let lanes = 2;
        let app = App::test("Site").model(model);
        let site = Start::of(app).argument("--lanes").argument(lanes.to_string()).run();
        // Both connections are there before anything blocks: they may share its lane.
        let mut others: Vec<_> = (0..8).map(|_| site.connect()).collect();
        others.iter_mut().for_each(|other| assert_eq!(other.get("/HelloWorld").status(), 200));
        let mut blocked: Vec<_> = (0..lanes).map(|_| site.connect()).collect();
        for (number, connection) in blocked.iter_mut().enumerate() {
            connection.send(Request::get(&format!("/Block?ms=2000&id={number}")).to_bytes());
        }
        for number in 0..lanes {
            site.wait_for_outcome(&number.to_string(), "blocking");
        }
        for other in &mut others {
            let begun = Instant::now();
            assert_eq!(other.get("/HelloWorld").ok().text(), "Hello World");
            assert!(begun.elapsed() < Duration::from_millis(250), "{:?}", begun.elapsed());
        }
        assert_eq!(site.outcome("0").as_deref(), Some("blocking"), "it took too long to tell");
        for connection in &mut blocked {
            assert_eq!(connection.response().ok().text(), "blocked");
        }
        site.stop();
    }

    fn who_rests_is_not_woken_and_notices_who_blocks_afterwards(model: Model) {
        let app = App::test("Site").model(model);
        let site = Start::of(app).argument("--lanes").argument("1").run();
        let mut other = site.connect();
        assert_eq!(other.get("/HelloWorld").status(), 200);
        let switches = || -> u64 { site.worker().switches("ancm-").values().sum() };
        let (mut last, mut since) = (switches(), Instant::now());
        eventually("a rest of all threads", || {
            if switches() != last {
                (last, since) = (switches(), Instant::now());
            }
            (since.elapsed() > Duration::from_millis(200)).then_some(())
        });
        let mut blocked = site.connect();
        blocked.send(Request::get("/Block?ms=2000&id=x").to_bytes());
        site.wait_for_outcome("x", "blocking");
        assert_eq!(other.get("/HelloWorld").status(), 200);
        assert_eq!(site.outcome("x").as_deref(), Some("blocking"), "it took too long to tell");
        assert_eq!(blocked.response().ok().text(), "blocked");
        site.stop();
    }

    fn http_1_0_is_served(model: Model) {
        let site = hello(model);
        let mut connection = site.connect();
        connection.send("GET /plaintext HTTP/1.0\r\n\r\n");
        assert_eq!(connection.response().ok().text(), "Hello, World!");
        assert!(connection.is_closed());
    }

    fn head_has_the_headers_and_no_body(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let mut connection = site.connect();
        let response = connection.request(&Request::new("HEAD", "/BodyWithLength")).ok();
        assert_eq!(response.header("Content-Length"), Some("5"));
        assert_eq!(connection.get("/HelloWorld").ok().text(), "Hello World");
    }

    fn a_client_that_waits_for_100_gets_it(model: Model) {
        let site = hello(model);
        let mut connection = site.connect();
        let request = Request::post("/echo", "hello").header("Expect", "100-continue");
        connection.send(request.head());
        assert_eq!(connection.raw_head().status, 100);
        connection.send("hello");
        assert_eq!(connection.response().ok().text(), "hello");
    }
}

#[test]
fn unix_sockets_and_several_addresses_are_served() {
    let temp = tempfile::tempdir().unwrap();
    let socket = temp.path().join("site.sock");
    let site = Start::of(App::sample("hello"))
        .url("http://127.0.0.1:0")
        .url("http://127.0.0.1:0")
        .url(&format!("http://unix:{}", socket.display()))
        .run();
    let addresses = site.addresses();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    for address in &addresses[..2] {
        let address = address.strip_prefix("http://").unwrap().parse().unwrap();
        let response = testkit::Connection::open(address).get("/plaintext");
        assert_eq!(response.ok().text(), "Hello, World!");
    }
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let request = Request::get("/plaintext").header("Connection", "close").to_bytes();
    std::io::Write::write_all(&mut stream, &request).unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    // With a length, or in one chunk: whether the application has completed when its first bytes
    // leave is a matter of chance.
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\nHello, World!"),
        "{answer}"
    );
    site.stop();
    assert!(!socket.exists());
}
