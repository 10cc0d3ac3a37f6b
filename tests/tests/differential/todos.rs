//! More of the application `Market`: a list with versions and conditions, uploads, filters.

use testkit::Request;

use crate::{
    compare::compare,
    market::{form, json, parts},
};

fn with_method(method: &str, target: &str, body: &str) -> Request {
    Request::with_body(method, target, body).header("Content-Type", "application/json")
}

#[test]
fn a_list_is_kept() {
    compare("market todos", "Market", |client| {
        client.get("/todos");
        for title in ["wash", "iron", "fold", "größer", "mend"] {
            client.ask(json("/todos", &format!(r#"{{"title":"{title}","urgency":"soon"}}"#)));
        }
        for bad in [
            r#"{"title":""}"#,
            r#"{"title":"much longer than may be kept"}"#,
            r#"{"urgency":"never"}"#,
            r#"{"title":7}"#,
            "{",
            "",
        ] {
            client.ask(json("/todos", bad));
        }
        for target in ["/todos", "/todos?page=2", "/todos?page=3&size=2", "/todos?page=x"] {
            client.get(target);
        }
        for tag in ["\"1-1\"", "W/\"1-1\"", "\"other\", \"1-1\"", "\"2-1\"", "*", "odd"] {
            client.ask(Request::get("/todos/1").header("If-None-Match", tag));
            client.ask(Request::new("HEAD", "/todos/1").header("If-None-Match", tag));
        }
        client.get("/todos/99");
        let put = || with_method("PUT", "/todos/1", r#"{"title":"wash up","isDone":true}"#);
        client.ask(put());
        client.ask(put().header("If-Match", "\"1-7\""));
        client.ask(put().header("If-Match", "\"1-1\""));
        client.ask(put().header("If-Match", "\"1-1\""));
        client.get("/todos/1");
        client.ask(with_method("PATCH", "/todos/2", r#"{"isDone":true}"#));
        client.ask(with_method("PATCH", "/todos/2", r#"{"isDone":"#));
        client.ask(Request::with_body("PATCH", "/todos/2", "isDone"));
        for _ in 0..2 {
            client.ask(Request::new("DELETE", "/todos/3"));
        }
        client.ask(Request::new("OPTIONS", "/todos/3"));
        // What is cached stays as it was until its tag is forgotten.
        client.get("/todos/listed?page=1");
        client.ask(json("/todos", r#"{"title":"rest"}"#));
        client.get("/todos/listed?page=1");
        client.get("/todos/listed?page=2");
        client.ask(Request::get("/todos/listed?page=1").header("X-View", "other"));
        client.ask(Request::new("HEAD", "/todos/listed?page=1"));
        client.ask(Request::get("/todos/listed?page=1").header("If-None-Match", "*"));
        client.ask(Request::post("/todos/forget", ""));
        client.get("/todos/listed?page=1");
        client.get("/todos/feed");
        client.ask(Request::get("/todos/feed").header("Last-Event-ID", "4"));
        client.ask(Request::new("HEAD", "/todos/feed"));
    });
}

#[test]
fn work_goes_on_behind_requests() {
    compare("market errands", "Market", |client| {
        client.ask(Request::post("/todos/errands/milk", ""));
        let mut connection = client.connect();
        let done = testkit::eventually("the errand", || {
            let answer = connection.get("/todos/errands/milk");
            (answer.status() == 200).then(|| answer.text())
        });
        client.note("errand", "done", &done);
        client.get("/todos/errands/bread");
        client.ask(json("/todos/hook", r#"{"paid":true}"#));
        client.ask(Request::post_chunked("/todos/hook", &vec![b'x'; 70_000], 999));
        let signed = Request::post("/todos/hook", "").header(
            "X-Signature",
            "F9E66E179B6747AE54108F82F8ADE8B3C25D76FD30AFDE6C395822C530196169",
        );
        client.ask(signed);
    });
}

#[test]
fn files_are_taken_in() {
    compare("market uploads", "Market", |client| {
        let large = "0123456789".repeat(30_000);
        let file = ("file", Some("a \u{fc}.bin"), large.as_str());
        for target in ["/uploads/streamed", "/uploads/small-form", "/uploads/saved"] {
            client.ask(parts(target, &[file]));
            client.ask(parts(target, &[("file", Some("s"), "small"), ("note", None, "n")]));
            client.ask(parts(target, &[]));
            client.ask(form(target, "a=b"));
            client.ask(Request::post(target, "x").header("Content-Type", "multipart/form-data"));
            let cut =
                "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nhal";
            let kind = "multipart/form-data; boundary=b";
            client.ask(Request::post(target, cut).header("Content-Type", kind));
            client
                .ask(Request::post_chunked(target, cut.as_bytes(), 5).header("Content-Type", kind));
            let odd = "--b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n\r\nbody\r\n--b--\r\nafter";
            client.ask(Request::post(target, odd).header("Content-Type", kind));
        }
        for length in [900, 1000, 1001, 1500] {
            let body = vec![b'x'; length];
            client.ask_in_vain(Request::post("/uploads/limited", body.clone()));
            if length != 1000 {
                client.ask_in_vain(Request::post_chunked("/uploads/limited", &body, 777));
            }
        }
        client.ask(Request::post_chunked("/uploads/limited?framed", &[b'x'; 1000], 777));
        for tongue in ["de", "de-DE,en;q=0.5", "fr-CA", "xx", ""] {
            client.ask(Request::get("/tongue").header("Accept-Language", tongue));
        }
        client.get("/tongue?culture=de-DE&ui-culture=fr");
        let cookie = ".AspNetCore.Culture=c%3Dfr%7Cuic%3Dde-DE";
        client.ask(Request::get("/tongue").header("Cookie", cookie));
    });
}

#[test]
fn actions_are_filtered_and_their_models_checked() {
    compare("market bookings", "Market", |client| {
        let good = r#"{"mail":"a@b.example","seats":2,"place":"ABC","from":"2024-01-01","to":"2024-01-02"}"#;
        client.ask(json("/bookings", good));
        for bad in [
            r#"{"mail":"a@b.example","seats":2,"place":"ABC","from":"2024-02-01","to":"2024-01-02"}"#,
            r#"{"seats":20,"place":"abc"}"#,
            r#"{"from":"soon"}"#,
            "[]",
            "null",
        ] {
            client.ask(json("/bookings", bad));
        }
        client.ask(form(
            "/bookings/form",
            "Mail=a%40b.example&Seats=1&From=2024-01-01&To=2024-01-01",
        ));
        client.ask(form("/bookings/form", "Mail=nobody&Seats=x"));
        let query = "/bookings?mail=a@b.example&seats=3&place=XYZ";
        client.ask(Request::get(query).header("X-Limit", "5"));
        client.ask(Request::get(query).header("X-Limit", "many"));
        for target in [
            "/bookings?seats=0",
            "/bookings/throws/timeout",
            "/bookings/throws/other",
            "/bookings/async",
            "/bookings/async?forbidden",
            "/bookings/async?short",
        ] {
            client.get(target);
            client.ask(Request::new("HEAD", target));
        }
        for length in [80, 100, 101] {
            client.ask_in_vain(Request::post("/bookings/limited", vec![b'x'; length]));
            if length != 100 {
                let body = vec![b'x'; length];
                client.ask_in_vain(Request::post_chunked("/bookings/limited", &body, 50));
            }
        }
        let plain = Request::post("/bookings/unlimited", vec![b'x'; 200_000]);
        client.ask(plain.clone().header("Content-Type", "text/plain"));
        client.ask(plain.clone().header("Content-Type", "image/png"));
        client.ask(plain);
    });
}
