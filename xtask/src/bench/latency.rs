//! Latency at a rate that everybody can serve: half of what the slowest contender reaches.
//!
//! At full load a latency says little but how many connections wait. Here every connection has a
//! timetable; a time runs from when a request was due, not from when it could be sent, so that a
//! server that stalls cannot hide what waited behind the stall.

use std::{
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::scenario::{Load, Script};

/// Connections are threads here; more would measure the scheduler.
const MOST_CONNECTIONS: u32 = 32;
/// How long an answer may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one run at a fixed rate says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Latency {
    /// Requests per second.
    pub(super) rate: f64,
    /// The median in microseconds.
    pub(super) p50_us: f64,
    /// The 99th percentile in microseconds.
    pub(super) p99_us: f64,
}

/// Whether the load is one request after the other on connections that stay open.
pub(super) fn can_make(load: &Load) -> bool {
    !load.close && !matches!(load.script, Some(Script::Pipeline { .. }))
}

/// Sends `rate` requests per second for `seconds`.
pub(super) fn run(address: SocketAddr, load: &Load, rate: f64, seconds: u32) -> Result<Latency> {
    ensure!(address.ip().is_loopback(), "{address} is not a loopback address");
    let connections = load.connections.clamp(1, MOST_CONNECTIONS);
    let request = request(address, load);
    let pause = Duration::from_secs_f64(f64::from(connections) / rate);
    let begin = Instant::now() + Duration::from_millis(50);
    let end = begin + Duration::from_secs(seconds.into());
    let mut times = thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|number| {
                let first = begin + pause.mul_f64(f64::from(number) / f64::from(connections));
                let request = &request;
                scope.spawn(move || client(address, request, first, pause, end))
            })
            .collect();
        let mut all = Vec::new();
        for client in clients {
            let Ok(times) = client.join() else { bail!("a client panicked") };
            all.extend(times?);
        }
        Ok(all)
    })?;
    ensure!(!times.is_empty(), "{rate} requests per second are none in {seconds} s");
    times.sort_unstable();
    Ok(Latency { rate, p50_us: percentile(&times, 0.5), p99_us: percentile(&times, 0.99) })
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

/// The times of one connection's requests, in microseconds.
fn client(
    address: SocketAddr,
    request: &[u8],
    first: Instant,
    pause: Duration,
    end: Instant,
) -> Result<Vec<u64>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut buffer, mut times, mut due) = (vec![0; 64 * 1024], Vec::new(), first);
    while due < end {
        // The one sleep that is the point: the timetable.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request)?;
        read_answer(&mut stream, &mut buffer).context("an answer at a fixed rate")?;
        times.push(u64::try_from(due.elapsed().as_micros())?);
        due += pause;
    }
    Ok(times)
}

/// Reads one answer with status 200; its head in small letters.
pub(super) fn read_answer(stream: &mut impl Read, buffer: &mut [u8]) -> Result<String> {
    let (mut have, mut left, mut head) = (0, None, String::new());
    loop {
        let count = stream.read(&mut buffer[have..])?;
        ensure!(count > 0, "the connection ended");
        have += count;
        if left.is_none() {
            (left, head) = body_left(&buffer[..have])?;
        } else if let Some(Body::Bytes(left)) = &mut left {
            *left = left.checked_sub(count).context("more bytes than announced")?;
        }
        match left {
            Some(Body::Bytes(0)) => return Ok(head),
            Some(Body::Chunks) if buffer[..have].ends_with(b"\r\n0\r\n\r\n") => return Ok(head),
            // What has been looked at may go, but for what the end of chunks is recognised by.
            Some(Body::Bytes(_)) => have = 0,
            Some(Body::Chunks) if have > buffer.len() / 2 => {
                buffer.copy_within(have - 8..have, 0);
                have = 8;
            }
            _ => ensure!(have < buffer.len(), "a head of {have} bytes"),
        }
    }
}

/// An answer, but not the one that was asked for.
#[derive(Debug)]
pub(super) struct OtherStatus {
    pub(super) status: u16,
    head: String,
}

impl fmt::Display for OtherStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)
    }
}

impl std::error::Error for OtherStatus {}

#[derive(Debug, PartialEq, Eq)]
enum Body {
    Bytes(usize),
    Chunks,
}

/// What is still to come behind the bytes of a complete head, and that head; `None` before it is
/// complete.
fn body_left(bytes: &[u8]) -> Result<(Option<Body>, String)> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok((None, String::new()));
    };
    let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    let status = head.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.with_context(|| format!("no status: {head}"))?;
    if status != 200 {
        return Err(OtherStatus { status, head }.into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let Some(length) = length else { return Ok((Some(Body::Chunks), head)) };
    let length: usize = length.trim().parse()?;
    let there = bytes.len() - end - 4;
    let left = length.checked_sub(there).context("more bytes than announced")?;
    Ok((Some(Body::Bytes(left)), head))
}

fn percentile(sorted: &[u64], part: f64) -> f64 {
    let index = (part * (sorted.len() - 1) as f64).round() as usize;
    sorted[index] as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_say() {
        let read = |mut bytes: &[u8]| read_answer(&mut bytes, &mut [0; 64]).is_ok();
        assert!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
        assert!(!read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"));
        assert!(!read(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhello"));
        assert!(!read(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"));
        assert!(read(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
        let long = [&b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nff\r\n"[..], &[b'a'; 255], b"\r\n0\r\n\r\n"];
        assert!(read(&long.concat()));
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<u64> = (0..=100).collect();
        assert_eq!((percentile(&sorted, 0.5), percentile(&sorted, 0.99)), (50.0, 99.0));
        assert_eq!(percentile(&[7], 0.99), 7.0);
    }

    #[test]
    fn what_has_no_timetable_is_left_out() {
        let load = Load::get("/", 1);
        assert!(can_make(&load));
        assert!(!can_make(&Load { close: true, ..load }));
        assert!(!can_make(&Load { script: Some(Script::Pipeline { depth: 16 }), ..load }));
    }
}
