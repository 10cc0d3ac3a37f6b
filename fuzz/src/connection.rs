//! A whole connection through the engine, beside what the parsers make of the same bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use engine::{Answer, Application, Engine, Exchange, Listener, Options, Outcome};

use crate::requests::{End, Found, requests};

/// For one of our own answers to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends the bytes of a client, ends, and reads everything.
pub fn connection(data: &[u8]) {
    let site = site().lock().unwrap_or_else(PoisonError::into_inner);
    while site.seen.try_recv().is_ok() {}
    let mut client = TcpStream::connect(site.address).expect("the engine listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    // The server may have had enough; its answer is what counts.
    let _ = client.write_all(data).and_then(|()| client.shutdown(Shutdown::Write));
    let mut answers = Vec::new();
    if let Err(error) = client.read_to_end(&mut answers) {
        let kind = error.kind();
        assert_eq!(
            kind,
            std::io::ErrorKind::ConnectionReset,
            "the engine neither answers nor ends"
        );
    }
    let seen: Vec<Seen> = site.seen.try_iter().collect();
    check(&requests(data), &seen, &answers);
}

type Seen = (Vec<u8>, Vec<u8>);

fn check((found, end): &(Vec<Found>, End), seen: &[Seen], answers: &[u8]) {
    assert!(seen.len() <= found.len(), "more requests than there are: {seen:?}");
    for (seen, found) in seen.iter().zip(found) {
        assert_eq!((&seen.0, &seen.1), (&found.method, &found.target));
    }
    // A body that is broken or was not asked for ends the connection, and may spare the request.
    let certain = found.iter().take_while(|found| found.body.is_some() && !found.expects).count();
    assert!(seen.len() >= certain, "{} of {certain} requests were served", seen.len());
    let statuses = statuses(answers);
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!(served <= seen.len() && served >= certain, "{statuses:?} for {seen:?}");
    if let End::Refused(cause) = end
        && certain == found.len()
    {
        assert_eq!(statuses.last(), Some(&cause.status()), "{cause:?}");
    }
}

/// The statuses of well-formed answers; each has a length.
fn statuses(mut answers: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !answers.is_empty() {
        let end = answers.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {}", answers.escape_ascii()));
        let head = String::from_utf8_lossy(&answers[..end]).to_ascii_lowercase();
        let status = head.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let length = head.split("\r\ncontent-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
        // Every answer here has a body of one byte or more, unless it was asked for by HEAD.
        let rest = &answers[end + 4..];
        let is_head = rest.starts_with(b"HTTP/1.1 ") || (rest.is_empty() && length == Some(1));
        let length = if is_head { 0 } else { length.unwrap_or(0) };
        statuses.push(status.expect("a status"));
        answers = rest.get(length..).expect("a whole body");
    }
    statuses
}

/// Answers everything with one byte and tells what it was.
struct Tell(Mutex<Sender<Seen>>);

impl Application for Tell {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let request = exchange.request();
        let seen = (request.method().to_vec(), request.target().to_vec());
        let is_tunnel = request.method() == b"CONNECT";
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(seen);
        // 200 to CONNECT would be the end of HTTP.
        exchange.respond(&Answer::text(if is_tunnel { 404 } else { 200 }, "x"));
        Outcome::Done
    }
}

struct Site {
    address: SocketAddr,
    seen: Receiver<Seen>,
    _engine: Engine,
}

fn site() -> &'static Mutex<Site> {
    static SITE: OnceLock<Mutex<Site>> = OnceLock::new();
    SITE.get_or_init(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (sender, seen) = channel();
        let listeners = vec![Listener { socket: listener.into(), lane: 0 }];
        let application = Arc::new(Tell(Mutex::new(sender)));
        let engine = Engine::start(listeners, application, Options::new(1));
        let engine = engine.expect("an engine starts");
        Mutex::new(Site { address, seen, _engine: engine })
    })
}
