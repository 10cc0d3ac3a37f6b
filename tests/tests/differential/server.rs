//! One application on three servers.

use std::{
    collections::HashSet,
    fmt, fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use testkit::{App, Model, Site, Start, env, eventually};

/// Where an application runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Alone, on Kestrel.
    Kestrel,
    /// Under `ancm`.
    Ancm(Model),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kestrel => f.write_str("kestrel"),
            Self::Ancm(model) => model.fmt(f),
        }
    }
}

/// A running application.
pub(crate) enum Server {
    Kestrel(Kestrel),
    Ancm(Box<Site>),
}

impl Server {
    /// Starts the application in this folder; several servers may share it.
    pub(crate) fn start(place: Place, app: &App, name: &str) -> Self {
        match place {
            Place::Kestrel => Self::Kestrel(Kestrel::start(app, name)),
            Place::Ancm(model) => {
                Self::Ancm(Box::new(Start::of_folder(app.dir()).hosting_model(model).run()))
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Kestrel(kestrel) => kestrel.address,
            Self::Ancm(site) => site.address(),
        }
    }

    /// Ends it, cleanly where that is ours to promise.
    pub(crate) fn stop(self) {
        match self {
            Self::Kestrel(kestrel) => drop(kestrel),
            Self::Ancm(site) => site.stop(),
        }
    }
}

/// `dotnet App.dll`, as a developer runs it.
pub(crate) struct Kestrel {
    child: Child,
    address: SocketAddr,
}

impl Kestrel {
    fn start(app: &App, name: &str) -> Self {
        let mut command = Command::new(env::dotnet_root().join("dotnet"));
        command.current_dir(app.dir()).arg(format!("{name}.dll"));
        command.args(["--urls", "http://127.0.0.1:0"]).env("DOTNET_ROOT", env::dotnet_root());
        for (name, _) in std::env::vars() {
            if name.starts_with("ASPNETCORE_") || name.starts_with("ANCM_") {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("dotnet can be started");
        let id = child.id();
        let port = eventually("Kestrel's listening socket", || {
            assert!(matches!(child.try_wait(), Ok(None)), "the application ended on Kestrel");
            listening_port(id)
        });
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}

impl Drop for Kestrel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The IPv4 port that a process listens on, as the kernel tells it: applications need not log.
fn listening_port(process: u32) -> Option<u16> {
    let sockets: HashSet<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .ok()?
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        const LISTEN: &str = "0A";
        let ours = *fields.get(3)? == LISTEN && sockets.contains(*fields.get(9)?);
        let port = fields.get(1)?.rsplit(':').next()?;
        ours.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    })
}
