//! Whether somebody listens on a backend's port, and whether it is the backend.
//!
//! The port was free when it was drawn and reserved for nobody since. So a connection that succeeds
//! proves nothing yet: requests, and the token with them, would go to a stranger. The owner is
//! found as the module finds it: the listener must be held by the process that was started or by a
//! descendant of it.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use os::process::tree::Seen;

use crate::tree::Tree;

/// A local connection is accepted or refused at once; only a full backlog makes it wait.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);

/// State of a listening socket in the kernel's tables.
const LISTEN: &str = "0A";

/// Who listens on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// The process asked about, or a descendant: this one.
    Own(i32),
    /// The tables do not tell, for instance because the backend runs as another user.
    Unknown,
    /// Somebody else.
    Stranger,
}

/// Whether a connection to `address` is accepted.
pub(crate) fn is_accepting(address: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect_timeout(&address, CONNECT_LIMIT) else { return false };
    // Without a listener the kernel may choose the very port that is connected to as the source,
    // and the connection meets itself.
    stream.local_addr().is_ok_and(|local| local != address)
}

/// Whether nobody listens there. A connection that comes to nothing in time says no such thing: the
/// queue of whoever listens may be full.
pub(crate) fn is_refused(address: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
        Ok(stream) => stream.local_addr().is_ok_and(|local| local == address),
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
    }
}

/// The sockets that listen on `port`, by the numbers of their inodes, seen from the process `root`. As
/// long as they are the same, so is who listens.
pub(crate) fn sockets(port: u16, root: i32) -> BTreeSet<String> {
    // The tables of the backend: it may live in a network of its own, which we could not reach.
    let tables = ["tcp", "tcp6"]
        .map(|name| fs::read_to_string(format!("/proc/{root}/net/{name}")).unwrap_or_default());
    let sockets = tables.iter().flat_map(|table| listening_sockets(table, port));
    sockets.map(str::to_owned).collect()
}

/// Who listens on `port`, seen from a backend.
pub(crate) fn listener(port: u16, backend: &Tree) -> Listener {
    let sockets = sockets(port, backend.root);
    if sockets.is_empty() {
        return Listener::Unknown;
    }
    let mut all_readable = true;
    for Seen { pid, .. } in backend.members() {
        match holds_one_of(pid, &sockets) {
            Some(true) => return Listener::Own(pid),
            Some(false) => {}
            None => all_readable = false,
        }
    }
    if all_readable { Listener::Stranger } else { Listener::Unknown }
}

/// The inode numbers of sockets in `table` that listen on `port`.
fn listening_sockets(table: &str, port: u16) -> impl Iterator<Item = &str> {
    let ending = format!(":{port:04X}");
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next()?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        (local.ends_with(&ending) && state == LISTEN).then_some(inode)
    })
}

/// Whether the process has one of `sockets` open; `None` if it may not be asked.
fn holds_one_of(pid: i32, sockets: &BTreeSet<String>) -> Option<bool> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| {
        let name = target.to_str().and_then(|text| text.strip_prefix("socket:["));
        name.and_then(|text| text.strip_suffix(']')).is_some_and(|inode| sockets.contains(inode))
    }))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:3039 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:3039 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 222 1
   2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1
";

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let of = |port| listening_sockets(TABLE, port).collect::<Vec<_>>();
        assert_eq!(of(12_345), ["111"]);
        assert_eq!(of(8080), ["333"]);
        assert!(of(54_321).is_empty());
        assert!(listening_sockets("torn li", 1).next().is_none());
    }

    #[test]
    fn a_listener_of_this_process_is_its_own_and_a_strangers_for_others() {
        let listener_socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener_socket.local_addr().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let listener = |port, root| {
            listener(
                port,
                &Tree { root, mark: ("ANCM_TEST_OF_LISTENERS", String::new()), brand: u32::MAX },
            )
        };
        assert!(is_accepting(address));
        assert_eq!(listener(address.port(), own), Listener::Own(own));

        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(other.id()).unwrap();
        assert_eq!(listener(address.port(), pid), Listener::Stranger);
        // Nothing of a process that does not exist can be read.
        assert_eq!(listener(address.port(), i32::MAX), Listener::Unknown);
        other.kill().unwrap();
        other.wait().unwrap();

        drop(listener_socket);
        // A child that another test has just forked may hold a copy until it executes its program.
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_accepting(address) || listener(address.port(), own) != Listener::Unknown {
            assert!(Instant::now() < deadline, "somebody listens");
        }
    }
}
