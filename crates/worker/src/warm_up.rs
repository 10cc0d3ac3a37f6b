//! Requests of our own, before clients may come: the pages of `<applicationInitialization>`, for
//! their effect, and then the readiness path, for its answer.
//!
//! They go through the engine as a client's do, over connections of the loopback that nobody else
//! can have: the application sees what it will see, and what it loads late is loaded by then.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use config::{App, Page, Readiness};
use engine::Engine;
use engine::http1::chunked::{Decoder, Step};
use lifecycle::{Code, StartReport};
use shim::report;

/// How often an application that says "not yet" is asked again: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// "Not yet": what health checks and applications that still load answer.
const NOT_YET: u16 = 503;
/// Bytes of an answer that are read. Behind them the page has had its effect.
const MOST_BYTES: u64 = 16 << 20;
/// The largest head that is looked at.
const MOST_HEAD_BYTES: usize = 64 << 10;
/// Bytes of a body that a report quotes.
const QUOTED_BYTES: usize = 2 << 10;

/// What a page gave.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Requests the pages of `app`, telling of those that fail, and waits until it is ready. All of it
/// has to end at `deadline`.
///
/// # Errors
/// The readiness path does not give its status. Pages are best effort, as under IIS.
pub(crate) fn warm_up(
    app: &App,
    engine: &Engine,
    deadline: Instant,
    tell: impl Fn(String),
) -> Result<(), Box<StartReport>> {
    for page in &app.settings.initialization_pages {
        if let Some(problem) = problem(page, engine, deadline) {
            tell(format!("initializationPage {} {problem}", told(page)));
        }
    }
    match &app.settings.handler_settings.readiness {
        Some(readiness) => wait_until_ready(app, readiness, engine, deadline),
        None => Ok(()),
    }
}

/// What is wrong with the answer of `page`, if anything is.
pub(crate) fn problem(page: &Page, engine: &Engine, deadline: Instant) -> Option<String> {
    match get(page, engine, deadline) {
        Ok(answer) if answer.status < 400 => None,
        Ok(answer) => Some(format!("gave {}", answer.status)),
        Err(error) => Some(words(&error)),
    }
}

fn wait_until_ready(
    app: &App,
    readiness: &Readiness,
    engine: &Engine,
    deadline: Instant,
) -> Result<(), Box<StartReport>> {
    let (page, expected) = (&readiness.page, readiness.status);
    let [mut pause, longest] = PAUSES;
    loop {
        let answer = get(page, engine, deadline);
        let is_late = Instant::now() + pause >= deadline;
        let (problem, body) = match answer {
            Ok(answer) if answer.status == expected => return Ok(()),
            Ok(answer) if answer.status == NOT_YET && !is_late => {
                thread::sleep(pause);
                pause = (pause * 2).min(longest);
                continue;
            }
            Ok(answer) => (format!("gave {}", answer.status), answer.body),
            Err(error) => (words(&error), Vec::new()),
        };
        let limit = app.settings.startup_time_limit.as_secs_f32();
        let (code, late) = match is_late {
            true => (Code::StartTimeLimit, format!(" within {limit} s")),
            false => (Code::NotReady, String::new()),
        };
        let summary =
            format!("the readiness path {} {problem}, expected {expected}{late}", told(page));
        let mut detail = String::new();
        if !body.is_empty() {
            let body = &body[..body.len().min(QUOTED_BYTES)];
            // Writing to a text cannot fail.
            let _ = write!(detail, "its body:\n{}", String::from_utf8_lossy(body));
        }
        return Err(Box::new(report::of_app(app, code, summary).with_detail(detail)));
    }
}

fn told(page: &Page) -> String {
    match page.host == Page::HOST {
        true => page.target.clone(),
        false => format!("{} (host {})", page.target, page.host),
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "gave no answer".to_owned(),
        _ => format!("gave no answer: {error}"),
    }
}

fn get(page: &Page, engine: &Engine, deadline: Instant) -> io::Result<Answer> {
    let mut stream = connect(engine)?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: ancm/{} (warm-up)\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
        page.target,
        page.host,
        env!("CARGO_PKG_VERSION"),
    );
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut head: Option<(u16, usize)> = None;
    let mut buffer = [0; 16 << 10];
    let mut taken = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = match stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        taken += count as u64;
        // Of the body only its beginning is ever told.
        if bytes.len() < MOST_HEAD_BYTES {
            bytes.extend_from_slice(&buffer[..count]);
        }
        head = head.or_else(|| final_head(&bytes));
        match head {
            Some((status, end)) if count == 0 || taken > MOST_BYTES => {
                let body = bytes.split_off(end);
                return Ok(Answer { status, body: without_chunks(&bytes, body) });
            }
            None if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None if bytes.len() >= MOST_HEAD_BYTES => {
                return Err(io::Error::other("its head is too large"));
            }
            _ => {}
        }
    }
}

/// A connection to the engine over the loopback, as clients have one.
fn connect(engine: &Engine) -> io::Result<TcpStream> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let ours = stream.local_addr()?;
    loop {
        let (accepted, remote) = listener.accept()?;
        // Whoever else was that quick finds nothing here.
        if remote == ours {
            engine.serve(accepted.into(), Some(remote))?;
            return Ok(stream);
        }
    }
}

/// The status of the final answer and where its body begins, once its head is complete.
fn final_head(bytes: &[u8]) -> Option<(u16, usize)> {
    let mut begin = 0;
    loop {
        let rest = bytes.get(begin..)?;
        let end = begin + rest.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        // The engine writes heads that are well-formed: `HTTP/1.1 200 `.
        let status = str::from_utf8(rest.get(9..12)?).ok()?.parse().ok()?;
        if status >= 200 {
            return Some((status, end));
        }
        begin = end;
    }
}

/// The body behind `head`, which the engine may have sent in chunks.
fn without_chunks(head: &[u8], body: Vec<u8>) -> Vec<u8> {
    let head = head.to_ascii_lowercase();
    if !head.windows(19).any(|field| field == b"\ntransfer-encoding:") {
        return body;
    }
    let (mut whole, mut rest) = (Vec::new(), &body[..]);
    let mut decoder = Decoder::default();
    while let Ok((count, Step::Data(data))) = decoder.step(rest) {
        whole.extend_from_slice(data);
        rest = &rest[count..];
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_told_without_its_framing() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = || b"4\r\nwarm\r\n2\r\ner\r\n0\r\n\r\n".to_vec();
        assert_eq!(without_chunks(chunked, body()), b"warmer");
        assert_eq!(without_chunks(b"HTTP/1.1 200 OK\r\n\r\n", body()), body());
        assert_eq!(without_chunks(chunked, b"4\r\nwa".to_vec()), b"wa");
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let text = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(final_head(text), Some((204, text.len())));
        assert_eq!(final_head(&text[..text.len() - 1]), None);
        assert_eq!(final_head(b""), None);
    }
}
