//! Tunnels to backends, of which each side may end before the other.

use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::upgrades::hurry;
use crate::support::backend::{Backend, Peer, Proxy, Rules, wait_for_end};
use crate::support::{Client, Door, PATIENCE, Site, UnixSite, eventually, pattern};

const ASK: &str = "GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n";
const LENGTH: usize = 700_000;
/// How long who says nothing more may stay.
const LINGER: Duration = Duration::from_millis(100);

/// Runs `test` with clients and backends of both kinds of sockets.
fn with_all_sockets(
    script: impl Fn(Peer, usize) + Send + Sync + 'static,
    test: impl Fn(&mut dyn FnMut() -> Client, &dyn Fn() -> usize),
) {
    let script = Arc::new(script);
    let dir = tempfile::tempdir().unwrap();
    let shared = script.clone();
    let unix = Backend::unix(&dir.path().join("b.sock"), move |peer, number| shared(peer, number));
    let tcp = Backend::start(move |peer, number| script(peer, number));
    for address in [ancm_engine::UpstreamAddress::Tcp(tcp.address), unix] {
        let proxy = Proxy::with(address.clone(), Rules::default());
        let site = Site::with(proxy, 2, |options| options.linger = LINGER);
        test(&mut || site.connect(), &|| site.engine.drain(PATIENCE).requests());
        let proxy = Proxy::with(address, Rules::default());
        let site = UnixSite::with(proxy, |options| options.linger = LINGER);
        let connect = || TcpStream::from(OwnedFd::from(site.connect()));
        test(&mut || Client::on(connect()), &|| site.engine.drain(PATIENCE).requests());
    }
}

fn open(mut client: Client) -> Client {
    client.send(ASK);
    assert_eq!(client.head().status, 101);
    client
}

fn told() -> (Mutex<Sender<Vec<u8>>>, Receiver<Vec<u8>>) {
    let (sender, receiver) = channel();
    (Mutex::new(sender), receiver)
}

#[test]
fn a_backend_that_ends_its_side_listens_on() {
    let (sender, came) = told();
    let script = move |mut peer: Peer, _| {
        peer.request();
        peer.send(SWITCH);
        peer.send(pattern(LENGTH));
        peer.0.stream.shutdown(Shutdown::Write).unwrap();
        sender.lock().unwrap().send(peer.0.try_everything()).unwrap();
    };
    with_all_sockets(script, |connect, drain| {
        let mut client = open(connect());
        assert!(client.rest() == pattern(LENGTH));
        for piece in pattern(LENGTH).chunks(LENGTH / 7) {
            client.send(piece);
        }
        client.half_close();
        assert!(came.recv_timeout(PATIENCE).unwrap() == pattern(LENGTH));
        assert_eq!(drain(), 0);
    });
}

#[test]
fn a_client_that_ends_its_side_listens_on() {
    let (sender, came) = told();
    let script = move |mut peer: Peer, _| {
        peer.request();
        peer.send(SWITCH);
        let received = peer.0.try_everything();
        peer.send(pattern(LENGTH));
        sender.lock().unwrap().send(received).unwrap();
    };
    with_all_sockets(script, |connect, drain| {
        let mut client = open(connect());
        client.send(pattern(LENGTH));
        client.half_close();
        assert!(client.rest() == pattern(LENGTH));
        assert!(came.recv_timeout(PATIENCE).unwrap() == pattern(LENGTH));
        assert_eq!(drain(), 0);
    });
}

/// Over TCP that looks like a backend that listens on, until it is sent something.
#[test]
fn a_backend_that_leaves_ends_the_tunnel_when_the_client_goes_on() {
    let script = |mut peer: Peer, _| {
        peer.request();
        peer.send(SWITCH);
        peer.send("bye");
    };
    with_all_sockets(script, |connect, drain| {
        let mut client = open(connect());
        assert_eq!(client.rest(), b"bye");
        eventually("the tunnel ends", || !client.try_send("are you there?"));
        assert_eq!(drain(), 0);
    });
}

/// Two requests run into the limit of silence, one after the other, while the tunnel is silent.
#[test]
fn limits_of_requests_are_not_those_of_tunnels() {
    let backend = Backend::start(|mut peer, _| {
        if !peer.request().unwrap().starts_with("GET /up ") {
            return drop(wait_for_end(&mut peer));
        }
        peer.send(SWITCH);
        let bytes = peer.0.bytes(5);
        peer.send(bytes);
    });
    let silence = Some(Duration::from_millis(300));
    let rules = Rules { silence, ..Rules::default() };
    let proxy = Proxy::with(ancm_engine::UpstreamAddress::Tcp(backend.address), rules);
    let site = Site::with(proxy, 1, hurry);
    let mut client = open(site.connect());
    for _ in 0..2 {
        let answer = site.get("/silence").text();
        assert!(answer.contains("the backend was silent"), "{answer}");
    }
    client.send("hello");
    assert_eq!(client.bytes(5), b"hello");
}

#[test]
fn a_tunnel_with_one_end_ends_when_nothing_moves() {
    let (sender, came) = told();
    let over = Door::default();
    let is_over = over.clone();
    let backend = Backend::start(move |mut peer, number| {
        peer.request();
        peer.send(SWITCH);
        if number == 0 {
            peer.0.stream.shutdown(Shutdown::Write).unwrap();
        }
        let everything = peer.0.try_everything();
        sender.lock().unwrap().send(everything).unwrap();
        is_over.pass();
    });
    let silence = Some(Duration::from_millis(300));
    let rules = Rules { silence, ..Rules::default() };
    let proxy = Proxy::with(ancm_engine::UpstreamAddress::Tcp(backend.address), rules);
    let rules = proxy.rules.clone();
    let site = Site::with(proxy, 1, |options| options.linger = LINGER);

    let mut ended_by_backend = open(site.connect());
    assert_eq!(ended_by_backend.rest(), b"");
    ended_by_backend.send("last");
    assert_eq!(came.recv_timeout(PATIENCE).unwrap(), b"last");
    eventually("the connection ends", || !ended_by_backend.try_send("more"));
    assert!(rules.failures.lock().unwrap().is_empty(), "nobody is to blame");

    let mut ended_by_client = open(site.connect());
    ended_by_client.send("last");
    ended_by_client.half_close();
    assert!(ended_by_client.ends_by_reset());
    assert_eq!(came.recv_timeout(PATIENCE).unwrap(), b"last");
    let failures = rules.failures.lock().unwrap();
    assert!(failures[0].contains("the backend was silent"), "{failures:?}");
    over.open();
}

#[test]
fn a_drain_waits_for_requests_and_tunnels_are_none() {
    let door = Door::default();
    let is_open = door.clone();
    let backend = Backend::start(move |mut peer, _| {
        if peer.request().unwrap().starts_with("GET /up ") {
            peer.send(SWITCH);
            return drop(wait_for_end(&mut peer));
        }
        is_open.pass();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let proxy = Proxy::by_socket(backend.address);
    let site = Site::with(proxy, 2, |options| options.concurrent = 1);
    let tunnels: Vec<_> = (0..5).map(|_| open(site.connect())).collect();
    let mut running = site.connect();
    running.get("/");
    let load = || site.engine.gauges().load();
    eventually("it is with the backend", || (load().in_flight, load().upgraded) == (1, 5));
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| site.engine.drain(PATIENCE));
        site.engine.wait_for_requests(Duration::from_millis(100));
        assert_eq!(load().in_flight, 1);
        door.open();
        assert_eq!(running.response().status, 200);
        site.engine.wait_for_requests(PATIENCE);
        assert_eq!((load().in_flight, load().upgraded), (0, 5));
        drop(tunnels);
        assert!(drain.join().unwrap().is_clean());
    });
    assert_eq!(load().upgraded, 0);
}
