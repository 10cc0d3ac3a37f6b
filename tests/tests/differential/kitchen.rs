//! The application `Kitchen`, area by area.

use testkit::{App, Model, Request, Site, eventually};

use crate::{client::cookies_of, compare::compare};

fn json(method: &str, target: &str, body: &str) -> Request {
    Request::with_body(method, target, body).header("Content-Type", "application/json")
}

#[test]
fn controllers() {
    compare("controllers", "Kitchen", |client| {
        for target in [
            "/dishes",
            "/dishes/1",
            "/dishes/9",
            "/dishes/x",
            "/dishes/card",
            "/dishes/ranged",
            "/dishes/stream",
            "/dishes/problem",
            "/dishes/content",
            "/dishes/async",
            "/dishes/throw",
            "/dishes/moved",
            "/dishes/query?n=1&n=2&text=a%20b%C3%BC",
            "/dishes/query?n=x",
            "/nowhere",
            "/dishes/1?again",
        ] {
            client.get(target);
        }
        client.ask(Request::get("/dishes/query").header("X-Unit", "kg"));
        client.ask(Request::get("/dishes").header("Accept", "application/xml"));
        client.ask(json("POST", "/dishes", r#"{"name":"Stew","servings":4}"#));
        client.ask(json("POST", "/dishes", r#"{"name":null,"servings":99}"#));
        client.ask(json("POST", "/dishes", "{not json"));
        client.ask(json("POST", "/dishes", ""));
        client.ask(Request::post("/dishes", "name=Stew").header("Content-Type", "text/odd"));
        client.ask(json("PUT", "/dishes/7", r#"{"id":7,"name":"Stew"}"#));
        client.ask(json("PUT", "/dishes/8", r#"{"id":7,"name":"Stew"}"#));
        client.ask(Request::new("DELETE", "/dishes/7"));
        client.ask(Request::new("PATCH", "/dishes/7"));
        client.ask(Request::new("HEAD", "/dishes"));
        client.ask(Request::new("OPTIONS", "/dishes"));
    });
}

#[test]
fn files() {
    compare("files", "Kitchen", |client| {
        let menu = client.get("/menu.txt");
        let tag = menu.header("ETag").expect("files have tags").to_owned();
        let date = menu.header("Last-Modified").expect("files have dates").to_owned();
        for target in [
            "/css/site.css",
            "/index.html",
            "/css",
            "/missing.txt",
            "/site/",
            "/site",
            "/menu.txt/",
        ] {
            client.get(target);
        }
        client.ask(Request::new("HEAD", "/menu.txt"));
        client.ask(Request::new("HEAD", "/files/large.bin"));
        client.ask(Request::new("POST", "/menu.txt"));
        client.ask(Request::get("/menu.txt").header("If-None-Match", &tag));
        client.ask(Request::get("/menu.txt").header("If-None-Match", "\"other\""));
        client.ask(Request::get("/menu.txt").header("If-Modified-Since", &date));
        client.ask(Request::get("/menu.txt").header("If-Match", "\"other\""));
        client.ask(
            Request::get("/menu.txt")
                .header("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT"),
        );
        for range in ["bytes=0-4", "bytes=7-", "bytes=-3", "bytes=100-", "bytes=0-1,3-4", "lines=1"]
        {
            client.ask(Request::get("/menu.txt").header("Range", range));
            client.ask(Request::get("/dishes/ranged").header("Range", range));
        }
        client.ask(Request::get("/menu.txt").header("Range", "bytes=0-4").header("If-Range", &tag));
        client.ask(
            Request::get("/menu.txt").header("Range", "bytes=0-4").header("If-Range", "\"other\""),
        );
        for target in ["/files/large.bin", "/dishes/large", "/results-file", "/send-file"] {
            client.get(target);
            client.ask(Request::get(target).header("Range", "bytes=1000000-3999999"));
        }
        client.get("/send-file?offset=4999990");
        client.get("/send-file?offset=100&count=70000");
        client.get("/send-file?offset=5000001");
        client.get("/send-file?count=0");
        for target in ["/send-file", "/send-file?count=0"] {
            client.ask(Request::new("HEAD", target));
        }
    });
}

#[test]
fn v1_25_what_stands_between_an_endpoint_and_the_wire_delivers_as_ever() {
    compare("delivery", "Kitchen", |client| {
        for target in
            ["/compressed", "/compressed/flushed", "/compressed/unbuffered", "/compressed/length"]
        {
            for coding in ["gzip", "br", "gzip, br;q=0.5", "identity", "*", "zstd"] {
                client.ask(Request::get(target).header("Accept-Encoding", coding));
            }
            client.ask(Request::new("HEAD", target).header("Accept-Encoding", "gzip"));
        }
        // "Hello, kitchen!\n" with gzip, stored.
        let text = b"Hello, kitchen!\n";
        let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
        gzip.extend_from_slice(&(text.len() as u16).to_le_bytes());
        gzip.extend_from_slice(&(!(text.len() as u16)).to_le_bytes());
        gzip.extend_from_slice(text);
        gzip.extend_from_slice(&[0xdf, 0x45, 0x7f, 0x67]);
        gzip.extend_from_slice(&(text.len() as u32).to_le_bytes());
        client.ask(Request::post("/decompressed", gzip.clone()).header("Content-Encoding", "gzip"));
        client.ask(
            Request::post_chunked("/decompressed", &gzip, 7).header("Content-Encoding", "gzip"),
        );
        client.ask(Request::post("/decompressed", "x").header("Content-Encoding", "rar"));
        client.get("/cached");
        client.get("/cached");
        client.ask(Request::get("/cached").header("Cache-Control", "no-cache"));
        client.get("/output-cached");
        client.get("/output-cached");
        client.ask(Request::new("HEAD", "/output-cached"));
        client.get("/timeout");
        client.get("/https/a?b=c");
        client.ask(Request::get("/https").header("Host", "shop.example:8080"));
        client.ask(
            Request::get("/forwarded")
                .header("X-Forwarded-For", "203.0.113.7")
                .header("X-Forwarded-Proto", "https")
                .header("X-Forwarded-Host", "shop.example"),
        );
        client.get("/forwarded");
        client.get("/hsts");
    });
}

#[test]
fn security() {
    compare("security", "Kitchen", |client| {
        let as_program = |target: &str| Request::get(target).header("Accept", "application/json");
        for target in ["/me", "/kitchen", "/anonymous", "/challenge", "/forbid"] {
            client.get(target);
            client.ask(as_program(target));
        }
        let eater = client.ask(Request::post("/login?name=Ada&role=eater", ""));
        let eater = cookies_of(&eater);
        let chef = client.ask(Request::post("/login?name=Bo&role=chef", ""));
        let chef = cookies_of(&chef);
        for cookie in [&eater, &chef] {
            for target in ["/me", "/kitchen", "/anonymous", "/forbid"] {
                client.ask(Request::get(target).header("Cookie", cookie));
                client.ask(as_program(target).header("Cookie", cookie));
            }
        }
        client.ask(Request::get("/me").header("Cookie", "who=forged"));
        client.ask(Request::post("/logout", "").header("Cookie", &chef));

        let token = client.connect().get("/token");
        let cookie = cookies_of(&token);
        let post = || Request::post("/guarded", "").header("Cookie", &cookie);
        client.ask(post().header("X-Token", &token.text()));
        client.ask(post().header("X-Token", "forged"));
        client.ask(Request::post("/guarded", ""));

        for origin in ["https://friend.example", "https://foe.example"] {
            client.ask(Request::get("/cors").header("Origin", origin));
            let ask = Request::new("OPTIONS", "/cors").header("Origin", origin);
            client.ask(ask.clone().header("Access-Control-Request-Method", "PUT"));
            client.ask(
                ask.header("Access-Control-Request-Method", "DELETE")
                    .header("Access-Control-Request-Headers", "X-Wish"),
            );
        }
        for _ in 0..3 {
            client.get("/twice");
        }
        let first = client.get("/visits");
        let visit = cookies_of(&first);
        client.ask(Request::get("/visits").header("Cookie", &visit));
        client.ask(Request::get("/visits").header("Cookie", &visit));
        client.ask(Request::get("/cookies").header("Cookie", "a=1; b=two%20words; c=\"quoted\""));
        let many: Vec<String> = (0..200).map(|at| format!("cookie{at}=value{at}")).collect();
        client.ask(Request::get("/cookies").header("Cookie", &many.join("; ")));
        client.ask(Request::get("/cookies").header("Cookie", "a=1").header("Cookie", "b=2"));
        client.get("/cookies");
    });
}

#[test]
fn errors() {
    compare("errors", "Kitchen", |client| {
        for branch in ["/bare", "/handled", "/problem", "/pages", "/pages-again"] {
            for path in [
                "/throw",
                "/throw-later",
                "/throw-with-headers",
                "/throw-unflushed",
                "/throw-bad-request",
                "/throw-cancelled",
                "/status?code=404",
                "/status?code=503",
                "/missing",
            ] {
                client.ask_in_vain(Request::get(&format!("{branch}{path}")));
            }
            client.ask_in_vain(Request::get(&format!("{branch}/throw-after-write")));
            client.ask_in_vain(Request::get(&format!("{branch}/too-little")));
            client.ask_in_vain(Request::get(&format!("{branch}/too-much")));
        }
        let page =
            client.connect().request(&Request::get("/developer").header("Accept", "text/html"));
        let says = page.text().contains("for developers");
        client.note("/developer", "page", &format!("{} {says}", page.status()));
    });
}

#[test]
fn responses() {
    compare("responses", "Kitchen", |client| {
        for target in [
            "/text",
            "/events",
            "/numbers",
            "/empty",
            "/null-headers",
            "/spellings",
            "/long-headers?count=1",
            "/long-headers",
            "/bad-header",
            "/header-after-start",
            "/reason",
            "/starting-throws",
            "/starting-throws-empty",
            "/start",
            "/start-only",
            "/writer",
            "/writer-unflushed",
            "/writer-held",
            "/writer-stream",
            "/writer-completed",
            "/own-body",
            "/sync-write",
            "/sync-write-allowed",
            "/close",
            "/close-header",
            "/length",
            "/head-length",
            "/declared-trailers",
            "/many",
            "/large",
            "/redirect",
            "/created",
            "/server-header",
            "/early-hints",
            "/own-chunks",
        ] {
            client.ask_in_vain(Request::get(target));
        }
        for method in ["GET", "HEAD", "POST", "OPTIONS", "PATCH", "PURGE", "PUT"] {
            client.ask(Request::new(method, "/any"));
        }
        client.ask(Request::new("HEAD", "/head-length"));
        for (method, code) in
            [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 205), ("GET", 304)]
        {
            client.ask(Request::new(method, &format!("/own-coding?code={code}")));
        }
        for code in [200, 201, 204, 205, 299, 300, 304, 400, 404, 418, 451, 499, 500, 599, 999] {
            client.ask_in_vain(Request::get(&format!("/code?code={code}")));
            client.ask_in_vain(Request::get(&format!("/code-body?code={code}")));
        }
        client.get("/callbacks");
        let mut other = client.connect();
        testkit::eventually("the last callback", || {
            other.get("/diary").text().contains("completed 1").then_some(())
        });
        client.get("/diary");
        // The client has all of it while the handler waits.
        for target in ["/complete", "/complete-empty"] {
            let mut connection = client.connect();
            connection.send(Request::get(target).to_bytes());
            let response = connection.response();
            client.note(target, "answer", &format!("{} {}", response.status(), response.text()));
            client.get("/open-gate");
            let next = connection.get("/text");
            client.note(target, "next", &next.text());
        }
        client.get("/write-after-complete");
        // In-process the next request does not wait for what goes on behind an answer.
        testkit::eventually("the refused write", || {
            other.get("/diary").text().contains("InvalidOperationException").then_some(())
        });
        client.get("/diary");
        client.ask_nobody(Request::get("/abort"));
        client.ask_for_nothing_whole(Request::get("/abort-later"));
        client.get("/text");
    });
}

#[test]
fn contexts() {
    compare("contexts", "Kitchen", |client| {
        for target in [
            "/request",
            "/request?a=1&b=%2B+c",
            "/path/a/b",
            "/path/%C3%BC/%41",
            "/path/a%2Fb",
            "/path/a//b/",
            "/path/x/../y",
            "/path/./z",
            "/path/%2e%2e/w",
            "/path/a%20b+c?q=a%20b+c",
            "/path/a?q",
            "/path/a?",
            "/path/a?b?c=d/../e",
            "/path/semi;colon=1",
            "/path/a'b(c)!*~",
            "/path/50%25",
            "/features",
            "/accessor",
            "/scope",
            "/culture?name=x",
            "/culture",
            "/found",
            "/leave-behind",
            "/found",
            "/thread-static",
            "/persistent",
            "/persistent",
            "/connection",
            "/health",
            "/health/bad",
            "/oven",
            "/hosting",
        ] {
            client.get(target);
        }
        client.ask(Request::get("/request").header("Host", "shop.example:8080"));
        client.ask(Request::get("/request").header("Host", "[::1]:81"));
        client.ask(Request::get("/request").header("Host", "xn--bcher-kva.example"));
        client
            .ask(Request::get("http://other.example/request?x=1").header("Host", "other.example"));
        client.ask(
            Request::get("/headers")
                .header("X-One", "1")
                .header("X-Two", "a")
                .header("x-two", "b, c")
                .header("X-Empty", "")
                .header("X-Spaces", "  a  b  ")
                .header("Accept", "text/html")
                .header("Accept", "*/*")
                .header("Cookie", "a=1")
                .header("Cookie", "b=2")
                .header("X-Umlaut", "ü"),
        );
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        client.ask(
            Request::get("/activity").header("traceparent", PARENT).header("tracestate", "a=b"),
        );
        client
            .ask(Request::get("/activity").header("traceparent", PARENT).header("baggage", "x=y"));
        let long = "v".repeat(8000);
        client.ask(Request::get("/headers").header("X-Long", &long));
        let target = format!("/path/a?{}", "q".repeat(4000));
        client.get(&target);
        client.send_raw("http/1.0", b"GET /text HTTP/1.0\r\nHost: localhost\r\n\r\n");
        client.send_raw("no host in 1.0", b"GET /text HTTP/1.0\r\n\r\n");
        client.send_raw("no host", b"GET /text HTTP/1.1\r\n\r\n");
        client.send_raw("two hosts", b"GET /text HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
        client.send_raw("bad version", b"GET /text HTTP/3.1\r\nHost: a\r\n\r\n");
        client.send_raw("nul", b"GET /te%00xt HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send_raw("star", b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
    });
}

/// However a request ends, and whether or not it is over when the next one comes.
#[test]
fn what_an_application_keeps_of_a_connection_is_there_for_all_its_requests() {
    let site = Site::start(App::test("Kitchen"), Model::InProcess);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let site = &site;
            scope.spawn(move || {
                let mut connection = site.connect();
                for count in 1..=400 {
                    let kind =
                        ["", "/elsewhere", "/behind", "/early"][(count * 7 + count / 5 + seed) % 4];
                    let answer = connection.get(&format!("/persistent{kind}")).ok();
                    assert_eq!(answer.text(), count.to_string(), "after {kind}");
                }
            });
        }
    });
    site.stop();
}

/// Kestrel lets it, and whoever has the memory by then finds strange bytes in it.
#[test]
fn an_application_that_keeps_memory_of_a_response_cannot_write_to_it() {
    let site = Site::start(App::test("Kitchen"), Model::InProcess);
    for _ in 0..20 {
        assert_eq!(site.get("/keeps").ok().text(), "k".repeat(60_000));
        // The client may have all of it a moment before the application's part is over.
        eventually("memory that refuses", || {
            (site.get("/uses").ok().text() == "0 of 4 written").then_some(())
        });
        assert_eq!(site.get("/text").ok().text(), "text");
    }
    site.stop();
}

/// Behind a proxy it can: backends keep what they have for a connection, and the proxy's connections
/// carry requests of everybody.
#[test]
fn an_application_that_writes_too_late_reaches_no_stranger() {
    let site = Site::start(App::test("Kitchen"), Model::InProcess);
    for _ in 0..20 {
        assert_eq!(site.get("/late").ok().text(), "early");
        for _ in 0..10 {
            assert_eq!(site.get("/text").ok().text(), "text");
        }
    }
    site.stop();
}
