//! Many requests, many bytes.

use std::{io::Write, thread};

use testkit::{App, Process, Request, Site, both_models, process::MemoryWatch};

/// Enough that a buffer which grows with the body is seen; little enough to take seconds.
const LARGE_BYTES: usize = 512 << 20;
const GROWTH_BYTES: u64 = 64 << 20;
const PIECE_BYTES: usize = 1 << 20;

fn worker_memory(site: &Site) -> Vec<Process> {
    vec![site.worker()]
}

/// Ten thousand requests of different kinds on 64 connections, each answer compared.
fn mixed(site: &Site) {
    const CONNECTIONS: usize = 64;
    const EACH: usize = 157;
    thread::scope(|scope| {
        for client in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut connection = site.connect();
                for number in 0..EACH {
                    let seed = client * EACH + number;
                    match seed % 5 {
                        0 => assert_eq!(connection.get("/plaintext").ok().text(), "Hello, World!"),
                        1 => {
                            let json = connection.get("/json").ok().json();
                            assert_eq!(json["message"], "Hello, World!");
                        }
                        2 | 3 => {
                            let length = (seed * 7919) % 40_000;
                            let body: Vec<u8> =
                                (0..length).map(|at| ((at + seed) % 253) as u8).collect();
                            let request = match seed % 5 {
                                2 => Request::post("/echo", body.clone()),
                                _ => Request::post_chunked("/echo", &body, 3001),
                            };
                            assert!(connection.request(&request).ok().body == body, "{seed}");
                        }
                        _ => {
                            let length = (seed * 31) % 100_000;
                            let response = connection.get(&format!("/bytes?n={length}")).ok();
                            assert!(response.body == pattern(length), "{seed}");
                        }
                    }
                }
                assert!(!connection.has_unread());
            });
        }
    });
}

/// What `/bytes` of the sample sends.
fn pattern(length: usize) -> Vec<u8> {
    b"0123456789abcdefghijklmnopqrstuvwxyz".iter().copied().cycle().take(length).collect()
}

both_models! {
    fn ten_thousand_mixed_requests_are_answered_byte_by_byte(model: Model) {
        let site = Site::start(App::sample("hello"), model);
        mixed(&site);
        site.stop();
    }

    fn a_large_upload_is_streamed(model: Model) {
        let site = Site::start(App::test("Site"), model);
        assert_eq!(site.get("/HelloWorld").status(), 200);
        let mut connection = site.connect();
        let processes = worker_memory(&site);
        let before: u64 = processes.iter().map(|process| process.own_memory_bytes()).sum();
        let watch = MemoryWatch::start(processes);
        connection.send(Request::post_chunked("/ReadAndCountRequestBody", b"", 1).head());
        let mut sender = connection.sender();
        let mut chunk = format!("{PIECE_BYTES:x}\r\n").into_bytes();
        chunk.extend(vec![b'x'; PIECE_BYTES]);
        chunk.extend_from_slice(b"\r\n");
        for _ in 0..LARGE_BYTES / PIECE_BYTES {
            sender.write_all(&chunk).unwrap();
        }
        connection.send_chunk(b"");
        assert_eq!(connection.response().ok().text(), LARGE_BYTES.to_string());
        let grown = watch.most_bytes().saturating_sub(before);
        assert!(grown < GROWTH_BYTES, "the worker grew by {} MiB", grown >> 20);
    }

    fn a_large_download_is_streamed(model: Model) {
        let site = Site::start(App::sample("hello"), model);
        assert_eq!(site.get("/plaintext").status(), 200);
        let mut connection = site.connect();
        let processes = worker_memory(&site);
        let before: u64 = processes.iter().map(|process| process.own_memory_bytes()).sum();
        let watch = MemoryWatch::start(processes);
        connection.send(Request::get(&format!("/bytes?n={LARGE_BYTES}")).to_bytes());
        assert_eq!(connection.head().status, 200);
        // A piece may begin anywhere in the pattern.
        let expected = pattern(36 + (1 << 17));
        let mut received = 0;
        while let Some(piece) = connection.piece() {
            let start = received % 36;
            let wanted = &expected[start..start + piece.bytes.len()];
            assert!(piece.bytes == wanted, "at {received}");
            received += piece.bytes.len();
        }
        assert_eq!(received, LARGE_BYTES);
        let grown = watch.most_bytes().saturating_sub(before);
        assert!(grown < GROWTH_BYTES, "the worker grew by {} MiB", grown >> 20);
    }

    fn a_client_that_does_not_read_holds_nothing_up(model: Model) {
        let site = Site::start(App::sample("hello"), model);
        let mut lazy = site.connect();
        let processes = worker_memory(&site);
        let before: u64 = processes.iter().map(|process| process.own_memory_bytes()).sum();
        lazy.send(Request::get(&format!("/bytes?n={LARGE_BYTES}")).to_bytes());
        for _ in 0..200 {
            assert_eq!(site.get("/plaintext").ok().text(), "Hello, World!");
        }
        let after: u64 =
            worker_memory(&site).iter().map(|process| process.own_memory_bytes()).sum();
        let grown = after.saturating_sub(before);
        assert!(grown < GROWTH_BYTES, "the worker grew by {} MiB", grown >> 20);
        drop(lazy);
        site.stop();
    }

    fn l22_13_many_first_requests_at_once_succeed(model: Model) {
        let site = testkit::Start::of(App::test("Site").model(model)).run();
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World"));
            }
        });
        site.stop();
    }
}
