//! `cargo xtask soak`: a long run of every kind of client against a release build.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{
    build::{Build, samples_dir, test_apps_dir},
    debian,
    workspace::{Profile, Workspace},
};

/// How long, and what.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds for each hosting model
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
    /// Only this hosting model: `inprocess` or `outofprocess`
    #[arg(long, value_name = "MODEL", value_parser = MODELS)]
    hosting_model: Option<String>,
    /// Strain threads and heap instead: blocked requests, a starved pool, collections, exceptions,
    /// aborts
    #[arg(long)]
    strain: bool,
    /// Instead: so many recycles for each reason under load, beside slow requests and a download
    #[arg(long, value_name = "N", conflicts_with = "strain")]
    recycles: Option<u64>,
    /// Instead: so many times app_offline.htm comes, goes and is renamed under load
    #[arg(long, value_name = "N", conflicts_with_all = ["strain", "recycles"])]
    offline: Option<u64>,
    /// Instead: so many deployments of each kind under load, by `ancm deploy` and by rsync
    #[arg(long, value_name = "N", conflicts_with_all = ["strain", "recycles", "offline"])]
    deploys: Option<u64>,
    /// Instead, for the seconds given: what serves is killed each second
    #[arg(long, conflicts_with_all = ["strain", "recycles", "offline", "deploys"])]
    kills: bool,
    /// Instead: so many recycles by a systemd of its own, and as many of Kestrel behind nginx, which is
    /// the usual way
    #[arg(long, value_name = "N", conflicts_with_all = ["strain", "recycles", "offline", "deploys", "kills"])]
    services: Option<u64>,
    /// Where the tables are written as well: a line of JSON for each run
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Arguments {
    /// A number, of what, and what the program calls that.
    fn run(&self) -> (u64, &'static str, &'static str) {
        if let Some(count) = self.recycles {
            (count, "recycles for each reason", "recycles")
        } else if let Some(count) = self.offline {
            (count, "changes of app_offline.htm", "offline")
        } else if let Some(count) = self.deploys {
            (count, "deployments of each kind", "deploys")
        } else if let Some(count) = self.services {
            (count, "recycles of services", "services")
        } else if self.kills {
            (self.seconds, "s of kills", "kills")
        } else {
            (self.seconds, "s", if self.strain { "strain" } else { "clients" })
        }
    }
}

const MODELS: [&str; 2] = ["inprocess", "outofprocess"];

/// Fails if an answer is wrong, or if memory, handles or threads of the server grow.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    if arguments.deploys.is_some() {
        debian::ensure("rsync", "rsync", "install it, or run without --deploys")?;
    }
    if arguments.services.is_some() {
        debian::ensure("systemctl", "systemd", "install it, or run without --services")?;
        debian::ensure("nginx", "nginx", "install it, or run without --services")?;
    }
    if let Some(path) = &arguments.json {
        fs::write(path, "").with_context(|| format!("cannot write {}", path.display()))?;
    }
    let build = Build::run(workspace, Profile::Release)?;
    let mut failed = Vec::new();
    for model in MODELS {
        if arguments.hosting_model.as_ref().is_some_and(|only| only != model) {
            continue;
        }
        let (count, of, kind) = arguments.run();
        println!("{model}, {count} {of}:");
        let mut soak = workspace.cargo(&["run", "--quiet", "--release"]);
        soak.args(["-p", "ancm-tests", "--example", "soak", "--"])
            .args([&count.to_string(), model])
            .arg(kind)
            .args(&arguments.json)
            .env("DOTNET_ROOT", &build.toolchain.root)
            .env("ANCM_TEST_BIN", &build.bin)
            .env("ANCM_TEST_APPS", test_apps_dir(workspace))
            .env("ANCM_TEST_SAMPLES", samples_dir(workspace));
        if !soak.status()?.success() {
            failed.push(model);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}
