//! WebSockets, and other protocols that a connection may turn to.

use std::io::Write;

use testkit::{App, Model, Request, Site, both_models, eventually};

use crate::{
    compare::compare,
    websocket::{Message, WebSocket, frame_of_text},
};

fn start(model: Model) -> Site {
    Site::start(App::test("Sockets"), model)
}

both_models! {
    fn messages_come_back(model: Model) {
        let site = start(model);
        let (mut socket, _) = WebSocket::open(site.connect(), "/echo", "");
        for number in 0..1000 {
            let text = format!("message {number}");
            socket.send_text(&text);
            assert_eq!(socket.text(), text);
        }
        for length in [0, 125, 126, 65_535, 65_536] {
            let data = vec![length as u8; length];
            socket.send_binary(&data);
            // Parts of 64 KiB come back as they are read; the last one ends the message.
            assert_eq!(socket.message(), Message::Binary(data));
        }
        socket.send_close(1000, "bye");
        assert_eq!(socket.message(), Message::Close(1000, "bye".to_owned()));
        assert!(socket.is_closed());
        site.stop();
    }

    fn ws_06_messages_may_be_compressed(model: Model) {
        let site = start(model);
        let more = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        let (mut socket, head) = WebSocket::open(site.connect(), "/echo?compress", more);
        let extensions = head.header("Sec-WebSocket-Extensions").unwrap_or_default();
        assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
        // A client need not compress what it sends; the answer is compressed and final.
        let text = "a".repeat(100);
        socket.send_text(&text);
        let (first, data) = socket.short_frame();
        assert_eq!(first, 0xc1);
        assert!(data.len() < 50, "{data:?}");
        site.stop();
    }

    fn the_server_may_close(model: Model) {
        let site = start(model);
        let (mut socket, _) = WebSocket::open(site.connect(), "/echo", "");
        socket.send_text("CloseFromServer");
        assert_eq!(socket.message(), Message::Close(1000, "as you wish".to_owned()));
        socket.send_close(1000, "");
        assert!(socket.is_closed());
        site.stop();
    }

    fn the_server_may_abort(model: Model) {
        let site = start(model);
        let (mut socket, _) = WebSocket::open(site.connect(), "/echo", "");
        socket.send_text("Abort");
        assert!(socket.is_closed());
        assert_eq!(site.get("/").ok().text(), "sockets");
        site.stop();
    }

    fn an_error_behind_an_upgrade_loses_nothing(model: Model) {
        let site = start(model);
        for _ in 0..10 {
            let (mut socket, _) = WebSocket::open(site.connect(), "/echo", "");
            socket.send_text("Throw");
            assert_eq!(socket.text(), "Throw");
            assert!(socket.is_ended(), "the connection was reset");
        }
        assert_eq!(site.get("/").ok().text(), "sockets");
        site.stop();
    }

    fn a_client_that_ends_its_side_is_not_reset(model: Model) {
        let site = start(model);
        for _ in 0..10 {
            let (mut socket, _) = WebSocket::open(site.connect(), "/echo", "");
            socket.send_text("last");
            assert_eq!(socket.text(), "last");
            socket.finish_sending();
            assert!(socket.is_ended(), "the connection was reset");
        }
        assert_eq!(site.get("/").ok().text(), "sockets");
        site.stop();
    }

    fn nothing_is_sent_after_an_abort(model: Model) {
        let site = start(model);
        for _ in 0..10 {
            let (mut socket, _) = WebSocket::open(site.connect(), "/echo", "");
            socket.send_text("AbortAndEcho");
            assert!(socket.is_closed());
        }
        assert_eq!(site.get("/").ok().text(), "sockets");
        site.stop();
    }

    fn a_server_may_speak_first(model: Model) {
        let site = start(model);
        let (mut socket, _) = WebSocket::open(site.connect(), "/push?count=3&size=10", "");
        for number in 0..3 {
            assert_eq!(socket.message(), Message::Binary(vec![number; 10]));
        }
        assert_eq!(socket.message(), Message::Close(1000, "done".to_owned()));
        site.stop();
    }

    fn messages_sent_before_the_answer_are_not_lost(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        // Against the rules, and yet nothing may be mixed up.
        let mut bytes = WebSocket::request("/echo", "").into_bytes();
        bytes.extend(frame_of_text("early"));
        connection.send(bytes);
        let (mut socket, _) = WebSocket::opened(connection);
        assert_eq!(socket.text(), "early");
        socket.send_text("later");
        assert_eq!(socket.text(), "later");
        site.stop();
    }

    fn many_messages_in_one_piece_come_back_in_order(model: Model) {
        let site = start(model);
        let (mut socket, _) = WebSocket::open(site.connect(), "/echo", "");
        let texts: Vec<String> = (0..500).map(|number| format!("{number}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        socket.send_texts(&texts);
        for text in texts {
            assert_eq!(socket.text(), text);
        }
        site.stop();
    }

    fn a_reader_that_is_slow_gets_everything(model: Model) {
        let site = start(model);
        let (mut socket, _) = WebSocket::open(site.connect(), "/push?count=300&size=100000", "");
        // The server has to wait: nobody holds 30 MB for us.
        for number in 0..300_u32 {
            let Message::Binary(data) = socket.message() else { panic!("message {number}") };
            assert!(data.len() == 100_000 && data.iter().all(|byte| *byte == number as u8));
        }
        assert_eq!(socket.message(), Message::Close(1000, "done".to_owned()));
        site.stop();
    }

    fn a_client_that_vanishes_is_noticed(model: Model) {
        let site = start(model);
        let (mut socket, _) = WebSocket::open(site.connect(), "/watched/vanished", "");
        assert_eq!(socket.text(), "ready");
        drop(socket);
        eventually("the end of the handler", || {
            let outcome = site.get("/ended/vanished").text();
            outcome.starts_with("ConnectionClosedPrematurely").then_some(())
        });
        site.stop();
    }

    fn an_open_socket_does_not_hold_the_shutdown_for_ever(model: Model) {
        let site = Site::start(App::test("Sockets").attribute("shutdownTimeLimit", "2"), model);
        let (mut socket, _) = WebSocket::open(site.connect(), "/echo", "");
        socket.send_text("still here");
        assert_eq!(socket.text(), "still here");
        site.stop();
        assert_eq!(socket.message(), Message::Close(1001, String::new()));
        assert!(socket.is_closed());
    }

    fn many_sockets_at_once(model: Model) {
        let site = start(model);
        let mut sockets: Vec<WebSocket> =
            (0..50).map(|_| WebSocket::open(site.connect(), "/echo", "").0).collect();
        for round in 0..5 {
            for (number, socket) in sockets.iter_mut().enumerate() {
                socket.send_text(&format!("{number} {round}"));
            }
            for (number, socket) in sockets.iter_mut().enumerate() {
                assert_eq!(socket.text(), format!("{number} {round}"));
            }
        }
        assert_eq!(site.get("/").ok().text(), "sockets");
        site.stop();
    }

    fn any_protocol_can_take_over(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        connection.send(
            "GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: capitals\r\n\r\n",
        );
        let head = connection.raw_head();
        assert_eq!((head.status, head.header("Upgrade")), (101, Some("capitals")));
        let mut sender = connection.sender();
        let mut line = || {
            let mut got = Vec::new();
            while !got.ends_with(b"\n") {
                let more = connection.raw_bytes();
                assert!(!more.is_empty(), "closed");
                got.extend_from_slice(&more);
            }
            String::from_utf8(got).expect("lines are text")
        };
        // The application tried to upgrade twice.
        assert_eq!(line(), "InvalidOperationException\n");
        for number in 0..100 {
            sender.write_all(format!("line {number}\n").as_bytes()).expect("it is taken");
            assert_eq!(line(), format!("LINE {number}\n"));
        }
        connection.send("end\n");
        assert!(connection.is_closed());
        site.stop();
    }
}

#[test]
fn handshakes() {
    compare("handshakes", "Sockets", |client| {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        for (what, target, lines) in [
            ("no upgrade", "/echo", String::new()),
            ("no upgrade to lines", "/upgrade", String::new()),
            ("no key", "/echo", format!("{upgrade}Sec-WebSocket-Version: 13\r\n")),
            ("no version", "/echo", format!("{upgrade}{key}")),
            ("old version", "/echo", format!("{upgrade}{key}Sec-WebSocket-Version: 8\r\n")),
            (
                "no Connection",
                "/echo",
                format!("Upgrade: websocket\r\n{key}Sec-WebSocket-Version: 13\r\n"),
            ),
        ] {
            client.send_raw(
                what,
                format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").as_bytes(),
            );
        }
        client.send_raw(
            "ignored",
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{upgrade}{key}Sec-WebSocket-Version: 13\r\n\r\n").as_bytes(),
        );
        let (mut socket, head) = WebSocket::open(
            client.connect(),
            "/chat",
            "Sec-WebSocket-Protocol: other, chat\r\nOrigin: http://a.example\r\n",
        );
        client.note_head(&Request::get("/chat"), &head);
        client.note("/chat", "first", &format!("{:?}", socket.message()));
        client.note("/chat", "second", &format!("{:?}", socket.message()));
        let (_, head) = WebSocket::open(
            client.connect(),
            "/echo",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        );
        client.note_head(&Request::get("/echo"), &head);
    });
}

/// On Kestrel, and hence out-of-process, it does not.
#[test]
fn a_client_that_has_said_everything_still_gets_its_answers() {
    let site = start(Model::InProcess);
    let mut connection = site.connect();
    connection.send(
        "GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: capitals\r\n\r\n",
    );
    assert_eq!(connection.raw_head().status, 101);
    connection.send("one\ntwo\n");
    connection.finish_sending();
    assert_eq!(connection.rest(), b"InvalidOperationException\nONE\nTWO\n");
    site.stop();
}
