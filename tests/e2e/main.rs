//! The promises, one file per topic. `cargo xtask test` builds what they need.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod abi_skew;
mod bad_input;
mod bodies;
mod changes;
mod client_certificates;
mod client_limits;
mod configuration;
mod connections;
mod control;
mod crash_loops;
mod debug_log;
mod deploy;
mod disconnects;
mod failed_starts;
mod faults;
mod first_process;
mod handlers;
mod hosting;
mod integration;
mod io;
mod limits;
mod load;
mod malformed;
mod memory;
mod mixed;
mod no_events;
mod offline;
mod outofprocess;
mod output;
mod path_base;
mod platform;
mod requests;
mod responses;
mod restart;
mod service;
mod shutdown;
mod snapshot;
mod stop_limits;
mod strain;
mod traces;
mod transport;
mod triggers;
mod upgrades;
mod warm_up;
