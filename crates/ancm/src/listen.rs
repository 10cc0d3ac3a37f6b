//! From URLs to listening sockets, one per lane, that live as long as the site.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use config::{Host, ListenUrl};

/// `localhost` with port 0 needs a port that is free in both families; the first try may not be.
const LOCALHOST_ATTEMPTS: usize = 10;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {url}: {}", reason(.cause, .url))]
pub(crate) struct ListenError {
    url: ListenUrl,
    cause: io::Error,
}

/// What went wrong and what to do about it.
fn reason(error: &io::Error, url: &ListenUrl) -> String {
    let is_unix = matches!(url.host, Host::Unix(_));
    match error.kind() {
        ErrorKind::AddrInUse if is_unix => {
            "another process listens there, or the file is not a socket; stop it, remove the \
             file, or choose another path with --url"
                .to_owned()
        }
        ErrorKind::AddrInUse => format!(
            "another process listens on port {port}; `ss -ltnp sport = :{port}` shows which, \
             --url chooses another port",
            port = url.port
        ),
        ErrorKind::PermissionDenied if !is_unix && url.port < 1024 => format!(
            "port {} needs a privilege; use a port from 1024 on, or give it to ancm: \
             AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit, or \
             `sudo setcap cap_net_bind_service=+ep` on the program",
            url.port
        ),
        ErrorKind::PermissionDenied => {
            "no permission; choose a folder that this user may write to".to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            "this computer does not have that address; `ip address` shows those it has".to_owned()
        }
        ErrorKind::NotFound if is_unix => "the folder does not exist".to_owned(),
        _ => error.to_string(),
    }
}

/// The listening sockets of a site.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// What workers are told, in the order of `descriptors`.
    pub(crate) listeners: Vec<control::Listener>,
    /// The sockets themselves.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The addresses for people and applications, with the ports that were picked.
    pub(crate) addresses: Vec<String>,
    /// Files of Unix sockets, removed at the end.
    files: Vec<PathBuf>,
}

impl Sockets {
    /// Opens a group of `lanes` sockets per address.
    pub(crate) fn open(urls: &[ListenUrl], lanes: usize) -> Result<Self, ListenError> {
        let mut sockets = Self {
            listeners: Vec::new(),
            descriptors: Vec::new(),
            addresses: Vec::new(),
            files: Vec::new(),
        };
        for url in urls {
            let opened = match &url.host {
                Host::Unix(path) => sockets.open_unix(path.clone(), url, lanes),
                Host::Localhost => sockets.open_localhost(url, lanes),
                Host::Any | Host::Ip(_) | Host::Name(_) => sockets.open_first(url, lanes),
            };
            opened.map_err(|cause| ListenError { url: url.clone(), cause })?;
        }
        Ok(sockets)
    }

    /// The `count` sockets that the service manager has opened: descriptors from 3 on. Each serves
    /// all lanes, and its file, if it has one, stays the manager's.
    ///
    /// # Errors
    ///
    /// One is not there, or is no socket that listens for streams.
    pub(crate) fn passed(count: usize, lanes: usize) -> io::Result<Self> {
        let mut sockets = Self {
            listeners: Vec::new(),
            descriptors: Vec::new(),
            addresses: Vec::new(),
            files: Vec::new(),
        };
        for number in (3..).take(count) {
            let socket = os::inherited::take(number)?;
            let tcp = TcpListener::from(socket.try_clone()?);
            tcp.set_nonblocking(true)?;
            let address = match tcp.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(_) => {
                    let unix = UnixListener::from(socket.try_clone()?).local_addr()?;
                    let path = unix.as_pathname().unwrap_or(Path::new("(unnamed)"));
                    format!("http://unix:{}", path.display())
                }
            };
            let mut group =
                (1..lanes).map(|_| socket.try_clone()).collect::<Result<Vec<_>, _>>()?;
            group.push(socket);
            sockets.add(group, address.trim_start_matches("http://"));
            sockets.addresses.push(address);
        }
        Ok(sockets)
    }

    /// One socket for all lanes: the kernel spreads nothing over Unix sockets.
    fn open_unix(&mut self, path: PathBuf, url: &ListenUrl, lanes: usize) -> io::Result<()> {
        let socket = os::listen::unix(&path)?;
        self.files.push(path);
        let (first, others) = (socket.try_clone()?, lanes.saturating_sub(1));
        let mut group = vec![first];
        for _ in 0..others {
            group.push(socket.try_clone()?);
        }
        self.add(group, &url.to_string());
        self.addresses.push(url.to_string());
        Ok(())
    }

    /// Both loopback addresses with one port; without IPv6 the first alone.
    fn open_localhost(&mut self, url: &ListenUrl, lanes: usize) -> io::Result<()> {
        for attempt in 1.. {
            let mut groups: Vec<(SocketAddr, Vec<OwnedFd>)> = Vec::new();
            let mut error = None;
            for mut address in url.addresses() {
                if let Some((first, _)) = groups.first() {
                    address.set_port(first.port());
                }
                match os::listen::tcp_group(address, lanes) {
                    Ok(group) => groups.push(group),
                    Err(failure) if address.is_ipv6() && is_family_missing(&failure) => {}
                    Err(failure) => error = Some(failure),
                }
            }
            match error {
                Some(error) if url.port != 0 || attempt == LOCALHOST_ATTEMPTS => return Err(error),
                Some(_) => continue,
                None => {}
            }
            let port = groups.first().map_or(url.port, |(address, _)| address.port());
            for (address, group) in groups {
                self.add(group, &address.to_string());
            }
            self.addresses.push(ListenUrl { port, ..url.clone() }.to_string());
            break;
        }
        Ok(())
    }

    /// The first address that this system has: `[::]`, which takes IPv4 as well, or `0.0.0.0`.
    fn open_first(&mut self, url: &ListenUrl, lanes: usize) -> io::Result<()> {
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in url.addresses() {
            match os::listen::tcp_group(address, lanes) {
                Ok((bound, group)) => {
                    self.add(group, &bound.to_string());
                    self.addresses.push(format!("http://{bound}"));
                    return Ok(());
                }
                Err(error) if is_family_missing(&error) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn add(&mut self, group: Vec<OwnedFd>, address: &str) {
        let url = self.addresses.len();
        for (lane, socket) in group.into_iter().enumerate() {
            self.listeners.push(control::Listener { url, lane, address: address.to_owned() });
            self.descriptors.push(socket);
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for file in &self.files {
            // Nobody listens on it any more; the next start would replace it anyway.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Whether the system has no such kind of address at all, IPv6 being switched off.
fn is_family_missing(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn open(url: &str, lanes: usize) -> Result<Sockets, String> {
        let url: ListenUrl = url.parse().unwrap();
        Sockets::open(&[url], lanes).map_err(|error| error.to_string())
    }

    #[test]
    fn every_lane_gets_a_socket_of_each_address() {
        let sockets = open("http://localhost:0", 3).unwrap();
        assert_eq!(sockets.addresses.len(), 1);
        assert_eq!(sockets.listeners.len() % 3, 0);
        assert_eq!(sockets.listeners.len(), sockets.descriptors.len());
        let port = sockets.addresses[0].rsplit(':').next().unwrap().to_owned();
        for listener in &sockets.listeners {
            assert!(listener.address.ends_with(&port));
            TcpStream::connect(&listener.address).unwrap();
        }
    }

    #[test]
    fn a_port_in_use_says_what_to_do() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", other.local_addr().unwrap());
        let error = open(&url, 2).unwrap_err();
        assert!(error.starts_with(&format!("cannot listen on {url}: another process")), "{error}");
        assert!(error.contains("--url chooses another port"), "{error}");
        let error = open("http://192.0.2.1:5000", 1).unwrap_err();
        assert!(error.contains("does not have that address"), "{error}");
    }

    #[test]
    fn the_file_of_a_unix_socket_goes_with_the_site() {
        let path = std::env::temp_dir().join(format!("ancm-listen-{}.sock", std::process::id()));
        let sockets = open(&format!("http://unix:{}", path.display()), 2).unwrap();
        assert_eq!(sockets.descriptors.len(), 2);
        assert!(path.exists());
        drop(sockets);
        assert!(!path.exists());
    }
}
