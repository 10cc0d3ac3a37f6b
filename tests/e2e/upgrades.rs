//! WebSockets and other protocols on an upgraded connection.

use testkit::{App, Model, Request, Site, WebSocket, both_models, websocket::Frame};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const GOING_AWAY: u16 = 1001;
const RESTART: u16 = 1012;

fn start(model: Model) -> Site {
    Site::start(App::test("Site"), model)
}

/// An application that does not care for the stop, and a client that has to hear of it.
fn is_told(model: Model, code: u16, change: impl Fn(&Site)) -> Site {
    let (site, mut socket) = hears(model, "2", code, change);
    assert!(socket.connection().is_ended());
    site
}

fn hears(model: Model, limit: &str, code: u16, change: impl Fn(&Site)) -> (Site, WebSocket) {
    let app = App::test("Site").attribute("shutdownTimeLimit", limit);
    let site = Site::start(app, model);
    let mut socket = WebSocket::open(site.connect(), "/WebSocketEcho");
    socket.send_text("hello");
    assert_eq!(socket.receive().payload, b"hello");
    change(&site);
    assert_eq!(socket.receive(), Frame { opcode: CLOSE, payload: code.to_be_bytes().to_vec() });
    (site, socket)
}

both_models! {
    fn ws_05_a_thousand_messages_come_back(model: Model) {
        let site = start(model);
        let mut socket = WebSocket::open(site.connect(), "/WebSocketEcho");
        for number in 0..1000 {
            let text = format!("hello, world {number}");
            socket.send_text(&text);
            assert_eq!(socket.receive(), Frame { opcode: TEXT, payload: text.into_bytes() });
        }
    }

    fn v1_31_frames_of_all_kinds_pass(model: Model) {
        let site = start(model);
        let mut socket = WebSocket::open(site.connect(), "/WebSocketEcho");
        let payload: Vec<u8> = (0..60_000_u32).map(|at| (at % 247) as u8).collect();
        socket.send(BINARY, &payload);
        let mut received = Vec::new();
        while received.len() < payload.len() {
            received.extend(socket.receive().payload);
        }
        assert!(received == payload);
        socket.send(PING, b"are you there");
        assert_eq!(socket.receive(), Frame { opcode: PONG, payload: b"are you there".to_vec() });
        socket.send(CLOSE, &1000_u16.to_be_bytes());
        let frame = socket.receive();
        assert_eq!((frame.opcode, &frame.payload[..2]), (CLOSE, &1000_u16.to_be_bytes()[..]));
        assert!(socket.connection().is_closed());
        site.stop();
    }

    fn the_application_may_close(model: Model) {
        let site = start(model);
        let mut socket = WebSocket::open(site.connect(), "/WebSocketEcho");
        socket.send_text("CloseFromServer");
        assert_eq!(socket.receive().opcode, CLOSE);
        socket.send(CLOSE, &1000_u16.to_be_bytes());
        assert!(socket.connection().is_closed());
    }

    fn ws_03_headers_are_set_while_a_101_starts(model: Model) {
        let site = start(model);
        let mut socket = WebSocket::open(site.connect(), "/WebSocketLifetimeEvents");
        assert_eq!(socket.head.header("custom"), Some("set while starting"));
        socket.send_text("hello");
        assert_eq!(socket.receive().payload, b"hello");
    }

    fn ws_04_the_empty_body_is_read_before_an_upgrade(model: Model) {
        let site = start(model);
        let mut socket = WebSocket::open(site.connect(), "/WebReadBeforeUpgrade?id=read");
        socket.send_text("hello");
        assert_eq!(socket.receive().payload, b"hello");
        site.wait_for_outcome("read", "read 0");
    }

    fn ws_02_any_protocol_may_take_over(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        let request =
            Request::get("/RawEcho").header("Connection", "Upgrade").header("Upgrade", "echo");
        // What is sent before the answer belongs to the new protocol.
        connection.send([request.to_bytes().as_slice(), b"early"].concat());
        assert_eq!(connection.head().status, 101);
        assert_eq!(connection.take(5), b"early");
        connection.send(b"late");
        assert_eq!(connection.take(4), b"late");
    }

    fn ws_08_http_1_0_cannot_be_upgraded(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        connection.send("GET /UpgradeFails HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n");
        let thrown = connection.response().ok().text();
        assert!(matches!(&*thrown, "InvalidOperationException" | "no feature"), "{thrown}");
    }

    fn v1_30_a_refused_web_socket_is_an_ordinary_answer(model: Model) {
        let site = start(model);
        let mut connection = site.connect();
        let response = connection.request(&WebSocket::request("/HelloWorld")).ok();
        assert_eq!(response.text(), "Hello World");
        assert_eq!(connection.get("/HelloWorld").status(), 200);
    }

    fn ws_09_ws_11_web_sockets_can_be_switched_off(model: Model) {
        let off = "<webSocket enabled=\"false\" /></system.webServer>";
        let app = App::test("Site").replace("</system.webServer>", off);
        let site = Site::start(app, model);
        let mut connection = site.connect();
        for (target, text) in
            [("/UpgradeFeatureDetection", "Disabled"), ("/Upgradable", "False"), ("/HelloWorld", "Hello World")]
        {
            // Ordinary requests, whatever they ask for.
            assert_eq!(connection.request(&WebSocket::request(target)).ok().text(), text);
        }
        site.stop();
    }

    fn a_thousand_web_sockets_at_once_are_served_and_do_not_hold_up_the_stop(model: Model) {
        const COUNT: usize = 1000;
        let app = App::test("Site").attribute("shutdownTimeLimit", "5");
        let mut site = Site::start(app, model);
        let mut sockets: Vec<WebSocket> =
            (0..COUNT).map(|_| WebSocket::open(site.connect(), "/WebSocketEcho")).collect();
        let echo = |sockets: &mut [WebSocket]| {
            for (number, socket) in sockets.iter_mut().enumerate() {
                socket.send_text(&format!("hello {number}"));
            }
            for (number, socket) in sockets.iter_mut().enumerate() {
                let payload = format!("hello {number}").into_bytes();
                assert_eq!(socket.receive(), Frame { opcode: TEXT, payload });
            }
        };
        echo(&mut sockets);
        // Others are served beside them.
        assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
        // Some say goodbye, some just leave.
        for mut socket in sockets.drain(..100) {
            socket.send(CLOSE, &1000_u16.to_be_bytes());
            assert_eq!(socket.receive().opcode, CLOSE);
            assert!(socket.connection().is_closed());
        }
        drop(sockets.drain(..100));
        echo(&mut sockets);
        assert_eq!(site.get("/HelloWorld").ok().text(), "Hello World");
        site.signal("TERM");
        assert_eq!(site.wait_for_end().code(), Some(0));
        site.wait_until_all_is_gone();
    }

    fn an_open_web_socket_does_not_hold_up_the_stop_for_ever(model: Model) {
        let mut site = is_told(model, GOING_AWAY, |site| site.signal("TERM"));
        assert_eq!(site.wait_for_end().code(), Some(0));
    }

    /// There is a moment for it, which a machine that is busy may let pass: then a longer limit.
    fn an_open_web_socket_whose_client_answers_lets_the_application_stop_in_time(model: Model) {
        let stops_in_time = |limit| {
            let (mut site, mut socket) = hears(model, limit, GOING_AWAY, |site| site.signal("TERM"));
            socket.send(CLOSE, &GOING_AWAY.to_be_bytes());
            assert!(socket.connection().is_ended());
            assert_eq!(site.wait_for_end().code(), Some(0));
            !site.log().contains("1005: ")
        };
        assert!(["2", "8", "40"].into_iter().any(stops_in_time));
    }

    fn an_open_web_socket_is_closed_for_a_recycle_so_that_it_comes_back(model: Model) {
        let site = is_told(model, RESTART, |site| {
            assert_eq!(site.command("recycle", &[]).status.code(), Some(0));
        });
        WebSocket::open(site.connect(), "/WebSocketEcho");
        site.stop();
    }

    fn an_open_web_socket_is_closed_when_the_application_goes_away(model: Model) {
        is_told(model, GOING_AWAY, |site| site.app().write("app_offline.htm", "back soon")).stop();
        is_told(model, GOING_AWAY, |site| {
            assert_eq!(site.command("stop", &[]).status.code(), Some(0));
        })
        .stop();
    }
}

#[test]
fn ws_12_the_upgrade_feature_is_there_out_of_process() {
    let site = start(Model::OutOfProcess);
    let request = WebSocket::request("/UpgradeFeatureDetection");
    assert_eq!(site.request(&request).ok().text(), "Enabled");
}
