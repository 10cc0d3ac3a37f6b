//! `ancm`: the command line, and the supervisor of one site.
//!
//! It owns the listening sockets and decides which worker serves them. It speaks no HTTP and hosts
//! no runtime: whatever an application does to its worker, this process goes on.
#![forbid(unsafe_code)]

mod check;
mod cli;
mod deploy;
mod journal;
mod kept;
mod listen;
mod operate;
mod output;
mod run;
mod service;
mod supervisor;

use std::io::stdout;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    ExitCode::from(match Cli::parse().command {
        Command::Check(arguments) => check::run(&arguments.dir, arguments.json, &mut stdout()),
        Command::Deploy(arguments) => deploy::deploy(&arguments.new, &arguments.dir),
        Command::Logs(arguments) => operate::logs(&arguments, &mut stdout()),
        Command::Recycle(site) => operate::recycle(&site),
        Command::Rollback { dir } => deploy::rollback(&dir),
        Command::Run(arguments) => run::run(arguments),
        Command::Start(site) => operate::start(&site),
        Command::Stop(site) => operate::stop(&site),
        Command::Status(arguments) => operate::status(&arguments, &mut stdout()),
    })
}
