//! One process, one runtime: everything that needs a real .NET, in one test.
//!
//! Run by `cargo xtask test`, which provides both.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod support;

use std::path::Path;

use ancm_clr::locate::{Request, installed};
use ancm_clr::{HostFxrLibrary, InitError, LocateError, Runtime, Substatus, locate};

fn request_and_locate(dir: &Path, dll: &str) -> Result<ancm_clr::HostFxr, LocateError> {
    let root = support::root().display().to_string();
    locate(&Request {
        process_path: "dotnet",
        arguments: &[dll.to_owned(), "--from-test".to_owned()],
        dir,
        variable: &|name| (name == "DOTNET_ROOT").then(|| root.clone()),
    })
}

#[test]
fn a_runtime_is_initialised_once_and_explains_failures() {
    let sample = support::sample();
    let host = request_and_locate(&sample, "Hello.dll").unwrap();
    let root = host.dotnet_root.clone().unwrap();
    assert!(installed(&root).iter().any(|framework| framework.name == "Microsoft.AspNetCore.App"));

    let library = HostFxrLibrary::load(&host.library).unwrap();
    let folders = library.native_search_directories(&host).unwrap();
    // An application that lists its files, as the SDK has it do, has no others beside it.
    let is_listed = sample.join("Hello.deps.json").exists();
    assert_eq!(folders.iter().any(|folder| folder.starts_with(&sample)), !is_listed, "{folders:?}");
    assert!(folders.iter().any(|folder| folder.starts_with(root.join("shared"))), "{folders:?}");

    // A framework that nobody has: named in the text of the error, and the next start still works.
    let broken = tempfile::tempdir().unwrap();
    std::fs::copy(sample.join("Hello.dll"), broken.path().join("Hello.dll")).unwrap();
    let config = r#"{"runtimeOptions":{"framework":
        {"name":"Microsoft.AspNetCore.App","version":"77.0.0"}}}"#;
    std::fs::write(broken.path().join("Hello.runtimeconfig.json"), config).unwrap();
    let wanting = request_and_locate(broken.path(), "Hello.dll").unwrap();
    let error = Runtime::initialize(&wanting).unwrap_err();
    assert_eq!(error.substatus(), Substatus::DEPENDENCIES, "{error}");
    let output = error.output().unwrap();
    assert!(output.contains("Microsoft.AspNetCore.App") && output.contains("77.0.0"), "{output}");
    let error = library.native_search_directories(&wanting).unwrap_err();
    assert_eq!(error.substatus(), Substatus::DEPENDENCIES);

    let mut runtime = Runtime::initialize(&host).unwrap();
    assert!(matches!(Runtime::initialize(&host), Err(InitError::AlreadyInitialized)));
    runtime.set_property("ANCM_TEST", "välue").unwrap();
    assert_eq!(runtime.property("ANCM_TEST").as_deref(), Some("välue"));
    assert_eq!(runtime.property("ANCM_UNSET"), None);
    assert!(runtime.set_property("a\0b", "").is_err());
    let base = runtime.property("APP_CONTEXT_BASE_DIRECTORY").unwrap();
    assert_eq!(Path::new(&base), sample);

    // Starts the CLR; the method does not exist, which is an error and not the end of the process.
    let error = runtime.load_function(&host.app_dll, "No.Such, Hello", "Method").unwrap_err();
    assert!(error.to_string().contains("No.Such, Hello.Method"), "{error}");
    assert!(runtime.set_property("TOO_LATE", "x").is_err());
}
