//! Requests that are under way while the application is replaced: slow ones, and a large download.

use std::{
    collections::VecDeque,
    io::Read,
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use testkit::{Request, patience};

/// What a client that downloads slowly gets.
const DOWNLOAD_BYTES: usize = 1 << 30;
/// The byte at each position depends on the position alone: on its place in a period.
const PERIOD: usize = 251;
/// Between two pieces of 1 MiB: about as long as a slow request takes in all.
const PACE: Duration = Duration::from_millis(8);
/// As many slow requests at once; each may keep a generation.
const MOST_SLOW: usize = 6;

/// What is under way, and what has come of the others.
pub(crate) struct Beside {
    address: SocketAddr,
    slow: VecDeque<JoinHandle<Result<(), String>>>,
    download: Option<JoinHandle<Result<(), String>>>,
    pub(crate) slow_begun: u64,
    pub(crate) downloads_begun: u64,
    pub(crate) failures: Vec<String>,
}

impl Beside {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let (slow, failures) = (VecDeque::new(), Vec::new());
        Self { address, slow, download: None, slow_begun: 0, downloads_begun: 0, failures }
    }

    /// Returns when the application has one more slow request, and a download.
    pub(crate) fn begin(&mut self) {
        while self.slow.len() >= MOST_SLOW {
            let oldest = self.slow.pop_front();
            self.take(oldest);
        }
        let mut stream = begin(self.address, "/Span?ms=10000", b"begun\n");
        self.slow.push_back(thread::spawn(move || {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).map_err(|error| format!("slow request: {error}"))?;
            let text = String::from_utf8_lossy(&rest);
            // With or without chunks.
            let is_whole = text.contains("ended\n") && !text.contains("begun\n");
            is_whole.then_some(()).ok_or_else(|| format!("slow request: its end is {text:?}"))
        }));
        self.slow_begun += 1;
        if self.download.as_ref().is_none_or(JoinHandle::is_finished) {
            let before = self.download.take();
            self.take(before);
            let target = format!("/Pattern?length={DOWNLOAD_BYTES}");
            let stream = begin(self.address, &target, b"\r\n\r\n");
            self.download = Some(thread::spawn(move || download(stream)));
            self.downloads_begun += 1;
        }
    }

    /// Waits for all that is under way.
    pub(crate) fn finish(&mut self) {
        while let Some(oldest) = self.slow.pop_front() {
            self.take(Some(oldest));
        }
        let last = self.download.take();
        self.take(last);
    }

    fn take(&mut self, ended: Option<JoinHandle<Result<(), String>>>) {
        if let Some(ended) = ended {
            self.failures.extend(ended.join().expect("a client does not panic").err());
        }
    }
}

/// A connection whose answer has come as far as `mark`, with 200.
fn begin(address: SocketAddr, target: &str, mark: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = Request::get(target).header("Connection", "close").to_bytes();
    std::io::Write::write_all(&mut stream, &request).expect("a request");
    stream.set_read_timeout(Some(patience())).expect("a socket has one");
    let mut come = Vec::new();
    while !come.ends_with(mark) {
        let mut byte = [0];
        let text = String::from_utf8_lossy(&come);
        stream
            .read_exact(&mut byte)
            .unwrap_or_else(|error| panic!("{target}: {error} after {text:?}"));
        come.push(byte[0]);
    }
    assert!(come.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&come));
    stream
}

fn download(mut stream: TcpStream) -> Result<(), String> {
    let pattern: Vec<u8> = (0..PERIOD + (1 << 20)).map(|at| (at % PERIOD) as u8).collect();
    let (mut at, mut buffer) = (0, vec![0; 1 << 20]);
    let mut since_pause = 0;
    loop {
        let count =
            stream.read(&mut buffer).map_err(|error| format!("download: {error} at {at}"))?;
        if count == 0 {
            break;
        }
        let start = at % PERIOD;
        if buffer[..count] != pattern[start..start + count] {
            return Err(format!("download: wrong bytes behind {at}"));
        }
        at += count;
        since_pause += count;
        if since_pause >= buffer.len() {
            since_pause = 0;
            thread::sleep(PACE);
        }
    }
    (at == DOWNLOAD_BYTES).then_some(()).ok_or_else(|| format!("download: its end is at {at}"))
}
