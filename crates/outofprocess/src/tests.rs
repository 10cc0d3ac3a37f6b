//! The handler with real processes; `examples/misfit.rs` is the backend.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use config::{App, AspNetCore, Env, Origin, Page, Readiness, Source};
use lifecycle::StartReport;

use crate::application::{OutOfProcess, start_with};
use crate::board::Choice;
use crate::events::Event;

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An application in a folder of its own, and what its handler tells.
struct Site {
    app: App,
    process: Env,
    dir: tempfile::TempDir,
    events: Option<Receiver<Event>>,
}

impl Site {
    fn new(program: impl AsRef<Path>, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        let program = program.as_ref().to_str().unwrap();
        let app = App {
            name: "misfit".into(),
            dir: dir.path().canonicalize().unwrap(),
            web_config_path: None,
            settings: AspNetCore::of(program, arguments),
            source: Source::WebConfig,
            path_base: "/shop".parse().unwrap(),
            hosting_model_origin: Origin::WebConfig,
            snapshot: None,
        };
        let process = Env::from_iter([("PATH", "/usr/bin:/bin"), ("NOTIFY_SOCKET", "/run/x")]);
        Self { app, process, dir, events: None }
    }

    fn misfit(arguments: &[&str]) -> Self {
        Self::new(misfit(), arguments)
    }

    /// A misfit that was told to ignore SIGTERM, which survives `exec`.
    fn stubborn_misfit(way: &str) -> Self {
        let script = format!("trap '' TERM; exec {} {way}", misfit().display());
        Self::new("/bin/sh", &["-c", &script])
    }

    fn with(mut self, change: impl FnOnce(&mut AspNetCore)) -> Self {
        change(&mut self.app.settings);
        self
    }

    fn start(&mut self) -> Result<Arc<OutOfProcess>, Box<StartReport>> {
        let (sender, events) = channel();
        self.events = Some(events);
        let tell = Arc::new(move |event| drop(sender.send(event)));
        start_with(&self.app, &[], None, tell, &self.process, Vec::new)
    }

    /// The next event of that number, skipping others.
    fn event(&self, id: u16) -> Event {
        let events = self.events.as_ref().unwrap();
        loop {
            let event = events.recv_timeout(PATIENCE).expect("the event comes");
            if event.id() == id {
                return event;
            }
        }
    }

    fn started_pid(&self) -> i32 {
        match self.event(1001) {
            Event::BackendStarted { pid, .. } => pid,
            other => panic!("{other}"),
        }
    }
}

/// The backend's program, beside the folder of this test. `cargo test` has built it together with
/// the other examples, unless it was told to build the library's tests only; what is older than its source is
/// of another time.
fn misfit() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let tests = std::env::current_exe().unwrap();
        let profile = tests.parent().and_then(Path::parent).unwrap();
        let path = profile.join("examples/misfit");
        let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/misfit.rs");
        if changed(&path) < changed(&source) {
            let profile_name = profile.file_name().and_then(|name| name.to_str()).unwrap();
            let build = std::process::Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--offline", "--example=misfit"])
                .arg(format!("--profile={}", profile_name.replace("debug", "dev")))
                .arg("--target-dir")
                .arg(profile.parent().unwrap())
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status();
            assert!(build.unwrap().success(), "the example cannot be built");
        }
        path
    });
    built.clone()
}

fn address(handler: &OutOfProcess) -> Option<SocketAddr> {
    match handler.choose(|_| false) {
        Choice::Forward(upstream) => match upstream.address {
            engine::UpstreamAddress::Tcp(address) => Some(address),
            engine::UpstreamAddress::Unix(_) => None,
        },
        _ => None,
    }
}

/// The body of the answer; empty when the backend ends instead.
fn get(handler: &OutOfProcess, path: &str) -> String {
    let mut stream = TcpStream::connect(address(handler).expect("a backend is ready")).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

fn is_alive(pid: i32) -> bool {
    // A zombie still has its folder; it would be a failure here too.
    Path::new("/proc").join(pid.to_string()).exists()
}

#[test]
fn a_backend_is_started_with_its_environment_and_stops_when_asked() {
    let mut site = Site::misfit(&["serve"]);
    let handler = site.start().unwrap();
    let pid = site.started_pid();
    assert_eq!(get(&handler, "/pid"), pid.to_string());
    assert_eq!(get(&handler, "/cwd"), site.app.dir.display().to_string());
    assert_eq!(get(&handler, "/env/ASPNETCORE_APPL_PATH"), "/shop");
    let port = address(&handler).unwrap().port().to_string();
    assert_eq!(get(&handler, "/env/ASPNETCORE_PORT"), port);
    assert_eq!(get(&handler, "/env/ASPNETCORE_TOKEN").len(), 32);
    assert_eq!(get(&handler, "/env/NOTIFY_SOCKET"), "");

    handler.stop(PATIENCE);
    assert_eq!(site.event(1006), Event::ShutdownMessageSent { pid, status: Some(202) });
    assert!(!is_alive(pid));
    assert!(matches!(handler.choose(|_| false), Choice::Stopped));
}

#[test]
fn a_backend_that_does_not_know_the_message_gets_sigterm() {
    let mut site = Site::misfit(&["deaf-to-messages"]);
    let handler = site.start().unwrap();
    let pid = site.started_pid();
    let begun = Instant::now();
    handler.stop(PATIENCE);
    assert_eq!(site.event(1006), Event::ShutdownMessageSent { pid, status: Some(404) });
    assert!(!is_alive(pid));
    assert!(begun.elapsed() < Duration::from_secs(8), "the limit was not needed");
}

#[test]
fn a_backend_that_ignores_sigterm_is_killed_after_its_limit() {
    let mut site = Site::stubborn_misfit("deaf-to-messages")
        .with(|settings| settings.shutdown_time_limit = Duration::from_millis(300));
    let handler = site.start().unwrap();
    let pid = site.started_pid();
    handler.stop(PATIENCE);
    let limit = Duration::from_millis(300);
    assert!(matches!(site.event(1005), Event::GracefulStopFailed { limit: l, .. } if l <= limit));
    assert!(!is_alive(pid));
}

#[test]
fn a_stop_does_not_wait_for_a_silent_backend_that_is_told_to_end() {
    let hour = Duration::from_secs(3600);
    let mut site = Site::stubborn_misfit("serve").with(|it| it.shutdown_time_limit = hour);
    let handler = site.start().unwrap();
    let pid = site.started_pid();
    let Choice::Forward(upstream) = handler.choose(|_| false) else { panic!("it is ready") };
    assert_eq!(get(&handler, "/deaf"), "deaf");
    upstream.rules.connection_lost(true);
    site.event(1138);
    handler.stop(Duration::from_millis(100));
    assert!(!is_alive(pid));
}

/// As one that runs host after host does. It has a moment for that, which a busy machine may take from it.
#[test]
fn a_backend_that_listens_again_goes_on() {
    assert!((0..5).any(|_| goes_on_when_it_listens_again()));
}

fn goes_on_when_it_listens_again() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::misfit(&["serve"]);
    let handler = site.start().unwrap();
    let (pid, last) = (site.started_pid(), folder.path().join("heard"));
    let Choice::Forward(upstream) = handler.choose(|_| false) else { panic!("it is ready") };
    assert_eq!(get(&handler, &format!("/deaf{}", last.display())), "deaf");
    upstream.rules.connection_lost(true);
    while matches!(handler.choose(|_| false), Choice::Forward(_)) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::write(&last, "").unwrap();
    let another = loop {
        match handler.choose(|_| false) {
            Choice::Forward(upstream) => break upstream,
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    // Connections of before are not used again.
    assert_ne!(another.id, upstream.id);
    let goes_on = get(&handler, "/pid") == pid.to_string();
    handler.stop(PATIENCE);
    assert!(!is_alive(pid));
    goes_on
}

/// Nobody asks anything meanwhile, so nobody notices: who asks next would tell the token.
#[test]
fn a_port_that_becomes_a_strangers_is_noticed_before_anybody_asks() {
    let mut site = Site::misfit(&["serve"]);
    let handler = site.start().unwrap();
    let (first, pid) = (address(&handler).unwrap(), site.started_pid());
    assert_eq!(get(&handler, "/deaf"), "deaf");
    let stranger = TcpListener::bind(first).unwrap();
    assert!(matches!(site.event(1138), Event::BackendSilent { pid: silent } if silent == pid));
    assert_ne!(site.started_pid(), pid);
    stranger.set_nonblocking(true).unwrap();
    while let Ok((mut stream, _)) = stranger.accept() {
        stream.set_nonblocking(false).unwrap();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).unwrap();
        assert_eq!(told, b"");
    }
    handler.stop(PATIENCE);
    assert!(!is_alive(pid));
}

/// The same if it is noticed by a request, and at a stop: the message has the token.
#[test]
fn a_stranger_on_a_port_is_not_told_to_stop() {
    for is_doubted in [true, false] {
        let mut site = Site::misfit(&["serve"]);
        let handler = site.start().unwrap();
        let Choice::Forward(upstream) = handler.choose(|_| false) else { panic!("it is ready") };
        let first = address(&handler).unwrap();
        assert_eq!(get(&handler, "/deaf"), "deaf");
        let stranger = TcpListener::bind(first).unwrap();
        if is_doubted {
            upstream.rules.connection_lost(true);
            site.event(1138);
        }
        handler.stop(PATIENCE);
        stranger.set_nonblocking(true).unwrap();
        while let Ok((mut stream, _)) = stranger.accept() {
            stream.set_nonblocking(false).unwrap();
            let mut told = Vec::new();
            stream.read_to_end(&mut told).unwrap();
            assert_eq!(told, b"");
        }
    }
}

#[test]
fn with_limit_zero_a_backend_is_killed_at_once() {
    let mut site =
        Site::misfit(&["serve"]).with(|settings| settings.shutdown_time_limit = Duration::ZERO);
    let handler = site.start().unwrap();
    let pid = site.started_pid();
    handler.stop(PATIENCE);
    let limit = Duration::ZERO;
    assert_eq!(site.event(1005), Event::GracefulStopFailed { pid, limit });
    assert!(!is_alive(pid));
}

#[test]
fn children_of_a_backend_do_not_outlive_it() {
    let mut site = Site::misfit(&["with-child"]);
    let handler = site.start().unwrap();
    let pid = site.started_pid();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let child: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    assert!(is_alive(child));
    handler.stop(PATIENCE);
    assert!(!is_alive(child));
}

/// A script around a misfit.
fn wrapped(before: &str, after: &str) -> Site {
    let script = format!("{before} {} serve {after}", misfit().display());
    Site::new("/bin/sh", &["-c", &script])
}

/// Processes that were given the port of this backend, whoever started them.
fn given_port(port: u16) -> Vec<i32> {
    let port = port.to_string().into_bytes();
    let all = os::process::tree::all().into_iter();
    let given = all.filter(|it| it.variable("ASPNETCORE_PORT").as_ref() == Some(&port));
    given.map(|it| it.pid).collect()
}

#[test]
fn what_tries_to_get_away_does_not_outlive_its_backend() {
    // In a session of its own, its parent gone.
    let daemon = "(setsid sh -c 'sleep 3600' &) ; setsid sleep 3600 &";
    for stubborn in ["", "trap '' TERM;"] {
        let mut site = wrapped(&format!("{stubborn} {daemon}"), "")
            .with(|settings| settings.shutdown_time_limit = Duration::from_secs(5));
        let handler = site.start().unwrap();
        let pid = site.started_pid();
        let port = address(&handler).unwrap().port();
        assert!(given_port(port).len() >= 3, "{:?}", given_port(port));
        handler.stop(PATIENCE);
        assert_eq!(given_port(port), Vec::<i32>::new());
        assert!(!is_alive(pid));
    }
}

/// Nothing but its brand tells whose it is.
#[test]
fn what_clears_its_environment_does_not_get_away_either() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("daemon");
    let daemon =
        "env -i /bin/sh -c 'echo $$ > \"$0\".new; mv \"$0\".new \"$0\"; exec /bin/sleep 3600'";
    let mut site = wrapped(&format!("(setsid {daemon} {} &) ;", file.display()), "");
    let handler = site.start().unwrap();
    for is_stop in [false, true] {
        let deadline = Instant::now() + PATIENCE;
        let daemon: i32 = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break text.trim().parse().unwrap();
            }
            assert!(Instant::now() < deadline, "no daemon");
            std::thread::yield_now();
        };
        assert!(is_alive(daemon));
        std::fs::remove_file(&file).unwrap();
        if is_stop {
            handler.stop(Duration::ZERO);
        } else {
            site.started_pid();
            get(&handler, "/exit/3");
            site.event(1030);
        }
        assert!(!is_alive(daemon));
    }
}

#[test]
fn what_a_crash_leaves_is_ended_before_the_next_start() {
    let mut site = wrapped("(setsid sleep 3600 &) ;", "");
    let handler = site.start().unwrap();
    site.started_pid();
    let port = address(&handler).unwrap().port();
    assert!(given_port(port).len() >= 2, "{:?}", given_port(port));
    get(&handler, "/exit/3");
    site.event(1030);
    assert_eq!(given_port(port), Vec::<i32>::new());
    site.started_pid();
}

#[test]
fn what_a_backend_has_started_is_told_to_end_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("told");
    let told_path = told.display();
    let script = format!(
        "(trap 'echo told > {told_path}; exit' TERM; : > {told_path}.ready; \
          while :; do sleep 0.01; done) & \
         while [ ! -e {told_path}.ready ]; do sleep 0.01; done; exec {} deaf-to-messages",
        misfit().display()
    );
    let mut site = Site::new("/bin/sh", &["-c", &script]);
    let handler = site.start().unwrap();
    site.started_pid();
    handler.stop(PATIENCE);
    assert_eq!(std::fs::read_to_string(&told).unwrap_or_default(), "told\n");
}

#[test]
fn a_dropped_handler_leaves_nothing_behind() {
    let mut site = Site::misfit(&["serve"]);
    let handler = site.start().unwrap();
    let pid = site.started_pid();
    drop(handler);
    assert!(!is_alive(pid));
}

#[test]
fn the_listener_may_be_a_child_of_the_process() {
    let mut site = Site::misfit(&["wrapper"]);
    let handler = site.start().unwrap();
    match site.event(1001) {
        Event::BackendStarted { pid, listening_pid, .. } => {
            assert_ne!(pid, listening_pid);
            assert_eq!(get(&handler, "/pid"), listening_pid.to_string());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_early_end_is_noticed_at_once_and_reported_with_its_output() {
    let mut site = Site::misfit(&["exit", "7"]);
    let begun = Instant::now();
    let report = site.start().unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(30), "the limit is two minutes");
    assert_eq!(report.code.number(), "502.5");
    assert!(report.summary.starts_with("the process exited with code 7 before it listened"));
    assert_eq!(report.exit.as_deref(), Some("exited with code 7"));
    assert_eq!(report.journey.next_step(), Some(lifecycle::Step::BackendListening));
    assert_eq!(report.stdout, "going to exit\n");
    assert_eq!(report.stderr, "for no good reason\n");
    assert!(report.command.as_ref().unwrap().ends_with("misfit exit 7"));
    for left in [1, 0] {
        match site.event(1000) {
            Event::StartAttemptFailed { stage: "PostStartCheck", attempts_left, .. } => {
                assert_eq!(attempts_left, left);
            }
            other => panic!("{other}"),
        }
    }
    match site.event(1020) {
        Event::StartFailed { report: told, .. } => assert_eq!(*told, *report),
        other => panic!("{other}"),
    }
}

#[test]
fn a_backend_that_never_listens_is_given_up_after_its_limit() {
    let mut site = Site::misfit(&["never-listen"])
        .with(|settings| settings.startup_time_limit = Duration::from_millis(100));
    let report = site.start().unwrap_err();
    assert!(report.summary.contains("nothing listened on port"), "{}", report.summary);
    assert!(report.summary.contains("within 100ms"), "{}", report.summary);
    assert_eq!(report.exit, None, "that we killed it is no news");
}

#[test]
fn the_second_attempt_may_succeed() {
    let mut site = Site::misfit(&["second-time"]);
    let file = site.dir.path().join("seen");
    site.app.settings.arguments.push(file.display().to_string());
    let handler = site.start().unwrap();
    assert!(matches!(site.event(1000), Event::StartAttemptFailed { attempts_left: 1, .. }));
    assert_eq!(get(&handler, "/pid"), site.started_pid().to_string());
}

#[test]
fn a_port_of_somebody_else_is_not_mistaken_for_a_backend() {
    let stranger = (20_000..30_000)
        .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .expect("a port is free");
    let port = stranger.local_addr().unwrap().port().to_string();
    let mut site = Site::misfit(&["never-listen"]).with(|settings| {
        settings.environment_variables.push(("ASPNETCORE_PORT".to_owned(), port.clone()));
    });
    let report = site.start().unwrap_err();
    let expected = format!("port {port} is held by another process");
    assert!(report.summary.ends_with(&expected), "{}", report.summary);
}

#[test]
fn a_port_out_of_range_and_a_missing_program_are_reported_without_a_process() {
    let mut site = Site::misfit(&["serve"]).with(|settings| {
        settings.environment_variables.push(("ASPNETCORE_PORT".to_owned(), "80".to_owned()));
    });
    let report = site.start().unwrap_err();
    assert!(report.summary.ends_with("not a port in 1025-48000"), "{}", report.summary);
    assert!(matches!(site.event(1000), Event::StartAttemptFailed { attempts_left: 0, .. }));

    let report = Site::new("no-such-program", &[]).start().unwrap_err();
    assert!(report.summary.contains("`no-such-program` is neither in"), "{}", report.summary);
    assert!(report.exit.is_none() && report.stdout.is_empty());
}

#[test]
fn a_backend_that_ends_is_replaced_each_time() {
    let mut site = Site::misfit(&["serve"]);
    let handler = site.start().unwrap();
    let mut pids = vec![site.started_pid()];
    for code in [3, 0] {
        let before = address(&handler);
        assert_eq!(get(&handler, &format!("/exit/{code}")), "");
        match site.event(1030) {
            Event::BackendExited { pid, exit, .. } => {
                assert_eq!((Some(&pid), exit), (pids.last(), format!("exited with code {code}")));
            }
            other => panic!("{other}"),
        }
        // From the moment the end is told, nobody is sent to the old address.
        assert!(matches!(handler.choose(|_| false), Choice::Hold) || address(&handler) != before);
        pids.push(site.started_pid());
        // The event comes a moment before the place is published.
        let deadline = Instant::now() + PATIENCE;
        while address(&handler).is_none() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
    pids.dedup();
    assert_eq!(pids.len(), 3);
    assert_eq!(get(&handler, "/pid"), pids[2].to_string());
}

/// What leads gets everything before; what comes later has to be ready.
#[test]
fn a_backend_that_is_not_ready_is_a_failed_start_that_says_why() {
    for (path, seconds, gave) in
        [("/nothing", 60, "404, expected 200"), ("/silence", 10, "no answer, expected 200")]
    {
        let mut site = Site::misfit(&["serve"]).with(|settings| {
            let page = Page::new(path, None).unwrap();
            settings.handler_settings.readiness = Some(Readiness { page, status: 200 });
            settings.startup_time_limit = Duration::from_secs(seconds);
        });
        let handler = site.start().unwrap();
        get(&handler, "/pid").parse::<i32>().unwrap();
        handler.is_warm();
        get(&handler, "/exit/3");
        let Event::StartAttemptFailed { stage, reason, attempts_left: 0 } = site.event(1000) else {
            panic!("no further attempt is made")
        };
        assert_eq!(stage, "PostStartCheck");
        assert!(reason.contains(&format!("the readiness path {path} gave {gave}")), "{reason}");
        let Event::StartFailed { report, .. } = site.event(1020) else { panic!("it has failed") };
        assert_eq!(report.is_late, path == "/silence", "{reason}");
        handler.stop(PATIENCE);
    }
}

#[test]
fn too_many_crashes_are_answered_with_a_page() {
    let mut site = Site::misfit(&["serve"]).with(|settings| settings.rapid_fails_per_minute = 0);
    let handler = site.start().unwrap();
    let pid = site.started_pid();
    get(&handler, "/exit/3");
    match site.event(1003) {
        Event::RapidFailLimitExceeded { per_minute: 0, retry_after, .. } => {
            assert!(retry_after.length > Duration::from_secs(30));
        }
        other => panic!("{other}"),
    }
    match handler.choose(|_| false) {
        Choice::Refuse(report) => {
            let end = "0 times a minute; the last one exited with code 3";
            assert!(report.summary.ends_with(end), "{}", report.summary);
        }
        _ => panic!("requests are refused"),
    }
    // The pause does not keep a stop waiting.
    let begun = Instant::now();
    handler.stop(PATIENCE);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(!is_alive(pid));
}

#[test]
fn processes_take_turns() {
    let mut site = Site::misfit(&["serve"]).with(|settings| settings.processes_per_application = 3);
    let handler = site.start().unwrap();
    let mut started = [site.started_pid(), site.started_pid(), site.started_pid()];
    started.sort_unstable();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut seen: Vec<i32> = (0..3).map(|_| get(&handler, "/pid").parse().unwrap()).collect();
        seen.sort_unstable();
        if seen == started {
            break;
        }
        assert!(Instant::now() < deadline, "{seen:?} of {started:?}");
    }
    handler.stop(PATIENCE);
    assert!(!started.into_iter().any(is_alive));
}

#[test]
fn a_stop_during_a_start_does_not_wait_for_it() {
    let mut site = Site::misfit(&["second-time"]);
    let file = site.dir.path().join("seen");
    std::fs::write(&file, "").unwrap();
    site.app.settings.arguments.push(file.display().to_string());
    let handler = site.start().unwrap();
    site.started_pid();
    // From now on it ends before it listens; the next start is on its way or pausing.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    get(&handler, "/exit/1");
    site.event(1030);
    let begun = Instant::now();
    handler.stop(PATIENCE);
    assert!(begun.elapsed() < Duration::from_secs(30));
}
