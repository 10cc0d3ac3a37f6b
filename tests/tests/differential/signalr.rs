//! SignalR over each of its transports.

use testkit::{App, Connection, Model, Request, Site, both_models};

use crate::websocket::WebSocket;

/// Ends each message of SignalR's JSON protocol.
const END: char = '\u{1e}';

fn start(model: Model) -> (Site, String) {
    let site = Site::start(App::test("Sockets"), model);
    let target = negotiate(&site);
    (site, target)
}

fn negotiate(site: &Site) -> String {
    let answer = site.request(&Request::post("/hub/negotiate?negotiateVersion=1", "")).ok().json();
    let transports: Vec<&str> = answer["availableTransports"]
        .as_array()
        .expect("transports are listed")
        .iter()
        .filter_map(|transport| transport["transport"].as_str())
        .collect();
    assert_eq!(transports, ["WebSockets", "ServerSentEvents", "LongPolling"]);
    let token = answer["connectionToken"].as_str().expect("there is a token");
    format!("/hub?id={token}")
}

fn handshake() -> String {
    format!(r#"{{"protocol":"json","version":1}}{END}"#)
}

fn call(id: u32, target: &str, argument: &str) -> String {
    format!(
        r#"{{"type":1,"invocationId":"{id}","target":"{target}","arguments":[{argument}]}}{END}"#
    )
}

fn result(id: u32, value: &str) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}","result":{value}}}"#)
}

/// Messages as they come in, whatever carries them.
struct Inbox<F> {
    more: F,
    text: String,
}

impl<F: FnMut() -> String> Inbox<F> {
    fn new(more: F) -> Self {
        Self { more, text: String::new() }
    }

    fn next(&mut self) -> String {
        loop {
            if let Some((message, rest)) = self.text.split_once(END) {
                let message = message.to_owned();
                self.text = rest.to_owned();
                // Pings.
                if message != r#"{"type":6}"# {
                    return message;
                }
                continue;
            }
            self.text.push_str(&(self.more)());
        }
    }
}

fn converse(transport: &str, mut send: impl FnMut(String), more: impl FnMut() -> String) {
    let mut inbox = Inbox::new(more);
    send(handshake());
    assert_eq!(inbox.next(), "{}");
    send(call(1, "Transport", ""));
    assert_eq!(inbox.next(), result(1, &format!("{transport:?}")));
    for number in 2..20 {
        let text = format!("\"text {number} {}\"", "x".repeat(number as usize * 100));
        send(call(number, "Echo", &text));
        assert_eq!(inbox.next(), result(number, &text));
    }
    send(call(20, "ToAll", "\"hello\""));
    let mut said = [inbox.next(), inbox.next()];
    said.sort();
    assert_eq!(said[0], r#"{"type":1,"target":"said","arguments":["hello"]}"#);
    assert!(said[1].contains(r#""invocationId":"20""#), "{said:?}");
    send(format!(r#"{{"type":4,"invocationId":"21","target":"Count","arguments":[3]}}{END}"#));
    for number in 1..=3 {
        assert_eq!(inbox.next(), format!(r#"{{"type":2,"invocationId":"21","item":{number}}}"#));
    }
    assert_eq!(inbox.next(), r#"{"type":3,"invocationId":"21"}"#);
}

both_models! {
    fn over_a_web_socket(model: Model) {
        let (site, target) = start(model);
        let (socket, _) = WebSocket::open(site.connect(), &target, "");
        let socket = std::cell::RefCell::new(socket);
        converse(
            "WebSockets",
            |message| socket.borrow_mut().send_text(&message),
            || socket.borrow_mut().text(),
        );
        drop(socket);
        site.stop();
    }

    fn over_server_sent_events(model: Model) {
        let (site, target) = start(model);
        let mut events = site.connect();
        events.send(Request::get(&target).header("Accept", "text/event-stream").to_bytes());
        let head = events.head();
        assert_eq!((head.status, head.header("Content-Type")), (200, Some("text/event-stream")));
        let mut post = site.connect();
        let mut raw = String::new();
        converse(
            "ServerSentEvents",
            |message| say(&mut post, &target, message),
            || event(&mut events, &mut raw),
        );
        drop(events);
        site.stop();
    }

    fn who_is_told_to_leave_comes_to_the_next_generation(model: Model) {
        // Backends are told late in that time, and what is left of it has to do on a busy machine.
        let site = Site::start(App::test("Sockets").attribute("shutdownTimeLimit", "8"), model);
        let mut streams: Vec<_> = (0..4)
            .map(|_| {
                let target = negotiate(&site);
                let mut events = site.connect();
                let accepts = Request::get(&target).header("Accept", "text/event-stream");
                events.send(accepts.to_bytes());
                assert_eq!(events.head().status, 200);
                events
            })
            .collect();
        site.signal("HUP");
        site.wait_for_log("generation 2 serves now");
        let served = streams.iter_mut().filter_map(|events| {
            while events.piece().is_some() {}
            events.try_send(Request::get("/").to_bytes()).ok()?;
            (!events.is_closed()).then_some(())
        });
        // A request that is there before the connection can be closed is served nevertheless.
        assert!(served.count() < 4, "the old generation answered them all");
        site.stop();
    }

    fn over_long_polling(model: Model) {
        let (site, target) = start(model);
        let mut poll = site.connect();
        assert_eq!(poll.get(&target).ok().text(), "");
        let mut post = site.connect();
        converse(
            "LongPolling",
            |message| say(&mut post, &target, message),
            || poll.get(&target).ok().text(),
        );
        assert_eq!(post.request(&Request::new("DELETE", &target)).status(), 202);
        site.stop();
    }
}

fn say(connection: &mut Connection, target: &str, message: String) {
    assert_eq!(connection.request(&Request::post(target, message)).status(), 200);
}

/// The data of the next line of an event stream, which may come in several pieces.
fn event(events: &mut Connection, raw: &mut String) -> String {
    loop {
        if let Some((line, rest)) = raw.split_once("\r\n") {
            let data = line.strip_prefix("data: ").unwrap_or_default().to_owned();
            *raw = rest.to_owned();
            return data;
        }
        let piece = events.piece().expect("the stream goes on");
        raw.push_str(std::str::from_utf8(&piece.bytes).expect("events are text"));
    }
}
