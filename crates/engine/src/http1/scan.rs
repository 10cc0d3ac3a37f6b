//! Scan
