//! Prints a rendering of the contract: `c` or `csharp`.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

fn main() {
    let text = match std::env::args().nth(1).as_deref() {
        Some("c") => ancm_abi::describe::c_header(),
        Some("csharp") => ancm_abi::describe::csharp("Ancm.Server.Native"),
        other => panic!("which rendering? `c` or `csharp`, not {other:?}"),
    };
    print!("{text}");
}
