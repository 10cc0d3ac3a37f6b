//! failed_starts
