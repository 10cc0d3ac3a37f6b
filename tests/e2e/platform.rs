//! `<httpPlatform>`: programs that know nothing of ASP.NET Core, each as it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use testkit::{App, Load, Process, Request, Site, Start, eventually};

use crate::abi_skew::compile;

const BACKENDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/backends");

fn source(name: &str) -> PathBuf {
    Path::new(BACKENDS).join(name)
}

/// An application of one file, told its port in two ways beside the usual one.
fn app(program: &str, script: &str) -> App {
    let script = if script.is_empty() { String::new() } else { format!(".\\{script} ") };
    App::empty().file(
        "web.config",
        format!(
            r#"<configuration><system.webServer>
<handlers><add name="httpplatformhandler" path="*" verb="*" modules="httpPlatformHandler"
    resourceType="Unspecified" requireAccess="Script" /></handlers>
<httpPlatform processPath="{program}" arguments="{script}--port %HTTP_PLATFORM_PORT%"
    startupTimeLimit="60" startupRetryCount="3">
  <environmentVariables>
    <environmentVariable name="BY_VALUE" value="port %http_platform_port%" />
  </environmentVariables>
</httpPlatform>
</system.webServer></configuration>"#
        ),
    )
}

/// As [`app`], with its script in the folder.
pub(crate) fn script(program: &str, script: &str) -> App {
    app(program, script).file(script, fs::read(source(script)).unwrap())
}

fn static_program() -> App {
    let app = app(r".\server.exe", "");
    compile_server(&app);
    app
}

/// Puts the static program into an application's folder.
pub(crate) fn compile_server(app: &App) {
    compile(&source("server.c"), &app.path("server"), &["-static"]);
}

fn pid(site: &Site) -> Process {
    Process(site.get("/pid").ok().text().parse().unwrap())
}

fn is_hosted(app: App) {
    // What the host was told itself is not what its programs are told.
    let site = Start::of(app)
        .env("HTTP_PLATFORM_PORT", "9")
        .env("NOTIFY_SOCKET_OF_HOST", "kept")
        .env("JOURNAL_STREAM", "8:1")
        .run();
    let text = |target: &str| site.get(target).ok().text();
    let port = text("/env/HTTP_PLATFORM_PORT");
    assert_ne!(port, "9");
    assert_eq!(text("/argument"), port);
    assert_eq!(text("/env/PORT"), port);
    assert_eq!(text("/env/BY_VALUE"), format!("port {port}"));
    assert_eq!(text("/env/HTTP_PLATFORM_APPL_PATH"), "/");
    let dir = format!("{}/", site.app().dir().canonicalize().unwrap().display());
    assert_eq!(text("/env/HTTP_PLATFORM_IIS_PHYSICAL_PATH"), dir);
    for absent in ["ASPNETCORE_TOKEN", "ASPNETCORE_PORT", "ANCM_SOCKET", "JOURNAL_STREAM"] {
        assert_eq!(text(&format!("/env/{absent}")), "", "{absent}");
    }

    let request = Request::get("/headers").header("MS-ASPNETCORE-TOKEN", "forged");
    let headers = site.request(&request).ok().text().to_lowercase();
    assert!(headers.contains("x-forwarded-for: 127.0.0.1:"), "{headers}");
    assert!(headers.contains("x-forwarded-proto: http\n") || headers.contains("http\r\n"));
    assert!(!headers.contains("aspnetcore"), "{headers}");

    let body = "0123456789".repeat(5000);
    let posted = site.request(&Request::post("/echo", body.clone())).ok();
    assert_eq!(posted.text(), body);
    let posted = site.request(&Request::post_chunked("/echo", body.as_bytes(), 777)).ok();
    assert_eq!(posted.text(), body);
    assert_eq!(site.get("/nothing").status(), 404);

    let first = pid(&site);
    first.signal("KILL");
    eventually("the end of the first", || (!first.is_alive()).then_some(()));
    assert_ne!(pid(&site), first);
    site.wait_for_log("was ended by SIGKILL");

    let log = site.log();
    assert!(!log.contains("asked to stop"), "{log}");
    let worker = site.worker();
    site.signal("HUP");
    // Asked by a signal, not killed; the next generation serves.
    site.wait_for_log("asked to stop");
    eventually("the end of the generation", || (!worker.is_alive()).then_some(()));
    assert!(!site.log().contains("shutdown message"), "{}", site.log());
    assert!(!site.log().contains("did not end within"), "{}", site.log());
    pid(&site);
    site.stop();
}

/// Whoever waits for the process alone would have nobody to send requests to, for ever.
fn is_replaced(app: App, silence: impl Fn(&Site, Process)) {
    let site = Start::of(app).run();
    let first = pid(&site);
    silence(&site, first);
    eventually("another backend", || {
        let response = site.get("/pid");
        (response.status() == 200 && response.text() != first.0.to_string()).then_some(())
    });
    site.wait_for_log("nobody listens for it any more");
    site.stop();
}

#[test]
fn a_wrapper_whose_program_is_gone_is_started_again() {
    let app = script("node", "server.js");
    let app = app.replace(r#"processPath="node""#, r#"processPath="sh""#);
    let app = app.replace(
        r#"arguments=".\server.js --port %HTTP_PLATFORM_PORT%""#,
        r#"arguments="-c &quot;node ./server.js %HTTP_PLATFORM_PORT%; exec sleep 9999&quot;""#,
    );
    is_replaced(app, |_, listener| listener.signal("KILL"));
}

#[test]
fn a_backend_that_stops_listening_is_started_again() {
    is_replaced(script("node", "server.js"), |site, _| {
        assert_eq!(site.get("/deaf").ok().text(), "deaf");
    });
}

/// What a backend has and its host has not, and the other way round.
fn added_and_removed(app: App, backend: impl Fn(&Site) -> Process) -> (String, String) {
    let mut start = Start::of(app);
    for host_only in ["ASPNETCORE_URLS", "JOURNAL_STREAM", "WATCHDOG_USEC", "MEMORY_PRESSURE_WATCH"]
    {
        start = start.env(host_only, "");
    }
    let site = start.env("SOMETHING_ELSE", "kept").run();
    let (theirs, ours) = (backend(&site).variables(), site.supervisor().variables());
    let names = |names: std::collections::btree_set::Difference<'_, String>| {
        names.map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    let result = (names(theirs.difference(&ours)), names(ours.difference(&theirs)));
    site.stop();
    result
}

#[test]
fn a_backend_gets_these_variables_and_no_others_out_of_process() {
    let (added, removed) = added_and_removed(script("node", "server.js"), pid);
    assert_eq!(
        added,
        "BY_VALUE HTTP_PLATFORM_APPL_PATH HTTP_PLATFORM_IIS_APPLICATION_ID \
         HTTP_PLATFORM_IIS_APPLICATION_VIRTUAL_PATH HTTP_PLATFORM_IIS_APP_CONFIG_PATH \
         HTTP_PLATFORM_IIS_APP_POOL_CONFIG_FILE HTTP_PLATFORM_IIS_APP_POOL_ID \
         HTTP_PLATFORM_IIS_PHYSICAL_PATH HTTP_PLATFORM_IIS_SITE_ID \
         HTTP_PLATFORM_IIS_SITE_NAME HTTP_PLATFORM_IIS_VERSION HTTP_PLATFORM_PORT PORT"
    );
    assert_eq!(removed, "ASPNETCORE_URLS JOURNAL_STREAM MEMORY_PRESSURE_WATCH WATCHDOG_USEC");
    let site = App::test("Site").model(testkit::Model::OutOfProcess);
    let (added, removed) = added_and_removed(site, Site::application);
    assert_eq!(
        added,
        "ANCM_ADDRESSES ANCM_BASE_DIRECTORY ANCM_BODY_LIMIT ANCM_LINK ANCM_SOCKET \
         ASPNETCORE_APPL_PATH ASPNETCORE_HOSTINGSTARTUPASSEMBLIES \
         ASPNETCORE_IIS_APPLICATION_ID ASPNETCORE_IIS_APPLICATION_VIRTUAL_PATH \
         ASPNETCORE_IIS_APP_CONFIG_PATH ASPNETCORE_IIS_APP_POOL_CONFIG_FILE \
         ASPNETCORE_IIS_APP_POOL_ID ASPNETCORE_IIS_HTTPAUTH ASPNETCORE_IIS_PHYSICAL_PATH \
         ASPNETCORE_IIS_SITE_ID ASPNETCORE_IIS_SITE_NAME ASPNETCORE_IIS_VERSION \
         ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED ASPNETCORE_PORT ASPNETCORE_TOKEN \
         DOTNET_STARTUP_HOOKS HTTP_PLATFORM_PORT PORT"
    );
    assert_eq!(removed, "JOURNAL_STREAM MEMORY_PRESSURE_WATCH WATCHDOG_USEC");
}

#[test]
fn a_node_program_is_hosted() {
    is_hosted(script("node", "server.js"));
}

#[test]
fn a_python_program_is_hosted() {
    is_hosted(script("python3", "server.py"));
}

#[test]
fn a_static_program_is_hosted() {
    is_hosted(static_program());
}

#[test]
fn a_script_is_taken_over_when_it_changes() {
    let site = Start::of(script("python3", "server.py")).run();
    let first = pid(&site);
    let load = Load::start(site.address(), "/pid", 2, 2);
    site.app().write("server.py", site.app().read("server.py") + "\n# another version\n");
    eventually("another program", || (pid(&site) != first).then_some(()));
    eventually("the end of the first", || (!first.is_alive()).then_some(()));
    site.wait_for_log("files of the application have changed");
    load.stop().assert_lossless();
    site.stop();
}

#[test]
fn a_program_that_ends_at_once_is_launched_as_often_as_it_says() {
    let app = app("sh", "start.sh").file("start.sh", "echo launched; exit 3\n");
    let site = Start::of(app).run();
    assert_eq!(site.get("/").status(), 502);
    site.wait_for_log("(attempts left: 0)");
    let log = site.log();
    let first = log.split("(attempts left: 0)").next().unwrap_or_default();
    assert!(first.contains("(attempts left: 2)") && first.contains("(attempts left: 1)"), "{log}");
    assert!(first.contains("exited with code 3"), "{log}");
}
