//! Each `cases/NAME.config` beside `NAME.expected`: all findings as a person sees them, then the
//! settings that differ from their defaults, or `none` when there are no settings.
//!
//! `ANCM_BLESS=1 cargo test` writes the expectations anew; read the difference before committing it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ancm_config::{AspNetCore, Env, Findings, read_web_config};

fn cases() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "config"))
        .collect();
    cases.sort();
    cases
}

fn env() -> Env {
    Env::from_iter([("HOME", "/home/app")])
}

fn outcome(bytes: &[u8]) -> String {
    let mut findings = Findings::default();
    let read = read_web_config(bytes, "web.config", &env(), &mut findings);
    assert_eq!(read.is_none(), findings.has_errors(), "settings exactly when there is no error");
    let mut text = String::new();
    for finding in findings.as_slice() {
        writeln!(text, "{finding}").unwrap();
    }
    text.push_str("--\n");
    let Some(read) = read else { return text + "none\n" };
    writeln!(text, "arguments_text: {:?}", read.arguments).unwrap();
    let default = serde_json::to_value(AspNetCore::of("", Vec::new())).unwrap();
    let settings = serde_json::to_value(&read.settings).unwrap();
    for (name, value) in settings.as_object().unwrap() {
        if let "handler_settings" | "limits" = name.as_str() {
            for (field, value) in value.as_object().unwrap() {
                if *value != default[name][field] && field != "written" {
                    writeln!(text, "{name}.{field}: {value}").unwrap();
                }
            }
        } else if *value != default[name] {
            writeln!(text, "{name}: {value}").unwrap();
        }
    }
    text
}

#[test]
fn every_case_has_its_expected_outcome() {
    let is_blessing = std::env::var_os("ANCM_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let expected = case.with_extension("expected");
        let actual = outcome(&fs::read(&case).unwrap());
        if is_blessing {
            fs::write(&expected, &actual).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != actual {
            wrong.push(format!("{}:\n{actual}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_survive_the_way_to_the_worker() {
    for case in cases() {
        let mut findings = Findings::default();
        let bytes = fs::read(&case).unwrap();
        if let Some(read) = read_web_config(&bytes, "web.config", &env(), &mut findings) {
            let json = serde_json::to_string(&read.settings).unwrap();
            assert_eq!(serde_json::from_str::<AspNetCore>(&json).unwrap(), read.settings);
        }
    }
}

/// Every prefix and every file with one byte changed: no panic, whatever it reads as.
#[test]
fn broken_files_are_findings_and_never_panics() {
    for case in cases() {
        let bytes = fs::read(&case).unwrap();
        for end in (0..bytes.len()).step_by(7) {
            outcome(&bytes[..end]);
        }
        for at in (0..bytes.len()).step_by(11) {
            for byte in [0, b'<', b'"', b'&', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                outcome(&changed);
            }
        }
    }
}
