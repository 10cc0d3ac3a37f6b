//! What happens to a site in a year, within a minute.

use std::fs;

use testkit::{App, Load, Request, Site, WebSocket, both_models, eventually};

const OPERATIONS: u32 = 40;
const TEXT: u8 = 1;
const OFFLINE: &str = "app_offline.htm";

/// Every run does the same, so that a failure can be looked at again; `ANCM_TEST_SEED=N` has it do
/// something else.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = std::env::var("ANCM_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        // Spread over all bits; never zero, which would stay.
        Self(seed.unwrap_or(1_u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

fn wait_until_served(site: &Site) {
    eventually("the application", || {
        let mut connection = site.connect();
        connection.send(Request::get("/HelloWorld").to_bytes());
        // A worker that is killed takes the connections that it has accepted with it.
        let answer = connection.rest_or_response()?;
        (answer.status() == 200).then_some(())
    });
}

fn rewrite(site: &Site, file: &str) {
    let path = site.app().path(file);
    let content = fs::read(&path).unwrap();
    fs::write(path.with_extension("new"), content).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

/// One thing that clients, operators, deployers or the system do.
fn operate(site: &Site, random: &mut Random) {
    match random.below(12) {
        0 => {
            let body = vec![b'x'; usize::try_from(random.below(500_000)).unwrap()];
            let answer = site.request(&Request::post("/ReadAndWriteEcho", body.clone()));
            // Beside a recycle; never another's body, never a part.
            assert!(answer.ok().body == body);
        }
        1 => {
            let mut socket = WebSocket::open(site.connect(), "/WebSocketEcho");
            socket.send_text("hello");
            let frame = socket.receive();
            assert_eq!((frame.opcode, frame.payload.as_slice()), (TEXT, &b"hello"[..]));
        }
        2 => {
            let mut connection = site.connect();
            connection.send(
                "POST /ReadAndWriteEcho HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nabc",
            );
        }
        3 => rewrite(site, "web.config"),
        4 => rewrite(site, "Site.dll"),
        5 => site.signal("HUP"),
        6 => assert_eq!(site.command("recycle", &[]).status.code(), Some(0)),
        7 => {
            assert_eq!(site.command("stop", &[]).status.code(), Some(0));
            assert_eq!(site.get("/HelloWorld").status(), 503);
            assert_eq!(site.command("start", &[]).status.code(), Some(0));
        }
        8 => {
            site.app().write(OFFLINE, "back soon");
            if random.below(2) == 0 {
                eventually("the page", || (site.get("/").text() == "back soon").then_some(()));
            }
            fs::remove_file(site.app().path(OFFLINE)).unwrap();
        }
        9 => site.application().signal("KILL"),
        10 => site.worker().signal("KILL"),
        _ => assert_eq!(site.command("status", &["--json"]).status.code(), Some(0)),
    }
}

both_models! {
    fn v1_35_the_site_serves_whatever_is_done_to_it(model: Model) {
        let site = Site::start(App::test("Site").attribute("rapidFailsPerMinute", "100"), model);
        let mut random = Random::new();
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        for _ in 0..OPERATIONS {
            wait_until_served(&site);
            operate(&site, &mut random);
        }
        wait_until_served(&site);
        // Connections end with a worker that is killed, and nothing else goes wrong.
        let tally = load.stop();
        assert!(tally.statuses.keys().all(|status| [200, 502, 503].contains(status)), "{tally:?}");
        eventually("one generation", || {
            let status = site.command("status", &["--json"]).stdout;
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            (status["generations"].as_array().unwrap().len() == 1).then_some(())
        });
        site.stop();
    }
}
