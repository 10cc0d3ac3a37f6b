//! Messages to and fro over WebSockets: what one costs the servers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::{contender::Contender, report::median, server::Server, table::aligned};

const THREADS: usize = 8;
const SOCKETS: usize = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);
/// Bytes of a message; a head of two bytes and a mask come before them.
const MESSAGE: usize = 100;
const PATIENCE: Duration = Duration::from_secs(5);

/// What messages cost one contender: medians, and the rounds.
#[derive(Serialize)]
pub(super) struct Messages {
    contender: &'static str,
    messages_per_second: f64,
    cpu_us_per_message: f64,
    rates: Vec<f64>,
    costs: Vec<f64>,
}

/// Medians over rounds that alternate.
pub(super) fn measure(
    contenders: &[Contender],
    servers: &[Server],
    mut progress: impl FnMut(&str),
) -> Result<Vec<Messages>> {
    let mut all = vec![(Vec::new(), Vec::new()); contenders.len()];
    for round in 0..ROUNDS {
        for ((contender, server), (rates, costs)) in contenders.iter().zip(servers).zip(&mut all) {
            progress(&format!("  websocket: {} {}", contender.name, round + 1));
            let before = server.usage().cpu_seconds;
            let begun = Instant::now();
            let count = run(server.address)
                .with_context(|| format!("WebSockets through {}", contender.name))?;
            rates.push(count as f64 / begun.elapsed().as_secs_f64());
            costs.push((server.usage().cpu_seconds - before) * 1e6 / count as f64);
        }
    }
    let messages = contenders.iter().zip(all);
    let messages = messages.map(|(contender, (rates, costs))| Messages {
        contender: contender.name,
        messages_per_second: median(&rates),
        cpu_us_per_message: median(&costs),
        rates,
        costs,
    });
    Ok(messages.collect())
}

/// One line per contender.
pub(super) fn to_text(all: &[Messages]) -> String {
    let mut rows = vec![["", "messages/s", "CPU µs"].map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|it| {
        let rate = format!("{:.0}", it.messages_per_second);
        vec![it.contender.to_owned(), rate, format!("{:.1}", it.cpu_us_per_message)]
    }));
    format!(
        "websocket: {SOCKETS} sockets, an echo of {MESSAGE} bytes at a time on each, \
         {ROUNDS} rounds of {} s\n\n{}",
        ROUND.as_secs(),
        aligned(&rows)
    )
}

/// How many messages came back in one round.
fn run(address: SocketAddr) -> Result<u64> {
    let end = Instant::now() + ROUND;
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(move || client(address, end))).collect();
        let counts = clients.into_iter().map(|client| client.join().expect("it does not panic"));
        counts.sum()
    })
}

/// Sends on all of its sockets, then receives from all.
fn client(address: SocketAddr, end: Instant) -> Result<u64> {
    let sockets = (0..SOCKETS / THREADS).map(|_| open(address));
    let mut sockets = sockets.collect::<Result<Vec<_>>>()?;
    let sent = [&[0x82, 0x80 | MESSAGE as u8, 0, 0, 0, 0][..], &[b'x'; MESSAGE]].concat();
    let expected = [&[0x82, MESSAGE as u8][..], &[b'x'; MESSAGE]].concat();
    let mut received = [0; MESSAGE + 2];
    let mut count = 0;
    while Instant::now() < end {
        for socket in &mut sockets {
            socket.write_all(&sent)?;
        }
        for socket in &mut sockets {
            socket.read_exact(&mut received)?;
            ensure!(received[..] == expected, "another message came back");
            count += 1;
        }
    }
    Ok(count)
}

fn open(address: SocketAddr) -> Result<TcpStream> {
    ensure!(address.ip().is_loopback(), "{address} is not a loopback address");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    Ok(stream)
}
