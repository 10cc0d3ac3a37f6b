//! outofprocess
