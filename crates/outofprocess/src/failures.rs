//! Requests that failed on their way through a backend, told to the operator: the first at once,
//! further ones as a sum.
//!
//! Lanes report here and must not wait for whoever writes the log; a thread of its own tells.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use engine::{Request, UpstreamFailure, UpstreamPhase};

use crate::events::Event;

/// For how long failures are gathered after one was told.
const GATHER: Duration = Duration::from_secs(10);

/// Failures that wait to be counted. What comes while it is full is not counted: there is more
/// than enough to be told then.
const WAITING: usize = 1024;

/// Longest excerpt of a target.
const TARGET: usize = 200;

/// Where lanes report.
pub(crate) struct Failures(SyncSender<Failure>);

struct Failure {
    name: &'static str,
    doing: &'static str,
    text: String,
}

impl Failures {
    /// Has `tell` called from a thread that ends with the value.
    pub(crate) fn told_by(tell: Arc<dyn Fn(Event) + Send + Sync>) -> io::Result<Self> {
        let (sender, failures) = sync_channel(WAITING);
        thread::Builder::new()
            .name("backend-failures".to_owned())
            .spawn(move || gather(&failures, GATHER, &*tell))?;
        Ok(Self(sender))
    }

    pub(crate) fn note(&self, request: &Request<'_>, failure: &UpstreamFailure) {
        let name = name_of(failure);
        let method = String::from_utf8_lossy(request.method());
        // The query may hold what is not meant for a log.
        let path = request.target().split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = String::from_utf8_lossy(&path[..path.len().min(TARGET)]);
        let text = format!("{method} {path}: {}", words(failure)).escape_debug().to_string();
        let _ = self.0.try_send(Failure { name, doing: doing(failure.phase), text });
    }
}

fn gather(failures: &Receiver<Failure>, window: Duration, tell: &dyn Fn(Event)) {
    while let Ok(first) = failures.recv() {
        tell(Event::RequestFailed { name: first.name, text: first.text });
        let end = Instant::now() + window;
        let mut more = BTreeMap::<_, u64>::new();
        let is_over = loop {
            match failures.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(failure) => *more.entry((failure.name, failure.doing)).or_default() += 1,
                Err(error) => break error == RecvTimeoutError::Disconnected,
            }
        };
        if !more.is_empty() {
            tell(Event::MoreRequestsFailed { within: window, more });
        }
        if is_over {
            return;
        }
    }
}

/// What the failure is called, in the log and on detailed pages.
pub(crate) fn name_of(failure: &UpstreamFailure) -> &'static str {
    match (failure.phase, failure.error.kind()) {
        (_, io::ErrorKind::TimedOut) => "BackendTimeout",
        (_, io::ErrorKind::InvalidData) => "BackendInvalidResponse",
        (UpstreamPhase::Connect, io::ErrorKind::ConnectionRefused) => "BackendConnectRefused",
        (UpstreamPhase::Connect, _) => "BackendConnectFailed",
        _ => "BackendConnectionLost",
    }
}

/// What was going on, in words.
pub(crate) fn doing(phase: UpstreamPhase) -> &'static str {
    match phase {
        UpstreamPhase::Connect => "connecting to the backend",
        UpstreamPhase::Send => "sending the request",
        UpstreamPhase::Head => "waiting for the head of the answer",
        UpstreamPhase::Body => "passing the body of the answer on",
    }
}

/// The whole story in one line.
pub(crate) fn words(failure: &UpstreamFailure) -> String {
    let UpstreamFailure { phase, error, elapsed } = failure;
    let doing = doing(*phase);
    let limit = if error.kind() == io::ErrorKind::TimedOut { " (requestTimeout)" } else { "" };
    format!("{} while {doing}, after {elapsed:.1?}: {error}{limit}", name_of(failure))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_as_a_sum() {
        let (sender, failures) = sync_channel(10);
        let told = Mutex::new(Vec::new());
        for (name, doing) in [("A", "x"), ("B", "x"), ("A", "y"), ("B", "x"), ("A", "x")] {
            sender.send(Failure { name, doing, text: "GET /".to_owned() }).ok().unwrap();
        }
        drop(sender);
        let tell = |event: Event| told.lock().unwrap().push(event.to_string());
        gather(&failures, Duration::from_secs(10), &tell);
        let told = told.into_inner().unwrap();
        let sum = "1 A while x, 1 A while y, 2 B while x";
        assert_eq!(told, ["GET /", &format!("4 more requests failed within 10s: {sum}")]);
    }

    #[test]
    fn a_failure_has_a_name_a_phase_and_a_limit() {
        let of = |phase, kind: io::ErrorKind, text: &str| {
            let error = io::Error::new(kind, text);
            words(&UpstreamFailure { phase, error, elapsed: Duration::from_millis(1200) })
        };
        for (phase, kind, expected) in [
            (
                UpstreamPhase::Connect,
                io::ErrorKind::ConnectionRefused,
                "BackendConnectRefused while connecting to the backend, after 1.2s: x",
            ),
            (
                UpstreamPhase::Connect,
                io::ErrorKind::NotFound,
                "BackendConnectFailed while connecting to the backend, after 1.2s: x",
            ),
            (
                UpstreamPhase::Send,
                io::ErrorKind::BrokenPipe,
                "BackendConnectionLost while sending the request, after 1.2s: x",
            ),
            (
                UpstreamPhase::Head,
                io::ErrorKind::TimedOut,
                "BackendTimeout while waiting for the head of the answer, after 1.2s: x \
                 (requestTimeout)",
            ),
            (
                UpstreamPhase::Body,
                io::ErrorKind::InvalidData,
                "BackendInvalidResponse while passing the body of the answer on, after 1.2s: x",
            ),
        ] {
            assert_eq!(of(phase, kind, "x"), expected);
        }
    }
}
