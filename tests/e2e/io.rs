//! How lanes speak to the kernel: the same answers, whichever way.
//!
//! `ANCM_TEST_IO=uring cargo xtask test` runs all other tests over io_uring.

use std::thread;

use testkit::{App, Request, Start, both_models};

both_models! {
    fn many_clients_at_once_are_served_over_io_uring(model: Model) {
        const CONNECTIONS: usize = 48;
        let app = App::sample("hello").model(model);
        let site = Start::of(app).argument("--io").argument("uring").run();
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
}
