//! Requests through the engine's lanes to real backends; `examples/misfit.rs` is the backend.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ancm_outofprocess::{Event, OutOfProcess};
use config::{App, AspNetCore, Origin, PathBase, Source};
use engine::{Engine, Options};

const PATIENCE: Duration = Duration::from_secs(60);

/// `cargo test` builds examples beside the folder of this test.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}

/// One application behind one lane.
struct Site {
    engine: Engine,
    handler: Arc<OutOfProcess>,
    address: SocketAddr,
    events: Receiver<Event>,
    _dir: tempfile::TempDir,
}

impl Site {
    fn start(change: impl FnOnce(&mut AspNetCore)) -> Self {
        let misfit = example("misfit");
        let dir = tempfile::tempdir().unwrap();
        let mut settings = AspNetCore::of(misfit.to_str().unwrap(), vec!["serve".to_owned()]);
        change(&mut settings);
        let app = App {
            name: "misfit".into(),
            dir: dir.path().to_owned(),
            web_config_path: None,
            settings,
            source: Source::WebConfig,
            path_base: PathBase::default(),
            hosting_model_origin: Origin::WebConfig,
            snapshot: None,
        };
        let (sender, events) = channel();
        let tell = Arc::new(move |event| drop(sender.send(event)));
        let handler = ancm_outofprocess::start(&app, &[], Path::new(""), tell).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = engine::Listener { socket: socket.into(), lane: 0 };
        let application: Arc<dyn engine::Application> = handler.clone();
        let engine = Engine::start(vec![listener], application, Options::new(1)).unwrap();
        let waker = engine.waker();
        handler.on_change(move || waker.wake());
        Self { engine, handler, address, events, _dir: dir }
    }

    /// Sends one request on a connection of its own and returns the whole answer.
    fn ask(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.replace('\n', "\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\nHost: x\nConnection: close\n\n"))
    }

    fn event(&self, id: u16) {
        while self.events.recv_timeout(PATIENCE).expect("the event comes").id() != id {}
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.handler.stop(PATIENCE);
        self.engine.drain(Duration::from_secs(1));
    }
}

#[test]
fn a_request_reaches_the_backend_by_the_rules() {
    let site = Site::start(|_| {});
    let answer = site.ask(
        "GET /head%2F?q=%20 HTTP/1.1\nHost: shop.example\nMS-ASPNETCORE-EVENT: shutdown\n\
         ms-aspnetcore-token: forged\nX-Forwarded-For: 192.0.2.7\nConnection: close, X-Hop\n\
         X-Hop: 1\nAccept: */*\n\n",
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(!head.contains("MS-ASPNETCORE"), "{head}");
    assert!(head.contains("\r\nDate: "), "{head}");
    let (line, fields) = body.split_once("\r\n").unwrap();
    assert_eq!(line, "GET /head%2F?q=%20 HTTP/1.1");
    for field in ["Host: shop.example\r\n", "X-Forwarded-Proto: http\r\n", "Accept: */*\r\n"] {
        assert!(fields.contains(field), "{field} in {fields}");
    }
    assert!(fields.contains("X-Forwarded-For: 192.0.2.7, 127.0.0.1:"), "{fields}");
    assert_eq!(fields.matches("MS-ASPNETCORE-TOKEN: ").count(), 1, "{fields}");
    for stripped in ["forged", "shutdown", "X-Hop", "Connection"] {
        assert!(!fields.contains(stripped), "{stripped} in {fields}");
    }
}

#[test]
fn interim_answers_and_trailers_pass_by_the_rules() {
    let site = Site::start(|_| {});
    let answer = site.get("/hints");
    let rest = answer.strip_prefix("HTTP/1.1 103 X\r\nLink: </a>\r\n\r\nHTTP/1.1 200 X\r\n");
    assert!(
        rest.is_some_and(|rest| rest.ends_with("\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")),
        "{answer}"
    );
    assert!(!site.ask("GET /hints HTTP/1.0\n\n").contains("103"));
}

#[test]
fn requests_wait_for_a_backend_that_is_replaced() {
    let site = Site::start(|_| {});
    let before = site.get("/pid");
    assert!(before.starts_with("HTTP/1.1 200 "), "{before}");
    // Not a safe method, so it is not repeated: its client learns that the backend is gone.
    let lost = site.ask("POST /exit/3 HTTP/1.1\nHost: x\nContent-Length: 0\nConnection: close\n\n");
    assert!(lost.starts_with("HTTP/1.1 502 "), "{lost}");
    let after = site.get("/pid");
    assert!(after.starts_with("HTTP/1.1 200 "), "{after}");
    assert_ne!(before.rsplit_once("\r\n\r\n"), after.rsplit_once("\r\n\r\n"));
}

#[test]
fn without_a_backend_in_sight_requests_get_a_page() {
    let site = Site::start(|settings| settings.rapid_fails_per_minute = 0);
    site.ask("POST /exit/3 HTTP/1.1\nHost: x\nContent-Length: 0\nConnection: close\n\n");
    site.event(1003);
    let begun = Instant::now();
    let page = site.get("/pid");
    assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
    assert!(page.contains("HTTP Error 502.5 - "), "{page}");
    assert!(begun.elapsed() < Duration::from_secs(30), "refused, not held");
}

#[test]
fn a_change_of_protocols_passes_both_ways() {
    let site = Site::start(|_| {});
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /upgrade HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: echo\n\n";
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("\r\nUpgrade: echo\r\n"), "{head}");
    assert!(head.contains("\r\nConnection: Upgrade\r\n"), "{head}");
    for text in [&b"one"[..], b"another"] {
        stream.write_all(text).unwrap();
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, text);
    }
}

#[test]
fn a_backend_that_is_busy_is_passed_over() {
    let site = Site::start(|settings| settings.processes_per_application = 2);
    // Both are ready when both have answered.
    let deadline = Instant::now() + PATIENCE;
    let first = site.get("/pid");
    while site.get("/pid").rsplit_once("\r\n\r\n") == first.rsplit_once("\r\n\r\n") {
        assert!(Instant::now() < deadline, "the second is never ready");
    }
    let mut tunnel = TcpStream::connect(site.address).unwrap();
    tunnel.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /upgrade HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: echo\n\n";
    tunnel.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
    tunnel.read_exact(&mut [0; 12]).unwrap();
    let body = |answer: String| answer.rsplit_once("\r\n\r\n").unwrap().1.to_owned();
    let one = body(site.get("/pid"));
    for _ in 0..4 {
        assert_eq!(body(site.get("/pid")), one);
    }
}

#[test]
fn a_backend_dies_with_the_worker() {
    // The example starts a backend, says its number and waits to be killed.
    let mut worker = std::process::Command::new(example("mortal"))
        .arg(example("misfit"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(worker.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let stat = format!("/proc/{}/stat", line.trim());
    let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(runs(), "{stat}");
    worker.kill().unwrap();
    worker.wait().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while runs() {
        assert!(Instant::now() < deadline, "the backend is alive");
        std::thread::yield_now();
    }
}

#[test]
fn a_stopped_application_answers_503() {
    let site = Site::start(|_| {});
    site.handler.stop(PATIENCE);
    let answer = site.get("/pid");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn a_failure_names_its_phase_and_limit_on_the_page_and_in_the_log() {
    for (method, path, status, page, log) in [
        (
            "GET",
            "/rubbish?secret=1",
            502,
            "HTTP Error 502.3 - The backend's answer is not valid HTTP\n",
            "GET /rubbish: BackendInvalidResponse while waiting for the head of the answer, after ",
        ),
        (
            "POST",
            "/exit/3",
            502,
            "HTTP Error 502.3 - The backend did not answer\n",
            "POST /exit/3: BackendConnectionLost while waiting for the head of the answer, after ",
        ),
        (
            "GET",
            "/silence",
            504,
            "HTTP Error 504 - The backend took longer than requestTimeout\n",
            "GET /silence: BackendTimeout while waiting for the head of the answer, after ",
        ),
        (
            "GET",
            "/part",
            200,
            "",
            "GET /part: BackendConnectionLost while passing the body of the answer on, after ",
        ),
    ] {
        let site = Site::start(|settings| {
            settings.request_timeout =
                Duration::from_millis(if status == 504 { 300 } else { 60_000 });
        });
        let mut stream = TcpStream::connect(site.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // An answer that is not whole may end with a reset.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        if status != 200 {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
            assert!(answer.contains(page), "{path}: {answer}");
            assert!(answer.contains("Failed while waiting for the head of the answer, after "));
        }
        let told = loop {
            let event = site.events.recv_timeout(PATIENCE).expect("the event comes");
            if event.id() == 1130 {
                break event.to_string();
            }
        };
        assert!(told.starts_with(log), "{told}");
        assert_eq!(told.ends_with("(requestTimeout)"), status == 504, "{told}");
    }
}
