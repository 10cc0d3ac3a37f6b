//! Requests at a constant rate while something happens, each of them accounted for.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::patience;

/// Between two requests of one client.
const PACE: Duration = Duration::from_millis(10);

/// Clients that send until they are stopped: some keep their connection, some open new ones.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<thread::JoinHandle<Tally>>,
}

/// What came of the requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many answers of each status.
    pub statuses: BTreeMap<u16, usize>,
    /// Requests without a whole answer, and what happened instead.
    pub broken: Vec<String>,
    /// What a judge had against answers.
    pub wrong: Vec<String>,
}

/// Looks at an answer: when it was asked for, its status, its body. An error says what is wrong.
pub type Judge = dyn Fn(Instant, u16, &str) -> Result<(), String> + Send + Sync;

impl Load {
    /// `keeping` clients that keep their connection and `opening` ones that do not.
    pub fn start(address: SocketAddr, target: &str, keeping: usize, opening: usize) -> Self {
        Self::start_judged(address, target, keeping, opening, Arc::new(|_, _, _| Ok(())))
    }

    /// The same; each answer is judged. Bodies should have a length: chunks are shown as they came.
    pub fn start_judged(
        address: SocketAddr,
        target: &str,
        keeping: usize,
        opening: usize,
        judge: Arc<Judge>,
    ) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..keeping + opening).map(|number| {
            let (stop, answered, judge) = (stop.clone(), answered.clone(), judge.clone());
            let close = if number < keeping { "" } else { "Connection: close\r\n" };
            let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{close}\r\n");
            thread::spawn(move || run(address, &request, &stop, &answered, &*judge))
        });
        Self { clients: clients.collect(), stop, answered }
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests were answered.
    pub fn wait_for_more(&self, count: u64) {
        let wanted = self.answered() + count;
        crate::eventually("more answers", || (self.answered() >= wanted).then_some(()));
    }

    /// Stops the clients and adds up.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            let tally = client.join().expect("a client does not panic");
            all.broken.extend(tally.broken);
            all.wrong.extend(tally.wrong);
            for (status, count) in tally.statuses {
                *all.statuses.entry(status).or_default() += count;
            }
        }
        all
    }
}

impl Tally {
    /// Asserts that every request was answered, with 200.
    pub fn assert_lossless(&self) {
        self.assert_only(&[200]);
    }

    /// Asserts that every request was answered with one of these.
    pub fn assert_only(&self, statuses: &[u16]) {
        assert!(self.broken.is_empty() && self.wrong.is_empty(), "{self:?}");
        assert!(self.statuses.keys().all(|status| statuses.contains(status)), "{self:?}");
        assert!(self.statuses.values().sum::<usize>() > 0, "nobody asked");
    }
}

fn run(
    address: SocketAddr,
    request: &str,
    stop: &AtomicBool,
    answered: &AtomicU64,
    judge: &Judge,
) -> Tally {
    let mut tally = Tally::default();
    let mut kept: Option<TcpStream> = None;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let (used, asked) = (kept.is_some(), Instant::now());
        let sent = kept.take().filter(is_open).map_or_else(|| open(address), Ok);
        match sent.and_then(|mut stream| Ok((exchange(&mut stream, request)?, stream))) {
            Ok(((status, is_kept, body), stream)) => {
                tally.wrong.extend(judge(asked, status, &body).err());
                *tally.statuses.entry(status).or_default() += 1;
                answered.fetch_add(1, Ordering::Relaxed);
                kept = is_kept.then_some(stream);
            }
            Err(error) => tally.broken.push(format!("{error} (connection used before: {used})")),
        }
        // Whoever was late sends the next one at once, but does not catch up.
        next = (next + PACE).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    tally
}

/// Whether the server has not ended the connection, as far as one can know. Clients that keep
/// connections look before they use one again.
fn is_open(stream: &TcpStream) -> bool {
    let look = || {
        stream.set_nonblocking(true)?;
        let found = stream.peek(&mut [0]);
        stream.set_nonblocking(false).and(found)
    };
    look().is_err_and(|error: io::Error| error.kind() == io::ErrorKind::WouldBlock)
}

fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience()))?;
    Ok(stream)
}

/// Status, whether the connection may be used again, and the body.
fn exchange(stream: &mut TcpStream, request: &str) -> io::Result<(u16, bool, String)> {
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::Error::other(format!("the end after {} bytes", bytes.len())));
        }
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let field = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let is_whole = match field("content-length").and_then(|length| length.parse().ok()) {
            Some(length) => body.len() >= length,
            None => body.ends_with("0\r\n\r\n"),
        };
        if is_whole {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let is_kept = field("connection") != Some("close");
            return Ok((status.unwrap_or(0), is_kept, body.to_owned()));
        }
    }
}
