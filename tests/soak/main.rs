//! `cargo xtask soak`: hours of every kind of client, and whether the processes stay as they were.
//!
//! Clients come and go, keep their connections, send in pieces, leave at every byte position of
//! their requests and in the middle of answers, and send what is no request. Under strain they ask
//! for what blocks threads, starves the pool, fills the heap, throws and aborts. Every answer that
//! a client stays for is compared. Memory, descriptors and threads are looked at all the time; what
//! grows between the first and the last quarter is a leak.

#![allow(clippy::print_stdout, reason = "talking to a person is the job")]

mod beside;
mod deploys;
mod kills;
mod offline;
mod recycles;
mod services;
mod stage;
mod strain;
mod table;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use testkit::{App, Connection, Model, Process, Request, Site, eventually};

use crate::table::{Run, Table};

/// Growth that is no leak: heaps breathe.
const BREATH_BYTES: u64 = 16 << 20;
const BREATH_HANDLES: u64 = 24;

/// What clients of all kinds share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    operations: AtomicU64,
    requests: AtomicU64,
    aborts: AtomicU64,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let number = arguments.next().and_then(|text| text.parse().ok());
    let model = match arguments.next().as_deref() {
        Some("inprocess") => Model::InProcess,
        Some("outofprocess") => Model::OutOfProcess,
        _ => panic!("expected NUMBER MODEL KIND [FILE]; run `cargo xtask soak`"),
    };
    let number = number.expect("a number of seconds, or of changes");
    let kind = arguments.next();
    let run = Run { number, model, json: arguments.next().map(Into::into) };
    match kind.as_deref() {
        Some("offline") => offline::offline(&run),
        Some("recycles") => recycles::recycles(&run),
        Some("deploys") => deploys::deploys(&run),
        Some("services") => services::services(&run),
        Some("kills") => kills::kills(&run),
        Some("strain") => soak(&run, "strain", &strain::STRAIN),
        Some("clients") => soak(&run, "clients", &USUAL),
        other => panic!("no kind of run is named {other:?}"),
    }
}

/// What a run consists of.
struct Load {
    app: fn() -> App,
    clients: usize,
    /// One visit of a client.
    visit: Visit,
}

type Visit = fn(SocketAddr, &mut Random, &mut usize, &Shared);

const USUAL: Load = Load { app: || App::sample("hello"), clients: 8, visit: operate };

fn soak(run: &Run, kind: &'static str, load: &Load) -> ExitCode {
    let mut table = Table::new(
        run,
        kind,
        &["second", "operations", "requests", "aborts", "MiB", "handles", "threads"],
    );
    let site = Site::start((load.app)(), run.model);
    let address = site.address();
    let shared = Shared::default();
    let samples = thread::scope(|scope| {
        for client in 0..load.clients {
            let shared = &shared;
            scope.spawn(move || {
                // A client that found something wrong ends the run.
                let _end = StopOnPanic(&shared.stop);
                let mut random = Random(0x9E37_79B9 + client as u64);
                let mut position = client;
                while !shared.stop.load(Ordering::Relaxed) {
                    (load.visit)(address, &mut random, &mut position, shared);
                    shared.operations.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        watch(&site, Duration::from_secs(run.number), &shared, &mut table)
    });
    Sample::expect_flat(&samples, &mut table);
    eventually("the connections' end", || {
        let last = Sample::of(&site);
        let first = samples.first()?;
        (last.handles <= first.handles + BREATH_HANDLES).then_some(())
    });
    site.stop();
    table.finish()
}

/// Looks at the processes until the time is over, and tells how it goes.
fn watch(site: &Site, length: Duration, shared: &Shared, table: &mut Table<'_>) -> Vec<Sample> {
    const LOOKS: u32 = 240;
    let begun = Instant::now();
    let mut samples = Vec::new();
    for look in 1..=LOOKS {
        while begun.elapsed() < length * look / LOOKS && !shared.stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
        }
        let sample = Sample::of(site);
        if look % 12 == 0 {
            let [operations, requests, aborts] =
                [&shared.operations, &shared.requests, &shared.aborts]
                    .map(|count| count.load(Ordering::Relaxed));
            table.row(vec![
                json!(begun.elapsed().as_secs()),
                json!(operations),
                json!(requests),
                json!(aborts),
                json!(mib(sample.memory)),
                json!(sample.handles),
                json!(sample.threads),
            ]);
        }
        samples.push(sample);
    }
    shared.stop.store(true, Ordering::Relaxed);
    samples
}

/// What the worker, and its backend, have at a moment.
#[derive(Clone, Copy)]
struct Sample {
    memory: u64,
    handles: u64,
    threads: u64,
}

impl Sample {
    fn of(site: &Site) -> Self {
        let processes = site.worker().tree();
        let sum = |of: fn(&Process) -> u64| processes.iter().map(of).sum();
        Self {
            memory: sum(|process| process.own_memory_bytes()),
            handles: sum(|process| process.descriptors() as u64),
            threads: sum(|process| process.threads() as u64),
        }
    }

    /// Fails if the last quarter has more than the second: the first is warm-up.
    fn expect_flat(samples: &[Self], table: &mut Table<'_>) {
        let quarter = samples.len() / 4;
        let (before, after) = (&samples[quarter..2 * quarter], &samples[3 * quarter..]);
        let median = |samples: &[Self], of: fn(&Self) -> u64| {
            let mut values: Vec<u64> = samples.iter().map(of).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        let grown = |of| median(after, of).saturating_sub(median(before, of));
        let memory = grown(|sample| sample.memory);
        let (handles, threads) = (grown(|sample| sample.handles), grown(|sample| sample.threads));
        let found = format!(
            "grown from the second to the last quarter: {:.1} MiB, {handles} handles, {threads} \
             threads",
            mib(memory)
        );
        println!("{found}");
        let is_flat =
            memory <= BREATH_BYTES && handles <= BREATH_HANDLES && threads <= BREATH_HANDLES;
        table.expect(is_flat, || found);
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// One client's visit, of a kind that chance picks.
fn operate(address: SocketAddr, random: &mut Random, position: &mut usize, shared: &Shared) {
    let answered = |count: u64| shared.requests.fetch_add(count, Ordering::Relaxed);
    match random.below(10) {
        0 | 1 => {
            let mut connection = Connection::open(address);
            let count = random.below(100) + 1;
            for _ in 0..count {
                assert_eq!(connection.get("/plaintext").ok().text(), "Hello, World!");
            }
            answered(count);
        }
        2 => {
            let request = Request::get("/json").header("Connection", "close");
            let json = Connection::open(address).request(&request).ok().json();
            assert_eq!(json["message"], "Hello, World!");
            answered(1);
        }
        3 => {
            let body: Vec<u8> = (0..random.below(70_000)).map(|at| (at % 251) as u8).collect();
            let mut connection = Connection::open(address);
            let chunk = random.below(9000) as usize + 1;
            for request in
                [Request::post("/echo", body.clone()), Request::post_chunked("/echo", &body, chunk)]
            {
                assert!(connection.request(&request).ok().body == body, "an echo differs");
            }
            answered(2);
        }
        4 => {
            let mut connection = Connection::open(address);
            let request = Request::get("/plaintext").to_bytes();
            connection.send(request.repeat(16));
            for _ in 0..16 {
                assert_eq!(connection.response().ok().text(), "Hello, World!");
            }
            answered(16);
        }
        5 => {
            let length = random.below(400_000);
            let response = Connection::open(address).get(&format!("/bytes?n={length}")).ok();
            assert_eq!(response.body.len() as u64, length);
            answered(1);
        }
        6 => {
            let bad =
                ["GET / HTTP/1.1\r\n\r\n", "GET /\r\n\r\n", "\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"];
            let mut connection = Connection::open(address);
            connection.send(bad[random.below(bad.len() as u64) as usize]);
            let status = connection.response().status();
            assert!((400..=505).contains(&status), "{status} for what is no request");
            answered(1);
        }
        7 | 8 => {
            leave_while_sending(address, random, position);
            shared.aborts.fetch_add(1, Ordering::Relaxed);
        }
        _ => {
            leave_while_receiving(address, random);
            shared.aborts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Leaves at the next byte position of the next request.
fn leave_while_sending(address: SocketAddr, random: &mut Random, position: &mut usize) {
    const REQUESTS: [&str; 4] = [
        "GET /slow?ms=20 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n01234567890123456789",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    ];
    let all: usize = REQUESTS.iter().map(|request| request.len() + 1).sum();
    let mut at = *position % all;
    *position += USUAL.clients + 1;
    let request = REQUESTS.iter().find(|request| {
        let is_inside = at <= request.len();
        at -= if is_inside { 0 } else { request.len() + 1 };
        is_inside
    });
    let request = request.expect("a position is inside one of them").as_bytes();
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let _ = stream.write_all(&request[..at]);
    leave(stream, random);
}

fn leave_while_receiving(address: SocketAddr, random: &mut Random) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    // Less than there is: the answer would otherwise be waited for until the connection idles out.
    let (target, most) =
        [("/bytes?n=3000000", 2_900_000), ("/stream?lines=50&ms=2", 400)][random.below(2) as usize];
    let _ = stream.write_all(&Request::get(target).to_bytes());
    let mut wanted = random.below(most) as usize;
    let mut buffer = [0; 4096];
    while wanted > 0 {
        let most = wanted.min(buffer.len());
        match stream.read(&mut buffer[..most]) {
            Ok(0) | Err(_) => break,
            Ok(count) => wanted -= count,
        }
    }
    leave(stream, random);
}

/// With a reset when something is unread, politely, or by ending one side first.
fn leave(stream: TcpStream, random: &mut Random) {
    if random.below(2) == 0 {
        let _ = stream.shutdown(Shutdown::Write);
    }
    if random.below(4) == 0 {
        thread::sleep(Duration::from_millis(random.below(30)));
    }
    drop(stream);
}

struct StopOnPanic<'s>(&'s AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// xorshift64*: the same visits with the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}
