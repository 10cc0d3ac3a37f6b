//! Status, headers and bodies as the client sees them.

use testkit::{App, Model, Request, Site, both_models};

fn start(model: Model) -> Site {
    Site::start(App::test("Site"), model)
}

both_models! {
    fn req_09_oop_07_l22_14_compressed_bodies_pass_unchanged(model: Model) {
        let site = start(model);
        let request = Request::get("/CompressedData").header("Accept-Encoding", "gzip");
        let response = site.request(&request).ok();
        assert_eq!(response.header("Content-Encoding"), Some("gzip"));
        assert_eq!(response.body[..2], [0x1f, 0x8b]);
    }

    fn req_19_what_is_not_flushed_is_sent_at_the_end(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/UnflushedPipe").ok().text(), "a".repeat(10));
    }

    fn req_20_flushed_and_unflushed_data_arrive(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/FlushedAndUnflushedPipe").ok().text(), "a".repeat(20));
    }

    fn req_21_the_context_is_usable_when_the_response_is_complete(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/OnCompletedContext?id=done").ok().text(), "done");
        site.wait_for_outcome("done", "GET  200 True 1 True");
    }

    fn req_22_a_response_can_be_completed_early(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        assert_eq!(connection.get("/CompleteAsync?id=early").ok().text(), "complete");
        // Kestrel reads no request behind one whose handler still runs, so out-of-process another
        // request could be sent into that connection and wait.
        if model == Model::InProcess {
            site.wait_for_outcome("early", "completed");
        }
    }

    fn what_is_written_behind_the_end_of_a_response_is_refused(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        assert_eq!(connection.get("/WriteAfterCompletion?id=late").ok().text(), "whole");
        let three = ["InvalidOperationException"; 3].join(" ");
        site.wait_for_outcome("late", &three);
        assert_eq!(connection.get("/HelloWorld").ok().text(), "Hello World");
    }

    fn inp_16_an_exception_after_completion_harms_nobody(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        assert_eq!(connection.get("/OnCompletedThrows").ok().text(), "still fine");
        assert_eq!(connection.get("/HelloWorld").ok().text(), "Hello World");
    }

    fn h2_06_h2_08_trailers_of_answers_and_resets_are_no_features_of_http_1_1(model: Model) {
        let site = start(model);
        let response = site.get("/FeaturesOfHttp2").ok();
        assert_eq!(response.text(), "False False False refused");
        assert_eq!(response.header("Trailer"), None);
    }

    fn req_35_empty_headers_are_not_sent(model: Model) {
        let site = start(model);
        let response = site.get("/ResponseEmptyHeaders").ok();
        assert_eq!(response.text(), "EmptyHeaderShouldBeSkipped");
        match model {
            Model::InProcess => assert_eq!(response.header("EmptyHeader"), None),
            // Kestrel sends them, and a proxy passes on what it is given.
            Model::OutOfProcess => assert!(matches!(response.header("EmptyHeader"), None | Some(""))),
        }
    }

    fn req_36_headers_are_sent_as_they_are_set(model: Model) {
        let site = start(model);
        let response = site.get("/ResponseHeaders").ok();
        assert_eq!(response.header("UnknownHeader"), Some("test123=foo"));
        assert_eq!(response.header("Content-Type"), Some("text/plain"));
        assert_eq!(response.head.all("MultiHeader"), ["1", "2"]);
        assert!(response.header("Date").is_some());
        assert_eq!(response.text(), "Request Complete");
    }

    fn req_37_an_exception_is_a_500_with_its_reason(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        for target in ["/Throw", "/ThrowLater", "/OnStartingThrows"] {
            let response = connection.get(target);
            assert_eq!(response.status(), 500);
            assert_eq!(response.head.reason, "Internal Server Error");
            assert_eq!(response.text(), "", "{target}");
        }
        site.wait_for_log("thrown on request");
    }

    fn an_exception_after_the_start_breaks_the_response_off(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        connection.send(Request::get("/ThrowAfterStart").to_bytes());
        assert_eq!(connection.head().status, 200);
        assert_eq!(connection.piece().unwrap().bytes, b"started");
        assert!(connection.try_piece().is_err());
        assert_eq!(site.get("/HelloWorld").status(), 200);
    }

    fn an_exception_after_the_start_loses_nothing_for_an_old_client(model: Model) {
        let site = start(model);
        for _ in 0..20 {
            let mut connection = site.connect();
            connection.send("GET /ThrowAfterStart HTTP/1.0\r\nHost: a\r\n\r\n");
            assert_eq!(connection.head().status, 200);
            assert_eq!(connection.take(7), b"started");
            assert!(!connection.is_ended(), "it looks whole");
        }
    }

    fn req_38_any_status_reason_and_body_arrive(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        for code in [200, 400, 500, 999] {
            for (reason, body) in
                [(None, None), (Some("custom"), None), (None, Some("body")), (Some("custom"), Some("body"))]
            {
                let mut target = format!("/SetCustomErrorCode?code={code}");
                target += &reason.map(|reason| format!("&reason={reason}")).unwrap_or_default();
                target += &body.map(|body| format!("&body={body}")).unwrap_or_default();
                let response = connection.get(&target);
                assert_eq!(response.status(), code, "{target}");
                let default = match code {
                    200 => "OK",
                    400 => "Bad Request",
                    500 => "Internal Server Error",
                    _ => "",
                };
                assert_eq!(response.head.reason, reason.unwrap_or(default), "{target}");
                assert_eq!(response.text(), body.unwrap_or_default(), "{target}");
            }
        }
    }

    fn req_39_some_statuses_have_no_body(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        for code in [204, 304] {
            let response = connection.get(&format!("/SetCustomErrorCode?code={code}"));
            assert_eq!(response.status(), code);
            assert_eq!(response.header("Transfer-Encoding"), None);
        }
        assert_eq!(connection.get("/HelloWorld").ok().text(), "Hello World");
    }

    fn req_40_the_application_names_the_server(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/OverrideServer").ok().header("Server"), Some("MyServer/7.8"));
    }

    fn req_41_status_and_headers_are_fixed_once_the_response_has_started(model: Model) {
        let site = start(model);
        for target in ["/StatusAfterWrite", "/HeaderAfterWrite"] {
            let text = site.get(target).ok().text();
            assert_eq!(text, "Started_InvalidOperationException", "{target}");
        }
    }

    fn req_42_large_responses_are_complete(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        for length in [65_000, 1_000_000, 10_000_000, 100_000_000] {
            let response = connection.get(&format!("/LargeResponseBody?length={length}")).ok();
            assert_eq!(response.body.len(), length);
            assert!(response.body.iter().all(|byte| *byte == b'a'));
        }
        assert_eq!(connection.get("/WriteManyTimes").ok().body.len(), 110_000);
    }

    fn req_43_large_files_are_complete(model: Model) {
        let site = start(model);
        let length = 200_000_000;
        let response = site.get(&format!("/LargeResponseFile?length={length}")).ok();
        assert_eq!(response.body.len(), length);
        assert!(response.body.iter().all(|byte| *byte == b'a'));
    }

    fn inp_23_a_large_buffer_is_written_at_once(model: Model) {
        let site = start(model);
        let length = 256 << 20;
        let response = site.get(&format!("/LargeResponseAtOnce?length={length}")).ok();
        assert_eq!(response.body.len(), length);
    }

    fn a_body_of_another_length_than_announced_is_an_error(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        assert_eq!(connection.get("/BodyWithLength").ok().text(), "12345");
        assert_eq!(connection.get("/TooMuchBody?id=much").ok().text(), "12345");
        site.wait_for_outcome("much", "InvalidOperationException");
        connection.send(Request::get("/TooLittleBody").to_bytes());
        let status = connection.rest_or_broken().map(|response| response.status());
        assert!(matches!(status, None | Some(500 | 502)), "{status:?}");
        assert_eq!(site.get("/HelloWorld").status(), 200);
    }
}

#[test]
fn connection_close_of_the_application_is_honoured_in_process() {
    let site = start(Model::InProcess);
    let mut connection = site.connect();
    let response = connection.get("/ConnectionClose").ok();
    assert_eq!(response.header("Connection").map(str::to_lowercase).as_deref(), Some("close"));
    assert!(connection.is_closed());
}

#[test]
fn oop_05_connection_close_of_the_backend_is_forwarded_when_asked_for() {
    let app = App::test("Site").handler_setting("forwardResponseConnectionHeader", "true");
    let site = Site::start(app, Model::OutOfProcess);
    let mut connection = site.connect();
    let response = connection.get("/ConnectionClose").ok();
    assert_eq!(response.header("Connection").map(str::to_lowercase).as_deref(), Some("close"));

    let site = start(Model::OutOfProcess);
    assert_eq!(site.get("/ConnectionClose").ok().header("Connection"), None);
}

/// On Kestrel such a write may end up in the next response of the connection.
#[test]
fn what_is_written_behind_the_end_of_a_request_is_refused_in_process() {
    let site = start(Model::InProcess);
    let mut connection = site.connect();
    assert_eq!(connection.get("/WriteAfterTheHandler?id=later").ok().text(), "whole");
    site.wait_for_outcome("later", "refused");
    assert_eq!(connection.get("/HelloWorld").ok().text(), "Hello World");
}

/// Out-of-process the request that opens the gate may come to be behind the one that waits.
#[test]
fn a_body_that_is_completed_has_arrived_while_the_application_goes_on_in_process() {
    let site = Site::start(App::test("Market"), Model::InProcess);
    for how in ["sync", "async", "response"] {
        let mut connection = site.connect();
        assert_eq!(
            connection.get(&format!("/bare/completed/{how}?wait")).ok().text(),
            "hello, world"
        );
        let told = format!("/bare/told?of=completed/{how}");
        assert_eq!(connection.get(&told).ok().text(), "none");
        assert_eq!(connection.get(&format!("/bare/open/{how}")).status(), 200);
        testkit::eventually("the end of the handler", || {
            (site.get(&told).ok().text() != "none").then_some(())
        });
    }
    site.stop();
}

/// Out-of-process Kestrel reads its next request behind them, on whatever connection; which of the
/// pool's the next one takes is chance.
#[test]
fn callbacks_behind_an_answer_hold_nothing_up_in_process() {
    let site = Site::start(App::test("Market"), Model::InProcess);
    let mut connection = site.connect();
    assert_eq!(connection.get("/rules/slow-completed").ok().text(), "before the gate");
    // The same connection goes on, though the request before is not over for the application.
    let told = "/rules/told?of=slow-completed";
    assert_eq!(connection.get(told).ok().text(), "none");
    assert_eq!(connection.request(&Request::post("/rules/gate", "")).status(), 200);
    testkit::eventually("the callback", || {
        (site.get(told).ok().text() == "after the gate").then_some(())
    });
    site.stop();
}

#[test]
fn a_head_beyond_all_measure_is_an_error_of_its_own_in_process() {
    let site = start(Model::InProcess);
    // The phrase is only for humans.
    let response = site.get("/HugeHead?part=reason").ok();
    assert_eq!((response.head.reason.as_str(), response.text()), ("OK", "body".to_owned()));
    for part in ["name", "count"] {
        assert_eq!(site.get(&format!("/HugeHead?part={part}")).status(), 500);
        assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
    }
    site.stop();
}
