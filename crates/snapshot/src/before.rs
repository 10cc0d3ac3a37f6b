//! The snapshot before: of a file that is what it was there is a copy already, which nobody writes to.
//! Two generations then share its memory as well.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::plan::Code;

/// What a snapshot has, and how the originals were when it was taken.
const LIST: &str = ".ancm-snapshot";
/// Between the parts of an entry; behind each there is a zero, which no path contains.
const PARTS: usize = 8;

/// A complete snapshot that is still there.
pub(crate) struct Before {
    dir: PathBuf,
    code: Vec<Code>,
}

impl Before {
    /// The newest of the complete snapshots in `place`.
    pub(crate) fn newest(place: &Path) -> Option<Self> {
        let entries = fs::read_dir(place).ok()?.flatten();
        let mut numbered: Vec<_> = entries
            .filter_map(|entry| Some((crate::place::number(&entry.file_name())?, entry.path())))
            .collect();
        numbered.sort();
        numbered.into_iter().rev().find_map(|(_, dir)| {
            let code = read(&fs::read_to_string(dir.join(LIST)).ok()?)?;
            Some(Self { dir, code })
        })
    }

    /// Has the copy of `code` be at `to` as well, if it is a copy of what is there now.
    pub(crate) fn share(&self, code: &Code, to: &Path) -> io::Result<()> {
        match self.code.binary_search(code) {
            Ok(_) => fs::hard_link(self.dir.join(&code.path), to),
            Err(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Marks the snapshot in `dir`, which has this, as complete.
pub(crate) fn complete(dir: &Path, code: &[Code]) -> io::Result<()> {
    let mut text = String::new();
    for code in code {
        // One whose name is no text is copied the next time.
        let Some(path) = code.path.to_str() else { continue };
        text.push_str(path);
        text.push('\0');
        for number in std::iter::once(code.len.cast_signed()).chain(code.state) {
            text.push_str(&format!("{number}\0"));
        }
    }
    fs::write(dir.join(LIST), text)
}

fn read(text: &str) -> Option<Vec<Code>> {
    let parts: Vec<&str> = text.split_terminator('\0').collect();
    let entries = parts.chunks(PARTS).map(|entry| {
        let [path, numbers @ ..] = entry else { return None };
        let numbers: Option<Vec<i64>> = numbers.iter().map(|it| it.parse().ok()).collect();
        let [len, state @ ..] = <[i64; PARTS - 1]>::try_from(numbers?).ok()?;
        Some(Code { path: path.into(), len: len.cast_unsigned(), state })
    });
    let mut code: Vec<Code> = entries.collect::<Option<_>>()?;
    code.sort();
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_not_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let code = |path: &str| Code { path: path.into(), len: 7, state: [1, 2, 3, 4, -5, 6] };
        let all = [code("A.dll"), code("de/A.resources.dll")];
        complete(dir.path(), &all).unwrap();
        let text = fs::read_to_string(dir.path().join(LIST)).unwrap();
        assert_eq!(read(&text), Some(all.to_vec()));
        assert_eq!(read(&text[..text.len() - 3]), None);
        assert_eq!(read("A.dll\0x\0"), None);
        assert_eq!(read(""), Some(vec![]));
    }
}
