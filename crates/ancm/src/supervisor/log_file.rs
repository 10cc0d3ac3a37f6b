//! The file of `stdoutLogEnabled`: what an application writes, beside passing it on.
//!
//! Made with the first byte, so that silent applications leave no empty files. Disks fill up and
//! stand still; the supervisor and the application must not. So a thread writes, through a bounded
//! buffer; what finds no room in buffer or disk is lost, counted where it is missing, and told.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use config::App;
use lifecycle::time::utc;

/// What a disk that stands still may cost of memory.
const BUFFER_BYTES: usize = 1 << 20;
/// How long the end of a worker waits for what is not written yet.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// A log file; there is none on the disk before the first byte.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// Bytes after which the file is put aside for a new one; of those put aside the last is kept.
    limit: u64,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    Waiting,
    Running(Arc<Shared>),
    /// There is no file, which was told.
    Ended,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    pending: Vec<u8>,
    /// Bytes that found no room since the last that did.
    lost: u64,
    /// What the operator has not been told yet.
    problem: Option<String>,
    is_writing: bool,
    is_closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let limit = app.settings.handler_settings.stdout_log_size_limit;
        Some(Self { path: name.into(), limit, writer: Writer::Waiting })
    }

    /// Appends, sooner or later; what to tell the operator about the file, if there is something.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Option<String> {
        if matches!(self.writer, Writer::Waiting) {
            match self.open() {
                Ok(shared) => self.writer = Writer::Running(shared),
                Err(error) => {
                    self.writer = Writer::Ended;
                    let path = self.path.display();
                    return Some(format!("nothing is written to the log file {path}: {error}"));
                }
            }
        }
        let Writer::Running(shared) = &self.writer else { return None };
        let mut queue = shared.lock();
        if queue.pending.len() + bytes.len() > BUFFER_BYTES {
            queue.lost += bytes.len() as u64;
        } else {
            queue.pending.extend_from_slice(bytes);
            shared.changed.notify_all();
        }
        queue.problem.take()
    }

    fn open(&self) -> io::Result<Arc<Shared>> {
        let file = create(&self.path)?;
        let shared = Arc::new(Shared::default());
        let journal =
            Journal { file, path: self.path.clone(), limit: self.limit, written: 0, lost: 0 };
        let queue = Arc::clone(&shared);
        thread::Builder::new().name("log-file".to_owned()).spawn(move || journal.run(&queue))?;
        Ok(shared)
    }
}

impl Drop for LogFile {
    /// Waits a little for what is on its way.
    fn drop(&mut self) {
        let Writer::Running(shared) = &self.writer else { return };
        let end = Instant::now() + LAST_WRITE;
        let mut queue = shared.lock();
        queue.is_closed = true;
        shared.changed.notify_all();
        while queue.is_writing || !queue.pending.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = shared.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The thread's side: the open file.
struct Journal {
    file: File,
    path: PathBuf,
    limit: u64,
    written: u64,
    /// Bytes that the disk did not take since the last that it did.
    lost: u64,
}

impl Journal {
    fn run(mut self, shared: &Shared) {
        let mut bytes = Vec::new();
        loop {
            let mut queue = shared.lock();
            queue.is_writing = false;
            shared.changed.notify_all();
            while queue.pending.is_empty() {
                if queue.is_closed {
                    return;
                }
                queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            bytes.clear();
            std::mem::swap(&mut bytes, &mut queue.pending);
            queue.is_writing = true;
            self.lost += std::mem::take(&mut queue.lost);
            drop(queue);
            let was_whole = self.lost == 0;
            if let Err(error) = self.append(&bytes) {
                let path = self.path.display();
                // Once per gap, not once per line.
                if was_whole {
                    let problem = format!("the log file {path} is not complete: {error}");
                    shared.lock().problem = Some(problem);
                }
            }
        }
    }

    /// Writes `bytes`, and in front of them how much is missing there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.written > self.limit {
            self.put_aside()?;
        }
        if self.lost > 0 {
            let gap = format!("\n[ancm: {} bytes are missing here]\n", self.lost);
            self.put(gap.as_bytes())?;
            self.lost = 0;
        }
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.write(&bytes[done..]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.written += done as u64;
                    self.lost += (bytes.len() - done) as u64;
                    return Err(error);
                }
            }
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// The full file becomes `….1.log`, in place of the one before.
    fn put_aside(&mut self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("1.log"))?;
        self.file = create(&self.path)?;
        self.written = 0;
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

    #[test]
    fn what_a_disk_does_not_take_is_counted_where_it_is_missing() {
        let folder = std::env::temp_dir().join(format!("ancm-log-{}", std::process::id()));
        let path = folder.join("out.log");
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut journal =
            Journal { file: full, path: path.clone(), limit: 100, written: 0, lost: 0 };
        assert_eq!(journal.append(b"lost").unwrap_err().kind(), io::ErrorKind::StorageFull);
        journal.file = create(&path).unwrap();
        journal.append(b"kept\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "\n[ancm: 4 bytes are missing here]\nkept\n");
        journal.append(&[b'x'; 100]).unwrap();
        journal.append(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert!(fs::read_to_string(folder.join("out.1.log")).unwrap().ends_with("xx"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
