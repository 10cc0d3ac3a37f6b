//! What a server refuses an application, as the tests of the framework's own servers have it.

use testkit::Request;

use crate::{client::Client, compare::compare};

/// What a handler has told under a name, once it has.
fn told(client: &mut Client, of: &str) {
    let mut connection = client.connect();
    let target = format!("/rules/told?of={of}");
    let text = testkit::eventually("what was told", || {
        let text = connection.get(&target).ok().text();
        (text != "none").then_some(text)
    });
    client.note(of, "told", &text);
}

#[test]
fn answers_without_a_body_have_none() {
    compare("market lengths", "Market", |client| {
        for method in ["GET", "POST", "HEAD", "DELETE"] {
            for (code, length) in
                [(204, 0), (204, 1), (205, 0), (205, 1), (304, 0), (304, 5), (200, 0)]
            {
                if method == "HEAD" && length == 1 {
                    // Kestrel has no answer to that.
                    continue;
                }
                let target = format!("/rules/length/{code}/{length}");
                client.ask_in_vain(Request::new(method, &target));
                told(client, &format!("length-{method}-{code}-{length}"));
            }
        }
        for code in [204, 205, 304] {
            client.ask_in_vain(Request::get(&format!("/rules/write/{code}")));
            told(client, &format!("write-{code}"));
        }
        for first in [3, 4, 10, 11] {
            client.ask_in_vain(Request::get(&format!("/rules/too-much?first={first}")));
            told(client, &format!("too-much-{first}"));
        }
    });
}

#[test]
fn what_is_refused_leaves_the_rest_as_it_was() {
    compare("market rules", "Market", |client| {
        for how in ["stream", "pipe", "flush", "pipe-flush"] {
            client.get(&format!("/rules/empty-write/{how}"));
        }
        for target in ["memory-first", "cancelled-write"] {
            client.ask_in_vain(Request::get(&format!("/rules/{target}")));
            told(client, target);
        }
        for target in ["many-flushes", "upgrade", "features", "headers"] {
            client.get(&format!("/rules/{target}"));
        }
        for what in ["missing", "negative", "beyond", "too-long", "cancelled", "folder", "nothing"]
        {
            client.ask_in_vain(Request::get(&format!("/rules/send-file/{what}")));
            told(client, &format!("send-file-{what}"));
        }
        client.ask_nobody(Request::post("/rules/aborted-read", "body"));
        told(client, "aborted-read");
        let mut connection = client.connect();
        for _ in 0..2 {
            let trace = connection.get("/rules/trace").ok().text();
            // A backend's connection has carried others.
            let trace = trace.split(' ').filter(|part| part.len() != 8).collect::<Vec<_>>();
            client.note("trace", "identifier", &trace.join(" "));
        }
    });
}
