//! The repository's files: which there are, and that none has grown too long to read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Lines. A file should have 300; at 500 look for the seam; this many do not merge.
const LONGEST: usize = 800;
/// Folders whose contents nobody wrote.
const SKIPPED: &[&str] = &["target", "bin", "obj", "node_modules"];

/// Fails with every Rust or C# file that is too long. Generated ones say so in their name.
pub(super) fn check_lengths(root: &Path) -> Result<()> {
    let mut long = Vec::new();
    for path in with_extension(root, &["rs", "cs"])? {
        let generated = path.to_string_lossy().contains(".g.");
        let lines = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .lines()
            .count();
        if lines > LONGEST && !generated {
            let name = path.strip_prefix(root).unwrap_or(&path).display();
            long.push(format!("{name} has {lines} lines, more than {LONGEST}: find its seam"));
        }
    }
    if !long.is_empty() {
        bail!("{}", long.join("\n"));
    }
    Ok(())
}

/// The files with one of these extensions.
pub(super) fn with_extension(root: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && !SKIPPED.contains(&&*name) {
                    folders.push(entry.path());
                }
            } else if name.rsplit_once('.').is_some_and(|(_, end)| extensions.contains(&end)) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_named_and_a_generated_one_is_not() {
        let root = std::env::temp_dir().join(format!("xtask-files-{}", std::process::id()));
        fs::create_dir_all(root.join("src/bin")).unwrap();
        fs::create_dir_all(root.join("target")).unwrap();
        let long = "//\n".repeat(LONGEST + 1);
        for name in ["src/long.rs", "src/abi.g.rs", "target/built.rs", "notes.txt"] {
            fs::write(root.join(name), &long).unwrap();
        }
        fs::write(root.join("src/short.rs"), "//\n".repeat(LONGEST)).unwrap();
        let said = check_lengths(&root).unwrap_err().to_string();
        assert_eq!(said, "src/long.rs has 801 lines, more than 800: find its seam");
        fs::remove_dir_all(root).unwrap();
    }
}
