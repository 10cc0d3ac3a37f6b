//! WebSockets that are left at the limit of a drain: closed in their own words where that can be.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abi::progress;
use ancm_engine::Goodbye;

use crate::support::backend::{Backend, Proxy};
use crate::support::handler::{Call, Handler};
use crate::support::{Client, Door, PATIENCE, Site};

const LIMIT: Duration = Duration::from_millis(400);
const GOING_AWAY: &[u8] = &[0x88, 2, 0x03, 0xe9];
const RESTART: &[u8] = &[0x88, 2, 0x03, 0xf4];
const MASKED: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4];

/// What an application does on a connection of the protocol `name`.
#[derive(Clone)]
struct App {
    name: &'static str,
    says: Vec<u8>,
    /// Then it breaks off when this opens, instead of reading to the end.
    breaks_off: Option<Door>,
    hears: Arc<Mutex<Sender<Vec<u8>>>>,
}

impl App {
    fn saying(says: impl Into<Vec<u8>>) -> (Self, Receiver<Vec<u8>>) {
        let (sender, heard) = channel();
        let hears = Arc::new(Mutex::new(sender));
        (Self { name: "websocket", says: says.into(), breaks_off: None, hears }, heard)
    }

    fn inside(self) -> Site {
        let handler = Handler::new(2, move |mut call: Call| {
            call.head(101, None, &[("Upgrade", self.name)]);
            call.flush();
            call.write(&self.says);
            call.flush();
            if let Some(door) = &self.breaks_off {
                door.pass();
                return call.publish(progress::ABORT | progress::RELEASED);
            }
            let (mut into, mut heard) = ([0; 100], Vec::new());
            while let count @ 1.. = call.read(&mut into) {
                heard.extend_from_slice(&into[..count as usize]);
            }
            let _ = self.hears.lock().unwrap().send(heard);
            // Too late for its client.
            call.write(b"\x88\0");
            call.publish(progress::ENDED | progress::RELEASED);
        });
        Site::start(handler)
    }

    fn behind(self) -> Site {
        let backend = Backend::start(move |mut peer, _| {
            peer.request();
            peer.send(format!("HTTP/1.1 101 X\r\nUpgrade: {}\r\n\r\n", self.name));
            for piece in self.says.chunks(50_001) {
                peer.send(piece);
            }
            if let Some(door) = &self.breaks_off {
                return door.pass();
            }
            let _ = self.hears.lock().unwrap().send(peer.0.try_everything());
            peer.send(b"\x88\0");
        });
        Site::start(Proxy::by_socket(backend.address))
    }

    /// In-process and behind a backend.
    fn both(self, test: impl Fn(Site)) {
        test(self.clone().inside());
        test(self.behind());
    }
}

fn open(site: &Site) -> Client {
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.head().status, 101);
    client
}

fn large() -> Vec<u8> {
    [b"\x82\x7f\0\0\0\0\0\x03\x0d\x40", &[7; 200_000][..], b"\x81\x02hi"].concat()
}

#[test]
fn a_web_socket_that_is_left_open_is_closed_at_the_limit() {
    let (app, _heard) = App::saying(large());
    app.both(|site| {
        let mut client = open(&site);
        assert!(client.bytes(200_014) == large());
        let drained = site.engine.drain_saying(LIMIT, Goodbye::Restart);
        assert_eq!(client.rest(), RESTART);
        // A lane that the machine holds up says nothing, and does it all the same.
        let cut: usize = drained.lanes.iter().flatten().map(|lane| lane.requests).sum();
        assert_eq!(cut, 0, "{drained}");
    });
}

#[test]
fn who_has_said_nothing_is_told_that_the_server_goes_away() {
    let (app, _heard) = App::saying("");
    app.both(|site| {
        let mut client = open(&site);
        site.engine.drain(LIMIT);
        assert_eq!(client.rest(), GOING_AWAY);
    });
}

/// There is a moment for it, which a machine that is busy may let pass: then a longer one.
#[test]
fn the_clients_answer_is_the_applications_to_read() {
    let (app, heard) = App::saying("\u{1}\u{0}");
    for start in [App::inside, App::behind] {
        let is_heard = |limit: Duration| {
            let site = start(app.clone());
            let mut client = open(&site);
            std::thread::scope(|scope| {
                let drain = scope.spawn(|| site.engine.drain_saying(limit, Goodbye::Restart));
                assert_eq!(client.bytes(6), [b"\x01\0", RESTART].concat());
                client.try_send(MASKED);
                let _ = client.stream.shutdown(std::net::Shutdown::Write);
                client.try_everything();
                drain.join().unwrap();
            });
            heard.recv_timeout(PATIENCE).unwrap() == MASKED
        };
        assert!([LIMIT, LIMIT * 10, PATIENCE].into_iter().any(is_heard));
    }
}

#[test]
fn nothing_is_said_behind_a_close() {
    let (app, _heard) = App::saying(RESTART);
    app.both(|site| {
        let mut client = open(&site);
        site.engine.drain(LIMIT);
        assert_eq!(client.rest(), RESTART);
    });
}

#[test]
fn within_a_frame_or_another_protocol_there_is_only_a_cut() {
    let (mut app, _heard) = App::saying("\u{1}\u{5}he");
    for name in ["websocket", "echo"] {
        app.name = name;
        app.clone().both(|site| {
            let mut client = site.connect();
            client.send(format!(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {name}\r\n\r\n"
            ));
            assert_eq!(client.head().status, 101);
            assert_eq!(client.bytes(4), b"\x01\x05he");
            let drained = site.engine.drain(LIMIT);
            assert!(client.ends_by_reset());
            assert!(!drained.is_clean(), "{drained}");
        });
    }
}

/// Some applications do not survive the news of their end for long.
#[test]
fn a_stop_that_ends_the_application_is_told_to_its_web_sockets() {
    let (mut app, _heard) = App::saying("\u{1}\u{0}");
    for start in [App::inside, App::behind] {
        let door = Door::default();
        app.breaks_off = Some(door.clone());
        let site = start(app.clone());
        let mut client = open(&site);
        assert_eq!(client.bytes(2), b"\x01\0");
        std::thread::scope(|scope| {
            let drain = scope.spawn(|| site.engine.drain_saying(PATIENCE, Goodbye::Restart));
            // All lanes drain.
            site.engine.wait_for_requests(PATIENCE);
            door.open();
            assert_eq!(client.rest(), RESTART);
            drop(client);
            drain.join().unwrap();
        });
    }
}
