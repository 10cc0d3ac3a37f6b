//! The command's end: it has nothing to do but to wait.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use os::socket::{Socket, peer};

use super::{Answer, Command, Place, Request, VERSION};

/// The longest answer; a report of a failed start is the longest there is.
const MAX_ANSWER_BYTES: u64 = 8 << 20;
/// For an answer that needs nobody's work.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The supervisor has ended.
    #[error("the supervisor has ended before it answered")]
    Ended,
    /// The system refuses.
    #[error("cannot speak to the supervisor")]
    Io(#[from] io::Error),
    /// The supervisor does not answer.
    #[error("the supervisor does not answer; does its process stand still?")]
    Silent,
    /// The answer is not understood.
    #[error("the supervisor's answer is not understood; is it of another version?")]
    Strange(#[source] serde_json::Error),
    /// Whoever listens there is somebody else.
    #[error("whoever listens at {} is neither this user nor the owner of its folder", .0.display())]
    Stranger(PathBuf),
}

/// A request that was made.
#[derive(Debug)]
pub struct Call {
    stream: BufReader<UnixStream>,
    has_answered: bool,
    /// Nothing at all is an answer.
    is_stream: bool,
}

/// The sockets of the supervisors that serve `app` now, by the numbers of their processes.
///
/// # Errors
///
/// There is no folder `app`.
pub fn supervisors_of(place: &Place, app: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut sockets = place.sockets(app)?;
    sockets.retain(|socket| match Socket::connect_unix(socket) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    });
    let number = |socket: &Path| socket.file_stem()?.to_str()?.parse().ok();
    Ok(sockets.into_iter().filter_map(|socket| Some((number(&socket)?, socket))).collect())
}

/// Makes a request.
///
/// # Errors
///
/// Nobody listens, or somebody else.
pub fn call(socket: &Path, command: Command) -> Result<Call, CallError> {
    let stream = Socket::connect_unix(socket).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => CallError::Silent,
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => CallError::Ended,
        _ => error.into(),
    })?;
    let owner = std::os::unix::fs::MetadataExt::uid(&socket.symlink_metadata()?);
    let peer = peer(stream.as_fd()).map(|peer| peer.user);
    if !peer.is_some_and(|user| user == owner || user == 0) {
        return Err(CallError::Stranger(socket.to_owned()));
    }
    let mut stream = UnixStream::from(OwnedFd::from(stream));
    stream.set_nonblocking(false)?;
    let is_at_once = matches!(command, Command::Status | Command::Logs { follow: false, .. });
    let is_stream = matches!(command, Command::Logs { .. });
    stream.set_read_timeout(is_at_once.then_some(AT_ONCE))?;
    stream.set_write_timeout(Some(AT_ONCE))?;
    let mut line =
        serde_json::to_vec(&Request { version: VERSION, command }).map_err(CallError::Strange)?;
    line.push(b'\n');
    match stream.write_all(&line) {
        // Who is refused is told so and let go before a word is heard; the answer waits to be read.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(Call { stream: BufReader::new(stream), has_answered: false, is_stream })
}

impl Call {
    /// Waits for the next answer; `None` after the last.
    ///
    /// # Errors
    ///
    /// The supervisor has ended, does not answer or is not understood.
    pub fn answer(&mut self) -> Result<Option<Answer>, CallError> {
        let mut line = Vec::new();
        let read = self.stream.by_ref().take(MAX_ANSWER_BYTES).read_until(b'\n', &mut line);
        match read {
            Ok(0) if self.has_answered || self.is_stream => return Ok(None),
            Ok(_) if line.last() != Some(&b'\n') => return Err(CallError::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(CallError::Silent),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return if self.has_answered { Ok(None) } else { Err(CallError::Ended) };
            }
            Err(error) => return Err(error.into()),
        }
        self.has_answered = true;
        serde_json::from_slice(&line).map(Some).map_err(CallError::Strange)
    }
}
