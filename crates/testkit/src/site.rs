//! `ancm run` on an application: started, watched, stopped.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use crate::{App, Connection, Model, Process, Request, Response, env, eventually, patience};

/// The variable by which everything that a site has started is found.
const MARK: &str = "TESTKIT_SITE";

fn new_mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// How a site is started.
#[derive(Debug)]
pub struct Start {
    command: Command,
    urls: Vec<String>,
    app: Option<App>,
    has_own_sockets: bool,
    is_first_process: bool,
}

impl Start {
    /// `ancm run` on a copy of an application.
    pub fn of(app: App) -> Self {
        Self { app: Some(app), ..Self::command() }
    }

    /// `ancm run` on a folder that may not be an application.
    pub fn of_folder(dir: &Path) -> Self {
        Self::command().argument(dir)
    }

    /// With an installation of its own: a folder with the programs.
    pub fn of_installation(programs: &Path, app: App) -> Self {
        Self { app: Some(app), ..Self::command_in(programs) }
    }

    fn command() -> Self {
        Self::command_in(&env::programs())
    }

    /// In name spaces of its own, with a file system in memory at `folder`; its options are those of
    /// `mount`, as `size=256k`.
    pub fn with_disk(app: App, folder: &Path, options: &str) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c"]);
        command.arg(r#"mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@""#);
        command.args(["sh", options]).arg(folder).arg(env::programs().join("ancm"));
        Self { app: Some(app), ..Self::with(command) }
    }

    /// In a name space of its own, whose user has no inotify instance left.
    pub fn without_inotify(app: App) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "sh", "-c"]);
        command.arg(r#"echo 0 > /proc/sys/user/max_inotify_instances && exec "$@""#);
        command.arg("sh").arg(env::programs().join("ancm"));
        Self { app: Some(app), ..Self::with(command) }
    }

    /// As the first process of a name space of processes, as in a container.
    pub fn as_first_process(app: App) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "--map-current-user"]);
        command.arg(env::programs().join("ancm"));
        Self { app: Some(app), is_first_process: true, ..Self::with(command) }
    }

    fn command_in(programs: &Path) -> Self {
        Self::with(Command::new(programs.join("ancm")))
    }

    fn with(mut command: Command) -> Self {
        command.arg("run").env("DOTNET_ROOT", env::dotnet_root());
        // `ANCM_TEST_IO=epoll cargo xtask test` runs everything over epoll.
        if let Some(io) = std::env::var_os("ANCM_TEST_IO") {
            command.arg("--io").arg(io);
        }
        // What the caller's shell has set is not part of a test.
        for (name, _) in std::env::vars() {
            if name.starts_with("ASPNETCORE_") || name.starts_with("ANCM_") {
                command.env_remove(name);
            }
        }
        let (has_own_sockets, is_first_process) = (false, false);
        Self { command, urls: Vec::new(), app: None, has_own_sockets, is_first_process }
    }

    /// With an environment variable of the process.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without an environment variable of the process.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The folder of its application.
    pub fn app_dir(&self) -> &Path {
        self.app.as_ref().expect("it has an application").dir()
    }

    /// With an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// With another hosting model than `web.config` has.
    #[must_use]
    pub fn hosting_model(self, model: Model) -> Self {
        self.argument("--hosting-model").argument(model.to_string())
    }

    /// With another place to listen than a free port.
    #[must_use]
    pub fn url(mut self, url: &str) -> Self {
        self.urls.push(url.to_owned());
        self
    }

    /// Started by a program that replaces itself by its last arguments, and without `--url`.
    #[must_use]
    pub fn through(mut self, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.command = command;
        self.has_own_sockets = true;
        self
    }

    /// Starts it and waits until it serves: the application, or the page of a failed start.
    pub fn run(self) -> Site {
        let site = self.spawn();
        site.wait_until_listening();
        site
    }

    /// Starts it.
    pub fn spawn(mut self) -> Site {
        if let Some(app) = &self.app {
            self.command.arg(app.dir());
        }
        if self.urls.is_empty() && !self.has_own_sockets {
            self.urls.push("http://127.0.0.1:0".to_owned());
        }
        for url in &self.urls {
            self.command.args(["--url", url]);
        }
        let mark = new_mark();
        self.command.env(MARK, &mark);
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let environment = self.command.get_envs();
        let environment = environment.map(|(name, value)| (name.into(), value.map(Into::into)));
        let environment = environment.collect();
        let mut child = self.command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {:?}: {error}", self.command.get_program());
        });
        let output = Output::default();
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let readers = vec![output.collect(stdout, false), output.collect(stderr, true)];
        let mut supervisor = Process(child.id());
        if self.is_first_process {
            supervisor = eventually("the first process of a name space", || {
                let refusal = output.text(true);
                assert!(supervisor.is_alive(), "this user may not make name spaces: {refusal}");
                supervisor.children().first().copied()
            });
        }
        Site {
            child,
            supervisor,
            app: self.app,
            output,
            readers,
            urls: self.urls.len().max(1),
            status: None,
            environment,
            mark,
        }
    }

    /// Runs it to its end, which comes by itself.
    pub fn run_to_end(self) -> Ended {
        let mut site = self.spawn();
        let status = site.wait_for_end();
        Ended { status, stdout: site.stdout(), stderr: site.stderr() }
    }
}

/// What is left of a run.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// A running `ancm`. What it has written is shown when the test fails.
#[derive(Debug)]
pub struct Site {
    child: Child,
    /// The child, or what that has started as the first process of a name space.
    supervisor: Process,
    app: Option<App>,
    output: Output,
    readers: Vec<thread::JoinHandle<()>>,
    urls: usize,
    mark: String,
    status: Option<ExitStatus>,
    environment: Vec<(OsString, Option<OsString>)>,
}

impl Site {
    /// A sample or test application with a hosting model, served.
    pub fn start(app: App, model: Model) -> Self {
        Start::of(app.model(model)).run()
    }

    /// Where it listens first.
    pub fn address(&self) -> SocketAddr {
        let url = self.addresses().into_iter().next().expect("it listens");
        let address = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        // Behind the slash is the path base.
        let address = address.split('/').next().unwrap_or_default();
        let mut found = address.to_socket_addrs().unwrap_or_else(|error| panic!("{url}: {error}"));
        found.next().expect("a name has an address")
    }

    /// The addresses that it has told.
    pub fn addresses(&self) -> Vec<String> {
        let stdout = self.stdout();
        // The last line of the application may be without an end.
        let told = stdout.lines().filter_map(|line| line.split_once("listening on http"));
        told.map(|(_, url)| format!("http{url}")).collect()
    }

    /// Waits for the announcement of every address.
    pub fn wait_until_listening(&self) {
        eventually("`listening on`", || {
            let enough = self.addresses().len() >= self.urls;
            assert!(enough || self.supervisor().is_alive(), "it ended before it listened");
            enough.then_some(())
        });
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address())
    }

    /// GET on a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    /// A request on a connection of its own.
    pub fn request(&self, request: &Request) -> Response {
        self.connect().request(request)
    }

    /// What a handler of the application `Site` has told under this name, once it is `expected`.
    pub fn wait_for_outcome(&self, id: &str, expected: &str) {
        eventually(&format!("the outcome {expected:?} of {id}"), || {
            (self.outcome(id).as_deref() == Some(expected)).then_some(())
        });
    }

    /// What a handler of the application `Site` has told under this name.
    pub fn outcome(&self, id: &str) -> Option<String> {
        let response = self.get(&format!("/Outcome?id={id}"));
        (response.status() == 200).then(|| response.text())
    }

    /// The application's folder.
    pub fn app(&self) -> &App {
        self.app.as_ref().expect("it was started with an application")
    }

    /// The supervisor.
    pub fn supervisor(&self) -> Process {
        self.supervisor
    }

    /// The worker that serves; there is one unless generations are changing.
    pub fn worker(&self) -> Process {
        let workers = || self.supervisor().children();
        eventually("exactly one worker", || match workers()[..] {
            [worker] => Some(worker),
            _ => None,
        })
    }

    /// The process in which the application is.
    pub fn application(&self) -> Process {
        let text = self.get("/ProcessId").ok().text();
        Process(text.parse().expect("a process has a number"))
    }

    /// Stops reading its standard output, as a terminal does after Ctrl-S; and goes on.
    pub fn read_output(&self, on: bool) {
        let (is_paused, changed) = &*self.output.1;
        *is_paused.lock().unwrap_or_else(PoisonError::into_inner) = !on;
        changed.notify_all();
    }

    /// What was written to standard output so far.
    pub fn stdout(&self) -> String {
        self.output.text(false)
    }

    /// What was written to standard error so far.
    pub fn stderr(&self) -> String {
        self.output.text(true)
    }

    /// Both of them.
    pub fn log(&self) -> String {
        self.stdout() + &self.stderr()
    }

    /// Waits until the output contains `text`.
    pub fn wait_for_log(&self, text: &str) {
        eventually(&format!("{text:?} in the output"), || self.log().contains(text).then_some(()));
    }

    /// `ancm COMMAND ARGUMENTS... DIR` on its application, to its end.
    pub fn command(&self, command: &str, arguments: &[&str]) -> Ended {
        let mut process = Command::new(env::programs().join("ancm"));
        process.arg(command).args(arguments).arg(self.app().dir()).stdin(Stdio::null());
        for (name, value) in &self.environment {
            match value {
                Some(value) => process.env(name, value),
                None => process.env_remove(name),
            };
        }
        let ended = process.output().unwrap_or_else(|error| panic!("cannot run ancm: {error}"));
        Ended {
            status: ended.status,
            stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
        }
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, name: &str) {
        self.supervisor().signal(name);
    }

    /// SIGTERM, which ends it cleanly, with everything that it has started: no process is left that
    /// runs, and none was left that nobody takes away.
    pub fn stop(mut self) {
        eventually("no zombies", || self.supervisor().zombies().is_empty().then_some(()));
        self.signal("TERM");
        let status = self.wait_for_end();
        assert_eq!(status.code(), Some(0), "it {status}");
        self.wait_until_all_is_gone();
        assert!(!self.log().contains("panicked"), "something panicked");
    }

    /// Waits until nothing runs that it has started, whatever has become of itself.
    pub fn wait_until_all_is_gone(&self) {
        eventually("the end of all that it has started", || {
            self.started().is_empty().then_some(())
        });
    }

    /// All that it has started and that runs, whoever is the parent now.
    pub fn started(&self) -> Vec<Process> {
        Process::with_variable(MARK, &self.mark)
    }

    /// Waits for its end.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let end = Instant::now() + patience();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(Instant::now() < end, "it does not end");
            thread::sleep(std::time::Duration::from_millis(5));
        };
        self.status = Some(status);
        // What it started may still hold the pipes; the last lines of itself are what counts.
        eventually("the end of its output", || {
            self.readers.iter().all(thread::JoinHandle::is_finished).then_some(())
        });
        status
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.read_output(true);
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for process in self.started() {
            let _ = Command::new("sh")
                .args(["-c", &format!("kill -s KILL {} 2>/dev/null", process.0)])
                .status();
        }
        if thread::panicking() {
            let web_config = self.app.as_ref().map(|app| app.path("web.config"));
            let web_config = web_config.and_then(|path| std::fs::read_to_string(path).ok());
            eprintln!("--- web.config\n{}", web_config.unwrap_or_default());
            eprintln!("--- standard output of ancm\n{}", self.stdout());
            eprintln!("--- standard error of ancm\n{}---", self.stderr());
        }
    }
}

/// What a process has written so far.
#[derive(Clone, Debug, Default)]
struct Output(Arc<Mutex<[Vec<u8>; 2]>>, Arc<(Mutex<bool>, Condvar)>);

impl Output {
    fn collect(&self, from: impl Read + Send + 'static, is_stderr: bool) -> thread::JoinHandle<()> {
        let (output, pause) = (self.0.clone(), self.1.clone());
        thread::spawn(move || {
            let mut reader = BufReader::new(from);
            loop {
                let mut is_paused = pause.0.lock().unwrap_or_else(PoisonError::into_inner);
                while *is_paused {
                    is_paused = pause.1.wait(is_paused).unwrap_or_else(PoisonError::into_inner);
                }
                drop(is_paused);
                let count = match reader.fill_buf() {
                    Ok([]) | Err(_) => return,
                    Ok(bytes) => {
                        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
                        output[usize::from(is_stderr)].extend_from_slice(bytes);
                        bytes.len()
                    }
                };
                reader.consume(count);
            }
        })
    }

    fn text(&self, is_stderr: bool) -> String {
        let output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output[usize::from(is_stderr)]).into_owned()
    }
}
