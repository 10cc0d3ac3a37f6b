//! The real systemd, in name spaces of its own, with our unit templates.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::{App, Connection, Process, Response, env, eventually};

const BOOT: &str = include_str!("systemd.sh");
/// All that is started: who wants more starts it.
const TARGET: &str = "[Unit]\nWants=systemd-journald.service\nAfter=systemd-journald.service\n";
/// The instance whose folder is that of the application.
pub const SERVICE: &str = "ancm@app.service";
/// Its sockets.
pub const SOCKET: &str = "ancm@app.socket";

/// A machine of its own as far as services go; the network is that of the tests. It ends with the value.
#[derive(Debug)]
pub struct Systemd {
    child: Child,
    init: Process,
    app: App,
    address: SocketAddr,
    _folders: TempDir,
}

impl Systemd {
    /// Boots with the templates of `packaging` and what was built installed as a package would; the
    /// application is in `/srv/app`, and nothing of it is started yet.
    ///
    /// # Panics
    ///
    /// Without the right to mount file systems, which root has.
    pub fn boot(app: App) -> Self {
        let folders = tempfile::tempdir().expect("a temporary folder can be made");
        let [root, units] = ["root", "units"].map(|name| folders.path().join(name));
        for folder in [&root, &units] {
            fs::create_dir(folder).expect("a new folder can be written to");
        }
        let address = own_address();
        let packaging = env::include().with_file_name("packaging").join("systemd");
        let unit = |name: &str, text: &str| fs::write(units.join(name), text).expect("is written");
        for name in ["ancm@.service", "ancm@.socket"] {
            let text = fs::read_to_string(packaging.join(name)).expect("there is a template");
            unit(name, &text);
        }
        unit("test.target", TARGET);
        let mut boot = Command::new("unshare");
        boot.args(["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]);
        boot.args(["sh", "-c", BOOT, "sh"]).args([&root, &units]);
        boot.args([env::programs(), env::dotnet_root(), app.dir().to_owned()]);
        let child = boot.stdin(Stdio::null()).spawn().expect("util-linux is installed");
        let mut machine =
            Self { init: Process(child.id()), child, app, address, _folders: folders };
        machine.init = eventually("the first process of the machine", || {
            let ended = machine.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "systemd cannot be booted; it takes root's rights: {ended:?}");
            machine.init.children().first().copied().filter(|init| init.program() == "systemd")
        });
        eventually("the boot", || {
            machine.run("systemctl", &["is-active", "test.target"]).status.success().then_some(())
        });
        let settings = format!("[Service]\nEnvironment=ASPNETCORE_URLS=http://{address}\n");
        machine.set(SERVICE, &settings);
        machine.set(SOCKET, &format!("[Socket]\nListenStream=\nListenStream={address}\n"));
        machine
    }

    /// Runs a program of that machine to its end.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.0.to_string()]);
        command.args(["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd=/", "--"]);
        command.arg(program).args(arguments).stdin(Stdio::null());
        command.output().expect("util-linux is installed")
    }

    /// `systemctl`, which has to succeed, and what it says.
    pub fn systemctl(&self, arguments: &[&str]) -> String {
        let ended = self.run("systemctl", arguments);
        assert!(ended.status.success(), "systemctl {arguments:?}: {ended:?}\n{}", self.log());
        String::from_utf8_lossy(&ended.stdout).trim().to_owned()
    }

    /// A property of the service, as `ActiveState`.
    pub fn property(&self, name: &str) -> String {
        self.systemctl(&["show", "--value", "--property", name, SERVICE])
    }

    /// Waits until a property of the service has this value.
    pub fn wait_for(&self, name: &str, value: &str) {
        eventually(&format!("{name}={value}"), || (self.property(name) == value).then_some(()));
    }

    /// Adds settings to a unit, as `systemctl edit` does.
    pub fn set(&self, unit: &str, settings: &str) {
        let folder = format!("/run/systemd/system/{unit}.d");
        // Each has a name of its own, in order.
        let script = r#"mkdir -p "$1" && printf %s "$2" > "$1/$(ls "$1" | wc -l).conf""#;
        let ended = self.run("sh", &["-c", script, "sh", &folder, settings]);
        assert!(ended.status.success(), "{ended:?}");
        self.systemctl(&["daemon-reload"]);
    }

    /// Writes a file of that machine.
    pub fn write(&self, path: &str, text: &str) {
        let written = self.run("sh", &["-c", r#"printf %s "$2" > "$1""#, "sh", path, text]);
        assert!(written.status.success(), "{path}: {written:?}");
    }

    /// The processes of the service.
    pub fn processes(&self) -> Vec<Process> {
        let path = self.property("ControlGroup");
        let path = format!("/proc/{}/root/sys/fs/cgroup{path}/cgroup.procs", self.init.0);
        let numbers = fs::read_to_string(path).unwrap_or_default();
        numbers.lines().filter_map(|line| line.parse().ok().map(Process)).collect()
    }

    /// The supervisor, as the tests' machine numbers it.
    pub fn supervisor(&self) -> Process {
        let own = self.property("MainPID").parse().ok();
        let mut all = self.init.children().into_iter();
        all.find(|it| it.own_number() == own).expect("the service runs")
    }

    /// What the journal has of the service with these fields, as `EVENT_ID=1018`.
    pub fn journal(&self, fields: &[&str]) -> Vec<serde_json::Value> {
        let own = format!("_SYSTEMD_UNIT={SERVICE}");
        let ended = self.run("journalctl", &[&["--output=json", &own], fields].concat());
        let lines = String::from_utf8_lossy(&ended.stdout).into_owned();
        lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// All of the journal apart from what the kernel says, which is of the whole machine.
    pub fn log(&self) -> String {
        let of = ["_TRANSPORT=stdout", "_TRANSPORT=journal", "_TRANSPORT=syslog"];
        let ended = self.run("journalctl", &[&["--no-pager"][..], &of].concat());
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }

    /// Where the service listens: a port that needs a privilege.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// GET on a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        Connection::open(self.address).get(target)
    }

    /// The application's folder.
    pub fn app(&self) -> &App {
        &self.app
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of the loopback that no other test has.
fn own_address() -> SocketAddr {
    let [high, middle, low, last] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 100 + high * 16 + middle, low, last], 81))
}
