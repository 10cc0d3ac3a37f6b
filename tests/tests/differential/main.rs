//! Ordinary applications behave the same on Kestrel, in-process and out-of-process.
//!
//! A conversation is a function that talks to a server; [`compare::compare`] holds it with all
//! three and compares what was said. What may differ, and why, is a table: [`differences`].

mod bare;
mod bare_bytes;
mod bare_clients;
mod bare_ends;
mod bare_refusals;
mod bare_states;
mod client;
mod compare;
mod differences;
mod kitchen;
mod kitchen_bodies;
mod market;
mod measures;
mod pantry;
mod rules;
mod server;
mod shapes;
mod signalr;
mod sockets;
mod todos;
mod websocket;
