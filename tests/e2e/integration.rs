//! The framework's own IIS integration in a backend, as we set it up.

use testkit::{App, Connection, Model, Request, Response, Site};

const EVENT: &str = "MS-ASPNETCORE-EVENT";
const TOKEN: &str = "MS-ASPNETCORE-TOKEN";

/// A backend, spoken to past the worker.
struct Backend {
    site: Site,
    token: String,
}

impl Backend {
    fn start() -> Self {
        // On a port, as under IIS; `transport` has the same on the socket.
        let app = App::test("Site").handler_setting("backendTransport", "tcp");
        let site = Site::start(app, Model::OutOfProcess);
        let token = site.get("/GetEnvironmentVariable?name=ASPNETCORE_TOKEN").ok().text();
        Self { site, token }
    }

    fn send(&self, request: &Request) -> Response {
        let addresses = self.site.get("/ServerAddresses").ok().text();
        let address = addresses.trim_start_matches("http://").parse().unwrap();
        Connection::open(address).request(request)
    }

    /// The same of the application `Shapes`.
    fn ask_shape(&self, request: &Request) -> Response {
        let addresses = self.site.get("/addresses").ok().text();
        let address = addresses.trim_start_matches("http://").parse().unwrap();
        Connection::open(address).request(request)
    }

    fn is_there(&self) -> bool {
        self.site.get("/HelloWorld").status() == 200
    }
}

#[test]
fn mid_03_who_does_not_know_the_token_is_refused_out_of_process() {
    let backend = Backend::start();
    assert_eq!(backend.send(&Request::get("/HelloWorld")).status(), 400);
    let request = Request::get("/HelloWorld").header(TOKEN, "guessed");
    assert_eq!(backend.send(&request).status(), 400);
    let request = Request::get("/HelloWorld").header(TOKEN, &backend.token);
    assert_eq!(backend.send(&request).ok().text(), "Hello World");
}

#[test]
fn mid_04_the_shutdown_message_is_heard_out_of_process() {
    for word in ["shutdown", "ShutDown"] {
        let backend = Backend::start();
        let process = backend.site.application();
        let message = Request::post("/iisintegration", "").header(TOKEN, &backend.token);
        assert_eq!(backend.send(&message.header(EVENT, word)).status(), 202);
        testkit::eventually("the end of the backend", || (!process.is_alive()).then_some(()));
    }
}

#[test]
fn mid_05_mid_06_mid_07_other_messages_are_ordinary_requests_out_of_process() {
    let backend = Backend::start();
    let paired = |request: Request| request.header(TOKEN, &backend.token);
    for request in [
        paired(Request::get("/iisintegration")).header(EVENT, "shutdown"),
        paired(Request::post("/other", "")).header(EVENT, "shutdown"),
        paired(Request::post("/iisintegration", "")).header(EVENT, "other"),
    ] {
        assert_eq!(backend.send(&request).status(), 404);
        assert!(backend.is_there());
    }
}

#[test]
fn clients_cannot_shut_the_backend_down_out_of_process() {
    let backend = Backend::start();
    let process = backend.site.application();
    let message = Request::post("/iisintegration", "").header(EVENT, "shutdown");
    assert_ne!(backend.site.request(&message.header(TOKEN, &backend.token)).status(), 202);
    assert_eq!(backend.site.application(), process);
}

/// A way to build a host, with its integration as that host is told.
fn shape(arguments: &str) -> Backend {
    let app = App::test("Shapes").arguments(&format!(r".\Shapes.dll {arguments}"));
    let app = app.handler_setting("backendTransport", "tcp");
    let app = app.variables(&[("ASPNETCORE_TOKEN", "known")]);
    Backend { site: Site::start(app, Model::OutOfProcess), token: "known".to_owned() }
}

#[test]
fn mid_01_integration_that_is_asked_for_twice_is_there_once_out_of_process() {
    let backend = shape("IntegratedTwice");
    assert_eq!(backend.site.get("/").ok().text(), "IntegratedTwice");
    assert_eq!(backend.ask_shape(&Request::get("/")).status(), 400);
    let paired = Request::get("/").header(TOKEN, &backend.token);
    assert_eq!(backend.ask_shape(&paired).ok().text(), "IntegratedTwice");
}

#[test]
fn mid_02_a_host_without_a_token_checks_none_out_of_process() {
    let backend = shape("WebHostBuilder --TOKEN=");
    assert_eq!(backend.site.get("/").ok().text(), "WebHostBuilder");
    assert_eq!(backend.ask_shape(&Request::get("/")).ok().text(), "WebHostBuilder");
    assert_eq!(backend.site.get("/windows").ok().text(), "none");
}

#[test]
fn mid_09_mid_10_a_path_base_is_the_application_s_and_not_the_server_s_out_of_process() {
    let backend = shape("WebHostBuilder --APPL_PATH /pathbase");
    assert_eq!(backend.site.get("/PathBase/where").ok().text(), "/PathBase|/where");
    let addresses = backend.site.get("/pathbase/addresses").ok().text();
    assert!(!addresses.contains("pathbase"), "{addresses}");
    assert!(addresses.starts_with("http://127.0.0.1:"), "{addresses}");
}

const WINDOWS: &str = "Microsoft.AspNetCore.Server.IISIntegration.AuthenticationHandler";

#[test]
fn mid_11_the_windows_scheme_is_there_where_the_host_does_not_say_otherwise_out_of_process() {
    let site = shape("WebHostBuilder --IIS_HTTPAUTH=").site;
    assert_eq!(site.get("/windows").ok().text(), WINDOWS);
}

#[test]
fn mid_12_mid_13_the_windows_scheme_follows_what_the_host_says_out_of_process() {
    let site = shape("WebHostBuilder --IIS_HTTPAUTH=windows;anonymous;").site;
    assert_eq!(site.get("/windows").ok().text(), WINDOWS);
    for name in ["CreateBuilder", "CreateEmptyBuilder", "WebHostBuilder"] {
        let site = shape(name).site;
        assert_eq!(site.get("/windows").ok().text(), "none", "{name}");
        assert_eq!(site.get("/").ok().text(), name);
    }
}
