//! The file of `stdoutLogEnabled`: what an application writes, beside passing it on.
//!
//! Made with the first byte, so that silent applications leave no empty files. What goes wrong
//! with it is told once and ends the file, never the application.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::App;

use super::explain::utc;

/// Bytes after which a file ends: the module's grow without limit, and disks do not.
const LARGEST_BYTES: u64 = 64 << 20;

/// A log file, not yet made, open, or given up.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    Open { file: File, written: u64 },
    Ended,
}

impl LogFile {
    /// The file of a worker, if the application wants one: `<stdoutLogFile>_<time>_<pid>.log`.
    pub(super) fn of(app: &App, pid: i32) -> Option<Self> {
        if !app.settings.stdout_log_enabled {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut name = app.dir.join(&app.settings.stdout_log_file).into_os_string();
        name.push(format!("_{}_{pid}.log", stamp(now)));
        Some(Self { path: name.into(), state: State::Waiting })
    }

    /// Appends; what to tell the operator if that is the end of the file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Option<String> {
        let error = match self.try_write(bytes) {
            Ok(()) => return None,
            Err(error) => error,
        };
        self.state = State::Ended;
        Some(format!("nothing more is written to the log file {}: {error}", self.path.display()))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if matches!(self.state, State::Waiting) {
            self.state = State::Open { file: create(&self.path)?, written: 0 };
        }
        let State::Open { file, written } = &mut self.state else { return Ok(()) };
        file.write_all(bytes)?;
        *written += bytes.len() as u64;
        if *written > LARGEST_BYTES {
            return Err(io::Error::other(format!("it has reached {} MiB", LARGEST_BYTES >> 20)));
        }
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// `yyyyMMddHHmmss`, UTC.
fn stamp(since_1970: Duration) -> String {
    utc(since_1970).chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_sorts_like_time() {
        assert_eq!(stamp(Duration::from_secs(1_700_000_000)), "20231114221320");
    }
}
