//! Memory of connections that are open and silent.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};

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

/// A table of resident KiB per connection, each of which has had an answer before it fell silent.
pub(super) fn measure(
    contenders: &[Contender],
    servers: &[Server],
    mut progress: impl FnMut(&str),
) -> Result<String> {
    let count = most_connections();
    let heads = ["", "MiB before", "MiB with", "held", "KiB each"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for (contender, server) in contenders.iter().zip(servers) {
        progress(&format!("  idle: {}", contender.name));
        let before = server.usage().resident_kib;
        // Some take fewer; those beyond would wait.
        let connections: Vec<_> = (0..count).map_while(|_| open(server.address).ok()).collect();
        let with = server.usage().resident_kib;
        let held = connections.iter().filter(|it| is_held(it)).count();
        drop(connections);
        let mib = |kib: u64| format!("{:.0}", kib as f64 / 1024.0);
        let each = with.saturating_sub(before) as f64 / count.max(1) as f64;
        // Who has closed connections has no memory for them to tell of.
        let each = if held == count { format!("{each:.2}") } else { "-".to_owned() };
        rows.push(vec![contender.name.to_owned(), mib(before), mib(with), held.to_string(), each]);
    }
    Ok(format!("idle: {count} silent connections\n\n{}", aligned(&rows)))
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
