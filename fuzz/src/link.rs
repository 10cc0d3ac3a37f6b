//! Whatever a backend sends on a link: what the client gets beside what a second reading of the
//! frames makes of the same bytes.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use engine::{Engine, Listener, Options, Upstream, UpstreamAddress};

use crate::backend::{PATIENCE, Proxy, Rules, check, read_answer};

const WINDOW: usize = 128 * 1024;

/// The bytes are all that a backend sends on its link when it has been asked once.
pub fn link(data: &[u8]) {
    let site = site().lock().unwrap_or_else(PoisonError::into_inner);
    site.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&data.to_vec());
    let mut client = TcpStream::connect(site.address).expect("the engine listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    // Not one that would be tried again, after a while, when its link breaks off.
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    client.write_all(request).expect("a request is taken");
    let mut received = Vec::new();
    let is_cut = match client.read_to_end(&mut received) {
        Ok(_) => false,
        Err(error) => {
            let kind = error.kind();
            assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "the engine does not end");
            true
        }
    };
    let asked = *site.asked.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((answer, is_proper)) = first_channel(data, asked) else { return };
    // What only the end of the connection ends is whole if that was a proper one.
    let sent = read_answer(&answer, false, is_proper);
    check(&sent, &read_answer(&received, false, true), is_cut, received.len());
}

/// What the first channel carries, and whether it or its link ended as they may. `None`: more than
/// fits a window, where it matters when the engine takes it.
fn first_channel(mut bytes: &[u8], asked: usize) -> Option<(Vec<u8>, bool)> {
    let (mut data, mut room) = (Vec::new(), WINDOW - asked);
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        bytes = rest;
        let number = u32::from_le_bytes(head[..4].try_into().expect("four bytes"));
        let value = u32::from_le_bytes([head[4], head[5], head[6], 0]) as usize;
        match head[7] {
            2 if value <= WINDOW => {
                if number != 0 && value > 0 {
                    return Some((data, false));
                }
                let count = value.min(bytes.len());
                data.extend_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                if data.len() > WINDOW / 2 {
                    return None;
                }
            }
            3 if number == 0 && room + value <= WINDOW => room += value,
            4 if number == 0 => return Some((data, true)),
            _ => return Some((data, false)),
        }
    }
    Some((data, true))
}

struct Site {
    address: SocketAddr,
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Bytes of the last request.
    asked: Arc<Mutex<usize>>,
    _anchor: File,
    _engine: Engine,
}

/// `fcntl.h`: only the place in the file system.
const O_PATH: i32 = 0o10_000_000;

fn site() -> &'static Mutex<Site> {
    static SITE: OnceLock<Mutex<Site>> = OnceLock::new();
    SITE.get_or_init(|| {
        let (bytes, asked) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<usize>>::default());
        let path = std::env::temp_dir().join(format!("ancm-fuzz-{}.link", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let links = UnixListener::bind(&path).expect("a place for a socket");
        // It has to go away with the process, however that ends: the name goes, the descriptor leads there.
        let anchor = File::options().read(true).custom_flags(O_PATH).open(&path);
        let anchor = anchor.expect("it was just made");
        std::fs::remove_file(&path).expect("it is ours");
        let path = PathBuf::from(format!("/proc/self/fd/{}", anchor.as_raw_fd()));
        let (said, counted) = (bytes.clone(), asked.clone());
        thread::spawn(move || {
            for mut link in links.incoming().flatten() {
                let count = read_request(&mut link);
                *counted.lock().unwrap_or_else(PoisonError::into_inner) = count;
                let bytes = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let sent = link.write_all(&bytes);
                let _ = sent.and_then(|()| link.shutdown(std::net::Shutdown::Write));
                // Until the other side has had enough: a close with unread bytes would be a reset.
                while matches!(link.read(&mut [0; 1024]), Ok(1..)) {}
            }
        });
        let address = UpstreamAddress::Unix(path.with_extension("none"));
        let upstream = Upstream { id: 1, address, link: Some(path), rules: Arc::new(Rules) };
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let listeners = vec![Listener { socket: listener.into(), lane: 0 }];
        let application = Arc::new(Proxy(Arc::new(upstream)));
        let engine = Engine::start(listeners, application, Options::new(1));
        Mutex::new(Site {
            address,
            bytes,
            asked,
            _anchor: anchor,
            _engine: engine.expect("an engine starts"),
        })
    })
}

/// Reads up to the end of the first data: how much that was.
fn read_request(link: &mut UnixStream) -> usize {
    let mut head = [0; 8];
    while link.read_exact(&mut head).is_ok() {
        if head[7] == 2 {
            let value = u32::from_le_bytes([head[4], head[5], head[6], 0]) as usize;
            let _ = link.read_exact(&mut vec![0; value]);
            return value;
        }
    }
    0
}
