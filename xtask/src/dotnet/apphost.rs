//! Making an application's executable: a fixed program with the name of the assembly written into
//! a field of its data.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result, ensure};

/// What the field holds in the untouched template: the SHA-256 of "foobar", as text.
const PLACEHOLDER: &[u8] = b"c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2";
/// The field's size, its final zero included.
const FIELD: usize = 1024;

/// Writes the executable for `assembly`, which is a path relative to it.
pub(super) fn write(template: &Path, executable: &Path, assembly: &str) -> Result<()> {
    let template = fs::read(template).context("cannot read the apphost template")?;
    // Never in place: a running executable cannot be written to, but it can be replaced.
    let new = super::beside(executable, ".new");
    fs::write(&new, patch(template, assembly)?)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(&new, executable).with_context(|| format!("cannot write {}", executable.display()))
}

fn patch(mut template: Vec<u8>, assembly: &str) -> Result<Vec<u8>> {
    let mut found = template.windows(PLACEHOLDER.len()).enumerate();
    let mut found = found.by_ref().filter(|(_, window)| *window == PLACEHOLDER).map(|(at, _)| at);
    let at = found.next().context("the apphost template has no field for the name")?;
    ensure!(found.next().is_none(), "the apphost template has two fields for the name");
    ensure!(assembly.len() < FIELD, "the name {assembly} is too long for an apphost");
    let end = at + FIELD;
    let field = template.get_mut(at..end).context("the apphost template ends within the field")?;
    field.fill(0);
    field[..assembly.len()].copy_from_slice(assembly.as_bytes());
    Ok(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(fields: usize) -> Vec<u8> {
        let mut bytes = b"before".to_vec();
        for _ in 0..fields {
            bytes.extend_from_slice(PLACEHOLDER);
            bytes.resize(bytes.len() + FIELD - PLACEHOLDER.len(), 0);
        }
        bytes.extend_from_slice(b"after");
        bytes
    }

    #[test]
    fn the_name_takes_the_place_of_the_placeholder() {
        let patched = patch(template(1), "App.dll").unwrap();
        assert_eq!(patched.len(), template(1).len());
        assert!(patched.starts_with(b"beforeApp.dll\0"));
        assert!(patched.ends_with(b"\0after"));
        assert!(!patched.windows(8).any(|window| window == &PLACEHOLDER[56..]));
    }

    #[test]
    fn a_template_without_exactly_one_field_is_refused() {
        assert!(patch(template(0), "App.dll").is_err());
        assert!(patch(template(2), "App.dll").is_err());
        assert!(patch(template(1), &"x".repeat(FIELD)).is_err());
    }
}
