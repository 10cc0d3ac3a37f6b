//! How many connections a backend has, and who waits for one.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ancm_engine::UpstreamAddress;

use crate::support::backend::{Backend, Proxy, Rules, wait_for_end};
use crate::support::{Client, Door, PATIENCE, Site, eventually, pattern};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn limited(backend: &Backend, connections: usize) -> Proxy {
    let rules = Rules { connections: Some(connections), ..Rules::default() };
    Proxy::with(UpstreamAddress::Tcp(backend.address), rules)
}

/// A backend that answers when the door is open, whose busy connections are counted.
fn behind(door: &Door) -> (Backend, Arc<AtomicUsize>) {
    let busy = Arc::new(AtomicUsize::new(0));
    let (count, door) = (busy.clone(), door.clone());
    let backend = Backend::start(move |mut peer, _| {
        while peer.request().is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            door.pass();
            count.fetch_sub(1, Ordering::SeqCst);
            peer.send(OK);
        }
    });
    (backend, busy)
}

#[test]
fn requests_beyond_the_limit_wait_for_a_connection() {
    let door = Door::default();
    let (backend, busy) = behind(&door);
    let site = Site::with(limited(&backend, 3), 1, |_| {});
    let mut clients: Vec<Client> = (0..40).map(|_| site.connect()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        match at % 2 {
            0 => client.get("/"),
            _ => client.post("/", b"body"),
        }
    }
    eventually("three at work", || busy.load(Ordering::SeqCst) == 3);
    // Some leave, and their turn is another's.
    for client in clients.drain(10..20) {
        client.reset();
    }
    door.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "ok");
    }
    assert_eq!(backend.accepted(), 3);
}

#[test]
fn connections_that_break_let_others_have_their_turn() {
    let backend = Backend::start(move |mut peer, _| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let site = Site::with(limited(&backend, 1), 1, |_| {});
    let mut clients: Vec<Client> = (0..20).map(|_| site.connect()).collect();
    for client in &mut clients {
        client.post("/", b"");
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "ok");
    }
}

/// More than are kept for long.
#[test]
fn a_crowd_finds_the_connections_of_the_one_before() {
    const CROWD: usize = 300;
    let doors = [Door::default(), Door::default()];
    let busy = Arc::new(AtomicUsize::new(0));
    let (count, opened) = (busy.clone(), doors.clone());
    let backend = Backend::start(move |mut peer, _| {
        while let Some(head) = peer.request() {
            count.fetch_add(1, Ordering::SeqCst);
            opened[usize::from(head.starts_with("GET /second"))].pass();
            count.fetch_sub(1, Ordering::SeqCst);
            peer.send(OK);
        }
    });
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut clients: Vec<Client> = (0..CROWD).map(|_| site.connect()).collect();
    for (target, door) in ["/first", "/second"].into_iter().zip(&doors) {
        clients.iter_mut().for_each(|client| client.get(target));
        eventually("all at work", || busy.load(Ordering::SeqCst) == CROWD);
        door.open();
        for client in &mut clients {
            assert_eq!(client.response().text(), "ok");
        }
    }
    assert_eq!(backend.accepted(), CROWD);
}

/// Those of a crowd that are not needed again go, and the others stay.
#[test]
fn connections_that_nobody_needs_are_closed_after_a_while() {
    const CROWD: usize = 300;
    const KEPT: usize = 256;
    let (busy, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, end, door) = (busy.clone(), ended.clone(), Door::default());
    let opened = door.clone();
    let backend = Backend::start(move |mut peer, _| {
        while peer.request().is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            opened.pass();
            peer.send(OK);
        }
        end.fetch_add(1, Ordering::SeqCst);
    });
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut clients: Vec<Client> = (0..CROWD).map(|_| site.connect()).collect();
    clients.iter_mut().for_each(|client| client.get("/"));
    eventually("all at work", || busy.load(Ordering::SeqCst) == CROWD);
    door.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "ok");
    }
    eventually("the end of those beyond", || ended.load(Ordering::SeqCst) == CROWD - KEPT);
    assert_eq!(site.get("/").text(), "ok");
    assert_eq!((backend.accepted(), ended.load(Ordering::SeqCst)), (CROWD, CROWD - KEPT));
}

#[test]
fn nobody_waits_for_ever() {
    let door = Door::default();
    let (backend, busy) = behind(&door);
    let silence = Some(Duration::from_millis(300));
    let rules = Rules { connections: Some(1), silence, ..Rules::default() };
    let proxy = Proxy::with(UpstreamAddress::Tcp(backend.address), rules);
    let site = Site::with(proxy, 1, |_| {});
    let mut first = site.connect();
    first.get("/");
    eventually("one at work", || busy.load(Ordering::SeqCst) == 1);
    let mut second = site.connect();
    second.get("/");
    assert_eq!(first.response().text(), "Head: the backend was silent for 300ms");
    // The connection of the first was closed: this is the turn of the second, or the end of its wait.
    let text = second.response().text();
    let waited = "Connect: no connection to the backend became free";
    assert!([waited, "Head: the backend was silent for 300ms"].contains(&&*text), "{text}");
    door.open();
}

#[test]
fn a_tunnel_is_in_nobodys_way() {
    let backend = Backend::start(move |mut peer, _| {
        while let Some(head) = peer.request() {
            if head.contains("Upgrade: echo") {
                peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n");
                loop {
                    let bytes = peer.0.try_bytes();
                    if bytes.is_empty() {
                        return;
                    }
                    peer.send(bytes);
                }
            }
            peer.send(OK);
        }
    });
    let site = Site::with(limited(&backend, 1), 1, |_| {});
    let mut tunnels: Vec<Client> = (0..5)
        .map(|_| {
            let mut client = site.connect();
            client
                .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
            assert_eq!(client.head().status, 101);
            client
        })
        .collect();
    assert_eq!(site.get("/").text(), "ok");
    for tunnel in &mut tunnels {
        tunnel.send("still here");
        assert_eq!(tunnel.bytes(10), b"still here");
    }
}

#[test]
fn a_backlog_that_is_full_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // Fill it: nobody takes these yet.
    let mut filling = Vec::new();
    while let Ok(stream) = os::socket::Socket::connect_unix(&path) {
        filling.push(stream);
    }
    let proxy = Proxy::with(UpstreamAddress::Unix(path), Rules::default());
    let rules = proxy.rules.clone();
    let site = Site::with(proxy, 1, |_| {});
    let mut clients: Vec<Client> = (0..20).map(|_| site.connect()).collect();
    for client in &mut clients {
        client.post("/", b"body");
    }
    // The lane has seen all of them when it has closed this one.
    let mut last = site.connect();
    last.send("rubbish\r\n\r\n");
    assert_eq!(last.response().status, 400);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    for client in &mut clients {
        assert_eq!(client.response().text(), "ok");
    }
    assert_eq!(rules.lost.load(Ordering::SeqCst), 0);
    drop(filling);
}

/// Answers requests with a body of four bytes.
fn serve(mut stream: UnixStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        seen.extend_from_slice(&piece[..count]);
        if seen.ends_with(b"body") {
            seen.clear();
            if stream.write_all(OK.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// The kernel does not tell of room in a Unix socket unless it was asked to.
#[test]
fn a_backend_that_takes_its_time_gets_the_whole_body_over_a_unix_socket() {
    const LENGTH: usize = 20_000_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let door = Door::default();
    let opened = door.clone();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for _ in 0..2 {
            opened.pass();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let mut body = vec![0; LENGTH];
            stream.read_exact(&mut body).unwrap();
            assert!(body == pattern(LENGTH));
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    let proxy = Proxy::with(UpstreamAddress::Unix(path), Rules::default());
    let site = Site::with(proxy, 1, |_| {});
    let mut client = site.connect();
    for _ in 0..2 {
        let mut sender = client.stream.try_clone().unwrap();
        let (sent, count) = (pattern(LENGTH), Arc::new(AtomicUsize::new(0)));
        let counter = count.clone();
        let thread = std::thread::spawn(move || {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n");
            sender.write_all(head.as_bytes()).unwrap();
            for piece in sent.chunks(50_000) {
                sender.write_all(piece).unwrap();
                counter.fetch_add(piece.len(), Ordering::SeqCst);
            }
        });
        // More than the socket of the backend takes.
        eventually("a part of the body", || count.load(Ordering::SeqCst) >= 400_000);
        door.open();
        assert_eq!(client.response().text(), "ok");
        thread.join().unwrap();
    }
}

#[test]
fn a_backend_that_says_when_it_closes_is_forestalled() {
    let (ended, has_ended) = std::sync::mpsc::channel();
    let ended = std::sync::Mutex::new(ended);
    let backend = Backend::start(move |mut peer, _| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=1\r\n");
        peer.send("Content-Length: 2\r\n\r\nok");
        ended.lock().unwrap().send(wait_for_end(&mut peer).is_ok()).unwrap();
    });
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut client = site.connect();
    client.get("/");
    assert_eq!(client.response().text(), "ok");
    // Long before the time that holds otherwise.
    assert_eq!(has_ended.recv_timeout(PATIENCE), Ok(true));
}
