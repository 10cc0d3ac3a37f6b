//! What an application in the process says of its client's speed, and hears of its connection.
//! Out of process that is between Kestrel and us, and no client's affair.

use std::{io::Write, net::TcpStream};

use testkit::{App, Model, Request, Site, Start};

/// A site whose own limit is so high that everybody who waits for a second is too slow.
const STRICT: [(&str, &str); 2] =
    [("minDataRate", "100000000"), ("minDataRateGracePeriod", "00:00:01")];

fn start(settings: &[(&str, &str)]) -> Site {
    let app = settings
        .iter()
        .fold(App::test("Site"), |app, (name, value)| app.handler_setting(name, value));
    Start::of(app.model(Model::InProcess)).run()
}

fn part_of_a_body(target: &str) -> Vec<u8> {
    [Request::post(target, "0123456789").head(), b"01234".to_vec()].concat()
}

#[test]
fn an_application_sees_the_rates_and_sets_them_for_one_request() {
    let site = start(&[("minDataRate", "500"), ("minDataRateGracePeriod", "00:00:07")]);
    let own = "500 in 00:00:07, 500 in 00:00:07";
    let mut connection = site.connect();
    for (query, then) in [
        ("?body=1000&answer=none", "1000 in 00:00:01.0010000, none"),
        ("", own),
        ("?body=0.5&answer=1e12", "1 in 00:00:01.0010000, 4294967295 in 00:00:01.0010000"),
        ("", own),
    ] {
        let told = connection.get(&format!("/Rates{query}")).ok().text();
        assert_eq!(told, format!("{own}; {then}"));
    }
    site.stop();
}

#[test]
fn a_body_that_is_slower_than_the_application_wants_is_refused() {
    let site = start(&[]);
    let mut slow = site.connect();
    slow.send(part_of_a_body("/ReadAtRate?body=1000000&id=slow"));
    // As the application lets it through; it may answer as it likes.
    assert_eq!(slow.response().status(), 408);
    assert!(slow.is_closed());
    site.wait_for_log("time(s): body rate");
    site.wait_for_outcome("slow", "refused 408");
    site.stop();
}

#[test]
fn an_application_may_answer_a_client_that_is_too_slow_for_it() {
    let site = start(&[]);
    let mut slow = site.connect();
    slow.send(part_of_a_body("/ReadAtRate?body=1000000&id=caught&catch=1"));
    assert_eq!(slow.response().ok().text(), "too slow for us");
    assert!(slow.is_closed());
    site.stop();
}

/// The application looks, does something else, looks again: in between, nobody waits for the client.
#[test]
fn a_client_is_not_slow_while_its_application_does_something_else() {
    let site = start(&[]);
    let mut client = site.connect();
    client.send(part_of_a_body("/ReadNowAndThen?body=1000000&id=now"));
    site.wait_for_outcome("now", "looked");
    client.send("56789");
    assert_eq!(client.response().ok().text(), "10");
    site.stop();
}

#[test]
fn a_body_may_be_as_slow_as_the_application_allows() {
    let site = start(&STRICT);
    let mut allowed = site.connect();
    allowed.send(part_of_a_body("/ReadAtRate?body=none&id=allowed"));
    site.wait_for_outcome("allowed", "reading");
    // Whoever began later, and is not excepted, is gone by now.
    let mut slow = site.connect();
    slow.send(part_of_a_body("/ReadAtRate?id=slow"));
    assert_eq!(slow.response().status(), 408);
    allowed.send("56789");
    assert_eq!(allowed.response().ok().text(), "10");
    // The exception was for one request.
    allowed.send(part_of_a_body("/ReadAtRate?id=second"));
    assert_eq!(allowed.response().status(), 408);
    site.stop();
}

#[test]
fn an_answer_that_is_taken_slower_than_the_application_wants_is_cut_off() {
    let site = start(&[]);
    let mut slow = site.connect();
    slow.send(Request::get("/WriteAtRate?answer=100000000&id=slow").to_bytes());
    site.wait_for_log("time(s): answer rate");
    site.stop();
}

#[test]
fn an_answer_may_be_taken_as_slowly_as_the_application_allows() {
    let site = start(&STRICT);
    let mut allowed = site.connect();
    allowed.send(Request::get("/WriteAtRate?answer=none&id=allowed").to_bytes());
    site.wait_for_outcome("allowed", "writing");
    let mut slow = site.connect();
    slow.send(Request::get("/WriteAtRate?id=slow").to_bytes());
    site.wait_for_log("1 time(s): answer rate");
    assert_eq!(allowed.response().ok().body.len(), 16 << 20);
    site.stop();
}

#[test]
fn an_application_hears_of_the_end_of_a_connection() {
    let site = start(&[]);
    for target in ["/Watch", "/WatchLate"] {
        let mut connection = site.connect();
        for _ in 0..2 {
            let request = format!("{target}?id={target}");
            assert_eq!(connection.get(&request).ok().text(), "watching");
            site.wait_for_outcome(target, "open");
        }
        assert_eq!(connection.get("/HelloWorld").ok().text(), "Hello World");
        assert_eq!(site.outcome(target).as_deref(), Some("open"));
        drop(connection);
        site.wait_for_outcome(target, "closed");
    }
    // The client leaves before it has its answer.
    let mut connection = site.connect();
    connection.send(Request::get("/Watch?id=gone").to_bytes());
    drop(connection);
    site.wait_for_outcome("gone", "closed");
    site.stop();
}

#[test]
fn who_leaves_with_the_whole_answer_has_aborted_nothing() {
    let site = start(&[]);
    let mut client = TcpStream::connect(site.address()).unwrap();
    client.write_all(&Request::get("/StayBehind?id=stayed").to_bytes()).unwrap();
    client.peek(&mut [0]).unwrap();
    // With bytes that it has not read, so that the server hears of it at once.
    drop(client);
    site.wait_for_outcome("stayed", "False False");
    site.stop();
}

#[test]
fn an_application_may_end_the_connection() {
    let site = start(&[]);
    let mut connection = site.connect();
    connection.send(Request::get("/AbortConnection?id=ended").to_bytes());
    assert_eq!(connection.head().status, 200);
    assert!(connection.rest().len() < 10);
    site.wait_for_outcome("ended", "closed");
    site.stop();
}

/// As on Kestrel: what an application keeps of a connection is there as long as the connection is,
/// however many others have come and gone.
#[test]
fn what_is_kept_of_a_connection_lasts_as_long() {
    let site = Start::of(App::test("Kitchen").model(Model::InProcess)).run();
    let mut connection = site.connect();
    assert_eq!(connection.get("/persistent").ok().text(), "1");
    let mut passing = vec![];
    for number in 0..4100 {
        let mut other = site.connect();
        assert_eq!(other.get("/persistent").ok().text(), "1", "{number}");
        if number % 41 == 0 {
            passing.push(other);
        }
    }
    assert_eq!(connection.get("/persistent").ok().text(), "2");
    for mut other in passing {
        assert_eq!(other.get("/persistent").ok().text(), "2");
    }
    site.stop();
}
