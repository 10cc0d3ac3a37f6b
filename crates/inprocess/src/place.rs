//! Where this library lies: the assemblies of the managed server ship beside it.

use std::fs;
use std::path::PathBuf;

/// The folder of the file that this code was loaded from.
pub(crate) fn own_folder() -> Option<PathBuf> {
    let address = own_folder as fn() -> Option<PathBuf> as usize;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let file = maps.lines().find_map(|line| file_at(line, address))?;
    PathBuf::from(file).parent().map(PathBuf::from)
}

/// The file of a line of `maps`, if the line's range contains the address.
fn file_at(line: &str, address: usize) -> Option<&str> {
    let (range, _) = line.split_once(' ')?;
    let (first, end) = range.split_once('-')?;
    let first = usize::from_str_radix(first, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let file = line.find('/').and_then(|at| line.get(at..));
    file.filter(|_| (first..end).contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_answers_for_its_own_range_only() {
        let line = "7f00-7f80 r-xp 00000000 08:01 123   /opt/my app/lib.so";
        assert_eq!(file_at(line, 0x7f10), Some("/opt/my app/lib.so"));
        assert_eq!(file_at(line, 0x7f80), None);
        assert_eq!(file_at("7f00-7f80 rw-p 00000000 00:00 0", 0x7f10), None);
    }

    #[test]
    fn the_test_program_knows_its_folder() {
        let program = std::env::current_exe().unwrap();
        assert_eq!(own_folder().as_deref(), program.parent());
    }
}
