//! The service manager that started us, if one did: what it wants to be told, and the sockets that
//! it has opened for us.
//!
//! This is the protocol of systemd's `Type=notify`, watchdog and socket activation, which other
//! managers and container tools speak too. Its variables are ours alone: an application that found
//! them would answer for us.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use config::Env;

/// Variables of the protocol, which no child inherits.
pub(crate) const VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// The conversation with the service manager; without one, nothing is said.
#[derive(Debug, Default)]
pub(crate) struct ServiceManager {
    notify: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants a sign of life: twice as often as it looks.
    interval: Option<Duration>,
    next_sign: Duration,
}

impl ServiceManager {
    /// The one that the environment names.
    pub(crate) fn of(env: &Env) -> Self {
        let notify = env.non_empty("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(name),
            };
            let socket = UnixDatagram::unbound().ok()?;
            // A manager that does not read must not stop us.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address.ok()?))
        });
        let number = |name: &str| env.non_empty(name)?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(is_this_process);
        let interval = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_ours);
        Self {
            interval: interval.map(|usec| Duration::from_micros(usec / 2)),
            notify,
            next_sign: Duration::ZERO,
        }
    }

    /// The application is served, for the first time or again.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// A new generation is about to take over. The time is what `Type=notify-reload` knows by that this
    /// is what it has asked for.
    pub(crate) fn reloading(&self) {
        let now = os::clock::monotonic().as_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=starting a new generation"));
    }

    /// No more connections are taken.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining");
    }

    /// Gives a sign of life when one is due; the time is since the start.
    pub(crate) fn sign_of_life(&mut self, now: Duration) {
        if let Some(interval) = self.interval.filter(|_| now >= self.next_sign) {
            self.next_sign = now + interval;
            self.tell("WATCHDOG=1");
        }
    }

    /// When the next sign of life is due.
    pub(crate) fn next_sign(&self) -> Option<Duration> {
        self.interval.map(|_| self.next_sign)
    }

    fn tell(&self, message: &str) {
        if let Some((socket, address)) = &self.notify {
            // Whoever has gone away need not know.
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}

/// How many listening sockets were passed to this process, from descriptor 3 on.
pub(crate) fn passed_sockets(env: &Env) -> usize {
    let number = |name: &str| env.non_empty(name)?.parse::<u64>().ok();
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if is_this_process(pid) => usize::try_from(count).unwrap_or(0),
        _ => 0,
    }
}

fn is_this_process(pid: u64) -> bool {
    pid == u64::from(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_another_process_are_not_ours() {
        let own = std::process::id().to_string();
        let passed = |pid: &str, count: &str| {
            passed_sockets(&Env::from_iter([("LISTEN_PID", pid), ("LISTEN_FDS", count)]))
        };
        assert_eq!((passed(&own, "2"), passed("1", "2"), passed(&own, "x")), (2, 0, 0));
        let watched = |pid: &str| {
            let env = Env::from_iter([("WATCHDOG_PID", pid), ("WATCHDOG_USEC", "2000000")]);
            ServiceManager::of(&env).next_sign().is_some()
        };
        assert!(watched(&own) && !watched("1"));
    }

    #[test]
    fn a_sign_of_life_comes_twice_as_often_as_it_is_looked_for() {
        let manager = UnixDatagram::bind_addr(
            &SocketAddr::from_abstract_name(format!("ancm-service-{}", std::process::id()))
                .unwrap(),
        )
        .unwrap();
        let name = format!("@ancm-service-{}", std::process::id());
        let env = Env::from_iter([("NOTIFY_SOCKET", &*name), ("WATCHDOG_USEC", "2000000")]);
        let mut service = ServiceManager::of(&env);
        for milliseconds in [0, 500, 999, 1000, 1500, 2000] {
            service.sign_of_life(Duration::from_millis(milliseconds));
        }
        service.stopping();
        let mut buffer = [0; 64];
        for expected in ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1\nSTATUS=draining"] {
            let count = manager.recv(&mut buffer).unwrap();
            assert_eq!(std::str::from_utf8(&buffer[..count]).unwrap(), expected);
        }
    }
}
