//! What a socket of another process holds unread, asked of the kernel.
//!
//! `/proc/net/tcp` says the same, but takes tens of milliseconds on a machine with many sockets.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, netlink, recv, send, socket};

/// `SOCK_DIAG_BY_FAMILY`, the kind of the question and of its answer.
const BY_FAMILY: u16 = 20;
const HEADER: usize = 16;
/// Where in `inet_diag_msg` the ports and the length of the receive queue are.
const FAR_PORT: usize = HEADER + 6;
const RECEIVE_QUEUE: usize = HEADER + 4 + 48 + 4;

/// How many bytes the socket at `near` that is connected to `far` holds; `None`: there is no such
/// socket any more.
pub(crate) fn unread(near: SocketAddrV4, far: SocketAddrV4) -> io::Result<Option<u32>> {
    let kernel = socket(AddressFamily::NETLINK, SocketType::DGRAM, Some(netlink::SOCK_DIAG))?;
    send(&kernel, &question(near, far), SendFlags::empty())?;
    let mut buffer = [0; 1024];
    let (length, _) = recv(&kernel, &mut buffer[..], RecvFlags::empty())?;
    let answer = &buffer[..length];
    // Without a connection of these two, the kernel shows who listens there.
    let is_it = answer.len() >= RECEIVE_QUEUE + 4
        && answer[4..6] == BY_FAMILY.to_ne_bytes()
        && answer[FAR_PORT..FAR_PORT + 2] == far.port().to_be_bytes();
    let held = || answer[RECEIVE_QUEUE..][..4].try_into().map(u32::from_ne_bytes);
    Ok(if is_it { Some(held().map_err(io::Error::other)?) } else { None })
}

/// `nlmsghdr` and `inet_diag_req_v2` for one socket.
fn question(near: SocketAddrV4, far: SocketAddrV4) -> Vec<u8> {
    const REQUEST: u16 = 1;
    const TCP: u8 = 6;
    let mut message = vec![0; 4];
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([AddressFamily::INET.as_raw() as u8, TCP, 0, 0]);
    // In whichever state it is.
    message.extend([0xff; 4]);
    message.extend(near.port().to_be_bytes());
    message.extend(far.port().to_be_bytes());
    for address in [near, far] {
        let address: Ipv4Addr = *address.ip();
        message.extend(address.octets());
        message.extend([0; 12]);
    }
    // Any device, and no cookie.
    message.extend([0; 4]);
    message.extend([0xff; 8]);
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

#[test]
fn what_waits_is_told() {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let v4 = |address| match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => unreachable!(),
    };
    let near = v4(peer.local_addr().unwrap());
    let far = v4(client.local_addr().unwrap());
    assert_eq!(unread(near, far).unwrap(), Some(0));
    client.write_all(b"five!").unwrap();
    testkit::eventually("five bytes", || (unread(near, far).unwrap() == Some(5)).then_some(()));
    peer.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(unread(near, far).unwrap(), Some(2));
    client.write_all(b"").unwrap();
    // Closed with bytes unread: a reset, and nothing is left on either side.
    drop(peer);
    testkit::eventually("none", || unread(near, far).unwrap().is_none().then_some(()));
}
