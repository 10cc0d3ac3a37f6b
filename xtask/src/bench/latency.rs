//! Latency at a rate that everybody can serve: half of what the slowest contender reaches.
//!
//! At full load a latency says little but how many connections wait. Here there is a timetable,
//! and the connections of the scenario take turns; a time runs from when a request was due, not
//! from when it could be sent, so that a server that stalls cannot hide what waited behind the
//! stall.

use std::{
    collections::VecDeque,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU64,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::{
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
        poll,
    },
    fd::OwnedFd,
};
use serde::Serialize;

use super::{
    answer::Answer,
    campaign::FOREIGN_LIMIT,
    processes::Foreign,
    report::{median, spread},
    scenario::{Load, Script},
};

/// How long nothing may come before a run is given up.
const PATIENCE: Duration = Duration::from_secs(15);
/// Requests that a run has when it ends early, for a 99th percentile to mean something.
const ENOUGH: f64 = 5_000.0;

/// What the runs of one contender at a fixed rate say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    /// Requests per second.
    pub(super) rate: f64,
    /// Medians over the rounds, in microseconds.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Half of the distance between their extremes, as a part of the median.
    pub(super) p50_spread: f64,
    pub(super) p99_spread: f64,
    pub(super) rounds: Vec<Percentiles>,
}

/// What one run says, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// The longest.
    pub(super) most_us: f64,
    /// Cores that others used.
    pub(super) foreign_cores: f64,
}

impl Latency {
    pub(super) fn new(rate: f64, rounds: Vec<Percentiles>) -> Self {
        let of = |value: fn(&Percentiles) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
        let (p50, p99) = (of(|round| round.p50_us), of(|round| round.p99_us));
        Latency {
            rate,
            p50_us: median(&p50),
            p99_us: median(&p99),
            p50_spread: spread(&p50),
            p99_spread: spread(&p99),
            rounds,
        }
    }
}

impl Latency {
    /// The longest of all rounds.
    pub(super) fn longest_us(&self) -> f64 {
        self.rounds.iter().map(|round| round.most_us).fold(0.0, f64::max)
    }

    /// How many rounds others disturbed.
    pub(super) fn remark(&self) -> String {
        let disturbed = self.rounds.iter().filter(|it| it.foreign_cores > FOREIGN_LIMIT).count();
        if disturbed == 0 {
            return String::new();
        }
        format!("disturbed {disturbed}/{}", self.rounds.len())
    }
}

/// Whether the load is one request after the other on connections that stay open.
pub(super) fn can_make(load: &Load) -> bool {
    !load.close && !matches!(load.script, Some(Script::Pipeline { .. }))
}

/// How long a run at a rate is: `most` seconds, or as long as it takes for enough requests.
pub(super) fn length(rate: f64, most: u32) -> Duration {
    let most = f64::from(most);
    Duration::from_secs_f64((ENOUGH / rate).clamp(most / 2.0, most))
}

/// Sends `rate` requests per second for a time.
pub(super) fn run(
    address: SocketAddr,
    load: &Load,
    rate: f64,
    time: Duration,
) -> Result<Percentiles> {
    ensure!(address.ip().is_loopback(), "{address} is not a loopback address");
    // A sleep ends when it should, and not up to 50 µs later.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let foreign = Foreign::begin()?;
    let mut times =
        Generator::new(address, load)?.run(Duration::from_secs_f64(1.0 / rate), time)?;
    ensure!(!times.is_empty(), "{rate} requests per second are none in {time:?}");
    times.sort_unstable();
    Ok(Percentiles {
        p50_us: percentile(&times, 0.5),
        p99_us: percentile(&times, 0.99),
        most_us: percentile(&times, 1.0),
        foreign_cores: foreign.cores()?,
    })
}

/// The connections of a load, and what they send.
struct Generator {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    request: Vec<u8>,
    buffer: Vec<u8>,
    /// Requests that are due or sent and have no answer.
    open: usize,
    /// From due to answered, in nanoseconds.
    times: Vec<u64>,
}

struct Connection {
    stream: TcpStream,
    /// How much of the request has been sent.
    sent: usize,
    answer: Answer,
    /// When the request under way, and those that wait for it, were due.
    due: VecDeque<Instant>,
    waits_for_room: bool,
}

impl Generator {
    fn new(address: SocketAddr, load: &Load) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let connections = (0..load.connections).map(|number| {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, EventData::new_u64(number.into()), EventFlags::IN)?;
            let (answer, due) = (Answer::default(), VecDeque::new());
            Ok(Connection { stream, sent: 0, answer, due, waits_for_room: false })
        });
        let connections = connections.collect::<io::Result<_>>()?;
        let (request, buffer) = (request(address, load), vec![0; 64 * 1024]);
        Ok(Generator { epoll, connections, request, buffer, open: 0, times: Vec::new() })
    }

    fn run(mut self, pause: Duration, time: Duration) -> Result<Vec<u64>> {
        let begin = Instant::now();
        let (mut next, end, mut turn) = (begin, begin + time, 0);
        let mut events = Vec::with_capacity(self.connections.len());
        while next < end || self.open > 0 {
            let now = Instant::now();
            while next <= now && next < end {
                self.begin(turn % self.connections.len(), next)?;
                turn += 1;
                // Of the whole, so that nothing adds up.
                next = begin + pause.mul_f64(turn as f64);
            }
            let limit = if next < end { next - now.min(next) } else { PATIENCE };
            // Since the other has milliseconds only.
            let mut ready = [PollFd::new(&self.epoll, PollFlags::IN)];
            let is_ready = poll(&mut ready, Some(&Timespec::try_from(limit)?))? > 0;
            ensure!(next < end || is_ready, "no answer within {PATIENCE:?}");
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            epoll::wait(&self.epoll, room, Some(&Timespec::default()))?;
            for event in &events {
                self.go_on(event.data.u64() as usize).context("an answer at a fixed rate")?;
            }
        }
        Ok(self.times)
    }

    /// A request is due on a connection.
    fn begin(&mut self, number: usize, due: Instant) -> Result<()> {
        self.open += 1;
        let connection = &mut self.connections[number];
        connection.due.push_back(due);
        if connection.due.len() == 1 { self.send(number) } else { Ok(()) }
    }

    fn send(&mut self, number: usize) -> Result<()> {
        let connection = &mut self.connections[number];
        while connection.sent < self.request.len() {
            match connection.stream.write(&self.request[connection.sent..]) {
                Ok(count) => connection.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let waits_for_room = connection.sent < self.request.len();
        if waits_for_room != connection.waits_for_room {
            connection.waits_for_room = waits_for_room;
            let room = if waits_for_room { EventFlags::OUT } else { EventFlags::empty() };
            let data = EventData::new_u64(number as u64);
            epoll::modify(&self.epoll, &connection.stream, data, EventFlags::IN | room)?;
        }
        Ok(())
    }

    /// Something has come, or there is room.
    fn go_on(&mut self, number: usize) -> Result<()> {
        let connection = &mut self.connections[number];
        if connection.waits_for_room {
            self.send(number)?;
        }
        let connection = &mut self.connections[number];
        if !connection.answer.read(&mut connection.stream, &mut self.buffer)? {
            return Ok(());
        }
        connection.answer = Answer::default();
        connection.sent = 0;
        let due = connection.due.pop_front().context("an answer that nobody asked for")?;
        self.times.push(u64::try_from(due.elapsed().as_nanos())?);
        self.open -= 1;
        if connection.due.is_empty() { Ok(()) } else { self.send(number) }
    }
}

fn request(address: SocketAddr, load: &Load) -> Vec<u8> {
    let line = |method| format!("{method} {} HTTP/1.1\r\nHost: {address}\r\n", load.path);
    match load.script {
        Some(Script::Post { bytes }) => {
            let head = format!("{}Content-Length: {bytes}\r\n\r\n", line("POST"));
            [head.into_bytes(), vec![b'x'; bytes as usize]].concat()
        }
        Some(Script::Pipeline { .. }) | None => format!("{}\r\n", line("GET")).into_bytes(),
    }
}

/// Of nanoseconds, in microseconds.
fn percentile(sorted: &[u64], part: f64) -> f64 {
    let index = (part * (sorted.len() - 1) as f64).round() as usize;
    sorted[index] as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, net::TcpListener, thread};

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<u64> = (0..=100).map(|at| at * 1000).collect();
        assert_eq!((percentile(&sorted, 0.5), percentile(&sorted, 0.99)), (50.0, 99.0));
        assert_eq!(percentile(&[7000], 0.99), 7.0);
    }

    #[test]
    fn what_has_no_timetable_is_left_out() {
        let load = Load::get("/", 1);
        assert!(can_make(&load));
        assert!(!can_make(&Load { close: true, ..load }));
        assert!(!can_make(&Load { script: Some(Script::Pipeline { depth: 16 }), ..load }));
    }

    #[test]
    fn runs_last_until_there_is_enough() {
        assert_eq!(length(100.0, 2), Duration::from_secs(2));
        assert_eq!(length(4_000.0, 2), Duration::from_millis(1250));
        assert_eq!(length(90_000.0, 2), Duration::from_secs(1));
    }

    /// Answers each request only when the one after it is due: what waits behind it counts.
    #[test]
    fn what_waits_behind_a_slow_answer_counts_from_when_it_was_due() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pause = Duration::from_millis(50);
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut requests = 0;
            while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {
                requests += 1;
                if requests == 1 {
                    // Not a wait for anything: the stall that is measured.
                    thread::sleep(pause * 4);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        });
        let load = Load::get("/", 1);
        let mut times = Generator::new(address, &load).unwrap().run(pause, pause * 4).unwrap();
        server.join().unwrap();
        times.sort_unstable();
        let at_least = |part: u32| (pause * part).as_nanos() as u64;
        assert_eq!(times.len(), 4);
        for (time, part) in times.iter().zip(1..) {
            assert!(*time >= at_least(part), "{times:?}");
        }
    }
}
