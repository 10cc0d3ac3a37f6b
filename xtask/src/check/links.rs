//! Links from one document of the repository to another file of it.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use super::files;

/// Fails with every link to a file that is not there. Links to the web are not followed.
pub(super) fn check(root: &Path) -> Result<()> {
    let mut broken = Vec::new();
    for path in files::with_extension(root, &["md"])? {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let dir = path.parent().unwrap_or(root);
        for (line, target) in targets(&text) {
            let file = target.split('#').next().unwrap_or_default();
            // A link within a document, or one to the web.
            if file.is_empty() || file.contains(':') {
                continue;
            }
            let file = match file.strip_prefix('/') {
                Some(from_root) => root.join(from_root),
                None => dir.join(file),
            };
            if !file.exists() {
                let name = path.strip_prefix(root).unwrap_or(&path).display();
                broken.push(format!("{name}:{line}: there is no {target}"));
            }
        }
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    Ok(())
}

/// What the links of a document lead to, each with its line. Code is not looked at.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            // Every other piece between backticks is code.
            for prose in line.split('`').step_by(2) {
                found.extend(inline_targets(prose).map(|target| (index + 1, target)));
            }
            // `[name]: target`
            if let Some((_, target)) =
                line.strip_prefix('[').and_then(|rest| rest.split_once("]: "))
            {
                found.push((index + 1, target.trim().to_owned()));
            }
        }
    }
    found
}

/// The targets in `[text](target "title")`. The text may hold code, of which only the closing
/// bracket is left here.
fn inline_targets(prose: &str) -> impl Iterator<Item = String> {
    prose.split("](").skip(1).filter_map(|rest| {
        let (inside, _) = rest.split_once(')')?;
        let target = inside.split_whitespace().next()?;
        Some(target.trim_matches(['<', '>']).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "See [a](docs/a.md#part), [`b`](b.md \"title\") and `[c](c.md)`.\n\
                    ```\n[d](d.md)\n```\n[e]: e.md\n![f](<f.png>)";
        let found = targets(text);
        let expected = [(1, "docs/a.md#part"), (1, "b.md"), (5, "e.md"), (6, "f.png")];
        assert_eq!(found, expected.map(|(line, target)| (line, target.to_owned())));
    }

    #[test]
    fn a_link_to_nothing_is_named() {
        let root = std::env::temp_dir().join(format!("xtask-links-{}", std::process::id()));
        fs::create_dir_all(root.join("docs")).unwrap();
        fs::write(
            root.join("docs/a.md"),
            "[up](../README.md) [root](/README.md) [web](https://example.org/x) [here](#x) [no](b.md)",
        )
        .unwrap();
        fs::write(root.join("README.md"), "").unwrap();
        let said = check(&root).unwrap_err().to_string();
        assert_eq!(said, "docs/a.md:1: there is no b.md");
        fs::remove_dir_all(root).unwrap();
    }
}
