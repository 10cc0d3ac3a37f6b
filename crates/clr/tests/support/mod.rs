//! What `cargo xtask test` provides: an installation of .NET and a published sample.

use std::path::PathBuf;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

/// The installation.
pub(crate) fn root() -> PathBuf {
    variable("DOTNET_ROOT").into()
}

/// The folder of the published sample, links resolved.
pub(crate) fn sample() -> PathBuf {
    let sample = PathBuf::from(variable("ANCM_TEST_SAMPLES")).join("hello");
    sample.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", sample.display()))
}

/// The version of the frameworks.
#[allow(dead_code, reason = "each test binary uses a part of this module")]
pub(crate) fn version() -> String {
    variable("ANCM_TEST_FX")
}
