//! Applications that block: only their own exchange waits.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use abi::event;
use ancm_engine::{Application, Exchange, Outcome};

use crate::support::handler::{Call, Handler};
use crate::support::{Does, Door, Site, eventually, respond};

fn at_the_door(door: &Door) -> impl Application {
    let door = door.clone();
    Does(move |exchange: &mut Exchange<'_>| {
        if exchange.request().path() == b"/blocks" {
            door.pass();
        }
        respond(exchange, 200, "done")
    })
}

#[test]
fn blocked_lanes_go_on_with_others() {
    let door = Door::default();
    let site = Site::start(at_the_door(&door));
    let mut blocked: Vec<_> = (0..100).map(|_| site.connect()).collect();
    for client in &mut blocked {
        client.get("/blocks");
    }
    for _ in 0..50 {
        assert_eq!(site.get("/").text(), "done");
    }
    door.open();
    for client in &mut blocked {
        assert_eq!(client.response().text(), "done");
        client.get("/");
        assert_eq!(client.response().text(), "done");
    }
}

#[test]
fn a_blocked_handler_delays_nobody_by_its_own_time() {
    let site = Site::start(Does(|exchange: &mut Exchange<'_>| {
        if exchange.request().path() == b"/sleeps" {
            std::thread::sleep(Duration::from_secs(3));
        }
        respond(exchange, 200, "done")
    }));
    let mut sleepers: Vec<_> = (0..8).map(|_| site.connect()).collect();
    for client in &mut sleepers {
        client.get("/sleeps");
    }
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(site.get("/").text(), "done");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for client in &mut sleepers {
        assert_eq!(client.response().text(), "done");
    }
}

#[test]
fn threads_that_come_back_are_used_again() {
    let threads = Arc::new(Mutex::new(HashSet::new()));
    let seen = threads.clone();
    let site = Site::start(Does(move |exchange: &mut Exchange<'_>| {
        seen.lock().unwrap().insert(std::thread::current().id());
        std::thread::sleep(Duration::from_millis(20));
        respond(exchange, 200, "done")
    }));
    for _ in 0..20 {
        let mut blocked: Vec<_> = (0..4).map(|_| site.connect()).collect();
        for client in &mut blocked {
            client.get("/");
        }
        for client in &mut blocked {
            assert_eq!(client.response().text(), "done");
        }
    }
    let count = threads.lock().unwrap().len();
    // Four are blocked at once; a busy machine makes a few more.
    assert!(count <= 16, "{count} threads for 80 blocking calls");
}

#[test]
fn beyond_the_limit_of_threads_a_lane_waits_and_then_goes_on() {
    let door = Door::default();
    let site = Site::with(at_the_door(&door), 1, |options| options.threads = 3);
    let mut blocked: Vec<_> = (0..10).map(|_| site.connect()).collect();
    for client in &mut blocked {
        client.get("/blocks");
    }
    let mut other = site.connect();
    other.get("/");
    door.open();
    assert_eq!(other.response().text(), "done");
    for client in &mut blocked {
        assert_eq!(client.response().text(), "done");
    }
}

#[test]
fn a_client_that_leaves_while_its_handler_blocks_is_forgotten() {
    let door = Door::default();
    let entered = Arc::new(AtomicUsize::new(0));
    let (behind, count) = (door.clone(), entered.clone());
    let site = Site::start(Does(move |exchange: &mut Exchange<'_>| {
        count.fetch_add(1, Ordering::SeqCst);
        behind.pass();
        respond(exchange, 200, "done")
    }));
    for count in 1..=20 {
        let mut client = site.connect();
        client.get("/");
        eventually("the handler runs", || entered.load(Ordering::SeqCst) == count);
        client.reset();
    }
    door.open();
    assert_eq!(site.get("/").text(), "done");
    assert_eq!(site.engine.drain(crate::support::PATIENCE).requests(), 0);
}

/// The lane is taken over while the application blocks; what it decides then is still done.
#[test]
fn what_a_blocked_application_decides_late_is_done() {
    let door = Door::default();
    let behind = door.clone();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let site = Site::with(
        Does(move |exchange: &mut Exchange<'_>| {
            if exchange.request().path() != b"/holds" {
                return respond(exchange, 200, "quick");
            }
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                behind.pass();
                return Outcome::Hold;
            }
            assert!(exchange.held_for() > Duration::ZERO);
            respond(exchange, 200, "held")
        }),
        1,
        |_| {},
    );
    let mut client = site.connect();
    client.get("/holds");
    eventually("it is in the application", || calls.load(Ordering::SeqCst) == 1);
    assert_eq!(site.get("/").text(), "quick");
    door.open();
    site.engine.waker().wake();
    assert_eq!(client.response().text(), "held");
}

/// A word to the lane that comes while the lane is busy must not wait for another event.
#[test]
fn a_word_that_comes_while_the_lane_is_busy_is_heard() {
    let (inside, door) = (Door::default(), Door::default());
    let (entered, behind) = (inside.clone(), door.clone());
    let ready = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_ready = ready.clone();
    // No spare thread, so that the lane itself stays in the application.
    let site = Site::with(
        Does(move |exchange: &mut Exchange<'_>| {
            if exchange.request().path() == b"/blocks" {
                entered.open();
                behind.pass();
            } else if !is_ready.load(Ordering::SeqCst) {
                return Outcome::Hold;
            }
            respond(exchange, 200, "done")
        }),
        1,
        |options| options.threads = 1,
    );
    let mut busy = site.connect();
    busy.get("/blocks");
    inside.pass();
    // Given while the lane is awake: nothing wakes it for this.
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| {
            let began = Instant::now();
            (site.engine.drain(crate::support::PATIENCE), began.elapsed())
        });
        // The command is stored before the drain waits; give that a moment, for correctness of
        // the test's aim only.
        std::thread::sleep(Duration::from_millis(50));
        ready.store(true, Ordering::SeqCst);
        door.open();
        assert_eq!(busy.response().text(), "done");
        busy.expect_end();
        let (left, took) = drain.join().unwrap();
        assert!(left.is_clean(), "{left}");
        assert!(took < Duration::from_secs(10), "the drain was heard late: {took:?}");
    });
}

/// A wait that ends goes on in the lane, as a dispatch does: it may block there, too.
#[test]
fn what_goes_on_after_a_wait_may_block_and_delays_nobody() {
    struct Wakes<S> {
        handler: Handler<S>,
        door: Door,
        inside: Arc<AtomicUsize>,
    }
    impl<S: Fn(Call) + Send + Sync + 'static> Application for Wakes<S> {
        fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
            self.handler.dispatch(exchange)
        }
        fn signal(&self, exchange: *mut abi::Exchange, id: u64, events: u32) {
            if events & event::YIELDED != 0 {
                self.inside.fetch_add(1, Ordering::SeqCst);
                self.door.pass();
            }
            self.handler.signal(exchange, id, events);
        }
    }
    let (door, inside) = (Door::default(), Arc::new(AtomicUsize::new(0)));
    let waiting = Arc::new(AtomicUsize::new(0));
    let waits = waiting.clone();
    // A thread for each of the requests below.
    let handler = Handler::new(8, move |call: Call| {
        if call.path == "/" {
            return call.answer(200, b"done");
        }
        let mut into = [0; 10];
        while call.try_read(&mut into) != abi::read::WOULD_BLOCK {}
        waits.fetch_add(1, Ordering::SeqCst);
        let count = call.read(&mut into);
        call.answer(200, &into[..count as usize]);
    });
    let application = Wakes { handler, door: door.clone(), inside: inside.clone() };
    let site = Site::with(application, 1, |_| {});
    let mut uploads: Vec<_> = (0..4).map(|_| site.connect()).collect();
    for (at, upload) in uploads.iter_mut().enumerate() {
        upload.send("POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
        eventually("it waits", || waiting.load(Ordering::SeqCst) == at + 1);
        upload.send("world");
        eventually("its wait has ended", || inside.load(Ordering::SeqCst) == at + 1);
        assert_eq!(site.get("/").text(), "done");
    }
    door.open();
    for upload in &mut uploads {
        assert_eq!(upload.response().text(), "world");
    }
}

#[test]
fn what_was_flushed_before_blocking_arrives_before_the_end() {
    let door = Door::default();
    let behind = door.clone();
    // Dispatch does not return before the script has.
    let site = Site::start(Handler::new(1, move |mut call: Call| {
        call.head(200, None, &[]);
        call.write(b"first");
        call.flush();
        behind.pass();
        call.write(b"second");
        call.finish();
    }));
    let mut client = site.connect();
    client.get("/finished-first");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), b"first");
    door.open();
    assert_eq!(client.chunk(), b"second");
    assert_eq!(client.chunk(), b"");
}
