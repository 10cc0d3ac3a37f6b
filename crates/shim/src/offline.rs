//! The application in place of one that is offline: 503 with what `app_offline.htm` says.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::{Answer, Application, Exchange, Outcome};

/// The file, in any letter case, in the application's folder.
const FILE: &str = "app_offline.htm";
/// How old an answer may be; the module's own 200 ms.
const FRESH: Duration = Duration::from_millis(200);
/// The longest file that is served.
const LARGEST: u64 = 4 << 20;

/// In place of one that is longer.
const TOO_LONG: &str = "<!DOCTYPE html><title>503</title><p>The application is offline. \
                        (Its app_offline.htm has more than 4 MiB and is not shown.)";

/// Answers every request with 503 and the content of the file in `dir`: nothing, if it cannot be
/// read, and a line of our own if it has more than 4 MiB.
pub fn offline(dir: PathBuf) -> Arc<dyn Application> {
    Arc::new(Offline { dir, read: Mutex::default() })
}

struct Offline {
    dir: PathBuf,
    /// The content, and when it was read.
    read: Mutex<Option<(Instant, Vec<u8>)>>,
}

impl Offline {
    fn content(&self) -> Vec<u8> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, content)) = read.as_ref()
            && at.elapsed() < FRESH
        {
            return content.clone();
        }
        // Gone already: this generation ends in a moment, and says until then what it said.
        let content = match (find(&self.dir), read.take()) {
            (None, Some((_, content))) => content,
            (None, None) => Vec::new(),
            (Some(path), _) => content_of(&path),
        };
        *read = Some((Instant::now(), content.clone()));
        content
    }
}

fn find(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).ok()?.flatten();
    let is_it = |name: &std::ffi::OsStr| name.eq_ignore_ascii_case(FILE);
    entries.find(|entry| is_it(&entry.file_name())).map(|entry| entry.path())
}

fn content_of(path: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    // A pipe or a device by this name must not hold the lane up.
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let read = File::open(path)
        .ok()
        .filter(|_| is_file)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut content).ok());
    match read {
        Some(count) if count as u64 <= LARGEST => content,
        Some(_) => TOO_LONG.into(),
        None => Vec::new(),
    }
}

impl Application for Offline {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let fields = vec![
            ("Content-Type".into(), "text/html".into()),
            // The next request may find the application running.
            ("Cache-Control".into(), "no-store".into()),
            ("Retry-After".into(), "5".into()),
        ];
        exchange.respond(&Answer { status: 503, fields, body: self.content() });
        Outcome::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_empty_and_what_is_too_long_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("App_Offline.HTM");
        assert_eq!(find(dir.path()), None);
        fs::write(&path, "back soon").unwrap();
        assert_eq!(find(dir.path()).as_deref(), Some(&*path));
        assert_eq!(content_of(&path), b"back soon");
        fs::write(&path, vec![b'x'; LARGEST as usize + 1]).unwrap();
        assert_eq!(content_of(&path), TOO_LONG.as_bytes());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(content_of(&path), b"");
    }
}
