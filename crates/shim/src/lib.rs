//! shim
#![forbid(unsafe_code)]

pub mod page;
pub mod report;
