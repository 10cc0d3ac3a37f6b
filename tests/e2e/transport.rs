//! Out-of-process: how a backend is reached, and what is left of that.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use testkit::{App, Model, Request, Site, Start, eventually};

/// A site whose sockets are below a folder of the test's own.
fn start(app: App) -> (Site, tempfile::TempDir) {
    let session = tempfile::tempdir().unwrap();
    let app = app.model(Model::OutOfProcess);
    let start = Start::of(app).without_env("RUNTIME_DIRECTORY");
    (start.env("XDG_RUNTIME_DIR", session.path()).run(), session)
}

/// Every socket for connections of a backend below a folder.
fn sockets(dir: &Path) -> Vec<PathBuf> {
    all_sockets(dir).into_iter().filter(|path| !is_link(path)).collect()
}

/// Every socket for links.
fn links(dir: &Path) -> Vec<PathBuf> {
    all_sockets(dir).into_iter().filter(|path| is_link(path)).collect()
}

/// Connections that were accepted at a socket, by what the kernel calls them.
fn established(socket: &Path) -> BTreeSet<String> {
    const CONNECTED: &str = "03";
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|line| line.get(5) == Some(&CONNECTED))
        .filter(|line| line.get(7).is_some_and(|path| Path::new(path) == socket))
        .map(|line| line[6].to_owned())
        .collect()
}

fn is_link(path: &Path) -> bool {
    path.extension().is_some_and(|name| name == "link")
}

fn all_sockets(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(all_sockets(&entry.path())),
            Ok(kind) if kind.is_socket() && is_in_a_workers_folder(&entry.path()) => {
                found.push(entry.path());
            }
            _ => {}
        }
    }
    found
}

/// The supervisor's own sockets are for operators.
fn is_in_a_workers_folder(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|name| name.as_encoded_bytes()[0] == b'w')
}

/// The folders of workers.
fn folders(session: &tempfile::TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(session.path().join("ancm")).into_iter().flatten().flatten();
    let inside = entries.map(|entry| entry.path().join("x"));
    let workers = inside.filter(|path| is_in_a_workers_folder(path));
    workers.filter_map(|path| path.parent().map(Path::to_owned)).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn listens(site: &Site) -> String {
    site.get("/listens").ok().text()
}

fn shape(name: &str) -> App {
    App::test("Shapes").arguments(&format!(r".\Shapes.dll {name}"))
}

#[test]
fn a_backend_listens_on_a_private_socket_that_goes_with_it() {
    let (site, session) = start(shape("UseUrls"));
    let found = sockets(session.path());
    let [socket] = found.as_slice() else { panic!("{found:?}") };
    let beside = links(session.path());
    let [link] = beside.as_slice() else { panic!("{beside:?}") };
    assert_eq!(listens(&site), format!("http://unix:{}", socket.display()));
    assert_eq!((mode(socket), mode(link)), (0o600, 0o600));
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    assert_eq!(mode(&session.path().join("ancm")), 0o700);
    site.stop();
    assert!(folders(&session).is_empty(), "{:?}", folders(&session));
}

#[test]
fn a_new_backend_has_a_socket_of_its_own() {
    let (site, session) = start(App::test("Site"));
    let before = sockets(session.path());
    site.application().signal("KILL");
    eventually("another socket", || {
        let now = sockets(session.path());
        (now.len() == 1 && now != before).then_some(())
    });
    site.application();
    site.stop();
}

#[test]
fn dotnet_backends_are_reached_over_links_unless_a_socket_is_asked_for() {
    for (transport, is_linked) in [("auto", true), ("unix", false), ("tcp", false)] {
        let (site, session) =
            start(App::test("Site").handler_setting("backendTransport", transport));
        assert_eq!(site.get("/ConnectionId").status(), 200);
        assert_eq!(links(session.path()).len(), usize::from(is_linked), "{transport}");
        site.stop();
    }
}

#[test]
fn a_channel_that_its_server_closes_behind_an_answer_costs_the_next_request_nothing() {
    let app = App::test("Site").model(Model::OutOfProcess);
    let site = Start::of(app).argument("--lanes").argument("1").run();
    let mut connection = site.connect();
    for at in 0..300 {
        let answer = connection.request(&Request::post("/AnswerUnread", "0123456789"));
        assert_eq!(answer.text(), "unread", "request {at}");
    }
    site.stop();
}

#[test]
fn clients_that_leave_take_their_channels_along_and_not_the_link() {
    let (site, session) = start(App::test("Site"));
    assert_eq!(site.get("/ConnectionId").status(), 200);
    let before = established(&links(session.path())[0]);
    assert!(!before.is_empty());
    for at in 0..50 {
        let mut connection = site.connect();
        let request = Request::post(&format!("/WaitForAbort?id={at}"), vec![b'x'; 100]).to_bytes();
        connection.send(&request[..request.len() - 50]);
        site.wait_for_outcome(&at.to_string(), "waiting");
        drop(connection);
        site.wait_for_outcome(&at.to_string(), "aborted");
    }
    assert_eq!(site.get("/ConnectionId").status(), 200);
    // Each lane has one, from its first request to the last.
    let after = established(&links(session.path())[0]);
    assert!(after.is_superset(&before) && after.len() <= 4, "{before:?} {after:?}");
    site.stop();
}

#[test]
fn what_a_killed_worker_left_is_removed_by_the_next() {
    let (site, session) = start(App::test("Site"));
    let before = folders(&session);
    assert_eq!(before.len(), 1);
    site.worker().signal("KILL");
    eventually("a folder of the next worker, alone", || {
        let now = folders(&session);
        (now.len() == 1 && now != before).then_some(())
    });
    site.application();
    site.stop();
    assert!(folders(&session).is_empty());
}

#[test]
fn a_port_is_used_where_it_is_asked_for() {
    let asked = shape("CreateBuilder").handler_setting("backendTransport", "tcp");
    let (site, session) = start(asked);
    assert!(listens(&site).starts_with("http://127.0.0.1:"), "{}", listens(&site));
    assert!(sockets(session.path()).is_empty());
    site.stop();
}

#[test]
fn an_application_without_start_up_hooks_is_found_on_its_port() {
    let app = shape("CreateBuilder");
    let config = app.read("Shapes.runtimeconfig.json");
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let properties = &mut config["runtimeOptions"]["configProperties"];
    properties["System.StartupHookProvider.IsSupported"] = false.into();
    let app = app.file("Shapes.runtimeconfig.json", config.to_string());
    let (site, session) = start(app);
    assert!(listens(&site).starts_with("http://127.0.0.1:"), "{}", listens(&site));
    assert!(sockets(session.path()).is_empty());
    // Nobody would take these out again before the application starts processes of its own.
    for backend in site.worker().children() {
        let environment = fs::read(format!("/proc/{}/environ", backend.0)).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        assert!(environment.contains("ASPNETCORE_PORT="), "{environment}");
        assert!(!environment.contains("ANCM_"), "{environment}");
        assert!(!environment.contains("Ancm.Backend"), "{environment}");
    }
    site.stop();
}

#[test]
fn without_any_private_folder_ports_are_used_and_the_log_says_so() {
    let app = shape("CreateBuilder").model(Model::OutOfProcess);
    let file = app.path("Shapes.dll");
    let start = Start::of(app).env("RUNTIME_DIRECTORY", &file).env("XDG_RUNTIME_DIR", &file);
    // As root the system's own place is always there.
    let site = start.env("TMPDIR", &file).run();
    if listens(&site).starts_with("http://unix:") {
        assert!(listens(&site).starts_with("http://unix:/run/ancm/"), "{}", listens(&site));
    } else {
        site.wait_for_log("no private folder for sockets can be had");
    }
    site.stop();
}

/// What the framework's own integration answers to `request` without the host in between.
fn ask(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn mid_03_a_request_past_the_host_lacks_the_token_and_is_refused() {
    let (site, session) = start(App::test("Site"));
    let socket = &sockets(session.path())[0];
    let without = "GET /ProcessId HTTP/1.1\nHost: a\nConnection: close\n\n";
    assert_eq!(ask(socket, without), "HTTP/1.1 400 Bad Request");
    let wrong =
        "GET /ProcessId HTTP/1.1\nHost: a\nMS-ASPNETCORE-TOKEN: guess\nConnection: close\n\n";
    assert_eq!(ask(socket, wrong), "HTTP/1.1 400 Bad Request");
    site.application();
    site.stop();
}

#[test]
fn mid_04_the_shutdown_message_ends_a_backend_whatever_its_casing() {
    let app = App::test("Site").variables(&[("ASPNETCORE_TOKEN", "known")]);
    let (site, session) = start(app);
    for (path, event) in [("/iisintegration", "shutdown"), ("/IISIntegration", "SHUTDOWN")] {
        let first = site.application();
        let socket = &sockets(session.path())[0];
        let message = format!(
            "POST {path} HTTP/1.1\nHost: a\nMS-ASPNETCORE-TOKEN: known\nMS-ASPNETCORE-EVENT: \
             {event}\nContent-Length: 0\nConnection: close\n\n"
        );
        assert_eq!(ask(socket, &message), "HTTP/1.1 202 Accepted");
        eventually("the end of the backend", || (!first.is_alive()).then_some(()));
        // One that ends may leave the requests unanswered that it has taken already.
        eventually("another backend", || (site.get("/ProcessId").status() == 200).then_some(()));
        assert_ne!(site.application(), first);
    }
    site.stop();
}

#[test]
fn mid_08_the_listen_address_is_set_late_and_preferred() {
    for name in ["ConfigureKestrel", "UrlsAdd", "RunWithUrl"] {
        let (site, _session) = start(shape(name));
        assert!(listens(&site).starts_with("http://unix:/"), "{name}: {}", listens(&site));
        site.stop();
    }
}
