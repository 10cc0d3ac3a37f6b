//! What the engine holds on to: bytes in use are counted, whoever allocates them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod support;

pub(crate) const IO: ancm_engine::Io = ancm_engine::Io::Epoll;
pub(crate) const LINKED: bool = false;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ancm_engine::{Engine, Listener, Options};
use support::backend::{Backend, Proxy};
use support::handler::{Call, Handler};
use support::{Client, Site, echo};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: the count is the process's.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes by which the count was ever higher than at the start of `work`.
fn peak(work: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::SeqCst);
    MOST.store(before, Ordering::SeqCst);
    work();
    MOST.load(Ordering::SeqCst) - before
}

const LARGE: u64 = 100 << 20;
/// Sockets hold their own; ours is a few buffers.
const FEW: usize = 2 << 20;

/// Takes that many body bytes, always a little behind.
fn take_slowly(client: &mut Client, mut left: u64) {
    let mut piece = vec![0; 300_000];
    let mut at = 0_u32;
    while left > 0 {
        at += 1;
        if at.is_multiple_of(16) {
            std::thread::yield_now();
        }
        let count = client.stream.read(&mut piece).unwrap();
        assert!(count > 0, "{left} bytes are missing");
        left = left.saturating_sub(count as u64);
    }
}

#[test]
fn a_large_answer_of_a_handler_is_held_in_small_parts() {
    let _turn = alone();
    let site = Site::start(Handler::new(1, |mut call: Call| {
        call.head(200, Some(LARGE), &[]);
        let piece = vec![1; 50_000];
        let mut left = LARGE as usize;
        while left > 0 {
            let count = left.min(piece.len());
            call.write(&piece[..count]);
            call.flush();
            left -= count;
            if !call.wait_for_space() {
                break;
            }
        }
        call.finish();
    }));
    let mut client = site.connect();
    let held = peak(|| {
        client.get("/");
        take_slowly(&mut client, LARGE);
    });
    assert!(held < FEW, "{held} bytes were held at once");
}

fn gives(length: u64) -> Backend {
    Backend::start(move |mut peer, _| {
        while peer.request().is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            let piece = vec![1; 50_000];
            let mut left = length as usize;
            while left > 0 {
                let count = left.min(piece.len());
                peer.send(&piece[..count]);
                left -= count;
            }
        }
    })
}

#[test]
fn a_large_answer_of_a_backend_is_held_in_small_parts() {
    let _turn = alone();
    let backend = gives(LARGE);
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    let held = peak(|| {
        client.get("/");
        take_slowly(&mut client, LARGE);
    });
    assert!(held < FEW, "{held} bytes were held at once");
}

/// Over a Unix socket, which reports room long before it could take all that waits: the buffer
/// behind it is never empty.
#[test]
fn a_buffer_that_is_never_empty_does_not_grow() {
    let _turn = alone();
    let backend = gives(LARGE);
    let name = format!("ancm-engine-memory-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let listeners = vec![Listener { socket: listener.into(), lane: 0 }];
    let application = Arc::new(Proxy::to(backend.address));
    let engine = Engine::start(listeners, application, Options::new(1)).unwrap();
    let mut client = UnixStream::connect_addr(&address).unwrap();
    client.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let held = peak(|| {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut piece = vec![0; 1000];
        let mut left = LARGE / 4;
        while left > 0 {
            left = left.saturating_sub(client.read(&mut piece).unwrap() as u64);
        }
    });
    engine.drain(std::time::Duration::ZERO);
    assert!(held < FEW, "{held} bytes were held at once");
}

#[test]
fn a_large_body_for_a_slow_backend_is_held_in_small_parts() {
    let _turn = alone();
    let backend = Backend::start(|mut peer, _| {
        peer.request();
        take_slowly(&mut peer.0, LARGE - 100_000);
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        let _ = std::io::copy(&mut peer.0.stream, &mut std::io::sink());
    });
    let site = Site::start(Proxy::to(backend.address));
    let mut client = site.connect();
    let held = peak(|| {
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n"));
        let piece = vec![1; 50_000];
        let mut left = LARGE as usize;
        while left > 0 {
            let count = left.min(piece.len());
            client.stream.write_all(&piece[..count]).unwrap();
            left -= count;
        }
        assert_eq!(client.response().text(), "ok");
    });
    assert!(held < FEW, "{held} bytes were held at once");
}

/// What stays after `round` was run often, compared to having run it a few times.
fn growth(few: usize, often: usize, mut round: impl FnMut()) -> usize {
    (0..few).for_each(|_| round());
    let before = NOW.load(Ordering::SeqCst);
    (0..often).for_each(|_| round());
    NOW.load(Ordering::SeqCst).saturating_sub(before)
}

#[test]
fn forwarded_requests_leave_nothing_behind() {
    let _turn = alone();
    let backend = Backend::start(|peer, _| peer.serve());
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    let mut client = site.connect();
    let grown = growth(100, 10_000, || {
        client.get("/");
        assert_eq!(client.response().text(), "/");
    });
    assert!(grown < 40_000, "{grown} bytes stayed");
}

/// Each body that is waited for sets an earlier deadline than the connection had.
#[test]
fn requests_with_late_bodies_leave_nothing_behind() {
    let _turn = alone();
    let site = Site::with(
        Handler::new(1, |call: Call| {
            call.read_all(100);
            call.answer(200, b"read");
        }),
        1,
        |_| {},
    );
    let mut client = site.connect();
    let grown = growth(100, 5_000, || {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
        client.send("12345");
        assert_eq!(client.response().text(), "read");
    });
    assert!(grown < 40_000, "{grown} bytes stayed");
}

#[test]
fn connections_leave_nothing_behind() {
    let _turn = alone();
    let site = Site::with(echo(), 1, |_| {});
    let grown = growth(500, 3_000, || {
        assert_eq!(site.get("/").text(), "GET /");
    });
    // A timer entry of a connection stays until its time: eight bytes, in vectors that double.
    assert!(grown < 200_000, "{grown} bytes stayed");
}

/// Whoever leaves in the middle of an exchange with a backend. Timer entries stay for a while, as
/// above: of the connection, its head, its body, and of the backend's connection.
#[test]
fn clients_that_leave_a_backend_leave_nothing_behind() {
    let _turn = alone();
    let backend = Backend::start(|mut peer, _| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
            let _ = support::backend::wait_for_end(&mut peer);
        }
    });
    let site = Site::with(Proxy::to(backend.address), 1, |_| {});
    for (request, reads) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Enc", 0),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123", 20),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123", 20),
    ] {
        for is_polite in [false, true] {
            let grown = growth(300, 2000, || {
                let mut client = site.connect();
                client.send(request);
                client.stream.read_exact(&mut vec![0; reads]).unwrap();
                if is_polite {
                    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
                }
            });
            assert!(grown < 200_000, "{grown} bytes stayed of {request:?} ({is_polite})");
        }
    }
}
