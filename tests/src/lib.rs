//! End-to-end tests: the real programs, real applications, both hosting models.
//!
//! There is nothing here; the tests are in `e2e/`. A test whose name begins with the number of a
//! row of `conformance.tsv`, such as `req_11_echo_of_100_kb`, holds that row; `cargo xtask
//! conformance` counts. A name may begin with several numbers.
