//! Where a backend listens: a socket in the worker's run directory, or a port of the loopback.
//!
//! A backend that can be told about the socket gets both and is found at whichever it chose: the
//! helper that moves .NET applications to the socket is not loaded everywhere (single files, Native
//! AOT, start-up hooks switched off), and a program of another kind may never have heard of sockets.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{AspNetCore, BackendTransport, Env};
use engine::UpstreamAddress;
use os::socket::Socket;

use crate::listening::{self, Listener};
use crate::tree::Tree;

/// The environment's way to say `backendTransport`, as `ANCM_shutdownDelay` is for its setting.
const VARIABLE: &str = "ANCM_backendTransport";

/// The transport that is asked for.
pub(crate) fn asked_for(settings: &AspNetCore, process: &Env) -> BackendTransport {
    let written = settings.handler_settings.backend_transport;
    let named = process.non_empty(VARIABLE).and_then(|text| text.parse().ok());
    match written {
        BackendTransport::Auto => named.unwrap_or_default(),
        written => written,
    }
}

/// The places at which a backend that starts may appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Offered to those who can use it.
    pub(crate) socket: Option<PathBuf>,
    /// Offered beside the socket to those who carry many connections on one.
    pub(crate) link: Option<PathBuf>,
    /// Of the loopback.
    pub(crate) port: u16,
}

/// A backend that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) address: UpstreamAddress,
    /// Where it takes links.
    pub(crate) link: Option<PathBuf>,
    /// Who listens.
    pub(crate) pid: i32,
}

/// What a look at the places shows.
#[derive(Debug)]
pub(crate) enum Look {
    Found(Found),
    Nobody,
    /// Somebody else has the port, and there is no other place.
    Stranger,
}

impl Places {
    /// Looks whether the backend listens.
    pub(crate) fn look(&self, backend: &Tree) -> Look {
        if let Some(path) = &self.socket
            && let Ok(stream) = connect_unix(path)
        {
            // Whoever takes links does so before it listens on the socket.
            let link = self.link.clone().filter(|path| path.exists());
            for path in [Some(path), link.as_ref()].into_iter().flatten() {
                // Only its owner can reach it through the folder; for whoever moves it elsewhere.
                let _ = std::fs::set_permissions(path, PermissionsExt::from_mode(0o600));
            }
            let pid = os::socket::peer_process(stream.as_fd()).unwrap_or(backend.root);
            return Look::Found(Found { address: UpstreamAddress::Unix(path.clone()), link, pid });
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        if !listening::is_accepting(address) {
            return Look::Nobody;
        }
        let found =
            |pid| Look::Found(Found { address: UpstreamAddress::Tcp(address), link: None, pid });
        match listening::listener(self.port, backend) {
            Listener::Own(pid) => found(pid),
            Listener::Unknown => found(backend.root),
            Listener::Stranger if self.socket.is_some() => Look::Nobody,
            Listener::Stranger => Look::Stranger,
        }
    }

    /// Whether connections are taken at a place where a backend was found. Who has no room for more of
    /// them is there.
    pub(crate) fn is_open(address: &UpstreamAddress) -> bool {
        match address {
            UpstreamAddress::Tcp(address) => !listening::is_refused(*address),
            UpstreamAddress::Unix(path) => match Socket::connect_unix(path) {
                Ok(_) => true,
                Err(error) => !matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
                ),
            },
        }
    }

    /// Removes what a backend that is gone has left.
    pub(crate) fn clean_up(&self) {
        for path in [&self.socket, &self.link].into_iter().flatten() {
            // Kestrel removes it itself when it ends as it should.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Fails where the library's own would wait without a limit: as long as the backlog is full, which that
/// of a process that stands still is in the end.
fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::from(OwnedFd::from(Socket::connect_unix(path)?));
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// For people, and the same from start to start but for the port.
impl std::fmt::Display for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.socket {
            Some(_) => write!(f, "its socket or port {}", self.port),
            None => write!(f, "port {}", self.port),
        }
    }
}

/// A blocking connection to a backend, for what is not a request of a client.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(crate) fn connect(to: &UpstreamAddress, limit: Duration) -> io::Result<Self> {
        match to {
            UpstreamAddress::Tcp(to) => TcpStream::connect_timeout(to, limit).map(Self::Tcp),
            UpstreamAddress::Unix(path) => connect_unix(path).map(Self::Unix),
        }
    }

    pub(crate) fn set_read_timeout(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Self::Unix(stream) => stream.set_read_timeout(Some(limit)),
        }
    }

    pub(crate) fn set_write_timeout(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(Some(limit)),
            Self::Unix(stream) => stream.set_write_timeout(Some(limit)),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
