//! inprocess
