//! Who is compared, and how each is started: as a person would who wants it to be fast.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::idle;
use super::server::{Server, free_address};
use crate::{build::Build, workspace::Workspace};

/// The plain Kestrels; the better of them in a scenario is what others are compared with.
pub(super) const KESTRELS: [&str; 2] = ["kestrel", "kestrel-tuned"];
/// The usual way to put a server in front of Kestrel.
pub(super) const NGINX: &str = "nginx-tcp";

/// One way to serve the application.
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// What it is, in a line.
    pub(super) about: &'static str,
    /// Part of a quick run.
    pub(super) quick: bool,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Ancm {
        hosting_model: &'static str,
        transport: Option<Transport>,
        io: &'static str,
    },
    Kestrel {
        inline: bool,
    },
    Proxy {
        program: &'static str,
        transport: Transport,
    },
    /// Node.js behind ancm or nginx.
    Node {
        program: &'static str,
    },
}

/// What the application for Node.js has answers to.
const OF_NODE: [&str; 4] = ["plaintext", "json", "echo", "bytes-100k"];

/// How `<httpPlatform>` has any program served.
const NODE_CONFIG: &str = r#"<configuration>
  <system.webServer>
    <handlers>
      <add name="node" path="*" verb="*" modules="httpPlatformHandler" resourceType="Unspecified" />
    </handlers>
    <httpPlatform processPath="node" arguments=".\server.js" />
  </system.webServer>
</configuration>
"#;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Unix,
}

impl Contender {
    /// The programs beside .NET and ours that it takes.
    pub(super) fn programs(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Proxy { program: "nginx", .. } => &["nginx"],
            Kind::Proxy { .. } => &["haproxy"],
            Kind::Node { program: "nginx" } => &["nginx", "node"],
            Kind::Node { .. } => &["node"],
            Kind::Ancm { .. } | Kind::Kestrel { .. } => &[],
        }
    }

    /// Whether the application is not the one for .NET.
    pub(super) fn is_node(&self) -> bool {
        matches!(self.kind, Kind::Node { .. })
    }

    /// Whether it is us.
    pub(super) fn is_ancm(&self) -> bool {
        matches!(self.kind, Kind::Ancm { .. } | Kind::Node { program: "ancm" })
    }

    /// Whether its application has an answer to the scenario.
    pub(super) fn takes(&self, scenario: &str) -> bool {
        !self.is_node() || OF_NODE.contains(&scenario)
    }

    /// Whether it replaces its application by itself when it is told to.
    pub(super) fn recycles_itself(&self) -> bool {
        matches!(self.kind, Kind::Ancm { .. })
    }
}

/// Everyone, in the order of the rounds.
pub(super) fn all() -> Vec<Contender> {
    let ancm = |hosting_model, io| Kind::Ancm { hosting_model, transport: None, io };
    let over = |transport| Kind::Ancm {
        hosting_model: "outofprocess",
        transport: Some(transport),
        io: "auto",
    };
    let proxy = |program, transport| Kind::Proxy { program, transport };
    let contender = |name, about, kind| Contender { name, about, quick: false, kind };
    let quick = |name, about, kind| Contender { quick: true, ..contender(name, about, kind) };
    vec![
        quick("ancm-in", "ancm, in-process", ancm("inprocess", "auto")),
        contender("ancm-in-epoll", "the same without io_uring", ancm("inprocess", "epoll")),
        quick("ancm-out", "ancm, out-of-process, Kestrel behind it", ancm("outofprocess", "auto")),
        contender("ancm-out-epoll", "the same without io_uring", ancm("outofprocess", "epoll")),
        contender("ancm-out-unix", "the same, a Unix socket a request", over(Transport::Unix)),
        contender("ancm-out-tcp", "the same over TCP", over(Transport::Tcp)),
        quick(KESTRELS[0], "Kestrel as it comes", Kind::Kestrel { inline: false }),
        quick(
            KESTRELS[1],
            "Kestrel with inline scheduling and inline completions",
            Kind::Kestrel { inline: true },
        ),
        quick(NGINX, "nginx, Kestrel behind it over TCP", proxy("nginx", Transport::Tcp)),
        contender(
            "nginx-unix",
            "nginx, Kestrel behind it over a Unix socket",
            proxy("nginx", Transport::Unix),
        ),
        contender(
            "haproxy-tcp",
            "HAProxy, Kestrel behind it over TCP",
            proxy("haproxy", Transport::Tcp),
        ),
        contender("ancm-node", "ancm, Node.js behind it", Kind::Node { program: "ancm" }),
        contender("nginx-node", "nginx, Node.js behind it", Kind::Node { program: "nginx" }),
    ]
}

/// Where things are that contenders are started from.
pub(super) struct Stage<'a> {
    pub(super) build: &'a Build,
    /// The published application.
    pub(super) app: PathBuf,
    /// Templates of configuration files.
    pub(super) templates: PathBuf,
    /// For configuration, logs and sockets; emptied by every run.
    pub(super) dir: PathBuf,
}

impl<'a> Stage<'a> {
    /// A stage for the `Bench` application.
    pub(super) fn new(workspace: &Workspace, build: &'a Build) -> Result<Self> {
        let dir = workspace.target.join("bench");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        let app = crate::build::test_apps_dir(workspace).join("Bench");
        Ok(Stage { build, app, templates: workspace.root.join("bench"), dir })
    }

    /// Starts a contender; it answers when this returns.
    pub(super) fn start(&self, contender: &Contender) -> Result<Server> {
        let mut server = self.launch(contender)?;
        server.wait_until_ready().with_context(|| format!("{} does not answer", contender.name))?;
        Ok(server)
    }

    /// Starts the processes of a contender.
    pub(super) fn launch(&self, contender: &Contender) -> Result<Server> {
        let mut server = Server::new(contender.name, free_address()?, &self.dir)?;
        match contender.kind {
            Kind::Ancm { hosting_model, transport, io } => {
                let mut ancm = Command::new(self.build.bin.join("ancm"));
                ancm.arg("run").arg(&self.app).args(["--hosting-model", hosting_model, "--io", io]);
                ancm.arg("--url").arg(format!("http://{}", server.address));
                match transport {
                    Some(Transport::Tcp) => _ = ancm.env("ANCM_backendTransport", "tcp"),
                    Some(Transport::Unix) => _ = ancm.env("ANCM_backendTransport", "unix"),
                    None => {}
                }
                server.spawn("ancm", self.dotnet(&mut ancm, false))?;
            }
            Kind::Kestrel { inline } => {
                let url = format!("http://{}", server.address);
                server.spawn("kestrel", &self.kestrel(&url, inline))?;
            }
            Kind::Proxy { program, transport } => {
                self.start_proxy(&mut server, program, transport)?
            }
            Kind::Node { program } => self.start_node(&mut server, program)?,
        }
        Ok(server)
    }

    fn kestrel(&self, url: &str, inline: bool) -> Command {
        let mut command = Command::new(self.build.toolchain.root.join("dotnet"));
        command.arg(self.app.join("Bench.dll")).args(["--urls", url]).current_dir(&self.app);
        self.dotnet(&mut command, inline);
        command
    }

    fn dotnet<'c>(&self, command: &'c mut Command, inline: bool) -> &'c mut Command {
        command.env("DOTNET_ROOT", &self.build.toolchain.root);
        for name in ["BENCH_INLINE", "DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS"] {
            if inline {
                command.env(name, "1");
            } else {
                command.env_remove(name);
            }
        }
        command
    }

    fn start_proxy(&self, server: &mut Server, program: &str, transport: Transport) -> Result<()> {
        let (url, backend) = match transport {
            Transport::Tcp => {
                let address = free_address()?;
                (format!("http://{address}"), address.to_string())
            }
            Transport::Unix => {
                let path = server.dir.join("kestrel.sock").display().to_string();
                // nginx's name for it; HAProxy takes the bare path.
                let prefix = if program == "nginx" { "unix:" } else { "" };
                (format!("http://unix:{path}"), format!("{prefix}{path}"))
            }
        };
        server.spawn("kestrel", &self.kestrel(&url, false))?;
        self.start_in_front(server, program, &backend)
    }

    fn start_node(&self, server: &mut Server, program: &str) -> Result<()> {
        let script = server.dir.join("server.js");
        fs::copy(self.templates.join("node.js"), &script).context("cannot copy bench/node.js")?;
        if program == "ancm" {
            fs::write(server.dir.join("web.config"), NODE_CONFIG)?;
            let mut ancm = Command::new(self.build.bin.join("ancm"));
            ancm.arg("run").arg(&server.dir).arg("--url").arg(format!("http://{}", server.address));
            return server.spawn("ancm", &ancm);
        }
        let address = free_address()?;
        let mut node = Command::new("node");
        server.spawn("node", node.arg(script).env("PORT", address.port().to_string()))?;
        self.start_in_front(server, program, &address.to_string())
    }

    fn start_in_front(&self, server: &mut Server, program: &str, backend: &str) -> Result<()> {
        let template = if program == "nginx" { "nginx.conf" } else { "haproxy.cfg" };
        let text = fs::read_to_string(self.templates.join(template))
            .with_context(|| format!("cannot read bench/{template}"))?;
        let config = server.dir.join(template);
        fs::write(&config, fill(&text, server.address, backend, &server.dir))?;
        let mut proxy = Command::new(program);
        match program {
            "nginx" => proxy.arg("-p").arg(&server.dir).arg("-c").arg(config),
            _ => proxy.arg("-db").arg("-f").arg(config),
        };
        server.spawn(program, &proxy)
    }
}

fn fill(template: &str, listen: SocketAddr, upstream: &str, dir: &Path) -> String {
    // nginx's workers drop what root may do, and then cannot reach a socket that root made.
    let user = if is_root() { "user root;" } else { "" };
    let connections = idle::most_connections();
    template
        .replace("{connections}", &connections.to_string())
        .replace("{half_connections}", &(connections / 2).to_string())
        .replace("{listen}", &listen.to_string())
        .replace("{upstream}", upstream)
        .replace("{dir}", &dir.display().to_string())
        .replace("{user}", user)
}

/// Whether this process may install packages, and its children drop privileges.
pub(super) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_ratios_need_are_contenders_of_every_run() {
        let all = all();
        for name in KESTRELS.into_iter().chain([NGINX]) {
            assert!(all.iter().any(|each| each.name == name && each.quick), "{name}");
        }
    }

    /// Scenarios that they have no answer to take those before.
    #[test]
    fn those_behind_node_come_last() {
        let all = all();
        assert!(all.iter().is_sorted_by_key(Contender::is_node));
        assert!(
            OF_NODE
                .iter()
                .all(|name| super::super::scenario::all().iter().any(|s| s.name == *name))
        );
    }

    #[test]
    fn templates_are_filled_completely() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench");
        for name in ["nginx.conf", "haproxy.cfg"] {
            let text = fs::read_to_string(folder.join(name)).unwrap();
            let listen = "127.0.0.1:80".parse().unwrap();
            let filled = fill(&text, listen, "127.0.0.1:81", Path::new("/tmp"));
            for hole in ["{listen}", "{upstream}", "{dir}", "{user}"] {
                assert!(!filled.contains(hole), "{name}: {hole}");
            }
            assert!(filled.contains("127.0.0.1:80") && filled.contains("127.0.0.1:81"));
        }
    }
}
