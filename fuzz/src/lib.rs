//! What the fuzz targets do with their bytes, and the committed corpora.
//!
//! A target is a function of bytes that panics when something is wrong. cargo-fuzz calls it with
//! what libFuzzer finds; `cargo test` in this folder calls it with the corpus; and a target's own
//! program, built without cargo-fuzz, calls it with files and with mutations of them.
//!
//! | target | what it holds |
//! |---|---|
//! | [`request_head`] | a verdict does not depend on how bytes arrive |
//! | [`chunked`] | the same for bodies |
//! | [`response_head`] | what is written can be read, and says the same |
//! | [`target_split`] | no path climbs, hides a control or is no UTF-8 |
//! | [`certificate`] | a certificate has one reading, and one spelling in each form |
//! | [`web_config`] | no file is too strange for findings |
//! | [`backend`] | a client gets what a backend says, whole or visibly cut, and nothing else |
//! | [`link`] | the same over a link, whose frames are read a second time |
//! | [`frames`] | frames of a WebSocket end where a second reading has them end, in any pieces |
//! | [`connection`] | the engine serves the requests that the parsers find, and no others |

mod backend;
mod bodies;
mod certificate;
mod connection;
mod frames;
mod heads;
mod link;
mod requests;
pub mod run;

pub use backend::backend;
pub use bodies::chunked;
pub use certificate::certificate;
pub use connection::connection;
pub use frames::frames;
pub use heads::{request_head, response_head, target_split};
pub use link::link;
pub use requests::{End, Found, requests};

/// What a target does with its bytes.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("request_head", request_head),
    ("chunked", chunked),
    ("response_head", response_head),
    ("target_split", target_split),
    ("certificate", certificate),
    ("web_config", web_config),
    ("connection", connection),
    ("backend", backend),
    ("link", link),
    ("frames", frames),
];

/// Reads a `web.config`.
pub fn web_config(data: &[u8]) {
    let mut env = config::Env::default();
    env.set("A", "%B%");
    env.set("B", "%A%");
    let mut findings = config::Findings::default();
    let read = config::read_web_config(data, "web.config", &env, &mut findings);
    assert!(read.is_some() || findings.has_errors(), "a start is prevented without a word");
}

/// The program of a target.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::run::main(stringify!($name), $crate::$name);
        }
    };
}
