//! `dotnet exec` with options in front of the assembly, as some `web.config` files have it. A
//! process of its own, because a process has one runtime.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod support;

use std::path::Path;

use ancm_clr::locate::Request;
use ancm_clr::{Runtime, locate};

#[test]
fn options_of_exec_reach_hostfxr() {
    let sample = support::sample();
    let root = support::root();
    let root = root.display().to_string();
    let arguments =
        ["exec", "--roll-forward", "LatestMajor", "Hello.dll", "a b", "--urls"].map(str::to_owned);
    let host = locate(&Request {
        process_path: "dotnet",
        arguments: &arguments,
        dir: &sample,
        variable: &|name| (name == "DOTNET_ROOT").then(|| root.clone()),
    })
    .unwrap();
    let runtime = Runtime::initialize(&host).unwrap();
    let base = runtime.property("APP_CONTEXT_BASE_DIRECTORY").unwrap();
    assert_eq!(Path::new(&base), sample);
}
