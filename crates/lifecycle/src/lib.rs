//! What may happen to a site, its generations and their starts. Pure: no clock, no file, no process.
//!
//! Decisions are taken here and carried out elsewhere: events and the time go in, actions come out.
//! Read `site` first; `report` is what a failed start leaves behind.
#![forbid(unsafe_code)]

pub mod capture;
pub mod cause;
pub mod code;
pub mod event;
pub mod exit;
pub mod generation;
pub mod headroom;
pub mod health;
pub mod ids;
pub mod journey;
pub mod lines;
pub mod reason;
pub mod report;
pub mod restart;
pub mod site;
pub mod time;
pub mod trigger;

pub use code::Code;
pub use ids::GenerationId;
pub use journey::{Journey, Route, Step};
pub use reason::Reason;
pub use report::{Disclosure, StartReport};
