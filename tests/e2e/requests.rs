//! What the application sees of a request: target, headers, variables, features.

use std::thread;

use testkit::{App, Model, Request, Site, Start, both_models};

fn start(model: Model) -> Site {
    Site::start(App::test("Site"), model)
}

fn start_with(model: Model, arguments: &str) -> Site {
    let arguments = format!(r".\Site.dll {arguments}");
    Start::of(App::test("Site").arguments(&arguments).model(model)).run()
}

both_models! {
    fn inp_19_connections_of_another_worker_have_other_ids(model: Model) {
        let [first, second] = [start(model), start(model)];
        let [one, other] = [&first, &second].map(|site| site.get("/ConnectionId").ok().text());
        assert_ne!(one, other);
        first.stop();
        second.stop();
    }

    fn req_01_escaped_characters_are_decoded_once(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        for byte in b' '..0x7f {
            let escaped = format!("%{byte:02X}");
            let seen = connection.get(&format!("/Path/{escaped}x")).ok().text();
            let expected = match byte {
                b'/' => "/%2Fx".to_owned(),
                byte => format!("/{}x", byte as char),
            };
            assert_eq!(seen, expected);
        }
        assert_eq!(connection.get("/Path/%2541").ok().text(), "/%41");
        assert_eq!(connection.get("/Path/%C3%A4").ok().text(), "/ä");
    }

    fn req_02_double_slashes_are_left_alone(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/Path//a/b//c").ok().text(), "//a/b//c");
    }

    fn req_03_req_04_dot_segments_are_removed(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        for (target, expected) in [
            ("/Path/a/b/../c", "/a/c"),
            ("/Path/a/b/./c", "/a/b/c"),
            ("/Path/a/b/%2E%2E/c", "/a/c"),
            ("/Path/a/b/%2E/c", "/a/b/c"),
            ("/Path/a/..", "/"),
            ("/../../Path/x", "/x"),
        ] {
            assert_eq!(connection.get(target).ok().text(), expected, "{target}");
        }
    }

    fn req_05_raw_control_characters_are_refused(model: Model) {
        let site = start(model);
        for byte in (0..b' ').chain([0x7f]) {
            let mut connection = site.connect();
            let target = [b"/Path/a".as_slice(), &[byte], b"b"].concat();
            connection.send([b"GET ", target.as_slice(), b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
            assert_eq!(connection.response().status(), 400, "{byte:#x}");
        }
    }

    fn req_06_escaped_control_characters_are_refused(model: Model) {
        let site = start(model);
        for byte in 0..b' ' {
            let response = site.get(&format!("/Path/a%{byte:02X}b"));
            assert_eq!(response.status(), 400, "{byte:#x}");
        }
    }

    fn the_query_is_passed_on_as_it_came(model: Model) {
        let site = start(model);
        for query in ["", "?", "?a=1&b=%20+%2F", "?a=?b"] {
            let expected = if query == "?" { "" } else { query };
            let seen = site.get(&format!("/Query{query}")).ok().text();
            assert!(seen == expected || seen == query, "{query}: {seen}");
        }
    }

    fn l22_25_l22_26_escaped_paths_and_queries_survive(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
        assert_eq!(site.get("/Path/%3F%3F?query").ok().text(), "/??");
        assert_eq!(site.get("/Query/%3FPath?query?").ok().text(), "?query?");
        assert_eq!(site.get("/ContentRootPath").ok().text(), site.app().dir().to_str().unwrap());
    }

    fn req_27_missing_headers_are_empty(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/MissingHeaders").ok().text(), "0 '' False 0");
    }

    fn req_50_latin_1_headers_arrive_with_the_switch(model: Model) {
        let site = start_with(model, "latin1=true");
        let mut connection = site.connect();
        connection.send(b"GET /Header?name=foo HTTP/1.1\r\nHost: a\r\nfoo: \xa3\r\n\r\n");
        assert_eq!(connection.response().ok().text(), "£");
    }

    fn req_52_a_nul_in_a_header_is_refused(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        connection.send(b"GET /Header?name=foo HTTP/1.1\r\nHost: a\r\nfoo: a\0b\r\n\r\n");
        assert_eq!(connection.response().status(), 400);
    }

    fn utf_8_headers_arrive(model: Model) {
        let site = start(model);
        let request = Request::get("/Header?name=foo").header("foo", "ä£");
        assert_eq!(site.request(&request).ok().text(), "ä£");
    }

    fn methods_of_any_name_arrive(model: Model) {
        let site = start(model);
        for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "CUSTOM"] {
            assert_eq!(site.request(&Request::new(method, "/Method")).ok().text(), method);
        }
    }

    fn req_44_features_can_be_replaced(model: Model) {
        let site = start(model);
        assert_eq!(
            site.get("/SetRequestFeature").ok().text(),
            "test /base /path http ?q https /raw 1 body"
        );
        assert_eq!(
            site.get("/SetConnectionFeature").ok().text(),
            "custom ::1 1 10.0.0.1 2"
        );
        let response = site.get("/SetResponseFeature");
        assert_eq!((response.status(), response.head.reason.as_str()), (218, "Custom Reason"));
        if model == Model::InProcess {
            // Kestrel sends the headers that it has made itself.
            assert_eq!(response.header("X-Custom"), Some("1"));
        }
        assert_eq!(response.text(), "218 Custom Reason 1 False");
    }

    fn h2_06_h2_08_there_are_no_trailers_and_no_reset_in_http_1_1(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/TrailersAndReset").ok().text(), "False False");
    }

    fn inp_22_there_is_no_tls_feature_on_http(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/TlsHandshake").ok().text(), "none");
    }

    fn the_scheme_and_host_are_those_of_the_client(model: Model) {
        let site = start(model);
        let request = Request::get("/SchemeAndHost").header("Host", "example.org:8080");
        assert_eq!(site.request(&request).ok().text(), "http://example.org:8080");
    }

    fn the_client_s_address_is_seen(model: Model) {
        let site = start(model);
        let connection = site.connect();
        let local = connection.sender().local_addr().unwrap();
        let mut connection = connection;
        let seen = connection.get("/Connection").ok().text();
        assert!(seen.starts_with(&format!("{local} ")), "{seen}");
    }
}

#[test]
fn v1_28_clients_cannot_speak_for_the_module_out_of_process() {
    let site = start(Model::OutOfProcess);
    let headers = ["MS-ASPNETCORE-TOKEN", "MS-ASPNETCORE-WINAUTHTOKEN", "MS-ASPNETCORE-CLIENTCERT"];
    let forged = headers
        .iter()
        .fold(Request::get("/Headers"), |request, name| request.header(name, "forged"));
    let seen = site.request(&forged).ok().text();
    assert!(!seen.contains("forged"), "{seen}");
}

/// Server variables and what else only a server within the worker has.
mod in_process {
    use super::*;

    fn start() -> Site {
        super::start(Model::InProcess)
    }

    #[test]
    fn req_23_server_variables_are_read() {
        let site = start();
        let port = site.address().port().to_string();
        assert_eq!(site.get("/ServerVariable?q=SERVER_PORT").ok().text(), port);
        assert_eq!(site.get("/ServerVariable?q=QUERY_STRING").ok().text(), "q=QUERY_STRING");
    }

    #[test]
    fn req_24_an_unknown_variable_is_null() {
        let site = start();
        assert_eq!(site.get("/ServerVariable?q=NOT_THERE").ok().text(), "(null)");
    }

    #[test]
    fn req_25_a_variable_that_is_set_is_read_back() {
        let site = start();
        assert_eq!(site.get("/ServerVariable?q=OWN&v=value").ok().text(), "value");
    }

    #[test]
    fn req_26_variables_are_read_under_load() {
        let site = start();
        thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    let text = site.get("/GetServerVariableStress").ok().text();
                    assert_eq!(text, "GET".repeat(200));
                });
            }
        });
    }

    #[test]
    fn req_51_latin_1_is_replaced_without_the_switch() {
        let site = start();
        let mut connection = site.connect();
        connection.send(b"GET /Header?name=foo HTTP/1.1\r\nHost: a\r\nfoo: \xa3\r\n\r\n");
        assert_eq!(connection.response().ok().text(), "\u{fffd}");
    }

    #[test]
    fn inp_19_a_connection_has_an_id() {
        let site = start();
        let (mut one, mut other) = (site.connect(), site.connect());
        let first = one.get("/ConnectionId").ok().text();
        assert!(!first.is_empty());
        assert_eq!(one.get("/ConnectionId").ok().text(), first);
        assert_ne!(other.get("/ConnectionId").ok().text(), first);
    }

    #[test]
    fn ws_01_a_request_with_a_body_is_not_upgradable() {
        let site = start();
        assert_eq!(site.request(&Request::post("/Upgradable", "x")).ok().text(), "False");
    }

    #[test]
    fn ws_07_http_1_0_is_not_upgradable() {
        let site = start();
        let mut connection = site.connect();
        connection.send("GET /Upgradable HTTP/1.0\r\n\r\n");
        assert_eq!(connection.response().ok().text(), "False");
    }

    #[test]
    fn ws_10_the_upgrade_feature_is_there() {
        assert_eq!(start().get("/UpgradeFeatureDetection").ok().text(), "Enabled");
    }
}
