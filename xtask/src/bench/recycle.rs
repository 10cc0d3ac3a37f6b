//! What clients notice of an application that is replaced while they ask: by `ancm recycle`, and by
//! a restart of the service behind or without another server, done as `systemctl restart` does it:
//! SIGTERM, the end is waited for, the next one is started.
//!
//! Every client has a timetable; a time runs from when a request was due, so that a server that
//! stalls cannot hide what waited behind the stall. Nothing is asked twice.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::{
    answer::{OtherStatus, read_answer},
    contender::{Contender, Stage},
    report::median,
    server::Server,
    table::aligned,
};

const CLIENTS: u32 = 16;
/// From one request of a client to its next.
const PACE: Duration = Duration::from_millis(20);
/// Between the end of one replacement and the beginning of the next.
const REST: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of the requests that one contender was sent.
#[derive(Default, Serialize)]
pub(super) struct Replaced {
    contender: &'static str,
    /// Whether the contender replaces its application itself: then nothing may be lost.
    recycles_itself: bool,
    replacements: u32,
    requests: usize,
    /// Answers other than 200, by status.
    other_answers: BTreeMap<u16, usize>,
    /// Requests without a whole answer, by what happened instead.
    broken: BTreeMap<String, usize>,
    p50_ms: f64,
    longest_ms: f64,
    #[serde(skip)]
    times: Vec<f64>,
}

/// Replaces the application of each contender so many times.
pub(super) fn measure(
    contenders: &[Contender],
    servers: &mut [Server],
    stage: &Stage<'_>,
    replacements: u32,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Replaced>> {
    let mut all = Vec::new();
    for (contender, server) in contenders.iter().zip(servers) {
        progress(&format!("  recycle: {}", contender.name));
        let replace = |server: &mut Server| match contender.recycles_itself() {
            true => recycle(server, stage),
            false => server.restart_first().and_then(|()| server.wait_until_ready()),
        };
        let mut replaced = under_load(server, replacements, replace)
            .with_context(|| format!("recycles of {}", contender.name))?;
        replaced.contender = contender.name;
        replaced.recycles_itself = contender.recycles_itself();
        all.push(replaced);
    }
    Ok(all)
}

/// One line per contender.
pub(super) fn to_text(all: &[Replaced]) -> String {
    let title = ["", "requests", "not 200", "broken", "p50 ms", "longest ms", ""];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    for it in all {
        let answers = it.other_answers.iter().map(|(status, count)| format!("{count} × {status}"));
        let broken = it.broken.iter().map(|(what, count)| format!("{count} × {what}"));
        rows.push(vec![
            it.contender.to_owned(),
            it.requests.to_string(),
            it.other_answers.values().sum::<usize>().to_string(),
            it.broken.values().sum::<usize>().to_string(),
            format!("{:.2}", it.p50_ms),
            format!("{:.0}", it.longest_ms),
            answers.chain(broken).collect::<Vec<_>>().join(", "),
        ]);
    }
    format!(
        "recycle: {} times under the load of {CLIENTS} clients with a request every {PACE:?}, half of \
         which keep their connection; ancm by `ancm recycle`, others by a restart of the \
         application; times run from when a request was due\n\n{}",
        all.first().map_or(0, |it| it.replacements),
        aligned(&rows)
    )
}

/// Returns when the new generation serves.
fn recycle(server: &Server, stage: &Stage<'_>) -> Result<()> {
    let mut command = Command::new(stage.build.bin.join("ancm"));
    command.arg("recycle").arg(&stage.app).args(["--pid", &server.first_process().to_string()]);
    let ended = command.output()?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}

fn under_load(
    server: &mut Server,
    replacements: u32,
    replace: impl Fn(&mut Server) -> Result<()>,
) -> Result<Replaced> {
    let (stop, address) = (AtomicBool::new(false), server.address);
    thread::scope(|scope| {
        let begin = Instant::now();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (stop, first) = (&stop, begin + PACE * number / CLIENTS);
                scope.spawn(move || client(address, number % 2 == 0, first, stop))
            })
            .collect();
        let done = (0..replacements).try_for_each(|_| {
            // The one sleep that is the point: the pace of the operator.
            thread::sleep(REST);
            replace(server)
        });
        thread::sleep(REST);
        stop.store(true, Ordering::Relaxed);
        let mut all = Replaced { replacements, ..Replaced::default() };
        for client in clients {
            all.add(client.join().expect("it does not panic"));
        }
        all.p50_ms = median(&all.times);
        all.longest_ms = all.times.iter().copied().fold(0.0, f64::max);
        done.map(|()| all)
    })
}

fn client(address: SocketAddr, keeps: bool, first: Instant, stop: &AtomicBool) -> Replaced {
    let (mut all, mut kept, mut buffer) = (Replaced::default(), None, vec![0; 16 * 1024]);
    let mut due = first;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        all.requests += 1;
        match ask(address, kept.take(), keeps, &mut buffer) {
            Ok(stream) => {
                kept = stream;
                all.times.push(due.elapsed().as_secs_f64() * 1000.0);
            }
            Err(error) => all.note(&error),
        }
        due += PACE;
    }
    all
}

impl Replaced {
    /// Whether clients noticed what nobody may notice.
    pub(super) fn has_failed(&self) -> bool {
        self.recycles_itself && !(self.other_answers.is_empty() && self.broken.is_empty())
    }

    fn note(&mut self, error: &anyhow::Error) {
        if let Some(OtherStatus { status, .. }) = error.downcast_ref() {
            *self.other_answers.entry(*status).or_default() += 1;
            return;
        }
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        let what = kind.map_or_else(|| error.to_string(), |kind| kind.to_string());
        *self.broken.entry(what).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.times.extend(other.times);
        for (status, count) in other.other_answers {
            *self.other_answers.entry(status).or_default() += count;
        }
        for (what, count) in other.broken {
            *self.broken.entry(what).or_default() += count;
        }
    }
}

/// One request; the connection, if it may be used again.
fn ask(
    address: SocketAddr,
    kept: Option<TcpStream>,
    keeps: bool,
    buffer: &mut [u8],
) -> Result<Option<TcpStream>> {
    let mut stream = kept.map_or_else(|| TcpStream::connect_timeout(&address, PATIENCE), Ok)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let close = if keeps { "" } else { "Connection: close\r\n" };
    write!(stream, "GET /plaintext HTTP/1.1\r\nHost: {address}\r\n{close}\r\n")?;
    let head = read_answer(&mut stream, buffer)?;
    let is_last = head.lines().any(|line| line == "connection: close");
    Ok((keeps && !is_last).then_some(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_no_answer_and_what_was_another_are_told_apart() {
        let read = |mut bytes: &[u8]| read_answer(&mut bytes, &mut [0; 64]).unwrap_err();
        let mut all = Replaced::default();
        for bytes in [&b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"[..], b"HTTP/1.1 20"]
        {
            all.note(&read(bytes));
        }
        all.note(&io::Error::from(io::ErrorKind::ConnectionReset).into());
        let mut sum = Replaced { contender: "a", requests: 9, ..Replaced::default() };
        sum.add(all);
        assert_eq!(sum.other_answers, BTreeMap::from([(502, 1)]));
        assert_eq!(sum.broken.values().sum::<usize>(), 2);
        assert!(!sum.has_failed(), "a restart may lose requests");
        sum.recycles_itself = true;
        assert!(sum.has_failed(), "a recycle may not");
        assert!(to_text(&[sum]).contains("1 × 502, 1 × connection reset"));
    }
}
