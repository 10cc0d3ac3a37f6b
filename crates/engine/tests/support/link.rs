//! The backend's end of links, for backends that know of sockets only: each channel becomes a
//! connection to the backend.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

pub(crate) const OPEN: u8 = 1;
pub(crate) const DATA: u8 = 2;
pub(crate) const CREDIT: u8 = 3;
pub(crate) const CLOSE: u8 = 4;
pub(crate) const WINDOW: u32 = 128 * 1024;

/// A frame with its payload.
pub(crate) fn frame(number: u32, kind: u8, value: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend_from_slice(&value.to_le_bytes()[..3]);
    bytes.push(kind);
    bytes.extend_from_slice(payload);
    bytes
}

/// The next frame: channel, kind, value, payload; `None` at the end of the link.
pub(crate) fn read_frame(link: &mut UnixStream) -> Option<(u32, u8, u32, Vec<u8>)> {
    let mut head = [0; 8];
    link.read_exact(&mut head).ok()?;
    let [a, b, c, d, e, f, g, kind] = head;
    let value = u32::from_le_bytes([e, f, g, 0]);
    let mut payload = vec![0; if kind == DATA { value as usize } else { 0 }];
    link.read_exact(&mut payload).ok()?;
    Some((u32::from_le_bytes([a, b, c, d]), kind, value, payload))
}

/// A place for links, in a folder that is left to the system.
pub(crate) fn place() -> PathBuf {
    tempfile::tempdir().unwrap().keep().join("b.link")
}

/// Takes links at a place of its own and connects their channels to `backend`.
pub(crate) fn bridge_to(backend: SocketAddr) -> PathBuf {
    let path = place();
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for link in listener.incoming() {
            let link = link.unwrap();
            thread::spawn(move || serve(link, backend));
        }
    });
    path
}

/// One channel, as its threads share it.
struct Channel {
    number: u32,
    link: Arc<Mutex<UnixStream>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    room: u32,
    taken: u32,
    closed_here: bool,
    closed_there: bool,
    stream: Option<TcpStream>,
}

fn serve(mut link: UnixStream, backend: SocketAddr) {
    let writer = Arc::new(Mutex::new(link.try_clone().unwrap()));
    let channels: Arc<Mutex<HashMap<u32, Arc<Channel>>>> = Arc::default();
    while let Some((number, kind, value, payload)) = read_frame(&mut link) {
        let known = channels.lock().unwrap().get(&number).cloned();
        match (kind, known) {
            (OPEN, None) => {
                let state = State {
                    room: WINDOW,
                    stream: TcpStream::connect(backend).ok(),
                    ..State::default()
                };
                let channel = Arc::new(Channel {
                    number,
                    link: writer.clone(),
                    state: Mutex::new(state),
                    changed: Condvar::new(),
                });
                channels.lock().unwrap().insert(number, channel.clone());
                let channels = channels.clone();
                thread::spawn(move || channel.send_back(&channels));
            }
            (DATA, Some(channel)) => channel.pass_on(&payload),
            (CREDIT, Some(channel)) => {
                channel.state.lock().unwrap().room += value;
                channel.changed.notify_all();
            }
            (CLOSE, Some(channel)) => channel.on_close(&channels),
            other => panic!("the engine sent {number} {:?}", (other.0, value)),
        }
    }
    for channel in channels.lock().unwrap().values() {
        channel.state.lock().unwrap().closed_there = true;
        channel.hang_up();
    }
}

impl Channel {
    /// From the engine to the backend. Slow backends hold the whole link up, which the engine's room
    /// for a channel must survive.
    fn pass_on(&self, payload: &[u8]) {
        let stream = {
            let mut state = self.state.lock().unwrap();
            // Before the backend can answer.
            state.taken += payload.len() as u32;
            state.stream.as_ref().map(|it| it.try_clone().unwrap())
        };
        if stream.is_some_and(|mut stream| stream.write_all(payload).is_ok()) {
            let state = self.state.lock().unwrap();
            if !state.closed_here {
                self.write(&frame(self.number, CREDIT, payload.len() as u32, b""));
            }
        }
    }

    /// From the backend to the engine.
    fn send_back(&self, channels: &Mutex<HashMap<u32, Arc<Self>>>) {
        let stream = self.state.lock().unwrap().stream.as_ref().map(|it| it.try_clone().unwrap());
        let mut piece = vec![0; 50_000];
        if let Some(mut stream) = stream {
            'all: while let Ok(count @ 1..) = stream.read(&mut piece) {
                let mut rest = &piece[..count];
                while !rest.is_empty() {
                    let mut state = self.state.lock().unwrap();
                    while state.room == 0 && !state.closed_there {
                        state = self.changed.wait(state).unwrap();
                    }
                    if state.closed_there {
                        break 'all;
                    }
                    let part = rest.len().min(state.room as usize);
                    state.room -= part as u32;
                    self.write(&frame(self.number, DATA, part as u32, &rest[..part]));
                    rest = &rest[part..];
                }
            }
        }
        let mut state = self.state.lock().unwrap();
        state.closed_here = true;
        state.stream = None;
        if state.closed_there {
            channels.lock().unwrap().remove(&self.number);
        }
        self.write(&frame(self.number, CLOSE, state.taken & 0xFF_FFFF, b""));
    }

    fn on_close(&self, channels: &Mutex<HashMap<u32, Arc<Self>>>) {
        let mut state = self.state.lock().unwrap();
        state.closed_there = true;
        if state.closed_here {
            channels.lock().unwrap().remove(&self.number);
        }
        drop(state);
        self.changed.notify_all();
        self.hang_up();
    }

    fn hang_up(&self) {
        if let Some(stream) = &self.state.lock().unwrap().stream {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    fn write(&self, bytes: &[u8]) {
        let _ = self.link.lock().unwrap().write_all(bytes);
    }
}
