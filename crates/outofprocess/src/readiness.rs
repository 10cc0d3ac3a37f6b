//! Whether one process is ready for requests of clients, beyond that it listens: `readinessPath`.
//!
//! The first process of a generation that listens leads: it alone gets what the worker requests to warm
//! the application up, the readiness path at last. The others wait for that, and are then asked
//! themselves, as is each that is started again: first for the pages, since being ready may be their
//! effect, and then for the readiness path, until it answers as it should.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use config::{AspNetCore, Page};
use engine::UpstreamAddress;

use crate::ask::{ask, is_pause};
use crate::backend::{Backend, NotReady, Woken};
use crate::startup::Surroundings;
use crate::stop::StopOrder;

/// How often one that says "not yet" is asked again: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// "Not yet": what health checks and applications that still load answer.
const NOT_YET: u16 = 503;
/// How often is looked whether the generation is warm.
const LOOK: Duration = Duration::from_millis(20);
/// For the rest of a page whose answer has begun, where the backend does not end the connection.
const REST: Duration = Duration::from_secs(2);
/// Nobody leads.
const NOBODY: usize = usize::MAX;

/// How far the warm-up of a generation is.
#[derive(Debug)]
pub(crate) struct Warmth {
    over: OnceLock<Instant>,
    lead: AtomicUsize,
}

impl Warmth {
    pub(crate) const fn new() -> Self {
        Self { over: OnceLock::new(), lead: AtomicUsize::new(NOBODY) }
    }

    /// The warm-up has come to its end.
    pub(crate) fn end(&self) {
        self.over.get_or_init(Instant::now);
    }

    /// Whether the backend of this place leads; it does if no other does.
    fn leads(&self, place: usize) -> bool {
        let before =
            self.lead.compare_exchange(NOBODY, place, Ordering::Relaxed, Ordering::Relaxed);
        before.is_ok() || before == Err(place)
    }

    /// The backend of this place is gone; another may lead.
    pub(crate) fn leave(&self, place: usize) {
        let _ = self.lead.compare_exchange(place, NOBODY, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Waits until `backend`, which listens at `address`, may have requests.
///
/// # Errors
///
/// It has ended, is not ready in time or says something else, or the host stops.
pub(crate) fn wait(
    backend: &Backend,
    address: &UpstreamAddress,
    settings: &AspNetCore,
    token: Option<&str>,
    around: Surroundings<'_>,
) -> Result<(), NotReady> {
    let Some(readiness) = &settings.handler_settings.readiness else { return Ok(()) };
    let (page, expected) = (&readiness.page, readiness.status);
    let pause = |length| match backend.wait(around.stop, Some(length)) {
        Woken::Ended => Err(NotReady::EndedUnready { path: page.target.clone() }),
        Woken::StopOrdered => Err(NotReady::Cancelled),
        Woken::Doubted | Woken::TimedOut => Ok(()),
    };
    let begun = Instant::now().checked_sub(backend.age()).unwrap_or_else(Instant::now);
    let over = loop {
        match around.warmth.over.get() {
            Some(over) => break *over,
            None if around.warmth.leads(around.place) => return Ok(()),
            None => pause(LOOK)?,
        }
    };
    // What it has waited for others does not count.
    let limit = settings.startup_time_limit;
    let deadline = begun.max(over) + limit;
    let is_wanted = || is_wanted(backend, around.stop);
    for page in &settings.initialization_pages {
        if let Ok((_, asked)) = ask(address, &request(page, token), deadline, &is_wanted) {
            asked.finish(deadline.min(Instant::now() + REST), &is_wanted);
        }
    }
    let request = request(page, token);
    let [mut length, longest] = PAUSES;
    loop {
        let answer = ask(address, &request, deadline, &is_wanted).map(|(status, _)| status);
        let is_late = Instant::now() + length >= deadline;
        match answer {
            Ok(status) if status == expected => return Ok(()),
            // One that breaks connections off may only be on its way.
            Ok(NOT_YET) | Err(_) if !is_late => {
                pause(length)?;
                length = (length * 2).min(longest);
            }
            answer => {
                pause(Duration::ZERO)?;
                return Err(NotReady::Unready {
                    path: page.target.clone(),
                    gave: match answer {
                        Ok(status) => status.to_string(),
                        Err(error) if is_pause(&error) => "no answer".to_owned(),
                        Err(error) => format!("no answer ({error})"),
                    },
                    expected,
                    limit: is_late.then_some(limit),
                });
            }
        }
    }
}

fn is_wanted(backend: &Backend, stop: &StopOrder) -> bool {
    !backend.has_ended() && stop.deadline().is_none()
}

fn request(page: &Page, token: Option<&str>) -> Vec<u8> {
    let token = token.map(|token| format!("MS-ASPNETCORE-TOKEN: {token}\r\n"));
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: ancm/{} (warm-up)\r\nAccept: */*\r\n{}\
         Connection: close\r\n\r\n",
        page.target,
        page.host,
        env!("CARGO_PKG_VERSION"),
        token.unwrap_or_default(),
    );
    request.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leads_until_it_is_gone() {
        let warmth = Warmth::new();
        assert_eq!([1, 0, 1].map(|place| warmth.leads(place)), [true, false, true]);
        warmth.leave(0);
        assert!(!warmth.leads(0));
        warmth.leave(1);
        assert!(warmth.leads(0));
    }
}
