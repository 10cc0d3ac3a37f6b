//! What the engine counts and an operator should hear of: at once, then in sums.

use std::mem;
use std::thread;
use std::time::Duration;

use control::ToSupervisor;
use engine::{LONGEST_CERTIFICATE, Limit, Noted, Seen, Tally, Unfit};
use lifecycle::event::Level;

use crate::supervisor::Supervisor;

/// A limit was hit.
const LIMIT_HIT: u16 = 1104;
/// A field that should tell of a client's certificate does not count.
const NO_CERTIFICATE: u16 = 1137;
/// Between two sums.
const PAUSE: Duration = Duration::from_secs(10);

/// Tells, for as long as there is a worker.
pub(crate) fn tell(tally: &Tally, supervisor: &Supervisor) {
    let mut seen = Seen::default();
    let mut strangers_told = false;
    loop {
        tally.wait();
        for (what, count) in tally.since(&mut seen) {
            let (event, text) = match what {
                Noted::Limit(limit) if limit.is_for_operators() => (LIMIT_HIT, hit(limit, count)),
                // Any client can do it; a proxy that was left out of the list does it all the time.
                Noted::Certificate(Unfit::Untrusted) if mem::replace(&mut strangers_told, true) => {
                    continue;
                }
                Noted::Certificate(unfit) => (NO_CERTIFICATE, dropped(unfit, count)),
                Noted::Limit(_) => continue,
            };
            let level = Level::Warning;
            supervisor.tell(&ToSupervisor::Log { event, level, text });
        }
        thread::sleep(PAUSE);
    }
}

fn hit(limit: Limit, count: u64) -> String {
    format!("limit hit {count} time(s): {limit} (docs/limits.md)")
}

fn dropped(unfit: Unfit, count: u64) -> String {
    let expected = match unfit {
        Unfit::Untrusted => {
            "a proxy whose clients show certificates must be in trustedProxies; this is told once"
                .to_owned()
        }
        Unfit::Repeated | Unfit::Form | Unfit::TooLong | Unfit::Content => format!(
            "expected is one field with the certificate's DER in base64, bare or between colons \
             (RFC 9440), or its PEM, percent-encoded; {LONGEST_CERTIFICATE} bytes of DER at most"
        ),
    };
    format!("clientCertificateField dropped {count} time(s): {unfit}; {expected}")
}
