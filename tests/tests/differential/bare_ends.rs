//! Ends before their time, what is tried behind them, and collections as dictionaries: what the tests
//! of Kestrel's own parts ask of each part.

use testkit::Request;

use crate::{
    bare::{ask, get, logged, told},
    compare::compare,
};

#[test]
fn a_body_may_be_completed_before_it_begins() {
    compare("bare early ends", "Market", |client| {
        for how in ["sync", "async", "response"] {
            for with in [
                "",
                "-starting",
                "-failing",
                "-advanced",
                "-status",
                "-throws",
                "-starting-advanced",
            ] {
                let name = format!("early/{how}{with}");
                get(client, &name);
                told(client, &name);
            }
        }
        for how in ["sync-error", "sync-error-starting", "async-error", "async-error-status"] {
            let name = format!("early/{how}");
            get(client, &name);
            told(client, &name);
            if how.starts_with("sync") {
                logged(client, &name, 1);
            }
        }
    });
}

#[test]
fn streams_are_closed_behind_the_application() {
    compare("bare closed streams", "Market", |client| {
        get(client, "behind/");
        told(client, "behind/");
        for how in ["read", "unread"] {
            let name = format!("behind/{how}");
            ask(client, &name, &Request::post(&format!("/bare/{name}"), "hello"));
            told(client, &name);
        }
        ask(client, "streams/", &Request::post("/bare/streams/", "hello, world"));
        told(client, "streams/");
    });
}

#[test]
fn a_limit_is_lowered_by_the_handler() {
    compare("bare limits", "Market", |client| {
        for how in ["unread", "swallowed", "pipe"] {
            let (name, target) = (format!("limit/{how}"), format!("/bare/limit/{how}"));
            for request in [
                Request::get(&target),
                Request::post(&target, "0123456789"),
                Request::post_chunked(&target, b"0123456789", 10),
            ] {
                ask(client, &name, &request);
                told(client, &name);
            }
        }
    });
}

#[test]
fn headers_and_features_are_dictionaries() {
    compare("bare collections", "Market", |client| {
        for name in ["headers/request", "headers/response", "features/"] {
            get(client, name);
            told(client, name);
        }
    });
}

#[test]
fn the_connection_field_is_spelled_in_one_way() {
    compare("bare connection field", "Market", |client| {
        for (name, field) in [
            ("h2c", "Upgrade, HTTP2-Settings"),
            ("own", "upgrade"),
            ("both", "keep-alive, Upgrade"),
            ("kept", "X-Own, Keep-Alive"),
            ("ends", "TE,close"),
            ("other", "X-Own"),
        ] {
            let request = Request::get("/bare/fields/").header("Connection", field);
            let request = request.header("Upgrade", "own").header("TE", "trailers");
            ask(client, &format!("fields/{name}"), &request);
        }
    });
}
