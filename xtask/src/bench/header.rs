//! On what and how a campaign measures: what one has to know to repeat it.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{Arguments, campaign::Plan, contender::Contender, server::Server, tools};
use crate::{build::Build, workspace::Workspace};

/// On what and how it was measured.
#[derive(Serialize)]
pub(super) struct Header {
    /// The command that repeats it.
    pub(super) command: String,
    pub(super) versions: Vec<String>,
    pub(super) kernel: String,
    /// How the kernel paces TCP, on loopback too.
    pub(super) congestion_control: String,
    pub(super) cores: usize,
    /// The machine's load average before the first round.
    pub(super) load_average: f64,
    pub(super) plan: Plan,
    pub(super) contenders: Vec<About>,
}

/// A contender in a few words.
#[derive(Serialize)]
pub(super) struct About {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// How ancm speaks to the kernel, as its processes show it.
    pub(super) io: Option<&'static str>,
}

impl Header {
    pub(super) fn to_text(&self) -> String {
        let Plan { rounds, seconds, warm_up_seconds, .. } = self.plan;
        let mut text = format!(
            "command   {}\nversions  {}\nmachine   Linux {}, {}, {} cores, load average {:.1}\n\
             rounds    {rounds} of {seconds} s after {warm_up_seconds} s of warm-up, alternating\n",
            self.command,
            self.versions.join("; "),
            self.kernel,
            self.congestion_control,
            self.cores,
            self.load_average,
        );
        for About { name, about, io } in &self.contenders {
            let io = io.map_or_else(String::new, |io| format!(" ({io})"));
            text += &format!("  {name:<16}{about}{io}\n");
        }
        text
    }
}

/// What is known before the first round.
pub(super) fn header<'a>(
    workspace: &Workspace,
    arguments: &Arguments,
    build: &Build,
    plan: Plan,
    contenders: impl Iterator<Item = (&'a Contender, &'a Server)> + Clone,
) -> Result<Header> {
    let mut command = "cargo xtask bench".to_owned();
    if arguments.quick {
        command += " --quick";
    }
    if let Some(rounds) = arguments.rounds {
        command += &format!(" --rounds {rounds}");
    }
    for name in &arguments.only {
        command += &format!(" --only {name}");
    }
    if arguments.wants("recycle") {
        command += &format!(" --recycles {}", arguments.recycles);
    }
    let mut versions = vec![
        ancm_version(workspace),
        format!("ASP.NET Core {}", build.toolchain.framework_version),
    ];
    let programs = tools::programs(contenders.clone().map(|(contender, _)| contender));
    versions.extend(programs.into_iter().filter_map(tools::described));
    let load_average = fs::read_to_string("/proc/loadavg")?;
    let load_average = load_average.split(' ').next().unwrap_or_default();
    Ok(Header {
        command,
        versions,
        kernel: sysctl("kernel/osrelease")?,
        congestion_control: sysctl("net/ipv4/tcp_congestion_control")?,
        cores: std::thread::available_parallelism()?.get(),
        load_average: load_average.parse().context("cannot read /proc/loadavg")?,
        plan,
        contenders: contenders.map(|(contender, server)| about(contender, server)).collect(),
    })
}

fn about(contender: &Contender, server: &Server) -> About {
    let io = if server.uses_io_uring() { "io_uring" } else { "epoll" };
    let (name, about) = (contender.name, contender.about);
    About { name, about, io: contender.is_ancm().then_some(io) }
}

/// What of us is measured: the version, and the commit if that is known.
fn ancm_version(workspace: &Workspace) -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=10"]).current_dir(&workspace.root);
    let output = git.output().ok().filter(|output| output.status.success());
    let commit = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let version = env!("CARGO_PKG_VERSION");
    commit.map_or_else(|| format!("ancm {version}"), |commit| format!("ancm {version} ({commit})"))
}

fn sysctl(name: &str) -> Result<String> {
    let path = PathBuf::from("/proc/sys").join(name);
    let text = fs::read_to_string(&path);
    Ok(text.with_context(|| format!("cannot read {}", path.display()))?.trim().to_owned())
}
