//! A self-contained application: runtime, frameworks and hosting library lie in its folder. A
//! process of its own, because a process has one runtime.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod support;

use std::fs;
use std::path::Path;

use ancm_clr::locate::Request;
use ancm_clr::{HostFxrLibrary, Kind, Runtime, locate};

/// Links every file of one folder into another: hostfxr follows symbolic links back, hard links
/// have nothing to follow.
fn link_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let is_wanted = entry.path().is_file() && !name.to_string_lossy().ends_with(".json");
        if is_wanted && !to.join(&name).exists() {
            fs::hard_link(entry.path(), to.join(name)).unwrap();
        }
    }
}

#[test]
fn an_application_that_brings_its_runtime_needs_no_installation() {
    let (sample, root, version) = (support::sample(), support::root(), support::version());
    // Beside the sample, since hard links do not reach other file systems.
    let dir = tempfile::tempdir_in(sample.parent().unwrap()).unwrap();
    let app = dir.path().canonicalize().unwrap();
    for folder in [
        &sample,
        &root.join("shared/Microsoft.NETCore.App").join(&version),
        &root.join("shared/Microsoft.AspNetCore.App").join(&version),
        &root.join("host/fxr").join(&version),
    ] {
        link_files(folder, &app);
    }
    let config = r#"{"runtimeOptions":{"includedFrameworks":[
        {"name":"Microsoft.NETCore.App","version":"VERSION"},
        {"name":"Microsoft.AspNetCore.App","version":"VERSION"}]}}"#
        .replace("VERSION", &version);
    fs::write(app.join("Hello.runtimeconfig.json"), config).unwrap();

    let host = locate(&Request {
        process_path: "./Hello",
        arguments: &[],
        dir: &app,
        variable: &|_| None,
    })
    .unwrap();
    assert_eq!(host.kind, Kind::SelfContained);
    let library = HostFxrLibrary::load(&host.library).unwrap();
    let folders = library.native_search_directories(&host);
    println!("{folders:?}");
    let mut runtime = Runtime::initialize(&host).unwrap();
    let base = runtime.property("APP_CONTEXT_BASE_DIRECTORY").unwrap();
    assert_eq!(Path::new(&base), app);
    let error = runtime.load_function(&host.app_dll, "No.Such, Hello", "Method").unwrap_err();
    assert!(error.to_string().contains("cannot be loaded"), "{error}");
    assert!(folders.unwrap().iter().any(|folder| folder.starts_with(&app)));
}
