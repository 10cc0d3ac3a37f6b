//! The processes of one contender: started, probed, stopped.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::processes::{Usage, processes_of, usage};

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a stop may take before it is forced.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// How often the two look.
const INTERVAL: Duration = Duration::from_millis(25);

/// A running contender; dropping it stops it.
pub(super) struct Server {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Its folder: configuration, sockets, logs.
    pub(super) dir: PathBuf,
    children: Vec<Child>,
    /// What they were started by.
    commands: Vec<(String, Command)>,
}

impl Server {
    /// A server without processes so far.
    pub(super) fn new(name: &str, address: SocketAddr, parent: &Path) -> Result<Self> {
        let dir = parent.join(name);
        fs::create_dir_all(&dir)?;
        Ok(Server { address, dir, children: Vec::new(), commands: Vec::new() })
    }

    /// Adds a process, whose output goes to a file in the server's folder.
    pub(super) fn spawn(&mut self, name: &str, command: &Command) -> Result<()> {
        let log = File::create(self.dir.join(format!("{name}.log")))?;
        let mut command = bound_to_us(command);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.children.push(command.spawn().with_context(|| format!("cannot start {name}"))?);
        self.commands.push((name.to_owned(), command));
        Ok(())
    }

    /// The number of its first process.
    pub(super) fn first_process(&self) -> u32 {
        self.children[0].id()
    }

    /// Stops its first process and starts it again, as a service manager does.
    pub(super) fn restart_first(&mut self) -> Result<()> {
        stop(&mut self.children[0]);
        let (name, command) = &mut self.commands[0];
        self.children[0] = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(())
    }

    /// What all its processes have used.
    pub(super) fn usage(&self) -> Usage {
        usage(&self.children.iter().map(Child::id).collect::<Vec<_>>())
    }

    /// All its processes, those that its children started included.
    pub(super) fn processes(&self) -> Vec<u32> {
        processes_of(&self.children.iter().map(Child::id).collect::<Vec<_>>())
    }

    /// Whether one of its processes speaks to the kernel over a ring.
    pub(super) fn uses_io_uring(&self) -> bool {
        self.processes().iter().any(|process| {
            let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
            let mut files = files.filter_map(|file| fs::read_link(file.path()).ok());
            files.any(|file| file.to_string_lossy().contains("[io_uring]"))
        })
    }

    /// Waits until it answers with the application's text.
    pub(super) fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            for child in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    bail!("a process ended with {status}; its output is in {}", self.dir.display());
                }
            }
            match get(self.address, "/plaintext") {
                Ok(answer) if answer.ends_with("\r\n\r\nHello, World!") => return Ok(()),
                result if Instant::now() > deadline => {
                    let answer = result.unwrap_or_else(|error| error.to_string());
                    bail!("not ready in time, output in {}: {answer}", self.dir.display());
                }
                _ => std::thread::sleep(INTERVAL),
            }
        }
    }

    /// Whether it answers already; an error when one of its processes has ended.
    pub(super) fn is_answering(&mut self) -> Result<bool> {
        for child in &mut self.children {
            if let Some(status) = child.try_wait()? {
                bail!("a process ended with {status}; its output is in {}", self.dir.display());
            }
        }
        let answer = get(self.address, "/plaintext");
        Ok(answer.is_ok_and(|answer| answer.ends_with("\r\n\r\nHello, World!")))
    }

    fn stop(&mut self) {
        // The proxy before its backend, as one would by hand.
        self.children.iter_mut().rev().for_each(stop);
    }
}

fn stop(child: &mut Child) {
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().ok();
    let deadline = Instant::now() + STOP_LIMIT;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(INTERVAL);
    }
    child.kill().ok();
    child.wait().ok();
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The same command, told to stop when this process ends in whatever way.
fn bound_to_us(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        bound.current_dir(dir);
    }
    bound
}

/// An address on loopback that nobody listens on.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// One request on a connection of its own; the whole answer as text.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    ensure!(address.ip().is_loopback(), "{address} is not a loopback address");
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_at_once_is_not_waited_for() {
        let dir = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let mut server = Server::new("gone", free_address().unwrap(), &dir).unwrap();
        server.spawn("false", &Command::new("false")).unwrap();
        let error = server.wait_until_ready().unwrap_err();
        assert!(error.to_string().contains("ended with"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }
}
