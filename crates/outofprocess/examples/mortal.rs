//! A worker that is there to be killed: starts the backend that its argument names, prints the
//! backend's process number and waits for ever.

#![expect(clippy::print_stdout, reason = "the test reads the number")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use ancm_outofprocess::Event;
use config::{App, AspNetCore, Origin, PathBase, Source};

fn main() {
    let program = std::env::args().nth(1).expect("the backend's program is the argument");
    let app = App {
        name: "mortal".into(),
        dir: PathBuf::from("/"),
        web_config_path: None,
        settings: AspNetCore::of(program, vec!["serve".to_owned()]),
        source: Source::WebConfig,
        path_base: PathBase::default(),
        hosting_model_origin: Origin::WebConfig,
        snapshot: None,
    };
    let started = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&started);
    let tell = move |event| {
        if let (Event::BackendStarted { pid, .. }, Ok(mut started)) = (event, sink.lock()) {
            *started = Some(pid);
        }
    };
    let _handler = ancm_outofprocess::start(&app, &[], Path::new(""), Arc::new(tell))
        .expect("the misfit serves");
    println!("{}", started.lock().ok().and_then(|pid| *pid).expect("a start is told first"));
    loop {
        thread::park();
    }
}
