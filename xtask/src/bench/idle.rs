//! Memory of connections that are open and silent.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{contender::Contender, server::Server, table::aligned};

/// Silent connections per contender, if this machine allows as many descriptors.
const CONNECTIONS: usize = 20_000;
/// Descriptors of a process that are not connections, at the most.
const OTHER_DESCRIPTORS: usize = 1_000;

/// Lets this process, and the servers that it will start, have as many descriptors as it takes.
pub(super) fn raise_limit() {
    let limit = format!("--nofile={0}:{0}", CONNECTIONS * 3);
    let pid = std::process::id().to_string();
    // Where that is refused, there are as many connections as the limit has room for.
    Command::new("prlimit").args(["--pid", &pid, &limit]).output().ok();
}

/// What silent connections took of one contender.
#[derive(Serialize)]
pub(super) struct Idle {
    contender: &'static str,
    /// Connections that were to be opened, and those that were open at the end.
    connections: usize,
    held: usize,
    mib_before: f64,
    mib_with: f64,
    /// Nothing of who closed some: it has no memory for them to tell of.
    kib_each: Option<f64>,
}

/// Resident memory per connection, each of which has had an answer before it fell silent.
pub(super) fn measure(
    contenders: &[Contender],
    servers: &[Server],
    mut progress: impl FnMut(&str),
) -> Vec<Idle> {
    let count = most_connections();
    let mut all = Vec::new();
    for (contender, server) in contenders.iter().zip(servers) {
        progress(&format!("  idle: {}", contender.name));
        let before = server.usage().resident_kib;
        // Some take fewer; those beyond would wait.
        let connections: Vec<_> = (0..count).map_while(|_| open(server.address).ok()).collect();
        let with = server.usage().resident_kib;
        let held = connections.iter().filter(|it| is_held(it)).count();
        drop(connections);
        let each = with.saturating_sub(before) as f64 / count.max(1) as f64;
        all.push(Idle {
            contender: contender.name,
            connections: count,
            held,
            mib_before: before as f64 / 1024.0,
            mib_with: with as f64 / 1024.0,
            kib_each: (held == count).then_some(each),
        });
    }
    all
}

/// One line per contender.
pub(super) fn to_text(all: &[Idle]) -> String {
    let heads = ["", "MiB before", "MiB with", "held", "KiB each"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|it| {
        vec![
            it.contender.to_owned(),
            format!("{:.0}", it.mib_before),
            format!("{:.0}", it.mib_with),
            it.held.to_string(),
            it.kib_each.map_or_else(|| "-".to_owned(), |each| format!("{each:.2}")),
        ]
    }));
    let count = all.first().map_or(0, |it| it.connections);
    format!("idle: {count} silent connections\n\n{}", aligned(&rows))
}

/// Silent connections of each contender, and so many clients each must take.
pub(super) fn most_connections() -> usize {
    descriptors().unwrap_or(1024).saturating_sub(OTHER_DESCRIPTORS).min(CONNECTIONS)
}

/// Whether the server has not ended it.
fn is_held(connection: &TcpStream) -> bool {
    let would_block = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    connection.set_nonblocking(true).is_ok() && connection.peek(&mut [0]).is_err_and(would_block)
}

/// How many this process may have, and its children after it.
fn descriptors() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open(address: SocketAddr) -> Result<TcpStream> {
    ensure!(address.ip().is_loopback(), "{address} is not a loopback address");
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // In one piece: of several the second waits for an answer to the first that the peer may hold back.
    let request = format!("GET /plaintext HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; 512];
    let count = stream.read(&mut answer)?;
    ensure!(answer[..count].starts_with(b"HTTP/1.1 200"), "an answer of {count} bytes");
    Ok(stream)
}
