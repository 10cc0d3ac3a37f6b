//! Whatever a backend sends: what its client gets beside what the parsers make of the same bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use engine::http1::chunked::{Decoder, Step};
use engine::http1::response::BodyFraming;
use engine::http1::upstream::{ANSWER_LIMITS, parse_response};
use engine::{
    Answer, Application, Engine, Exchange, Forward, Listener, Options, Outcome, Request, Upstream,
    UpstreamAddress, UpstreamFailure,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Its answers are of nobody else's making.
const REFUSED: &[u8] = b"refused by the rules";

/// The first byte says what is asked, the others are the whole answer of a backend that then ends.
pub fn backend(data: &[u8]) {
    let Some((method, answer)) = data.split_first() else { return };
    let is_head = method % 2 == 1;
    let site = site().lock().unwrap_or_else(PoisonError::into_inner);
    site.answer().clone_from(&answer.to_vec());
    let mut client = TcpStream::connect(site.address).expect("the engine listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    let method = if is_head { "HEAD" } else { "GET" };
    let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).expect("a request is taken");
    let mut received = Vec::new();
    let is_cut = match client.read_to_end(&mut received) {
        Ok(_) => false,
        Err(error) => {
            let kind = error.kind();
            assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "the engine does not end");
            true
        }
    };
    let sent = read_answer(answer, is_head, true);
    check(&sent, &read_answer(&received, is_head, true), is_cut, received.len());
}

/// What one answer says, by the parsers alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No head that counts: it is malformed, incomplete, or asks for what nobody wanted.
    Nothing,
    /// A head, and a body that breaks off or is malformed.
    Part(u16),
    /// Status, body, bytes with framing.
    Whole(u16, Vec<u8>, usize),
}

/// `is_proper`: the connection has ended as it may.
pub(crate) fn read_answer(data: &[u8], is_head: bool, is_proper: bool) -> Verdict {
    let (mut fields, mut at) = (Vec::new(), 0);
    let head = loop {
        match parse_response(&data[at..], is_head, false, &mut fields, &ANSWER_LIMITS) {
            Ok(Some(head)) if head.status == 101 => return Verdict::Nothing,
            Ok(Some(head)) if head.status < 200 => at += head.len,
            Ok(Some(head)) => break head,
            Ok(None) | Err(_) => return Verdict::Nothing,
        }
    };
    at += head.len;
    let rest = &data[at..];
    match head.framing {
        BodyFraming::None => Verdict::Whole(head.status, Vec::new(), at),
        BodyFraming::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            rest.get(..length).map_or(Verdict::Part(head.status), |body| {
                Verdict::Whole(head.status, body.to_vec(), at + length)
            })
        }
        BodyFraming::Chunked => {
            let (mut decoder, mut body, mut used) = (Decoder::default(), Vec::new(), 0);
            loop {
                match decoder.step(&rest[used..]) {
                    Ok((count, Step::Data(piece))) => {
                        used += count;
                        body.extend_from_slice(piece);
                    }
                    Ok((count, Step::End)) => {
                        return Verdict::Whole(head.status, body, at + used + count);
                    }
                    Ok((_, Step::More)) | Err(_) => return Verdict::Part(head.status),
                }
            }
        }
        _ if !is_proper => Verdict::Part(head.status),
        _ => Verdict::Whole(head.status, rest.to_vec(), data.len()),
    }
}

pub(crate) fn check(sent: &Verdict, got: &Verdict, is_cut: bool, len: usize) {
    match (sent, got) {
        // It may have no body (RFC 9110 15.3.6): one is left out, or is too much.
        (Verdict::Whole(205, ..) | Verdict::Part(205), Verdict::Whole(205, body, _)) => {
            assert!(body.is_empty(), "a body where there can be none");
        }
        (Verdict::Whole(205, body, _), Verdict::Whole(502, ..)) if !body.is_empty() => {}
        (Verdict::Whole(status, body, _), Verdict::Whole(passed, received, end)) => {
            assert_eq!((status, body), (passed, received), "the answer was changed");
            assert_eq!(*end, len, "bytes behind the answer were passed on");
            assert!(!is_cut, "a whole answer was cut off");
        }
        // Ours says so.
        (Verdict::Nothing, Verdict::Whole(502, body, end)) => {
            assert!(body == REFUSED || body.is_empty(), "a 502 of whose making?");
            assert_eq!(*end, len);
        }
        // Interim answers had left already; nothing but the end can follow on what went wrong.
        (Verdict::Nothing, Verdict::Nothing) => assert!(is_cut, "an end without an answer"),
        (Verdict::Part(status), Verdict::Part(passed)) => assert_eq!(status, passed),
        // Nothing of it had left.
        (Verdict::Part(_), Verdict::Whole(502, body, _)) => {
            assert!(body == REFUSED || body.is_empty())
        }
        // A reset drops what the client has not read.
        (Verdict::Part(_), Verdict::Nothing) => assert!(is_cut, "an end without an answer"),
        _ => panic!("{got:?} (cut: {is_cut}) of {sent:?}"),
    }
}

/// Passes everything on.
pub(crate) struct Rules;

impl Forward for Rules {
    fn request_head(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(request.method());
        out.extend_from_slice(b" / HTTP/1.1\r\nHost: a\r\n\r\n");
    }

    fn keep_response_field(&self, name: &[u8], _value: &[u8]) -> bool {
        !name.eq_ignore_ascii_case(b"connection")
    }

    fn failed(&self, _request: &Request<'_>, _failure: &UpstreamFailure) -> Answer {
        Answer::text(502, String::from_utf8_lossy(REFUSED).into_owned())
    }

    fn connection_lost(&self, _: bool) {}
}

pub(crate) struct Proxy(pub(crate) Arc<Upstream>);

impl Application for Proxy {
    fn dispatch(&self, _exchange: &mut Exchange<'_>) -> Outcome {
        Outcome::Forward(self.0.clone())
    }
}

struct Site {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    _engine: Engine,
}

impl Site {
    fn answer(&self) -> MutexGuard<'_, Vec<u8>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn site() -> &'static Mutex<Site> {
    static SITE: OnceLock<Mutex<Site>> = OnceLock::new();
    SITE.get_or_init(|| {
        let answer = Arc::<Mutex<Vec<u8>>>::default();
        let backend = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = UpstreamAddress::Tcp(backend.local_addr().expect("it is bound"));
        let answers = answer.clone();
        thread::spawn(move || {
            for stream in backend.incoming().flatten() {
                let answer = answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
                serve(stream, &answer);
            }
        });
        let upstream = Arc::new(Upstream { id: 1, address, link: None, rules: Arc::new(Rules) });
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let listeners = vec![Listener { socket: listener.into(), lane: 0 }];
        let engine = Engine::start(listeners, Arc::new(Proxy(upstream)), Options::new(1));
        Mutex::new(Site { address, answer, _engine: engine.expect("an engine starts") })
    })
}

/// Reads one request, answers, ends.
fn serve(mut stream: TcpStream, answer: &[u8]) {
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&buffer[..count]),
        }
    }
    let _ = stream.write_all(answer).and_then(|()| stream.shutdown(Shutdown::Write));
    // Until the other side has had enough: a close with unread bytes would be a reset.
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}
