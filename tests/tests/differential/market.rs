//! The application `Market`: built as tutorials and templates build theirs.

use testkit::Request;

use crate::{client::Client, compare::compare};

pub(crate) fn json(target: &str, body: &str) -> Request {
    Request::post(target, body).header("Content-Type", "application/json")
}

pub(crate) fn form(target: &str, body: &str) -> Request {
    Request::post(target, body).header("Content-Type", "application/x-www-form-urlencoded")
}

/// A form of parts: name, file name, content.
pub(crate) fn parts(target: &str, parts: &[(&str, Option<&str>, &str)]) -> Request {
    const BOUNDARY: &str = "----parts-of-a-form";
    let mut body = String::new();
    for (name, file, content) in parts {
        body.push_str(&format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\""));
        if let Some(file) = file {
            body.push_str(&format!("; filename=\"{file}\"\r\nContent-Type: text/plain"));
        }
        body.push_str(&format!("\r\n\r\n{content}\r\n"));
    }
    body.push_str(&format!("--{BOUNDARY}--\r\n"));
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Request::post(target, body).header("Content-Type", &kind)
}

#[test]
fn parameters_are_bound() {
    compare("market parameters", "Market", |client| {
        for target in [
            "/bound/item/7",
            "/bound/item/0",
            "/bound/item/x",
            "/bound/query?number=1&number=2&name=%C3%A9&loud=true",
            "/bound/query?number=1&number=x",
            "/bound/query",
            "/bound/header",
            "/bound/parameters?count=3&of=figs",
            "/bound/parameters?of=figs",
            "/bound/parsed/1,2",
            "/bound/parsed/1;2",
            "/bound/short",
            "/bound/any",
            "/bound/json",
            "/BOUND/Item/7/",
            "/bound//item/7",
            "/nothing/here%20or%2Fthere?x=1",
        ] {
            client.get(target);
        }
        client.ask(Request::get("/bound/header").header("X-Many", "a,b").header("X-Many", "c"));
        for method in ["HEAD", "OPTIONS", "PURGE", "PUT"] {
            client.ask(Request::new(method, "/bound/any"));
        }
        for target in ["/nothing/at/all", "/bound/item/7", "/results/ledger", "/code/404"] {
            client.ask(Request::new("HEAD", target));
        }
        client.ask(json("/bound/json", r#"{"id":3,"name":"fig"}"#));
        client.ask(json("/bound/json", r#"{"id":"three"}"#));
        client.ask(json("/bound/json", r#"{"id":3,"#));
        client.ask(json("/bound/json", ""));
        client.ask(Request::post("/bound/json", "x").header("Content-Type", "text/plain"));
        client.ask(Request::post("/bound/stream", vec![b'x'; 200_000]));
        client.ask(Request::post_chunked("/bound/stream", &vec![b'x'; 100_000], 1234));
        client.ask(Request::post("/bound/pipe", "first and what nobody reads"));
        client.ask(Request::post("/bound/pipe", "abc"));
        client.get("/bound/item/7");
    });
}

#[test]
fn forms_are_read() {
    compare("market forms", "Market", |client| {
        client.ask(form("/forms/fields", "name=a+b%26c&count=1&count=2"));
        client.ask(form("/forms/fields", "count=1"));
        client.ask(form("/forms/fields", "name=%zz&count=1"));
        client.ask(form("/forms/checked", "name=ab"));
        client.ask(form("/forms/checked", "name=abcd"));
        client.ask(form("/forms/limited", "a=1&b=2"));
        client.ask(form("/forms/limited", "a=1&b=2&c=3&d=4"));
        let file = ("file", Some("a b.txt"), "what is in it");
        client.ask(parts("/forms/file", &[file]));
        client.ask(parts("/forms/file", &[("other", Some("x"), "y")]));
        client.ask(parts(
            "/forms/files",
            &[file, ("second", Some("2.bin"), ""), ("text", None, "t")],
        ));
        let large = "0123456789".repeat(20_000);
        client.ask(parts("/forms/files", &[("large", Some("large.txt"), &large)]));
        let kind = "multipart/form-data; boundary=never";
        client.ask(Request::post("/forms/files", "no parts").header("Content-Type", kind));
        client.ask(json("/forms/fields", "{}"));
        client.ask(parts(
            "/api/fruit/upload",
            &[("Id", None, "3"), ("Name", None, "fig"), ("picture", Some("p"), "xy")],
        ));
        client.ask(parts("/api/fruit/upload", &[("Id", None, "0")]));
    });
}

#[test]
fn results_are_sent() {
    compare("market results", "Market", |client| {
        for target in [
            "ledger",
            "download",
            "stream",
            "writer",
            "encoded",
            "none",
            "reset",
            "accepted",
            "conflict",
            "problem",
            "moved",
            "local",
            "null",
            "object",
            "either/0",
            "either/5",
            "there/a%20b",
        ] {
            client.get(&format!("/results/{target}"));
        }
        for (name, value) in [
            ("Range", "bytes=0-9"),
            ("Range", "bytes=-5"),
            ("Range", "bytes=9000-"),
            ("Range", "bytes=99999-"),
            ("Range", "bytes=0-1,5-6"),
            ("If-None-Match", "\"ledger\""),
            ("If-None-Match", "\"other\""),
            ("If-Match", "\"other\""),
            ("If-Modified-Since", "Thu, 29 Feb 2024 12:00:00 GMT"),
            ("If-Unmodified-Since", "Thu, 29 Feb 2023 12:00:00 GMT"),
        ] {
            client.ask(Request::get("/results/ledger").header(name, value));
            client.ask(Request::new("HEAD", "/results/ledger").header(name, value));
        }
        let range = Request::get("/results/ledger").header("Range", "bytes=1-3");
        client.ask(range.header("If-Range", "\"other\""));
        client.ask(Request::get("/results/stream").header("Range", "bytes=1-3"));
        for target in ["numbers", "events", "started", "disposed"] {
            client.get(&format!("/streams/{target}"));
        }
        client.ask(Request::post_chunked("/streams/upper", "one\ntwo\nthree é".as_bytes(), 4));
        client.ask(Request::post("/streams/upper", ""));
        client.ask(Request::post("/streams/twice", vec![b'x'; 100_000]));
    });
}

#[test]
fn mishaps_have_their_pages() {
    compare("market mishaps", "Market", |client| {
        for target in [
            "/throws/plain",
            "/throws/bad",
            "/throws/gone",
            "/throws/io",
            "/code/401",
            "/code/404",
            "/code/410",
            "/code/500",
            "/code/599",
            "/me",
            "/admin",
            "/api/fruit/throws",
            "/page/broken",
        ] {
            client.get(target);
            client.ask(Request::new("HEAD", target));
        }
        client.ask(Request::new("DELETE", "/code/404"));
        client.ask(Request::post("/throws/plain", "with a body that nobody reads"));
    });
}

#[test]
fn controllers_speak_several_formats() {
    compare("market controllers", "Market", |client| {
        for accept in
            ["*/*", "application/json", "application/xml", "text/xml;q=0.5, text/csv", "text/csv"]
        {
            client.ask(Request::get("/api/fruit").header("Accept", accept));
        }
        for target in ["1", "3", "x", "picture", "slow"] {
            client.get(&format!("/api/fruit/{target}"));
        }
        client.ask(Request::get("/api/fruit/picture").header("Range", "bytes=100-199"));
        client.ask(json("/api/fruit", r#"{"id":5,"name":"plum"}"#));
        client.ask(json("/api/fruit", r#"{"id":500,"name":"too long a name"}"#));
        client.ask(json("/api/fruit", "not JSON"));
        client.ask(json("/api/fruit", ""));
        client.ask(Request::post("/api/fruit", "<x/>").header("Content-Type", "text/csv"));
        let xml = "<Fruit><Id>4</Id><Name>pear</Name></Fruit>";
        for kind in ["application/xml", "application/json"] {
            let put = Request::with_body("PUT", "/api/fruit/4", xml);
            client.ask(put.header("Content-Type", kind));
        }
        for method in ["DELETE", "HEAD", "PATCH", "OPTIONS"] {
            client.ask(Request::new(method, "/api/fruit/1"));
        }
        client.ask(Request::new("DELETE", "/api/fruit/2"));
    });
}

#[test]
fn pages_are_rendered() {
    compare("market pages", "Market", |client| {
        for target in ["/page/home?times=3", "/page/%3Cb%3E", "/page/slow", "/page/home?times=x"] {
            client.get(target);
        }
        client.ask(Request::new("HEAD", "/page/home"));
        client.ask(form("/page/home", "_handler=none"));
    });
}

#[test]
fn tokens_and_cookies_come_back() {
    compare("market tokens", "Market", |client| {
        let mut connection = client.connect();
        let answer = connection.request(&Request::post("/login?name=ada", ""));
        let token = answer.ok().json();
        let token = format!("Bearer {}", token["accessToken"].as_str().expect("a token"));
        for target in ["/me", "/admin"] {
            client.ask(Request::get(target).header("Authorization", &token));
            client.ask(Request::get(target).header("Authorization", "Bearer made-up"));
        }
        client.get("/cookies/set");
        client.ask(Request::get("/cookies/set").header("Cookie", ".AspNet.Consent=yes"));
        let cookies = "a=1; b=%C3%A9; c=\"q\"; bad; =x";
        client.ask(Request::get("/cookies/read").header("Cookie", cookies));
    });
}

/// Names that servers know, and some that they do not, in no order.
const NAMES: [&str; 59] = [
    "X-Zeta",
    "Upgrade-Insecure-Requests",
    "Accept",
    "Warning",
    "Via",
    "User-Agent",
    "Translate",
    "traceparent",
    "tracestate",
    "Trailer",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Extensions",
    "Request-Id",
    "Referer",
    "Range",
    "Pragma",
    "Origin",
    "Max-Forwards",
    "Last-Modified",
    "If-Unmodified-Since",
    "If-Range",
    "If-None-Match",
    "If-Modified-Since",
    "If-Match",
    "From",
    "Expires",
    "Date",
    "Correlation-Context",
    "Cookie",
    "Content-Type",
    "Content-Range",
    "Content-MD5",
    "Content-Location",
    "Content-Language",
    "Content-Encoding",
    "Cache-Control",
    "baggage",
    "Authorization",
    "Alt-Used",
    "Allow",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    "Accept-Language",
    "Accept-Encoding",
    "Accept-Charset",
    "DNT",
    "X-Requested-With",
    "Sec-Fetch-Mode",
    "X-Alpha",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-timeout",
    "Priority",
    "Save-Data",
    "X-Forwarded-Me",
    "A",
    "Server",
];

#[test]
fn headers_are_a_collection() {
    compare("market headers", "Market", |client| {
        let with = |target: &str, names: &[&str]| {
            let known = format!(",{},host,x-names,", names.join(",").to_lowercase());
            let mut request = Request::get(target).header("X-Names", &known);
            for name in names {
                let value = if *name == "Range" { "bytes=0-" } else { "v" };
                request = request.header(name, value);
            }
            request
        };
        client.ask(with("/headers/all", &NAMES));
        let mut reverse = NAMES;
        reverse.reverse();
        client.ask(with("/headers/all", &reverse));
        client.ask(with("/headers/all", &["User-Agent", "Accept", "X-A", "Accept", "X-A", "x-a"]));
        let body = Request::with_body("GET", "/headers/all", "body");
        client.ask(body.header("X-Names", ",content-length,x-names,accept,").header("Accept", "a"));
        // What ends at a proxy, among others.
        let known = ",te,keep-alive,proxy-connection,proxy-authorization,proxy-authenticate,via,\
                     upgrade,content-length,warning,if-range,max-forwards,pragma,connection,x-a,";
        let mut request =
            Request::with_body("GET", "/headers/all?hop", "body").header("X-Names", known);
        for name in [
            "x-a",
            "warning",
            "via",
            "upgrade",
            "te",
            "proxy-connection",
            "proxy-authorization",
            "proxy-authenticate",
            "pragma",
            "max-forwards",
            "keep-alive",
            "if-range",
        ] {
            request = request.header(name, "v");
        }
        client.ask(request.header("Connection", "keep-alive"));
        client.get("/headers/missing");
        client.ask(with("/headers/changed", &["X-One", "X-Two", "X-Three", "X-Five", "accept"]));
        client.ask(with("/headers/wrong", &["Accept"]));
    });
}

/// What a handler found out, once it has.
fn outcome(client: &mut Client, of: &str) {
    let mut connection = client.connect();
    let target = format!("/odd/outcome?of={of}");
    let text = testkit::eventually("the outcome", || {
        let text = connection.get(&target).ok().text();
        (text != "none").then_some(text)
    });
    client.note(of, "outcome", &text);
}

#[test]
fn pipes_and_streams_bear_odd_uses() {
    compare("market pipes", "Market", |client| {
        for target in [
            "cancelled-flush",
            "starting-within",
            "completed-within",
            "advanced",
            "streams",
            "own-feature",
        ] {
            client.ask_in_vain(Request::get(&format!("/odd/{target}")));
        }
        outcome(client, "completed-within");
        for target in ["starting-caught", "completed-writer/well", "completed-writer/error"] {
            client.ask_in_vain(Request::get(&format!("/odd/{target}")));
        }
        for of in ["starting-caught", "completed-writer-well", "completed-writer-error"] {
            outcome(client, of);
        }
        let mut connection = client.connect();
        let other = connection.get("/odd/outcome?of=starting-other").text();
        client.note("starting-other", "outcome", &other);
        for target in ["aborted", "aborted-throws", "aborted-write"] {
            client.ask_nobody(Request::get(&format!("/odd/{target}")));
        }
        outcome(client, "aborted-write");
        for target in ["reader", "body", "completed-reader", "replaced", "cancelled"] {
            client.ask_in_vain(Request::post(&format!("/odd/{target}"), "what is sent"));
            client.ask_in_vain(Request::post_chunked(
                &format!("/odd/{target}"),
                b"what is sent",
                5,
            ));
        }
    });
}
