//! systemd's journal: events with their fields, where standard error leads there anyway.
//!
//! A line on standard error has one priority for all and no number to filter by. The journal takes
//! events as datagrams of fields instead (systemd's native protocol); `journalctl EVENT_ID=1010`
//! then finds them. What it does not take becomes a line as ever.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::linux::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use config::Env;
use lifecycle::event::Level;

/// Says where the journal's socket is, for containers that have it elsewhere; also that it is used.
const VARIABLE: &str = "ANCM_JOURNAL_SOCKET";
/// Which file standard output or error of a service is, as `device:inode`, when it is the journal.
const STREAM_VARIABLE: &str = "JOURNAL_STREAM";
const SOCKET: &str = "/run/systemd/journal/socket";
/// The beginning of our message ids; the number of the event follows.
const MESSAGE_ID: &str = "9d5e1b6c0f3a4d72b8c4a1e60f27";

/// An open way to the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// The application that events are about.
    app: String,
}

impl Journal {
    /// The journal, when `stderr` leads there or the environment says where it is.
    pub(crate) fn open(env: &Env, stderr: BorrowedFd<'_>, app: &str) -> Option<Self> {
        let path = match env.non_empty(VARIABLE) {
            Some(path) => path,
            None if is_journal(env.non_empty(STREAM_VARIABLE)?, stderr) => SOCKET,
            None => return None,
        };
        let socket = UnixDatagram::unbound().ok()?;
        // A journal that stands still must not stop us.
        socket.set_nonblocking(true).ok()?;
        Some(Self { socket, path: path.into(), app: app.to_owned() })
    }

    /// Sends an event.
    ///
    /// # Errors
    /// Nobody takes it, or not one of this size.
    pub(crate) fn send(&self, level: Level, event: u16, text: &str) -> io::Result<()> {
        let priority = match level {
            Level::Error => "3",
            Level::Warning => "4",
            Level::Information => "6",
        };
        let mut message = Vec::new();
        field(&mut message, "MESSAGE", text);
        field(&mut message, "PRIORITY", priority);
        field(&mut message, "SYSLOG_IDENTIFIER", "ancm");
        field(&mut message, "ANCM_APP", &self.app);
        if event != 0 {
            field(&mut message, "EVENT_ID", &event.to_string());
            field(&mut message, "MESSAGE_ID", &format!("{MESSAGE_ID}{event:04x}"));
        }
        self.socket.send_to(&message, &self.path).map(drop)
    }
}

/// Whether this descriptor is the file that the variable names.
fn is_journal(stream: &str, fd: BorrowedFd<'_>) -> bool {
    let numbers = stream.split_once(':').and_then(|(device, inode)| {
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    });
    let file = fd.try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    file.is_ok_and(|file| numbers == Some((file.st_dev(), file.st_ino())))
}

/// One field; a value with line ends is preceded by its length.
fn field(message: &mut Vec<u8>, name: &str, value: &str) {
    message.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        message.push(b'\n');
        message.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        message.push(b'=');
    }
    message.extend_from_slice(value.as_bytes());
    message.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_value_with_lines_is_preceded_by_its_length() {
        let mut message = Vec::new();
        field(&mut message, "PRIORITY", "3");
        field(&mut message, "MESSAGE", "a\nb");
        assert_eq!(message, b"PRIORITY=3\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n");
    }

    #[test]
    fn only_the_file_that_the_variable_names_is_the_journal() {
        let file = File::open("/dev/null").unwrap();
        let metadata = file.metadata().unwrap();
        let (device, inode) = (metadata.st_dev(), metadata.st_ino());
        assert!(is_journal(&format!("{device}:{inode}"), file.as_fd()));
        for other in [format!("{device}:{}", inode + 1), String::new(), "1:x".to_owned()] {
            assert!(!is_journal(&other, file.as_fd()), "{other}");
        }
        let stream = format!("{device}:{inode}");
        let open = |env: &[(&str, &str)]| {
            let env = env.iter().copied().collect::<Env>();
            Journal::open(&env, file.as_fd(), "app").map(|it| it.path)
        };
        assert_eq!(open(&[]), None);
        assert_eq!(open(&[(STREAM_VARIABLE, "1:1")]), None);
        assert_eq!(open(&[(STREAM_VARIABLE, &stream)]), Some(SOCKET.into()));
        assert_eq!(open(&[(VARIABLE, "/j")]), Some("/j".into()));
    }
}
