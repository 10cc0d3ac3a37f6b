//! Links: one socket to a backend that carries the connections of many exchanges.
//!
//! With a socket for each exchange, a proxied request costs two system calls and two wake-ups on each
//! side of it, more than everything else it is made of. On a link, what is ready of all exchanges goes
//! out together when the lane has seen to its events, and comes in together. A connection on a link is
//! a *channel*; the other half is `dotnet/src/Ancm.Backend/Links`, which hands channels to the server
//! of the application as connections.
//!
//! This module is the protocol and its state, without a socket: [`frame`] is what goes over the wire,
//! [`Decoder`] takes it apart, [`Channels`] keeps the account of each side. The lane moves the bytes
//! (`lane/links.rs`). What a reader would get wrong: the credit of a channel is what bounds memory, so
//! a lane always reads its links and never lets one wait for a slow client.

mod channels;
mod decoder;
mod frame;

pub(crate) use channels::{Channels, Violation};
pub(crate) use decoder::{Decoder, Step};
pub(crate) use frame::Frame;
