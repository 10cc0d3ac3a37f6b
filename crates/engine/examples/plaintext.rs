//! The engine alone: answers every request with a constant. `plaintext PORT [LANES [uring]]`.
//!
//! What is left of the cost of a request when no application is behind the engine.

#![expect(clippy::print_stdout, reason = "whoever starts it must learn the address")]

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use ancm_engine::{Answer, Application, Engine, Exchange, Io, Listener, Options, Outcome};

struct Plaintext(Answer);

impl Application for Plaintext {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        if exchange.request().path() == b"/block" {
            std::thread::sleep(Duration::from_millis(500));
        }
        exchange.respond(&self.0);
        Outcome::Done
    }
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let lanes: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut options = Options::new(lanes);
    options.io =
        if arguments.next().is_some_and(|io| io == "uring") { Io::Uring } else { Io::Epoll };
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut listeners = Vec::new();
    for lane in 0..lanes {
        listeners.push(Listener { socket: listener.try_clone()?.into(), lane });
    }
    let application = Arc::new(Plaintext(Answer::text(200, "Hello, World!")));
    let _engine = Engine::start(listeners, application, options)?;
    loop {
        std::thread::park();
    }
}
