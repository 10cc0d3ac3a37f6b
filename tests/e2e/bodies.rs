//! Request bodies, read in all ways and sent back.

use std::{io::Write, thread};

use testkit::{App, Model, Request, Site, both_models};

fn start(model: Model) -> Site {
    Site::start(App::test("Site"), model)
}

const LINE: &str = "this is a line\r\n";

both_models! {
    fn trailers_of_a_request_are_offered_when_its_body_is_read(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        for value in ["first", "second"] {
            connection.send(Request::post_chunked("/RequestTrailers", b"", 1).head());
            connection.send_chunk(b"some");
            connection.send(format!("0\r\nX-Trailer: {value}\r\n\r\n"));
            assert_eq!(connection.response().ok().text(), value);
        }
    }

    fn req_10_reads_and_writes_are_synchronous_at_the_same_time(model: Model) {
        let site = start(model);
        for round in 0..20 {
            let body = vec![b'a'; 100_000];
            let target = format!("/ReadAndWriteSynchronously?id={round}");
            let response = site.request(&Request::post_chunked(&target, &body, 1000)).ok();
            assert_eq!(response.body.len(), 110_000);
            site.wait_for_outcome(&round.to_string(), "100000");
        }
    }

    fn req_11_echo_of_100_kb(model: Model) {
        let site = start(model);
        let body = vec![b'a'; 100_000];
        let response = site.request(&Request::post("/ReadAndWriteEcho", body.clone())).ok();
        assert!(response.body == body);
        let response = site.request(&Request::post("/BodyReaderEcho", body.clone())).ok();
        assert!(response.body == body);
        let response = site.request(&Request::post("/ReadRequestBody", body[..5000].to_vec())).ok();
        assert!(response.body == body[..5000]);
    }

    fn req_12_a_body_is_copied(model: Model) {
        let site = start(model);
        let body = vec![b'a'; 100_000];
        let response = site.request(&Request::post("/ReadAndWriteCopyToAsync", body.clone())).ok();
        assert!(response.body == body);
    }

    fn req_13_a_body_is_written_twice(model: Model) {
        let site = start(model);
        let response = site.request(&Request::post("/ReadAndWriteEchoTwice", "hello")).ok();
        assert_eq!(response.text(), "hellohello");
    }

    fn req_14_a_header_is_set_between_reading_and_writing(model: Model) {
        let site = start(model);
        let response = site.request(&Request::post("/SetHeaderFromBody", "hello")).ok();
        assert_eq!(response.header("BodyAsString"), Some("hello"));
        assert_eq!(response.text(), "hello");
    }

    fn req_15_a_slow_http_1_0_client_is_served(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        let body = "hello world";
        let head = format!(
            "POST /ReadAndWriteEcho HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        for byte in (head + body).bytes() {
            connection.send([byte]);
        }
        assert_eq!(connection.response().ok().text(), body);
    }

    fn req_16_lines_go_back_and_forth(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        connection.send(Request::post_chunked("/ReadAndFlushEcho", b"", 1).head());
        assert_eq!(connection.head().status, 200);
        for number in 0..100 {
            let line = format!("line {number}\n");
            connection.send_chunk(line.as_bytes());
            assert_eq!(connection.piece().unwrap().bytes, line.as_bytes());
        }
        connection.send_chunk(b"");
        assert!(connection.piece().is_none());
        site.stop();
    }

    fn req_17_a_body_need_not_be_read_to_its_end(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        connection.send(Request::post("/ReadPartialBody", "hello world").to_bytes());
        assert_eq!(connection.response().ok().text(), "hello");
        assert_eq!(site.request(&Request::post("/IgnoreBody", "hello")).ok().text(), "not read");
        // Announced and never sent.
        let mut connection = site.connect();
        connection.send("POST /IgnoreBody HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
        assert_eq!(connection.response().ok().text(), "not read");
    }

    fn req_18_chunked_bodies_arrive_at_any_pace(model: Model) {
        let site = start(model);
        let bytes = Request::post_chunked("/ReadAndWriteEcho", b"hello world", 3).to_bytes();
        let mut connection = site.connect();
        for size in 1..bytes.len() {
            for piece in bytes.chunks(size) {
                connection.send(piece);
            }
            assert_eq!(connection.response().ok().text(), "hello world", "{size}");
        }
    }

    fn req_28_reads_go_to_an_offset(model: Model) {
        let site = start(model);
        let response = site.request(&Request::post("/TestReadOffsetWorks", "Hello World")).ok();
        assert_eq!(response.text(), "Hello World");
    }

    fn req_29_invalid_reads_throw(model: Model) {
        let site = start(model);
        let response = site.request(&Request::post("/InvalidReads", "hello")).ok();
        assert_eq!(response.text(), "ArgumentException\n".repeat(5));
    }

    fn req_30_req_31_empty_reads_are_fine(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/ValidReads").ok().text(), "0 0");
        assert_eq!(site.request(&Request::post("/ValidReads", "hello")).ok().text(), "0 0");
    }

    fn req_32_invalid_writes_throw(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/InvalidWrites").ok().text(), "ArgumentException\n".repeat(5));
    }

    fn req_33_req_34_empty_writes_are_fine(model: Model) {
        let site = start(model);
        assert_eq!(site.get("/ValidWrites").ok().text(), "Success");
        assert_eq!(site.request(&Request::post("/ValidWrites", "hello")).ok().text(), "Success");
    }

    fn req_53_req_54_l22_18_without_buffering_each_line_comes_back_at_once(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        let request = Request::post_chunked("/ReadAndWriteEchoLines", b"", 1)
            .header("Accept-Encoding", "gzip")
            .header("Response-Content-Type", "text/event-stream");
        connection.send(request.head());
        let head = connection.head();
        assert_eq!(head.header("Content-Type"), Some("text/event-stream"));
        assert_eq!(head.header("Content-Encoding"), None);
        for _ in 0..50 {
            connection.send_chunk(LINE.as_bytes());
            assert_eq!(connection.piece().unwrap().bytes, LINE.trim_end().to_owned().into_bytes().into_iter().chain(*b"\n").collect::<Vec<_>>());
        }
        connection.send_chunk(b"");
        assert!(connection.piece().is_none());
    }

    fn inp_20_synchronous_calls_throw_by_default(model: Model) {
        let site = start(model);
        let response = site.request(&Request::post("/SynchronousByDefault", "hello")).ok();
        assert_eq!(response.text(), "InvalidOperationException InvalidOperationException");
    }

    fn both_directions_run_at_the_same_time(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        connection.send(Request::post_chunked("/ReadAndFlushEcho", b"", 1).head());
        assert_eq!(connection.head().status, 200);
        let mut sender = connection.sender();
        let body: Vec<u8> = (0..4_000_000_u32).map(|at| (at % 241) as u8).collect();
        let sent = body.clone();
        let sending = thread::spawn(move || {
            for chunk in sent.chunks(7001) {
                let head = format!("{:x}\r\n", chunk.len());
                sender.write_all(&[head.as_bytes(), chunk, b"\r\n"].concat()).unwrap();
            }
            sender.write_all(b"0\r\n\r\n").unwrap();
        });
        let mut received = Vec::new();
        while let Some(piece) = connection.piece() {
            received.extend(piece.bytes);
        }
        sending.join().unwrap();
        assert!(received == body);
    }

    fn v1_01_v1_17_bodies_are_posted_again_and_again(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        for length in [0, 1, 1000, 300_000, 3_000_000] {
            let body = vec![b'x'; length];
            let request = Request::post("/ReadAndWriteEcho", body.clone());
            assert!(connection.request(&request).ok().body == body, "{length}");
        }
    }
}

/// Out-of-process the host refuses such a body before the application has it.
#[test]
fn a_broken_body_is_logged_once_whatever_the_application_makes_of_it_in_process() {
    let site = Site::start(App::test("Market"), Model::InProcess);
    for (how, status) in [("swallowed", 200), ("own", 422), ("thrown", 400)] {
        let mut connection = site.connect();
        connection.send(format!(
            "POST /bare/chunk/{how} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        ));
        // The application reads.
        assert_eq!(connection.raw_head().status, 100);
        connection.send("no chunk\r\n");
        assert_eq!(connection.response().status(), status);
        assert!(connection.is_closed());
        let logged = site.get(&format!("/bare/logged?of=chunk/{how}")).ok().text();
        let bad = "17 BadHttpRequestException: Bad chunk in the request body.";
        match how {
            // What the application lets through is its error, too, and not for those alone who debug.
            "thrown" => assert_eq!(
                logged.replace("Error 13", "Debug 17"),
                format!("Debug {bad}\nDebug {bad}")
            ),
            _ => assert_eq!(logged, format!("Debug {bad}")),
        }
    }
    site.stop();
}

#[test]
fn req_61_a_limit_beyond_that_of_the_host_is_told_in_process() {
    let section = "<security><requestFiltering><requestLimits maxAllowedContentLength=\"1000\" />\
                   </requestFiltering></security></system.webServer>";
    let app = App::test("Site").replace("</system.webServer>", section);
    let site = Site::start(app, Model::InProcess);
    assert_eq!(site.request(&Request::post("/ReadWithLimit?limit=1000", "test")).ok().text(), "4");
    assert!(!site.log().contains("maxAllowedContentLength"), "{}", site.log());
    assert_eq!(site.request(&Request::post("/ReadWithLimit?limit=1001", "test")).ok().text(), "4");
    site.wait_for_log("refuses what is larger than 1000 bytes");
    site.stop();
}
