//! The engine alone on a fixed stream of bytes, for counting what a request costs without a clock:
//! `instructions STREAM ROUNDS` sends a stream so often and takes each answer before the next.
//!
//! One lane, one client, in lock-step, and no spare threads: nothing depends on how fast the
//! machine is or what else runs on it. `cargo xtask instructions` counts the lane's part of it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ancm_engine::{Answer, Application, Engine, Exchange, Listener, Options, Outcome};

/// What a browser sends.
const BROWSER: &str = "GET /products/17?sort=price HTTP/1.1\r\n\
    Host: shop.example.org\r\n\
    Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/131.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    If-None-Match: \"33a64df551425fcc55e4d42a148795d9\"\r\n\r\n";

/// What a load generator sends.
const SMALL: &str = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:5000\r\n\r\n";

/// A form of 1 KiB, whose head and body come together.
fn form() -> Vec<u8> {
    let mut bytes = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:5000\r\nContent-Length: 1024\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    bytes.resize(bytes.len() + 1024, b'x');
    bytes
}

/// Answers every request alike.
struct Constant(Answer);

impl Application for Constant {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        exchange.respond(&self.0);
        Outcome::Done
    }
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rounds: u32 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (stream, answers) = match name.as_str() {
        "small" => (SMALL.into(), 1),
        "browser" => (BROWSER.into(), 1),
        "form" => (form(), 1),
        "pipelined" => (SMALL.repeat(16).into_bytes(), 16),
        other => {
            return Err(std::io::Error::other(format!(
                "there is no stream `{other}`; there are small, browser, form and pipelined"
            )));
        }
    };

    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    let mut options = Options::new(1);
    // No thread but the lane's, so that it is never taken over, however slow it is.
    options.threads = 1;
    let application = Arc::new(Constant(Answer::text(200, "Hello, World!")));
    let listeners = vec![Listener { socket: listener.into(), lane: 0 }];
    let engine = Engine::start(listeners, application, options)?;

    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut answer = vec![0; answers * answer_len(&mut client)?];
    for _ in 0..rounds {
        client.write_all(&stream)?;
        client.read_exact(&mut answer)?;
        if !answer.starts_with(b"HTTP/1.1 200 OK\r\n") || !answer.ends_with(b"Hello, World!") {
            return Err(std::io::Error::other("that is not the answer"));
        }
    }
    drop(client);
    engine.drain(Duration::from_secs(60));
    Ok(())
}

/// Asks once and tells how long the answer is: all of them are alike but for their date.
fn answer_len(client: &mut TcpStream) -> std::io::Result<usize> {
    client.write_all(SMALL.as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"Hello, World!") {
        let mut piece = [0; 512];
        let count = client.read(&mut piece)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&piece[..count]);
    }
    Ok(answer.len())
}
