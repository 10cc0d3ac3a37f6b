//! Backends that do what a script says, and an application that forwards to them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ancm_engine::{
    Answer, Application, Exchange, Forward, Outcome, Request, Upstream, UpstreamAddress,
    UpstreamFailure,
};

use super::client::Client;
use super::{PATIENCE, link};

/// A listening backend; every connection runs the script on a thread of its own.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) accepted: Arc<AtomicUsize>,
}

impl Backend {
    /// `script` gets each connection with its number, from 0.
    pub(crate) fn start(script: impl Fn(Peer, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        Self::on(listener, script)
    }

    pub(crate) fn on(
        listener: TcpListener,
        script: impl Fn(Peer, usize) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, script) = (accepted.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, script) = (stream.unwrap(), script.clone());
                let number = count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || script(Peer::new(stream), number));
            }
        });
        Self { address, accepted }
    }

    /// The same over a Unix socket; where it listens.
    pub(crate) fn unix(
        path: &Path,
        script: impl Fn(Peer, usize) + Send + Sync + 'static,
    ) -> UpstreamAddress {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            thread::scope(|scope| {
                for (number, stream) in listener.incoming().enumerate() {
                    let stream = TcpStream::from(OwnedFd::from(stream.unwrap()));
                    let script = &script;
                    scope.spawn(move || script(Peer::new(stream), number));
                }
            });
        });
        UpstreamAddress::Unix(path.to_owned())
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// The backend's end of a connection.
pub(crate) struct Peer(pub(crate) Client);

impl Peer {
    fn new(stream: TcpStream) -> Self {
        Self(Client::on(stream))
    }

    /// The head of the next request; `None` when there will be none.
    pub(crate) fn request(&mut self) -> Option<String> {
        self.0.try_head_text()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.try_send(bytes);
    }

    /// Answers one request after the other with its target.
    pub(crate) fn serve(mut self) {
        while let Some(head) = self.request() {
            let length = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
            self.0.bytes(length);
            let text = head.split(' ').nth(1).unwrap();
            self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
        }
    }
}

pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Forwards everything, as it is.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) lost: AtomicUsize,
    pub(crate) failures: Mutex<Vec<String>>,
    pub(crate) connections: Option<usize>,
    pub(crate) silence: Option<Duration>,
    /// Switches of protocols are not asked for.
    pub(crate) stays: bool,
}

impl Forward for Rules {
    fn request_head(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(request.method());
        out.push(b' ');
        out.extend_from_slice(request.target());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in request.headers() {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    fn keep_response_field(&self, name: &[u8], _value: &[u8]) -> bool {
        !name.eq_ignore_ascii_case(b"connection")
    }

    fn may_switch(&self, request: &Request<'_>) -> bool {
        request.is_upgrade() && !self.stays
    }

    fn failed(&self, _request: &Request<'_>, failure: &UpstreamFailure) -> Answer {
        let text = format!("{:?}: {}", failure.phase, failure.error);
        self.failures.lock().unwrap().push(text.clone());
        Answer::text(502, text)
    }

    fn broke_off(&self, _request: &Request<'_>, failure: &UpstreamFailure) {
        self.failures.lock().unwrap().push(format!("{:?}: {}", failure.phase, failure.error));
    }

    fn silence_limit(&self) -> Duration {
        self.silence.unwrap_or(Duration::from_secs(120))
    }

    fn connection_limit(&self) -> usize {
        self.connections.unwrap_or(usize::MAX)
    }

    fn connection_lost(&self, _: bool) {
        self.lost.fetch_add(1, Ordering::SeqCst);
    }
}

/// An application that sends everything to one backend.
pub(crate) struct Proxy {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) rules: Arc<Rules>,
}

impl Proxy {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::with(UpstreamAddress::Tcp(address), Rules::default())
    }

    /// Never over a link, which is another thing between the two: for what is about the moment at
    /// which a socket does something.
    pub(crate) fn by_socket(address: SocketAddr) -> Self {
        let rules = Arc::new(Rules::default());
        let address = UpstreamAddress::Tcp(address);
        let upstream = Upstream { id: 1, address, link: None, rules: rules.clone() };
        Self { upstream: Arc::new(upstream), rules }
    }

    pub(crate) fn with(address: UpstreamAddress, rules: Rules) -> Self {
        let rules = Arc::new(rules);
        let link = match address {
            UpstreamAddress::Tcp(address) if crate::LINKED => Some(link::bridge_to(address)),
            _ => None,
        };
        let upstream = Upstream { id: 1, address, link, rules: rules.clone() };
        Self { upstream: Arc::new(upstream), rules }
    }
}

impl Application for Proxy {
    fn dispatch(&self, _exchange: &mut Exchange<'_>) -> Outcome {
        Outcome::Forward(self.upstream.clone())
    }
}

/// Waits until a peer's connection ends.
pub(crate) fn wait_for_end(peer: &mut Peer) -> io::Result<()> {
    peer.0.stream.set_read_timeout(Some(PATIENCE))?;
    loop {
        match io::Read::read(&mut peer.0.stream, &mut [0; 1000]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
