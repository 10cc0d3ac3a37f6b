//! The size of request bodies: the host's limit, the server's, the request's.

use testkit::{App, Model, Request, Site, Start, both_models};

fn start_with(model: Model, arguments: &str) -> Site {
    let arguments = format!(r".\Site.dll {arguments}");
    Start::of(App::test("Site").arguments(&arguments).model(model)).run()
}

/// A site with a limit of the host for announced bodies.
fn start_limited(model: Model, limit: &str) -> Site {
    let section = format!(
        "<security><requestFiltering><requestLimits maxAllowedContentLength=\"{limit}\" />\
         </requestFiltering></security></system.webServer>"
    );
    Site::start(App::test("Site").replace("</system.webServer>", &section), model)
}

both_models! {
    fn req_57_the_limit_of_the_host_is_a_413(model: Model) {
        let site = start_limited(model, "1");
        let response = site.request(&Request::post("/Read", "test"));
        assert!(matches!(response.status(), 404 | 413), "{}", response.status());
        assert_eq!(site.request(&Request::post("/Read", "t")).ok().text(), "1");
    }

    fn req_58_a_larger_limit_of_the_host_lets_more_through(model: Model) {
        let site = start_limited(model, "100000000");
        let request = Request::post("/ReadAndCountRequestBody?id=1", vec![b'x'; 100_000_000]);
        assert_eq!(site.request(&request).ok().text(), "100000000");
    }

    fn req_59_the_largest_limit_works(model: Model) {
        let site = start_limited(model, "4294967295");
        assert_eq!(site.request(&Request::post("/Read", "test")).ok().text(), "4");
    }

    fn req_63_a_limit_of_the_request_is_honoured(model: Model) {
        let site = start_with(model, "limit=100");
        let request = Request::post("/ReadWithLimit?limit=2", "test");
        assert_eq!(site.request(&request).ok().text(), "status 413");
    }

    fn req_64_req_65_the_limit_can_be_lifted_for_a_request(model: Model) {
        let site = start_with(model, "limit=2");
        let request = Request::post("/ReadWithLimit", "test");
        assert_eq!(site.request(&request).ok().text(), "4");
        let request = Request::post_chunked("/ReadWithLimit", b"test", 1);
        assert_eq!(site.request(&request).ok().text(), "4");
    }

    fn req_66_req_67_req_68_no_body_is_within_a_limit_of_zero(model: Model) {
        let site = start_with(model, "limit=0");
        assert_eq!(site.get("/Read").ok().text(), "0");
        assert_eq!(site.request(&Request::post("/Read", "")).ok().text(), "0");
        if model == Model::InProcess {
            // Kestrel counts the framing of chunks.
            assert_eq!(site.request(&Request::post_chunked("/Read", b"", 1)).ok().text(), "0");
        }
    }

    fn req_69_a_limit_cannot_be_set_after_reading(model: Model) {
        let site = start_with(model, "");
        let response = site.request(&Request::post("/SetLimitAfterRead", "test")).ok();
        assert_eq!(response.text(), "True InvalidOperationException");
    }

    fn req_56_the_limit_of_the_application_is_a_413(model: Model) {
        let site = start_with(model, "limit=2");
        assert_eq!(site.request(&Request::post("/Read", "test")).status(), 413);
        assert_eq!(site.request(&Request::post("/Read", "te")).ok().text(), "2");
    }

    fn req_62_an_announced_body_over_the_limit_is_a_413_on_read(model: Model) {
        let site = start_with(model, "limit=10");
        let mut connection = site.connect();
        connection.send("POST /Read HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
        assert_eq!(connection.response().status(), 413);
    }

    fn req_70_a_chunked_body_over_the_limit_is_a_413(model: Model) {
        let site = start_with(model, "limit=10");
        let request = Request::post_chunked("/Read", b"hello world", 1);
        assert_eq!(site.request(&request).status(), 413);
    }

    /// Whatever is on its way when the application has had enough.
    fn a_long_body_over_the_limit_is_a_413_each_time(model: Model) {
        for transport in ["auto", "unix"] {
            let app = App::test("Site").arguments(r".\Site.dll limit=10");
            let site = Site::start(app.handler_setting("backendTransport", transport), model);
            let request = Request::post_chunked("/Read", &[b'x'; 300_000], 10_000).to_bytes();
            for _ in 0..30 {
                let mut connection = site.connect();
                // The rest may meet the end of the connection.
                let _ = connection.try_send(&request);
                assert_eq!(connection.response().status(), 413, "{transport}");
            }
        }
    }

    fn req_71_every_read_over_the_limit_fails(model: Model) {
        let site = start_with(model, "limit=2");
        let response = site.request(&Request::post("/ReadTwice", "test")).ok();
        assert_eq!(response.text(), "status 413, status 413");
    }
    /// Also out-of-process, where the integration takes the limit of Kestrel away.
    fn req_60_too_much_is_refused_by_default(model: Model) {
        let site = start_with(model, "");
        let mut connection = site.connect();
        connection.send("POST /Read HTTP/1.1\r\nHost: a\r\nContent-Length: 30000001\r\n\r\n");
        assert_eq!(connection.response().status(), 413);
    }

    /// Over a port there is no socket to be moved to, and a limit all the same.
    fn a_backend_on_a_port_has_the_limit_too(model: Model) {
        let app = App::test("Site").handler_setting("backendTransport", "tcp");
        let site = Site::start(app, model);
        let mut connection = site.connect();
        connection.send("POST /Read HTTP/1.1\r\nHost: a\r\nContent-Length: 30000001\r\n\r\n");
        assert_eq!(connection.response().status(), 413);
    }
}
