//! Listening sockets: opened once, shared between processes, never closed while a site lives.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::check;
use crate::socket::local_address;

/// How many connections may wait to be accepted, per socket. The system caps it (`somaxconn`).
const BACKLOG: libc::c_int = 4096;

/// A group of `count` sockets that listen on one address, among which the kernel spreads the
/// connections. For port 0 the first socket picks, the others follow. `[::]` takes IPv4 as well.
/// The address is that of the sockets.
///
/// # Errors
///
/// What the system says; `AddrInUse` also when another process of ours shares its port readily.
pub fn tcp_group(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<OwnedFd>)> {
    if address.port() != 0 {
        // Without the permission to share, the kernel tells us of any other listener. It would
        // otherwise let two servers of one user split the connections of a port between them.
        open_tcp(address, Sharing::Refused)?;
    }
    let first = open_tcp(address, Sharing::Allowed)?;
    let bound = local_address(std::os::fd::AsFd::as_fd(&first)).unwrap_or(address);
    let mut group = vec![first];
    for _ in 1..count {
        group.push(open_tcp(bound, Sharing::Allowed)?);
    }
    for socket in &group {
        // SAFETY: a plain system call on a socket that we own.
        check(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
    }
    Ok((bound, group))
}

/// A Unix socket that listens at `path`. A file that nobody listens on any more is replaced.
///
/// # Errors
///
/// What the system says; `AddrInUse` when somebody listens there, or when the file is no socket.
pub fn unix(path: &Path) -> io::Result<OwnedFd> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        result => result,
    }
    .map(Into::into)
}

/// Whether `path` is a socket whose listener is gone.
fn is_stale(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    let is_socket = path
        .symlink_metadata()
        .is_ok_and(|metadata| std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type()));
    is_socket && UnixStream::connect(path).is_err_and(refused)
}

#[derive(PartialEq, Eq)]
enum Sharing {
    Allowed,
    Refused,
}

fn open_tcp(address: SocketAddr, sharing: Sharing) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: a plain system call.
    let number = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the socket was opened by the call above and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    let fd = std::os::fd::AsFd::as_fd(&socket);
    // Connections of the process before us may still linger on the port.
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, true)?;
    if sharing == Sharing::Allowed {
        set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, true)?;
    }
    if address.is_ipv6() {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, !address.ip().is_unspecified())?;
    }
    bind(fd, address)?;
    Ok(socket)
}

fn bind(socket: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    let call = |address: *const libc::sockaddr, size: usize| {
        // SAFETY: the caller passes an address structure of exactly that size, alive until then.
        check(unsafe { libc::bind(socket.as_raw_fd(), address, size as libc::socklen_t) })
    };
    match address {
        SocketAddr::V4(v4) => {
            let address = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            call((&raw const address).cast(), size_of_val(&address))
        }
        SocketAddr::V6(v6) => {
            let address = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            call((&raw const address).cast(), size_of_val(&address))
        }
    }
    .map(drop)
}

fn set(socket: BorrowedFd<'_>, level: i32, name: i32, on: bool) -> io::Result<()> {
    let value = libc::c_int::from(on);
    let size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: `value` is readable for its size, which the kernel checks against the option.
    let code = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size)
    };
    check(code).map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_group_shares_the_port_that_the_first_picked() {
        let (address, group) = tcp_group((Ipv4Addr::LOCALHOST, 0).into(), 3).unwrap();
        assert_ne!(address.port(), 0);
        assert_eq!(group.len(), 3);
        for socket in &group {
            assert_eq!(local_address(std::os::fd::AsFd::as_fd(socket)), Some(address));
        }
        TcpStream::connect(address).unwrap();
    }

    #[test]
    fn another_listener_is_noticed_even_if_it_shares() {
        let (address, _group) = tcp_group((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
        let error = tcp_group(address, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);

        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let error = tcp_group(other.local_addr().unwrap(), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_unspecified_address_takes_both_families() {
        let Ok((address, _group)) = tcp_group((Ipv6Addr::UNSPECIFIED, 0).into(), 1) else {
            return; // A system without IPv6.
        };
        TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).unwrap();
    }

    #[test]
    fn only_a_stale_socket_file_is_replaced() {
        let folder = std::env::temp_dir().join(format!("ancm-os-listen-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("app.sock");
        let listener = unix(&path).unwrap();
        assert_eq!(unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        drop(unix(&path).unwrap());

        let file = folder.join("file");
        std::fs::write(&file, "precious").unwrap();
        assert_eq!(unix(&file).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
