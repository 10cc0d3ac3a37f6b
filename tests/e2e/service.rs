//! Under a service manager: readiness, reload, stop and watchdog are told; its sockets are served.

use std::os::unix::net::UnixDatagram;

use testkit::{App, Start, both_models};

/// The end of the conversation that systemd has.
struct Manager {
    socket: UnixDatagram,
    _dir: tempfile::TempDir,
    path: String,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify").to_str().unwrap().to_owned();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(testkit::patience())).unwrap();
        Self { socket, _dir: dir, path }
    }

    /// Waits for a message whose first line is this.
    fn hears(&self, line: &str) -> String {
        let mut buffer = [0; 1024];
        loop {
            let count = self.socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{line}: {e}"));
            let message = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if message.lines().next() == Some(line) {
                return message;
            }
        }
    }

    /// Whether nothing has been said since.
    fn is_silent(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let is_silent = self.socket.recv(&mut [0; 16]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        is_silent
    }
}

both_models! {
    fn the_service_manager_is_told(model: Model) {
        let manager = Manager::new();
        let app = App::sample("hello").model(model);
        let mut site = Start::of(app)
            .env("NOTIFY_SOCKET", &manager.path)
            .env("WATCHDOG_USEC", "200000")
            .spawn();
        assert!(manager.hears("READY=1").contains("STATUS=serving"));
        manager.hears("WATCHDOG=1");
        site.wait_until_listening();
        site.signal("HUP");
        assert!(manager.hears("RELOADING=1").contains("\nMONOTONIC_USEC="));
        assert!(manager.hears("READY=1").contains("generation 2"));
        // Whoever waits for the end of a reload is told of one that comes to nothing.
        let good = site.app().read("web.config");
        site.app().write("web.config", "<configuration>");
        site.signal("HUP");
        manager.hears("RELOADING=1");
        assert!(manager.hears("READY=1").contains("web.config is refused"));
        site.app().write("web.config", good);
        site.signal("TERM");
        manager.hears("STOPPING=1");
        assert!(site.wait_for_end().success());
    }

    fn an_application_does_not_answer_for_us(model: Model) {
        let manager = Manager::new();
        let app = App::test("Site").model(model);
        let start = Start::of(app).env("NOTIFY_SOCKET", &manager.path).env("LISTEN_FDNAMES", "x");
        let site = start.run();
        manager.hears("READY=1");
        for name in ["NOTIFY_SOCKET", "LISTEN_FDNAMES"] {
            let answer = site.get(&format!("/GetEnvironmentVariable?name={name}"));
            assert_eq!(answer.ok().text(), "(null)", "{name}");
        }
        assert!(manager.is_silent());
        site.stop();
    }
}

/// Perl passes a socket as systemd does: descriptor 3, and the number of the process.
const PASS: &str = r#"
    use IO::Socket::INET; use POSIX;
    $^F = 3;
    my $socket = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1:0') or die;
    POSIX::dup2(fileno($socket), 3) if fileno($socket) != 3;
    $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1;
    exec @ARGV or die;
"#;

#[test]
fn sockets_of_the_service_manager_are_served() {
    let site = Start::of(App::sample("hello")).through("perl", &["-e", PASS, "--"]).run();
    assert_eq!(site.get("/plaintext").ok().text(), "Hello, World!");
    let worker = site.worker();
    site.signal("HUP");
    testkit::eventually("another worker", || (site.worker().0 != worker.0).then_some(()));
    assert_eq!(site.get("/plaintext").status(), 200);
    site.stop();
}

#[test]
fn a_socket_that_was_announced_and_not_passed_is_an_error() {
    let script = "export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\" 3<&-";
    let ended = Start::of(App::sample("hello")).through("sh", &["-c", script, "sh"]).run_to_end();
    assert_eq!(ended.status.code(), Some(3));
    assert!(ended.stderr.contains("LISTEN_FDS=1"), "{}", ended.stderr);
}

/// The fields of a datagram to the journal.
fn fields(mut datagram: &[u8]) -> std::collections::BTreeMap<String, String> {
    let mut fields = std::collections::BTreeMap::new();
    while let Some(end) = datagram.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = datagram.split_at(end);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match line.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                fields.insert(text(&line[..at]), text(&line[at + 1..]));
                datagram = &rest[1..];
            }
            None => {
                let (length, value) = rest[1..].split_at(8);
                let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
                fields.insert(text(line), text(&value[..length]));
                datagram = &value[length + 1..];
            }
        }
    }
    fields
}

#[test]
fn events_are_in_the_journal_with_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(testkit::patience())).unwrap();
    let app = App::misbehaving("Throw").model(testkit::Model::InProcess);
    let site = Start::of(app).env("ANCM_JOURNAL_SOCKET", &path).run();
    let hear = |event: &str| {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count =
                journal.recv(&mut buffer).unwrap_or_else(|error| panic!("{event}: {error}"));
            let fields = fields(&buffer[..count]);
            if fields.get("EVENT_ID").is_some_and(|id| id == event) {
                return fields;
            }
        }
    };
    let report = hear("1018");
    assert!(report["MESSAGE"].contains("500.30") && report["MESSAGE"].lines().count() > 5);
    assert_eq!((&*report["PRIORITY"], &*report["SYSLOG_IDENTIFIER"]), ("3", "ancm"));
    assert!(report["MESSAGE_ID"].len() == 32 && report["MESSAGE_ID"].ends_with("03fa"));
    assert!(hear("1010")["MESSAGE"].contains("did not start"));
    assert!(!site.log().contains("1018"), "{}", site.log());
    site.app().write("web.config", site.app().read("web.config").replace("Throw", "Serve"));
    let started = hear("1032");
    assert_eq!(started["PRIORITY"], "6");
    // Without a journal there are lines.
    std::fs::remove_file(&path).unwrap();
    site.signal("HUP");
    site.wait_for_log("info 1012: ");
    site.stop();
}

/// The templates in `packaging`, with the program that was built.
#[test]
fn the_unit_files_are_understood() {
    let packaging = testkit::env::include().with_file_name("packaging").join("systemd");
    let units = tempfile::tempdir().unwrap();
    let program = testkit::env::programs().join("ancm");
    let texts = ["ancm@.service", "ancm@.socket"].map(|name| {
        let text = std::fs::read_to_string(packaging.join(name)).unwrap();
        let text = text.replace("/usr/bin/ancm", program.to_str().unwrap());
        std::fs::write(units.path().join(name), &text).unwrap();
        text
    });
    // What the supervisor does is of no use without these.
    for setting in [
        "Type=notify",
        "WatchdogSec=",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "KillMode=mixed",
        "TimeoutStartSec=infinity",
        "RuntimeDirectory=ancm/%i",
        "CacheDirectory=ancm/%i",
    ] {
        assert!(texts[0].lines().any(|line| line.starts_with(setting)), "{setting}");
    }
    assert!(texts[1].lines().any(|line| line.starts_with("ListenStream=")));
    // Every line is a section, a setting or a comment, whoever looks.
    for text in &texts {
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let is_section = line.starts_with('[') && line.ends_with(']');
            assert!(is_section || line.split_once('=').is_some(), "{line}");
        }
    }
    // Where systemd is installed, it is asked itself; it warns of settings that it does not know.
    let mut verify = std::process::Command::new("systemd-analyze");
    verify
        .arg("verify")
        .args(["ancm@shop.service", "ancm@shop.socket"].map(|name| units.path().join(name)));
    match verify.output() {
        Ok(verified) => {
            let said = String::from_utf8_lossy(&verified.stderr);
            let about_us: Vec<_> = said.lines().filter(|line| line.contains("ancm@")).collect();
            assert!(about_us.is_empty(), "{said}");
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
}
