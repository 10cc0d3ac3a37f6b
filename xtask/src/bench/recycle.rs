//! What clients notice of an application that is replaced while they ask: by a recycle of ancm, and
//! by a restart of the service behind or without another server.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    contender::Contender, latency::read_answer, report::median, server::Server, table::aligned,
};

const CLIENTS: usize = 16;
const RECYCLES: usize = 10;
/// From one request of a client to the next.
const PACE: Duration = Duration::from_millis(5);
/// From one recycle to the next; each is over long before.
const INTERVAL: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of the requests.
#[derive(Default)]
struct Tally {
    answered: usize,
    lost: usize,
    times: Vec<f64>,
}

/// A table of requests that were lost and of the longest that one took.
pub(super) fn measure(
    contenders: &[Contender],
    servers: &mut [Server],
    mut progress: impl FnMut(&str),
) -> Result<String> {
    let title = ["", "requests", "lost", "p50 ms", "longest ms"];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    for (contender, server) in contenders.iter().zip(servers) {
        progress(&format!("  recycle: {}", contender.name));
        let tally = under_load(server, contender.recycles_itself())
            .with_context(|| format!("recycles of {}", contender.name))?;
        let longest = tally.times.iter().copied().fold(0.0, f64::max);
        rows.push(vec![
            contender.name.to_owned(),
            (tally.answered + tally.lost).to_string(),
            tally.lost.to_string(),
            format!("{:.2}", median(&tally.times)),
            format!("{longest:.0}"),
        ]);
    }
    Ok(format!(
        "recycle: {RECYCLES} times under the load of {CLIENTS} clients, half of which keep their \
         connection; ancm by SIGHUP, others by a restart of the application\n\n{}",
        aligned(&rows)
    ))
}

fn under_load(server: &mut Server, recycles_itself: bool) -> Result<Tally> {
    let (stop, address) = (AtomicBool::new(false), server.address);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let stop = &stop;
                scope.spawn(move || client(address, number % 2 == 0, stop))
            })
            .collect();
        let recycled = (0..RECYCLES).try_for_each(|_| {
            let next = Instant::now() + INTERVAL;
            if recycles_itself {
                server.hang_up()?
            } else {
                server.restart_first()?
            }
            // The one sleep that is the point: the pace of the operator.
            thread::sleep(next.saturating_duration_since(Instant::now()));
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in clients {
            let tally = client.join().expect("it does not panic");
            all.answered += tally.answered;
            all.lost += tally.lost;
            all.times.extend(tally.times);
        }
        recycled.map(|()| all)
    })
}

fn client(address: SocketAddr, keeps: bool, stop: &AtomicBool) -> Tally {
    let (mut tally, mut kept, mut buffer) = (Tally::default(), None, vec![0; 16 * 1024]);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match ask(address, kept.take(), keeps, &mut buffer) {
            Ok(stream) => {
                kept = stream;
                tally.answered += 1;
                tally.times.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
            Err(_) => tally.lost += 1,
        }
        thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
    tally
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
