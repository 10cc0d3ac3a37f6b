//! What tools that listen to a worker hear of single requests.

use testkit::{App, Model, Request, Site, eventually};

fn start() -> Site {
    let site = Site::start(App::test("Site"), Model::InProcess);
    assert_eq!(site.get("/StartTrace").status(), 200);
    site
}

/// The events of the requests for a target, once the last of them is over.
fn events(site: &Site, target: &str) -> String {
    eventually("the end of the request", || {
        let text = site.request(&Request::get(&format!("/Trace?of={target}"))).ok().text();
        text.contains("RequestStop").then_some(text)
    })
}

#[test]
fn diag_05_a_request_begins_and_ends_in_process() {
    let site = start();
    assert_eq!(site.get("/HelloWorld").status(), 200);
    assert_eq!(
        events(&site, "/HelloWorld"),
        "RequestStart GET /HelloWorld\nRequestStop 200 continue"
    );
    site.stop();
}

#[test]
fn diag_07_a_request_that_throws_has_finished_in_process() {
    let site = start();
    assert_eq!(site.get("/Throw").status(), 500);
    let text = events(&site, "/Throw");
    assert!(
        text.contains("RequestFailed System.InvalidOperationException: thrown on request"),
        "{text}"
    );
    assert!(text.ends_with("RequestStop 500 finish"), "{text}");
    site.stop();
}

#[test]
fn diag_08_a_client_that_leaves_is_told_in_process() {
    let site = start();
    let target = "/WaitForAbort?id=gone";
    let mut connection = site.connect();
    connection.send(Request::get(target).to_bytes());
    site.wait_for_outcome("gone", "waiting");
    drop(connection);
    let text = eventually("the end of the request", || {
        let text = site.get("/Trace?of=/WaitForAbort%3Fid%3Dgone").ok().text();
        (text.contains("RequestStop") && text.contains("RequestAborted")).then_some(text)
    });
    assert!(text.contains("RequestAborted client"), "{text}");
    site.stop();
}
