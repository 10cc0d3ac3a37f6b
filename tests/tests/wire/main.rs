//! The wire cases of `tests/wire`: bytes in, bytes out, and what the application saw of it.
//!
//! One test per folder and hosting model. It runs every case of its folder twice on one site for each way
//! to the kernel, in one piece and cut into many, and tells of every case that fails, not only of the first.
//!
//! | file | what it holds |
//! |---|---|
//! | `case` | a case, and reading its file |
//! | `bytes` | the escapes of the case files |
//! | `client` | a strict client that reads answers as bytes |
//! | `run` | running cases |
//! | `unread` | whether a server has read what was sent to it |

mod bytes;
mod case;
mod client;
mod run;
mod unread;

use std::path::{Path, PathBuf};

use testkit::both_models;

/// Makes two tests of each folder, and a list of the folders.
macro_rules! folders {
    ($($test:ident $folder:literal)*) => {
        const FOLDERS: &[&str] = &[$($folder),*];

        both_models! {
            $(fn $test(model: Model) {
                run::folder(&cases().join($folder), model);
            })*
        }
    };
}

folders! {
    request_line "request-line"
    target "target"
    path "path"
    host "host"
    field_names "field-names"
    field_values "field-values"
    content_length "content-length"
    transfer_encoding "transfer-encoding"
    chunks "chunks"
    trailers "trailers"
    limits "limits"
    upgrade "upgrade"
    expect "expect"
    pipelining "pipelining"
    persistence "persistence"
    responses "responses"
    early_answers "early-answers"
    forged "forged"
    splitting "splitting"
    ends "ends"
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("wire")
}

#[test]
fn every_folder_is_run() {
    let mut there: Vec<String> = std::fs::read_dir(cases())
        .expect("there are cases")
        .map(|entry| entry.expect("it can be listed"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    there.sort();
    let mut listed = FOLDERS.to_vec();
    listed.sort_unstable();
    assert_eq!(there, listed);
}

#[test]
fn every_case_can_be_read_and_none_says_the_same_as_another() {
    let mut titles = std::collections::HashMap::new();
    for folder in FOLDERS {
        for path in case::files(&cases().join(folder)) {
            for model in [testkit::Model::InProcess, testkit::Model::OutOfProcess] {
                let case = case::read(&path, model).unwrap_or_else(|error| panic!("{error}"));
                let first = titles.entry(case.title.clone()).or_insert_with(|| path.clone());
                assert_eq!(*first, path, "{:?} is the title of both", case.title);
            }
        }
    }
}
