//! What `cargo xtask test` provides, by name. Without it there is nothing to test.

use std::path::PathBuf;

/// Where the programs are.
pub fn programs() -> PathBuf {
    path("ANCM_TEST_BIN")
}

/// Where the test applications are published.
pub fn test_apps() -> PathBuf {
    path("ANCM_TEST_APPS")
}

/// Where the samples are published.
pub fn samples() -> PathBuf {
    path("ANCM_TEST_SAMPLES")
}

/// The folder of the .NET that applications run on.
pub fn dotnet_root() -> PathBuf {
    path("DOTNET_ROOT")
}

/// The version of the shared frameworks, such as `9.0.7`.
pub fn framework_version() -> String {
    text("ANCM_TEST_FX")
}

/// Where the header of the contract with handlers is.
pub fn include() -> PathBuf {
    // The tests run where they were built.
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    crates.join("../../include")
}

fn path(name: &str) -> PathBuf {
    text(name).into()
}

fn text(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set: run `cargo xtask test`, which builds what is tested"),
    }
}
