//! Non-blocking stream sockets, TCP and Unix, for the engine's lanes.
//!
//! Every call is one system call. `WouldBlock` is a result, not an error.

use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a transfer gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// This many bytes; 0 from a receive is the end of the stream.
    Bytes(usize),
    /// Nothing now; readiness will be reported.
    WouldBlock,
}

/// A connected (or connecting) stream socket.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Takes over a descriptor that is a non-blocking stream socket.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Accepts one connection; `None` when nobody waits. The address is `None` for Unix sockets.
    ///
    /// # Errors
    /// As `accept4(2)`; notably running out of descriptors.
    pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<(Self, Option<SocketAddr>)>> {
        let mut storage = Storage::new();
        // SAFETY: `storage` offers `len` writable bytes for the address.
        let fd = unsafe {
            libc::accept4(
                listener.as_raw_fd(),
                storage.bytes.as_mut_ptr().cast(),
                &raw mut storage.len,
                libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            )
        };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                // The second group: this client left before we came; the next may wait.
                Some(libc::EAGAIN) => Ok(None),
                Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO) => Ok(None),
                _ => Err(error),
            };
        }
        // SAFETY: `fd` is open and nobody else owns it.
        Ok(Some((Self(unsafe { OwnedFd::from_raw_fd(fd) }), storage.address())))
    }

    /// Begins a TCP connection; writability or an error tells the outcome.
    ///
    /// # Errors
    /// As `connect(2)`; a refusal may come at once.
    pub fn connect_tcp(to: SocketAddr) -> io::Result<Self> {
        let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let socket = Self::open(family)?;
        socket.set_no_delay()?;
        let storage = Storage::from_address(to);
        socket.connect(&storage)?;
        Ok(socket)
    }

    /// Connects to a Unix socket. A full backlog is reported as `WouldBlock` error.
    ///
    /// # Errors
    /// As `connect(2)`; the path may also be too long.
    pub fn connect_unix(path: &Path) -> io::Result<Self> {
        let storage = Storage::from_path(path)?;
        let socket = Self::open(libc::AF_UNIX)?;
        socket.connect(&storage)?;
        Ok(socket)
    }

    /// Receives into `into`.
    ///
    /// # Errors
    /// The connection failed.
    pub fn receive(&self, into: &mut [u8]) -> io::Result<Transfer> {
        // SAFETY: `into` is writable for its length.
        let count =
            unsafe { libc::recv(self.0.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), 0) };
        transfer(count)
    }

    /// Receives into memory that need not be initialised; the count tells how much of it now is.
    ///
    /// # Errors
    /// The connection failed.
    pub fn receive_uninit(&self, into: &mut [MaybeUninit<u8>]) -> io::Result<Transfer> {
        // SAFETY: `into` is writable for its length; the kernel only writes to it.
        let count =
            unsafe { libc::recv(self.0.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), 0) };
        transfer(count)
    }

    /// Sends from `bytes`, without a signal when the peer is gone.
    ///
    /// # Errors
    /// The connection failed.
    pub fn send(&self, bytes: &[u8]) -> io::Result<Transfer> {
        // SAFETY: `bytes` is readable for its length.
        let count = unsafe {
            libc::send(self.0.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL)
        };
        transfer(count)
    }

    /// Sends several pieces as one, without a signal when the peer is gone.
    ///
    /// # Errors
    /// The connection failed.
    pub fn send_pieces(&self, pieces: &[IoSlice<'_>]) -> io::Result<Transfer> {
        // SAFETY: all-zero is a valid empty message header.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        // The kernel reads the vector only; `IoSlice` has the layout of `iovec` by its contract.
        message.msg_iov = pieces.as_ptr().cast_mut().cast();
        message.msg_iovlen = pieces.len();
        // SAFETY: the header points to live pieces, each readable for its length.
        let count =
            unsafe { libc::sendmsg(self.0.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        transfer(count)
    }

    /// Says that we shall send nothing more.
    pub fn shut_down_send(&self) {
        // SAFETY: no pointers. A peer that is already gone makes it fail, which changes nothing.
        unsafe { libc::shutdown(self.0.as_raw_fd(), libc::SHUT_WR) };
    }

    /// Makes closing reset the connection instead of ending it properly.
    pub fn reset_on_close(&self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let _ = self.set_option(libc::SOL_SOCKET, libc::SO_LINGER, &linger);
    }

    /// Whether the kernel holds bytes that the peer's has not confirmed, as a reset would drop them.
    pub fn holds_unreceived(&self) -> bool {
        let mut count: libc::c_int = 0;
        // SAFETY: room for one int, as the request (`SIOCOUTQ` by its other name) wants.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
        result == 0 && count > 0
    }

    /// Lets the kernel hold so many bytes for the peer beyond what is on its way there, instead of
    /// those of [`prepare`]. Unix sockets know no such bound.
    pub fn hold_unsent(&self, bytes: i32) {
        let _ = self.set_option(libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &bytes);
    }

    /// The error that is pending on the socket, which tells how a connect ended.
    pub fn take_error(&self) -> Option<io::Error> {
        let mut error = 0_i32;
        let mut len = size_of::<i32>() as libc::socklen_t;
        // SAFETY: room for one int, as the option wants.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut error).cast(),
                &raw mut len,
            )
        };
        match (result, error) {
            (0, 0) => None,
            (0, code) => Some(io::Error::from_raw_os_error(code)),
            _ => Some(io::Error::last_os_error()),
        }
    }

    /// Our end of the connection; `None` for Unix sockets.
    pub fn local_address(&self) -> Option<SocketAddr> {
        local_address(self.as_fd())
    }

    fn open(family: i32) -> io::Result<Self> {
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers; the returned descriptor is ours alone.
        let fd = unsafe { libc::socket(family, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn connect(&self, storage: &Storage) -> io::Result<()> {
        // SAFETY: `storage` holds an address of `len` bytes.
        let result = unsafe {
            libc::connect(self.0.as_raw_fd(), storage.bytes.as_ptr().cast(), storage.len)
        };
        if result == 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
            error => Err(error),
        }
    }

    fn set_no_delay(&self) -> io::Result<()> {
        self.set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, &1_i32)
    }

    fn set_option<T>(&self, level: i32, name: i32, value: &T) -> io::Result<()> {
        set_option(self.as_fd(), level, name, value)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0
    }
}

/// Our end of any socket; `None` for Unix sockets.
pub fn local_address(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    let mut storage = Storage::new();
    // SAFETY: `storage` offers `len` writable bytes for the address.
    let result = unsafe {
        libc::getsockname(
            socket.as_raw_fd(),
            storage.bytes.as_mut_ptr().cast(),
            &raw mut storage.len,
        )
    };
    if result == 0 { storage.address() } else { None }
}

/// Who is at the other end of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process; `None` for one in a name space that we cannot see.
    pub process: Option<i32>,
    /// Its user, at the time when it connected or began to listen.
    pub user: u32,
}

/// Who is at the other end of a Unix socket; at that of a listener, who listens. `None` for other
/// sockets.
pub fn peer(socket: BorrowedFd<'_>) -> Option<Peer> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: room for one `ucred`, as the option wants.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut len,
        )
    };
    let process = (peer.pid > 0).then_some(peer.pid);
    (result == 0).then_some(Peer { process, user: peer.uid })
}

/// The process at the other end of a Unix socket; at that of a listener, the one that listens.
/// `None` for other sockets.
pub fn peer_process(socket: BorrowedFd<'_>) -> Option<i32> {
    peer(socket)?.process
}

/// Bytes that the kernel holds for a peer beyond what is on its way there. Left to itself it takes
/// megabytes for each, and thousands of peers that read nothing use up the memory that all
/// connections of the machine share.
const UNSENT: i32 = 128 * 1024;

/// Prepares a socket for a lane: non-blocking, without Nagle's delay, and with a bound on what waits
/// in the kernel. Connections inherit the last two from a listener.
///
/// # Errors
/// The descriptor is not a socket.
pub fn prepare(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: no pointers.
    if unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // Unix sockets have no such options, no such delay, and small buffers.
    let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1_i32);
    let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &UNSENT);
    Ok(())
}

fn set_option<T>(socket: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` is readable for its size, which the kernel checks against the option.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn transfer(count: isize) -> io::Result<Transfer> {
    match usize::try_from(count) {
        Ok(count) => Ok(Transfer::Bytes(count)),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(Transfer::WouldBlock),
            error if error.kind() == io::ErrorKind::Interrupted => Ok(Transfer::WouldBlock),
            error => Err(error),
        },
    }
}

/// Room for any socket address.
struct Storage {
    bytes: MaybeUninit<libc::sockaddr_storage>,
    len: libc::socklen_t,
}

impl Storage {
    fn new() -> Self {
        Self {
            bytes: MaybeUninit::zeroed(),
            len: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    fn from_address(address: SocketAddr) -> Self {
        let mut storage = Self::new();
        let target = storage.bytes.as_mut_ptr();
        match address {
            SocketAddr::V4(v4) => {
                let value = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                // SAFETY: the storage is larger than, and aligned for, every address type.
                unsafe { target.cast::<libc::sockaddr_in>().write(value) };
                storage.len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(v6) => {
                let value = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                // SAFETY: the storage is larger than, and aligned for, every address type.
                unsafe { target.cast::<libc::sockaddr_in6>().write(value) };
                storage.len = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        storage
    }

    fn from_path(path: &Path) -> io::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        let mut value = libc::sockaddr_un {
            sun_family: libc::AF_UNIX as libc::sa_family_t,
            sun_path: [0; 108],
        };
        if bytes.len() >= value.sun_path.len() || bytes.contains(&0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path of a Unix socket must be shorter than 108 bytes and hold no NUL",
            ));
        }
        for (target, byte) in value.sun_path.iter_mut().zip(bytes) {
            *target = byte.cast_signed();
        }
        let mut storage = Self::new();
        // SAFETY: the storage is larger than, and aligned for, every address type.
        unsafe { storage.bytes.as_mut_ptr().cast::<libc::sockaddr_un>().write(value) };
        storage.len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        Ok(storage)
    }

    fn address(&self) -> Option<SocketAddr> {
        let source = self.bytes.as_ptr();
        // SAFETY: the storage was zeroed, so the family is initialised whatever the kernel wrote.
        let family = i32::from(unsafe { (*source).ss_family });
        match family {
            libc::AF_INET => {
                // SAFETY: the family says which type the kernel wrote.
                let value = unsafe { source.cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(u32::from_be(value.sin_addr.s_addr));
                Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(value.sin_port)))
            }
            libc::AF_INET6 => {
                // SAFETY: the family says which type the kernel wrote.
                let value = unsafe { source.cast::<libc::sockaddr_in6>().read() };
                let ip = Ipv6Addr::from(value.sin6_addr.s6_addr);
                let port = u16::from_be(value.sin6_port);
                Some(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, value.sin6_scope_id)))
            }
            _ => None,
        }
    }
}
