//! Clients whose requests block threads, starve the pool, fill the heap, throw and abort.

use std::{net::SocketAddr, sync::atomic::Ordering};

use testkit::{App, Connection, Request};

use super::{Load, Random, Shared};

/// More clients than lanes and cores, so that blocked requests meet one another.
pub(super) const STRAIN: Load = Load { app, clients: 32, visit };

fn app() -> App {
    App::test("Site").variables(&[
        // Thousands of exceptions a second would fill the log.
        ("Logging__LogLevel__Default", "None"),
        // How a starved pool grows is the runtime's affair: at most to 64 (hexadecimal).
        ("DOTNET_ThreadPool_ForceMaxWorkerThreads", "40"),
    ])
}

fn visit(address: SocketAddr, random: &mut Random, _: &mut usize, shared: &Shared) {
    let mut connection = Connection::open(address);
    let aborted = || shared.aborts.fetch_add(1, Ordering::Relaxed);
    for _ in 0..=random.below(4) {
        match random.below(64) {
            0..8 => tells(&mut connection, "/Sleep", "slept"),
            8..16 => tells(&mut connection, "/SleepAndAwait", "slept twice"),
            16..24 => tells(&mut connection, "/Litter", "36 kept"),
            24..32 => tells(&mut connection, "/HelloWorld", "Hello World"),
            32 => tells(&mut connection, "/Collect", "collected"),
            33 => tells(&mut connection, "/StarvePool", "starved"),
            34..44 => assert_eq!(connection.get("/SleepAndThrow").status(), 500),
            44..50 => block_on_body(&mut connection, random),
            50..54 => {
                // The first half, and nothing that would look like an end.
                connection.send(Request::get("/ThrowLate").to_bytes());
                let answer = connection.rest();
                assert!(!answer.ends_with(b"0\r\n\r\n"), "an answer that broke off has an end");
                aborted();
                return;
            }
            54..58 => {
                connection.send(Request::get("/SleepAndAbort").to_bytes());
                // A proxy may say that the backend broke off.
                if connection.answers() {
                    assert_eq!(connection.response().status(), 502);
                }
                aborted();
                return;
            }
            kind => {
                // Leaves while the thread of its request is blocked, or soon after.
                let target = if kind < 61 { "/Sleep" } else { "/SleepAndAwait" };
                connection.send(Request::get(target).to_bytes());
                aborted();
                return;
            }
        }
        shared.requests.fetch_add(1, Ordering::Relaxed);
    }
}

fn tells(connection: &mut Connection, target: &str, text: &str) {
    assert_eq!(connection.get(target).ok().text(), text);
}

/// The handler blocks for a body of which only a part has come.
fn block_on_body(connection: &mut Connection, random: &mut Random) {
    let body = vec![b'x'; random.below(100_000) as usize + 2];
    let bytes = Request::post("/BlockOnBody", body.clone()).to_bytes();
    let (first, rest) = bytes.split_at(bytes.len() - body.len() / 2);
    connection.send(first);
    std::thread::yield_now();
    connection.send(rest);
    assert_eq!(connection.response().ok().text(), body.len().to_string());
}
