//! The supervisor's end: takes requests and gives answers without ever waiting for a client.
//!
//! Everything a client can have too much of is bounded: clients, the length and the time of a
//! request, the time in which answers are taken and how many of them wait.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use os::poll::Readiness;
use os::private;
use os::socket::{Socket, peer};

use super::place::{Place, sockets_in};
use super::{Answer, Command, MAX_REQUEST_BYTES, Request, VERSION};

/// Clients at once.
const MOST_CLIENTS: usize = 16;
/// For a request to be complete.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// For an answer to be taken.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Bytes of answers that may wait for a client that is told more and more.
const MOST_WAITING: usize = 1 << 20;
/// After the system had no descriptor for a client.
const PAUSE: Duration = Duration::from_secs(1);

/// A client, by a number that is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(u64);

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Somebody comes.
    Door,
    /// A client says something, or takes something.
    Client(ClientId),
}

/// Where operators are served.
#[derive(Debug)]
pub struct Desk {
    listener: UnixListener,
    path: PathBuf,
    user: u32,
    clients: BTreeMap<ClientId, Client>,
    next: ClientId,
    closed_until: Option<Duration>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    stage: Stage,
    /// It will say nothing more.
    is_silent: bool,
    /// When it has had enough time.
    until: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its request is not complete.
    Asking,
    /// It waits for us.
    Waiting,
    /// Nothing follows what waits to be taken.
    Leaving,
}

impl Desk {
    /// Opens the socket for `app`; what killed supervisors left behind is removed.
    ///
    /// # Errors
    ///
    /// No place can be had, or the system refuses.
    pub fn open(place: &Place, app: &Path) -> io::Result<Self> {
        let pid = std::process::id();
        let mut path = place.socket(app, pid)?;
        remove_abandoned(&path);
        // INVARIANT: a socket under its final name always listens, so one that refuses is dead.
        let (new, listener) = loop {
            let new = path.with_extension("new");
            let _ = fs::remove_file(&new);
            match UnixListener::bind(&new) {
                Ok(listener) => break (new, listener),
                // Somebody has just removed the folder because it was empty.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    path = place.socket(app, pid)?;
                }
                Err(error) => return Err(error),
            }
        };
        fs::set_permissions(&new, PermissionsExt::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        fs::rename(&new, &path)?;
        Ok(Self {
            listener,
            path,
            user: private::own_user()?,
            clients: BTreeMap::new(),
            next: ClientId(0),
            closed_until: None,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to wait for.
    pub fn watched(&self) -> Vec<(Source, BorrowedFd<'_>, Readiness)> {
        let door = self.closed_until.is_none().then_some(&self.listener);
        let door = door.map(|door| (Source::Door, door.as_fd(), Readiness::READ));
        let clients = self.clients.iter().map(|(id, client)| {
            let interest =
                Readiness { readable: !client.is_silent, writable: !client.output.is_empty() };
            (Source::Client(*id), client.stream.as_fd(), interest)
        });
        door.into_iter().chain(clients).collect()
    }

    /// When [`Desk::on_time`] is due.
    pub fn next_deadline(&self) -> Option<Duration> {
        let clients = self.clients.values().filter_map(|client| client.until);
        clients.chain(self.closed_until).min()
    }

    /// Sends those away who have had their time.
    pub fn on_time(&mut self, now: Duration) {
        self.closed_until = self.closed_until.filter(|until| *until > now);
        self.clients.retain(|_, client| client.until.is_none_or(|until| until > now));
    }

    /// Goes on with what is ready; a request that is complete by now.
    pub fn on_ready(
        &mut self,
        source: Source,
        ready: Readiness,
        now: Duration,
    ) -> Option<(ClientId, Command)> {
        let id = match source {
            Source::Door => {
                self.let_in(now);
                return None;
            }
            Source::Client(id) => id,
        };
        if ready.writable {
            self.flush(id);
        }
        let client = self.clients.get_mut(&id).filter(|_| ready.readable)?;
        match client.read() {
            Ok(None) => None,
            Ok(Some(line)) => match parse(&line) {
                Ok(command) => {
                    (client.stage, client.until) = (Stage::Waiting, None);
                    Some((id, command))
                }
                Err(text) => {
                    self.finish(id, &Answer::Refused { text }, now);
                    None
                }
            },
            Err(_) => {
                self.clients.remove(&id);
                None
            }
        }
    }

    /// Whether a client is still there to be answered.
    pub fn has(&self, id: ClientId) -> bool {
        self.clients.contains_key(&id)
    }

    /// Whether a client has ended its side: it may still take an answer, or be gone.
    pub fn is_silent(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_none_or(|client| client.is_silent)
    }

    /// Gives an answer that others follow. Who takes too little of them is sent away.
    pub fn say(&mut self, id: ClientId, answer: &Answer) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        // Our own types can be written as JSON.
        let Ok(mut line) = serde_json::to_vec(answer) else { return };
        line.push(b'\n');
        client.output.extend_from_slice(&line);
        self.flush(id);
        self.clients.retain(|other, client| *other != id || client.output.len() <= MOST_WAITING);
    }

    /// Gives the last answer.
    pub fn finish(&mut self, id: ClientId, answer: &Answer, now: Duration) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        (client.stage, client.until) = (Stage::Leaving, Some(now + ANSWER_TIME));
        if let Ok(mut line) = serde_json::to_vec(answer) {
            line.push(b'\n');
            client.output.extend_from_slice(&line);
        }
        self.flush(id);
    }

    /// Lets a client go when it has taken what it was told.
    pub fn dismiss(&mut self, id: ClientId, now: Duration) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        (client.stage, client.until) = (Stage::Leaving, Some(now + ANSWER_TIME));
        self.flush(id);
    }

    /// Whether a client has taken all that it was told.
    pub fn has_taken_all(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_none_or(|client| client.output.is_empty())
    }

    fn let_in(&mut self, now: Duration) {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            // Out of descriptors: the door would be ready all the time.
            Err(_) => return self.closed_until = Some(now + PAUSE),
        };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let peer = peer(stream.as_fd());
        let is_allowed = peer.is_some_and(|peer| peer.user == self.user || peer.user == 0);
        let asking = |(_, client): &(&ClientId, &Client)| client.stage == Stage::Asking;
        let is_full = self.clients.len() >= MOST_CLIENTS;
        let oldest = self.clients.iter().find(asking).map(|(id, _)| *id);
        let refusal = match (is_allowed, is_full, oldest) {
            (false, ..) => Some("only the user of the supervisor and root may ask"),
            (true, true, None) => Some("too many commands wait for this supervisor already"),
            (true, true, Some(oldest)) => {
                // Who has asked comes before who only might.
                self.clients.remove(&oldest);
                None
            }
            (true, false, _) => None,
        };
        let id = self.next;
        self.next = ClientId(id.0 + 1);
        self.clients.insert(id, Client::new(stream, now + REQUEST_TIME));
        if let Some(text) = refusal {
            self.finish(id, &Answer::Refused { text: text.to_owned() }, now);
            // It may not even have room.
            self.clients.remove(&id);
        }
    }

    fn flush(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let is_gone = client.write().is_err();
        if is_gone || client.stage == Stage::Leaving && client.output.is_empty() {
            self.clients.remove(&id);
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        if let Some(folder) = self.path.parent() {
            // Unless another supervisor is there.
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Client {
    fn new(stream: UnixStream, until: Duration) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            stage: Stage::Asking,
            is_silent: false,
            until: Some(until),
        }
    }

    /// The request, once it is complete. An error means that the client is to go.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = [0; 4096];
        loop {
            let count = match self.stream.read(&mut buffer) {
                Ok(0) if self.stage == Stage::Asking => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(0) => {
                    self.is_silent = true;
                    return Ok(None);
                }
                // It has said what it may.
                Ok(_) if self.stage != Stage::Asking => return Err(ErrorKind::InvalidData.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.input.extend_from_slice(&buffer[..count]);
            let end = self.input.iter().position(|byte| *byte == b'\n');
            if let Some(end) = end.filter(|end| *end < MAX_REQUEST_BYTES) {
                self.input.truncate(end);
                return Ok(Some(std::mem::take(&mut self.input)));
            }
            if self.input.len() >= MAX_REQUEST_BYTES {
                self.input = Vec::new();
                // Not JSON, so it is refused in words.
                return Ok(Some(Vec::new()));
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.output.len() {
            match self.stream.write(&self.output[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.output.drain(..written);
        Ok(())
    }
}

fn parse(line: &[u8]) -> Result<Command, String> {
    let request: serde_json::Value = serde_json::from_slice(line).map_err(|error| {
        format!("expected one line of JSON, at most {MAX_REQUEST_BYTES} bytes: {error}")
    })?;
    match request.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(format!(
                "this supervisor speaks version {VERSION} of the conversation, not {version}; \
                 use the ancm that it was started with"
            ));
        }
        None => return Err(format!("expected \"version\": {VERSION}")),
    }
    let request = serde_json::from_value::<Request>(request);
    request.map(|request| request.command).map_err(|error| error.to_string())
}

/// Removes what killed supervisors left in the place of `path`.
fn remove_abandoned(path: &Path) {
    let Some(place) = path.parent().and_then(Path::parent) else { return };
    let user = private::own_user().ok();
    for folder in fs::read_dir(place).into_iter().flatten().flatten() {
        let is_ours = folder.file_name().to_str().is_some_and(|name| name.starts_with('a'))
            && folder.metadata().is_ok_and(|it| it.is_dir() && Some(it.uid()) == user);
        if !is_ours {
            continue;
        }
        for socket in sockets_in(&folder.path()) {
            if Socket::connect_unix(&socket)
                .is_err_and(|it| it.kind() == ErrorKind::ConnectionRefused)
            {
                let _ = fs::remove_file(socket);
            }
        }
        // Only if nothing is in it.
        let _ = fs::remove_dir(folder.path());
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
