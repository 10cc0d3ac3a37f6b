//! One connection cannot have a lane to itself. Turns are counted, not timed: while the lane is
//! in the application, nothing else moves, so what happens before another's turn is exact.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ancm_engine::Exchange;

use crate::support::{Does, UnixSite, respond};

/// Calls that one connection may have: the rest of a turn, a turn before the other's event is
/// looked at, and a few for events of its own.
const TURNS: usize = 2 * 64 + 8;

#[test]
fn a_flood_of_pipelined_requests_lets_others_in_after_its_turn() {
    let other: Arc<Mutex<Option<UnixStream>>> = Arc::default();
    let turns = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (socket, count, longest) = (other.clone(), turns.clone(), most.clone());
    let application = Does(move |exchange: &mut Exchange<'_>| {
        if exchange.request().path() == b"/other" {
            longest.fetch_max(count.swap(0, Ordering::SeqCst), Ordering::SeqCst);
        } else if let Some(socket) = &mut *socket.lock().unwrap() {
            // The other's request is with the kernel when this returns, and nobody but this
            // thread can have looked at it.
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                socket.write_all(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            }
        }
        respond(exchange, 200, "")
    });
    // A Unix socket has what was sent as soon as it is sent; TCP may take its time.
    let site = UnixSite::with(application, |_| {});
    let ask = |mut stream: &UnixStream| {
        stream.write_all(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    };
    let answered = |mut stream: &UnixStream| {
        let mut answer = [0; 1000];
        let count = stream.read(&mut answer).unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200 OK\r\n"), "no answer");
    };
    let waiting = site.connect();
    ask(&waiting);
    answered(&waiting);
    *other.lock().unwrap() = Some(waiting.try_clone().unwrap());
    let flood = site.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| std::io::copy(&mut &flood, &mut std::io::sink()));
        scope.spawn(|| {
            let many = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000);
            for _ in 0..50 {
                (&flood).write_all(many.as_bytes()).unwrap();
            }
            flood.shutdown(Shutdown::Write).unwrap();
        });
        answered(&waiting);
    });
    let most = most.load(Ordering::SeqCst);
    assert!((1..=TURNS).contains(&most), "{most} calls came between");
}
