//! Import direction: which crate may name which.
//!
//! ```text
//! programs      ancm (supervisor, cli)        ancm-worker
//! plugs                                       inprocess (cdylib)   outofprocess
//! seam                                        shim
//! mechanism     control   config   snapshot   engine               clr
//! ground        lifecycle   abi   os
//! ```
//!
//! Imports go down only, and crates in one row do not know each other. The table below is the
//! whole truth: an edge that is not in it, or a crate without a line, fails the check.

use anyhow::{Result, bail};

use crate::workspace::{Dependency, Package};

const GROUND: &[&str] = &["ancm-lifecycle", "ancm-abi", "ancm-os"];
const MECHANISM: &[&str] =
    &["ancm-control", "ancm-config", "ancm-engine", "ancm-clr", "ancm-snapshot"];
const SEAM: &[&str] = &["ancm-shim"];
const PLUGS: &[&str] = &["ancm-inprocess", "ancm-outofprocess"];
const TESTKIT: &str = "ancm-testkit";

/// Each crate of ours, and the crates of ours that it may import.
const ALLOWED: &[(&str, &[&[&str]])] = &[
    ("ancm", &[PLUGS, SEAM, MECHANISM, GROUND]),
    ("ancm-worker", &[PLUGS, SEAM, MECHANISM, GROUND]),
    ("ancm-inprocess", &[&["ancm-abi", "ancm-clr", "ancm-os"]]),
    ("ancm-outofprocess", &[SEAM, &["ancm-engine", "ancm-config", "ancm-lifecycle", "ancm-os"]]),
    ("ancm-shim", &[MECHANISM, GROUND]),
    ("ancm-control", &[GROUND]),
    ("ancm-config", &[GROUND]),
    ("ancm-engine", &[GROUND]),
    ("ancm-clr", &[GROUND]),
    ("ancm-snapshot", &[&["ancm-os"]]),
    ("ancm-lifecycle", &[]),
    ("ancm-abi", &[]),
    ("ancm-os", &[]),
    (TESTKIT, &[]),
    ("ancm-tests", &[&[TESTKIT]]),
    ("xtask", &[]),
];

/// Crates whose tests may import anything of ours: they are nothing but tests.
const TEST_CRATES: &[&str] = &[TESTKIT, "ancm-tests"];

/// Fails with every edge that the table does not have.
pub(super) fn check(packages: &[Package]) -> Result<()> {
    let wrong: Vec<String> = packages.iter().flat_map(complaints).collect();
    match wrong[..] {
        [] => Ok(()),
        _ => bail!("{}", wrong.join("\n")),
    }
}

fn complaints(package: &Package) -> Vec<String> {
    let name = &*package.name;
    let Some((_, allowed)) = ALLOWED.iter().find(|(importer, _)| *importer == name) else {
        return vec![format!("{name} has no line in the table of layers")];
    };
    let is_wrong = |dependency: &&Dependency| {
        let imported = &*dependency.name;
        let for_tests = dependency.kind.as_deref() == Some("dev")
            && (imported == TESTKIT || TEST_CRATES.contains(&name));
        let is_ours = dependency.path.is_some();
        is_ours && !for_tests && !allowed.iter().any(|group| group.contains(&imported))
    };
    let wrong = package.dependencies.iter().filter(is_wrong);
    wrong
        .map(|dependency| format!("{name} imports {}, which its layer may not", dependency.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, kind)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
            path: name.starts_with("ancm").then(|| "crates".into()),
        });
        Package {
            name: name.to_owned(),
            version: "0.0.0".to_owned(),
            dependencies: dependencies.collect(),
        }
    }

    fn said(name: &str, dependencies: &[(&str, Option<&str>)]) -> String {
        match check(&[package(name, dependencies)]) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn this_workspace_keeps_to_its_table() {
        check(&Workspace::load().unwrap().packages).unwrap();
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_fails() {
        for (importer, imported) in [
            ("ancm-os", "ancm-lifecycle"),
            ("ancm-engine", "ancm-config"),
            ("ancm-config", "ancm-shim"),
            ("ancm-shim", "ancm-outofprocess"),
            ("ancm-inprocess", "ancm-engine"),
            ("ancm-outofprocess", "ancm-clr"),
            ("ancm-worker", "ancm"),
            ("xtask", "ancm-config"),
        ] {
            let expected = format!("{importer} imports {imported}, which its layer may not");
            assert_eq!(said(importer, &[(imported, None)]), expected);
        }
    }

    #[test]
    fn downwards_and_others_are_fine() {
        assert_eq!(said("ancm-shim", &[("ancm-engine", None), ("libc", None)]), "");
        assert_eq!(said("ancm-worker", &[("ancm-outofprocess", None)]), "");
    }

    #[test]
    fn tests_may_use_the_testkit_and_nothing_else_on_the_side() {
        assert_eq!(said("ancm-engine", &[("ancm-testkit", Some("dev"))]), "");
        assert_eq!(said("ancm-tests", &[("ancm-abi", Some("dev"))]), "");
        assert_ne!(said("ancm-engine", &[("ancm-testkit", None)]), "");
        assert_ne!(said("ancm-engine", &[("ancm-clr", Some("dev"))]), "");
        assert_ne!(said("ancm-tests", &[("ancm-abi", None)]), "");
    }

    #[test]
    fn a_crate_without_a_line_fails() {
        assert_eq!(said("ancm-new", &[]), "ancm-new has no line in the table of layers");
    }
}
