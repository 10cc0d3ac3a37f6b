//! The socket between supervisor and worker.
//!
//! The supervisor must never wait for one worker: its [`Connection`] does not block, and what a
//! worker does not read stays in a queue. A worker has nothing else to listen to on this socket:
//! its [`Receiver`] blocks in a thread of its own, its [`Sender`] is shared by all others.

use std::io::{self, ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{CodecError, Decoder, encode};

/// Why a conversation has ended, other than by the end of the other process.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The bytes make no sense.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The other side ended within a message.
    #[error("the other side ended within a message")]
    CutShort,
    /// The system refuses.
    #[error("the control socket failed")]
    Io(#[from] io::Error),
}

/// Two ends of a new conversation: ours, and the one to pass to a child.
///
/// # Errors
///
/// What the system says, for instance when no descriptor is left.
pub fn pair<Out, In>() -> io::Result<(Connection<Out, In>, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let connection = Connection {
        stream: ours,
        decoder: Decoder::default(),
        queue: Vec::new(),
        kind: PhantomData,
    };
    Ok((connection, theirs.into()))
}

/// The end that does not wait.
#[derive(Debug)]
pub struct Connection<Out, In> {
    stream: UnixStream,
    decoder: Decoder,
    queue: Vec<u8>,
    kind: PhantomData<fn(Out) -> In>,
}

impl<Out: Serialize, In: DeserializeOwned> Connection<Out, In> {
    /// Queues a message and sends what can be sent now. A peer that is gone is no error here: the
    /// end of its messages says so.
    ///
    /// # Errors
    ///
    /// The message is too long, or the socket fails.
    pub fn send(&mut self, message: &Out) -> Result<(), ConnectionError> {
        encode(message, &mut self.queue)?;
        self.flush()
    }

    /// Sends what can be sent now.
    ///
    /// # Errors
    ///
    /// The socket fails.
    pub fn flush(&mut self) -> Result<(), ConnectionError> {
        while !self.queue.is_empty() {
            match self.stream.write(&self.queue) {
                Ok(count) => drop(self.queue.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if is_gone(&error) => self.queue.clear(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes what has arrived: the messages, and whether the other side is still there.
    ///
    /// # Errors
    ///
    /// The bytes make no sense, or the socket fails.
    pub fn receive(&mut self) -> Result<(Vec<In>, bool), ConnectionError> {
        let mut messages = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok((messages, false)),
                Ok(count) => self.decoder.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok((messages, true)),
                Err(error) if is_gone(&error) => return Ok((messages, false)),
                Err(error) => return Err(error.into()),
            }
            while let Some(message) = self.decoder.next()? {
                messages.push(message);
            }
        }
    }

    /// Whether [`Connection::flush`] should be called when the socket takes more.
    pub fn wants_to_send(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl<Out, In> AsFd for Connection<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The end that waits for messages; for one thread.
#[derive(Debug)]
pub struct Receiver<In> {
    stream: UnixStream,
    decoder: Decoder,
    kind: PhantomData<fn() -> In>,
}

/// The end that sends; shared by threads.
#[derive(Debug)]
pub struct Sender<Out> {
    stream: Mutex<UnixStream>,
    kind: PhantomData<fn(Out)>,
}

impl<In: DeserializeOwned> Receiver<In> {
    /// Both halves of the descriptor that a child was given.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn open<Out>(descriptor: OwnedFd) -> io::Result<(Self, Sender<Out>)> {
        let stream = UnixStream::from(descriptor);
        let sender = Sender { stream: Mutex::new(stream.try_clone()?), kind: PhantomData };
        Ok((Self { stream, decoder: Decoder::default(), kind: PhantomData }, sender))
    }

    /// Waits for the next message; `None` when the other process is gone.
    ///
    /// # Errors
    ///
    /// The bytes make no sense, or the socket fails.
    pub fn receive(&mut self) -> Result<Option<In>, ConnectionError> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(Some(message));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) if self.decoder.is_within_message() => return Err(ConnectionError::CutShort),
                Ok(0) => return Ok(None),
                Ok(count) => self.decoder.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_gone(&error) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<Out: Serialize> Sender<Out> {
    /// Sends a message; waits while the other side does not read.
    ///
    /// # Errors
    ///
    /// The message is too long, or the other process is gone.
    pub fn send(&self, message: &Out) -> Result<(), ConnectionError> {
        let mut bytes = Vec::new();
        encode(message, &mut bytes)?;
        // A thread that panicked within `write_all` has cut a message short; the supervisor
        // notices and ends us, which is as good as anything we could do here.
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&bytes).map_err(Into::into)
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use lifecycle::{Code, StartReport};

    use super::*;
    use crate::{ToSupervisor, ToWorker};

    type Supervisor = Connection<ToWorker, ToSupervisor>;

    #[test]
    fn a_worker_that_does_not_read_stops_nobody() {
        let (mut supervisor, theirs): (Supervisor, _) = pair().unwrap();
        let (mut receiver, sender) = Receiver::<ToWorker>::open(theirs).unwrap();
        let mut report = StartReport::new(Code::AppDidNotStart, "too much output");
        report.stdout = "x".repeat(1 << 20);
        let report = Box::new(report);
        let long = ToWorker::Start(Box::new(crate::Start {
            generation: lifecycle::GenerationId::FIRST,
            payload: crate::Payload::Failed { report: report.clone() },
            listeners: Vec::new(),
            addresses: Vec::new(),
            lanes: 1,
            io: crate::Io::Auto,
            disclosure: lifecycle::Disclosure::Reference,
        }));
        supervisor.send(&long).unwrap();
        supervisor.send(&ToWorker::Stop).unwrap();
        assert!(supervisor.wants_to_send());

        let worker = std::thread::spawn(move || {
            let first = receiver.receive().unwrap();
            let second = receiver.receive().unwrap();
            sender.send(&ToSupervisor::Failed { report }).unwrap();
            (first, second)
        });
        let mut messages = Vec::new();
        loop {
            let interest =
                os::poll::Readiness { readable: true, writable: supervisor.wants_to_send() };
            os::poll::poll(&[(supervisor.as_fd(), interest)], None).unwrap();
            supervisor.flush().unwrap();
            let (more, is_open) = supervisor.receive().unwrap();
            messages.extend(more);
            if !is_open {
                break;
            }
        }
        let received = worker.join().unwrap();
        assert_eq!(received, (Some(long), Some(ToWorker::Stop)));
        assert!(matches!(messages[..], [ToSupervisor::Failed { .. }]));
    }

    #[test]
    fn the_end_of_the_supervisor_is_seen() {
        let (supervisor, theirs): (Supervisor, _) = pair().unwrap();
        let (mut receiver, sender) = Receiver::<ToWorker>::open::<ToSupervisor>(theirs).unwrap();
        drop(supervisor);
        assert_eq!(receiver.receive().unwrap(), None);
        assert!(sender.send(&ToSupervisor::Ready).is_err());
    }
}
