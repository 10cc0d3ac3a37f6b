//! ancm
fn main() {}
