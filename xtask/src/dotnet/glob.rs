//! The file patterns of project files: `*` and `?` within a name, `**` for any number of folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Whether a relative path, with `/` between its parts, is named by a pattern.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').filter(|part| *part != ".").collect();
    let path: Vec<&str> = path.split('/').collect();
    parts_match(&pattern, &path)
}

/// All files below a folder as relative paths in order, build output and dot folders left out, as
/// the SDK's default items leave them out.
pub(super) fn files_below(dir: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect(dir, "", &mut files).with_context(|| format!("cannot list {}", dir.display()))?;
    files.sort();
    Ok(files)
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            let is_output = prefix.is_empty() && matches!(&*name, "bin" | "obj");
            if !is_output && !name.starts_with('.') {
                collect(&entry.path(), &format!("{path}/"), files)?;
            }
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The files that a pattern names, which may lead out of the project (`../Shared/*.cs`).
pub(super) fn expand(dir: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let mut base = dir.to_owned();
    let mut rest = pattern;
    while let Some((first, after)) = rest.split_once('/') {
        if first.contains(['*', '?']) {
            break;
        }
        base.push(first);
        rest = after;
    }
    if !rest.contains(['*', '?']) {
        return Ok(vec![base.join(rest)]);
    }
    let files = files_below(&base)?.into_iter().filter(|file| matches(rest, file));
    Ok(files.map(|file| base.join(file)).collect())
}

fn parts_match(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**"], [_, ..]) => true,
        (["**", rest @ ..], _) => {
            parts_match(rest, path) || !path.is_empty() && parts_match(pattern, &path[1..])
        }
        ([first, pattern @ ..], [name, path @ ..]) => {
            name_matches(first.as_bytes(), name.as_bytes()) && parts_match(pattern, path)
        }
        _ => false,
    }
}

fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            name_matches(rest, name) || !name.is_empty() && name_matches(pattern, &name[1..])
        }
        ([b'?', pattern @ ..], [_, name @ ..]) => name_matches(pattern, name),
        ([a, pattern @ ..], [b, name @ ..]) => a == b && name_matches(pattern, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_name_what_msbuild_says_they_name() {
        for (pattern, path, expected) in [
            ("**/*.cs", "Program.cs", true),
            ("**/*.cs", "a/b/Program.cs", true),
            ("**/*.cs", "a/Program.csx", false),
            ("*.cs", "a/Program.cs", false),
            ("wwwroot/**", "wwwroot/css/site.css", true),
            ("wwwroot/**", "other/site.css", false),
            ("Old/**/*.cs", "Old/Program.cs", true),
            ("appsettings*.json", "appsettings.Development.json", true),
            ("./Program.cs", "Program.cs", true),
            ("?.cs", "a.cs", true),
            ("?.cs", "ab.cs", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
