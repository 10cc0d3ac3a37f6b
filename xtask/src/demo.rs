//! `cargo xtask demo`: from nothing to a served application.

use std::{os::unix::process::CommandExt, path::PathBuf, process::Command};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    build::{Build, samples_dir},
    workspace::{Profile, Workspace},
};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Overrides what the sample's web.config says, which is inprocess
    #[arg(long, value_enum)]
    hosting_model: Option<HostingModel>,
    /// Where to listen
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Which of the folders under samples/ to serve
    #[arg(long, default_value = "hello")]
    sample: String,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "lower")]
enum HostingModel {
    InProcess,
    OutOfProcess,
}

/// Builds, says what to try, and becomes `ancm`, so that Ctrl-C reaches it as it would in earnest.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let build = Build::run(workspace, Profile::Release)?;
    let app: PathBuf = samples_dir(workspace).join(&arguments.sample);
    if !app.is_dir() {
        bail!("there is no sample {}", arguments.sample);
    }
    let mut ancm = Command::new(build.bin.join("ancm"));
    ancm.arg("run").arg(&app).args(["--url", &arguments.url]);
    match arguments.hosting_model {
        Some(HostingModel::InProcess) => ancm.args(["--hosting-model", "inprocess"]),
        Some(HostingModel::OutOfProcess) => ancm.args(["--hosting-model", "outofprocess"]),
        None => &mut ancm,
    };
    ancm.env("DOTNET_ROOT", &build.toolchain.root);

    let url = arguments.url.trim_end_matches('/');
    println!(
        "
Serving {app} on {url}; Ctrl-C ends it. Try, in another terminal:

  curl {url}/
  curl {url}/hosting
  curl -N {url}/stream
  curl --data-binary @Cargo.lock {url}/echo
  pkill -KILL ancm-worker; curl {url}/hosting
",
        app = app.display(),
    );
    Err(anyhow::Error::new(ancm.exec()).context("cannot start ancm"))
}
