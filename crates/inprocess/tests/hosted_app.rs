//! An unmodified app in this process answers what a lane hands it. One test per program, because a
//! process can host one runtime.

mod support;

use abi::{life, method, outcome, progress};
use support::{Request, Worker};

#[test]
fn inp_18_an_unmodified_app_serves_from_this_process() {
    let properties = support::properties(&[]);
    let mut worker = Worker::start(properties);
    worker.wait_until_ready();

    answers_at_once(&worker);
    answers_later(&worker);
    reads_bodies(&worker);
    waits_for_slow_clients(&worker);
    survives_its_own_failures(&worker);
    describes_the_request(&worker);

    worker.stop();
    assert_eq!(worker.wait_for(life::EXITED).code, 0);
    let own_will = worker.seen.iter().any(|report| report.kind == life::STOPPING);
    assert!(!own_will, "the worker asked: {:#?}", worker.seen);
}

fn answers_at_once(worker: &Worker) {
    for _ in 0..3 {
        let answer = worker.get("/plaintext");
        assert_eq!((answer.outcome, answer.notifications), (outcome::DONE, 0), "{answer:?}");
        assert_eq!((answer.status, answer.text()), (200, "Hello, World!"));
        assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.progress & progress::ABORT, 0);
    }
    let mut kept = worker.keep("/plaintext");
    for _ in 0..1000 {
        kept.go();
        let answer = kept.answer();
        assert_eq!((answer.status, answer.headers.len(), answer.text()), (200, 1, "Hello, World!"));
    }
    let answer = worker.get("/json");
    assert_eq!(answer.text(), r#"{"message":"Hello, World!"}"#);
    let missing = worker.get("/nothing/here");
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    let head =
        worker.send(Request { method: method::HEAD, method_text: "HEAD", ..Request::get("/") });
    assert_eq!((head.status, head.body.len()), (405, 0));
    assert_eq!(head.header("Allow"), Some("GET"));
}

fn answers_later(worker: &Worker) {
    let answer = worker.get("/slow?ms=30");
    assert_eq!(answer.outcome, outcome::PENDING);
    assert_eq!((answer.status, answer.text()), (200, "waited 30 ms\n"));
    let answer = worker.get("/stream?lines=3&ms=10");
    assert_eq!((answer.status, answer.text()), (200, "line 1\nline 2\nline 3\n"));
    assert!(answer.notifications >= 2, "{answer:?}");
}

fn reads_bodies(worker: &Worker) {
    let answer = worker.send(Request::post("/echo", b"all at once"));
    assert_eq!((answer.outcome, answer.text()), (outcome::DONE, "all at once"));
    let wait = Vec::new;
    for chunked in [false, true] {
        let answer = worker.send(Request {
            pieces: vec![wait(), b"two ".to_vec(), b"three ".to_vec(), wait(), b"four".to_vec()],
            chunked,
            ..Request::post("/echo", b"one ")
        });
        assert_eq!((answer.status, answer.text()), (200, "one two three four"));
    }
    let answer =
        worker.send(Request { pieces: vec![wait()], leaves: true, ..Request::post("/echo", b"") });
    assert_eq!(answer.outcome, outcome::PENDING);
}

fn waits_for_slow_clients(worker: &Worker) {
    let answer = worker.get("/bytes?n=1000000");
    assert_eq!((answer.status, answer.content_length), (200, 1_000_000));
    assert_eq!(answer.body.len(), 1_000_000);
    let pattern = b"0123456789abcdefghijklmnopqrstuvwxyz";
    assert!(answer.body.iter().zip(pattern.iter().cycle()).all(|(left, right)| left == right));
}

fn survives_its_own_failures(worker: &Worker) {
    let answer = worker.get("/throw");
    assert_eq!((answer.status, answer.content_length), (500, 0), "{answer:?}");
    assert_eq!(answer.body.len(), 0);
    assert_eq!(worker.get("/plaintext").status, 200);
}

fn describes_the_request(worker: &Worker) {
    let mut request = Request::get("/headers");
    request.headers.push(("X-Twice", "a".to_owned()));
    request.headers.push(("x-twice", "b".to_owned()));
    let answer = worker.send(request);
    assert_eq!(answer.text(), r#"{"Host":"localhost","X-Twice":"a,b"}"#);
    let hosting = worker.get("/hosting");
    assert!(hosting.text().contains(r#""server":"Ancm.Server.HostServer""#), "{}", hosting.text());
    assert!(hosting.text().contains(r#""remoteAddress":"127.0.0.1:5555""#), "{}", hosting.text());
}
