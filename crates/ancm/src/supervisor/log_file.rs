//! The file of `stdoutLogEnabled`: what an application writes, beside passing it on.
//!
//! Made with the first byte, so that silent applications leave no empty files. Disks fill up and
//! stand still; the supervisor and the application must not. So a thread writes, through a bounded
//! buffer; what finds no room in buffer or disk is lost, and counted where it is missing. Every piece
//! is a new attempt: writing comes back with the disk, and when somebody has moved or removed the
//! file, a new one is made.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
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
    shared: Arc<Shared>,
    /// What the thread will have; there is none before the first byte.
    journal: Option<Journal>,
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
    news: Vec<String>,
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
        let journal = Journal::new(name.into(), app.dir.clone(), limit);
        Some(Self { shared: Arc::default(), journal: Some(journal) })
    }

    /// Appends, sooner or later.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Some(journal) = self.journal.take() {
            self.begin(journal);
        }
        let mut queue = self.shared.lock();
        if queue.is_closed {
            return;
        }
        if queue.pending.len() + bytes.len() > BUFFER_BYTES {
            queue.lost += bytes.len() as u64;
        } else {
            queue.pending.extend_from_slice(bytes);
            self.shared.changed.notify_all();
        }
    }

    fn begin(&self, journal: Journal) {
        let (shared, path) = (self.shared.clone(), journal.path.clone());
        let thread = thread::Builder::new().name("log-file".to_owned());
        if let Err(error) = thread.spawn(move || journal.run(&shared)) {
            let mut queue = self.shared.lock();
            queue.is_closed = true;
            queue.news.push(nothing_is_written(&path, &error));
        }
    }

    /// What to tell the operator about the file.
    pub(super) fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().news)
    }

    /// Waits a little for what is on its way; nothing is written afterwards.
    pub(super) fn finish(&self) {
        let end = Instant::now() + LAST_WRITE;
        let mut queue = self.shared.lock();
        queue.is_closed = true;
        self.shared.changed.notify_all();
        while queue.is_writing || !queue.pending.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The thread's side: the open file.
#[derive(Debug)]
struct Journal {
    /// None when there is none that can be written to.
    file: Option<File>,
    path: PathBuf,
    /// The application's folder, which is not ours to make.
    home: PathBuf,
    /// Bytes after which the file is put aside for a new one; of those put aside the last is kept.
    limit: u64,
    /// Bytes that the disk did not take since the last that it did.
    lost: u64,
    /// The operator knows that something is wrong.
    is_in_trouble: bool,
}

impl Journal {
    const fn new(path: PathBuf, home: PathBuf, limit: u64) -> Self {
        Self { file: None, path, home, limit, lost: 0, is_in_trouble: false }
    }

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
            let outcome = self.append(&bytes);
            shared.lock().news.extend(self.news(outcome));
        }
    }

    /// What is to be told: that there is trouble, and that it is over, each once.
    fn news(&mut self, outcome: io::Result<()>) -> Option<String> {
        let was_in_trouble = std::mem::replace(&mut self.is_in_trouble, outcome.is_err());
        let path = self.path.display();
        match outcome {
            Err(error) if !was_in_trouble => Some(match self.file {
                None => nothing_is_written(&self.path, &error),
                Some(_) => format!("the log file {path} is not complete: {error}"),
            }),
            Ok(()) if was_in_trouble => Some(format!("the log file {path} is written again")),
            _ => None,
        }
    }

    /// Writes `bytes`, and in front of them how much is missing there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let gap = match self.lost {
            0 => String::new(),
            lost => format!("\n[ancm: {lost} bytes are missing here]\n"),
        };
        let (mut marked, mut done) = (0, 0);
        let outcome = self.file().and_then(|file| {
            put(file, gap.as_bytes(), &mut marked)?;
            put(file, bytes, &mut done)
        });
        if marked == gap.len() {
            self.lost = 0;
        }
        self.lost += (bytes.len() - done) as u64;
        outcome
    }

    /// The file at its place: that of the last time, unless it is full or somebody has moved it.
    fn file(&mut self) -> io::Result<&File> {
        let there = fs::metadata(&self.path).ok();
        let is_full = there.as_ref().is_some_and(|file| file.len() > self.limit);
        let id = |file: &Metadata| (file.dev(), file.ino());
        let is_there =
            |file: &File| file.metadata().ok().as_ref().map(id) == there.as_ref().map(id);
        let file = match self.file.take().filter(is_there) {
            Some(file) if !is_full => file,
            _ => {
                if is_full {
                    // In place of the one before.
                    fs::rename(&self.path, self.path.with_extension("1.log"))?;
                }
                create(&self.path, &self.home)?
            }
        };
        Ok(self.file.insert(file))
    }
}

/// Writes `bytes`; so many of them are `done`, also when it fails.
fn put(mut file: &File, bytes: &[u8], done: &mut usize) -> io::Result<()> {
    while *done < bytes.len() {
        match file.write(&bytes[*done..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn create(path: &Path, home: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        // An application that was just taken away must not come back as a folder of logs.
        if folder.starts_with(home) {
            fs::metadata(home)?;
        }
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn nothing_is_written(path: &Path, error: &io::Error) -> String {
    format!("nothing is written to the log file {}: {error}", path.display())
}

/// `yyyyMMddHHmmss`, UTC.
fn stamp(since_1970: Duration) -> String {
    utc(since_1970).chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A journal in a folder of its own, and its file.
    fn journal(limit: u64) -> (tempfile::TempDir, Journal, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("logs/out.log");
        let journal = Journal::new(path.clone(), home.path().to_owned(), limit);
        (home, journal, path)
    }

    /// Appends, and what is told then.
    fn write(journal: &mut Journal, text: &str) -> Option<String> {
        let outcome = journal.append(text.as_bytes());
        journal.news(outcome)
    }

    #[test]
    fn the_stamp_sorts_like_time() {
        assert_eq!(stamp(Duration::from_secs(1_700_000_000)), "20231114221320");
    }

    #[test]
    fn a_full_disk_is_told_once_and_what_it_did_not_take_is_counted_where_it_is_missing() {
        let (_home, mut journal, path) = journal(1000);
        fs::create_dir(path.parent().unwrap()).unwrap();
        symlink("/dev/full", &path).unwrap();
        let told = write(&mut journal, "lost").unwrap();
        assert!(told.contains("is not complete: No space left on device"), "{told}");
        assert_eq!(write(&mut journal, "this too"), None);
        fs::remove_file(&path).unwrap();
        assert!(write(&mut journal, "kept\n").unwrap().ends_with("is written again"));
        assert_eq!(write(&mut journal, "more\n"), None);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "\n[ancm: 12 bytes are missing here]\nkept\nmore\n");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_once_and_made_later() {
        let (home, mut journal, path) = journal(1000);
        let folder = home.path().join("logs");
        fs::write(&folder, "a file").unwrap();
        assert!(write(&mut journal, "lost").unwrap().starts_with("nothing is written"));
        assert_eq!(write(&mut journal, "this too"), None);
        fs::remove_file(&folder).unwrap();
        assert!(write(&mut journal, "kept").unwrap().ends_with("is written again"));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "\n[ancm: 12 bytes are missing here]\nkept");
    }

    #[test]
    fn a_full_file_is_put_aside_in_place_of_the_one_before() {
        let (_home, mut journal, path) = journal(3);
        for text in ["first", "second", "third"] {
            assert_eq!(write(&mut journal, text), None);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        assert_eq!(fs::read_to_string(path.with_extension("1.log")).unwrap(), "second");
    }

    #[test]
    fn a_file_that_was_removed_or_moved_is_followed_by_a_new_one_full_or_not() {
        for limit in [3, 1000] {
            let (home, mut journal, path) = journal(limit);
            let moved = home.path().join("moved");
            assert_eq!(write(&mut journal, "first"), None);
            fs::remove_file(&path).unwrap();
            assert_eq!(write(&mut journal, "second"), None);
            fs::rename(&path, &moved).unwrap();
            assert_eq!(write(&mut journal, "third"), None);
            assert_eq!(fs::read_to_string(&moved).unwrap(), "second");
            fs::remove_dir_all(path.parent().unwrap()).unwrap();
            assert_eq!(write(&mut journal, "fourth"), None);
            assert_eq!(fs::read_to_string(&path).unwrap(), "fourth");
        }
    }

    #[test]
    fn an_application_that_was_taken_away_does_not_come_back_as_a_folder_of_logs() {
        let (home, mut journal, _) = journal(1000);
        assert_eq!(write(&mut journal, "first"), None);
        fs::remove_dir_all(home.path()).unwrap();
        assert!(write(&mut journal, "last words").is_some());
        assert!(!home.path().exists());
    }
}
