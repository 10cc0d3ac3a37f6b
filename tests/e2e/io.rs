//! How lanes speak to the kernel: the same answers, whichever way.
//!
//! The cases of `tests/wire` and what tests the engine run over both; all other tests over io_uring
//! where it may be used, and over epoll with `ANCM_TEST_IO=epoll cargo xtask test`.

use std::thread;

use testkit::{App, Model, Request, Start, both_models};

fn many_clients_at_once(model: Model, io: &str) {
    const CONNECTIONS: usize = 48;
    let app = App::sample("hello").model(model);
    let site = Start::of(app).argument("--io").argument(io).run();
    thread::scope(|scope| {
        for client in 0..CONNECTIONS {
            let site = &site;
            scope.spawn(move || {
                let mut connection = site.connect();
                for round in 0..40 {
                    assert_eq!(connection.get("/plaintext").ok().text(), "Hello, World!");
                    let body = vec![(client + round) as u8; 997 * round];
                    let request = Request::post("/echo", body.clone());
                    assert!(connection.request(&request).ok().body == body, "{client} {round}");
                }
            });
        }
    });
    let log = site.log();
    assert!(!log.contains("io_uring"), "a refusal would be told: {log}");
    site.stop();
}

both_models! {
    fn many_clients_at_once_are_served_over_epoll(model: Model) {
        many_clients_at_once(model, "epoll");
    }

    fn many_clients_at_once_are_served_over_io_uring(model: Model) {
        many_clients_at_once(model, "uring");
    }
}
