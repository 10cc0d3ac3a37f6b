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
        manager.hears("RELOADING=1");
        assert!(manager.hears("READY=1").contains("generation 2"));
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
