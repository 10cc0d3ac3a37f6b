//! `cargo xtask`: everything that people who work on ancm run.
//!
//! * `workspace`, `step`: where things are; how a step is shown.
//! * `dotnet`: an installed SDK or a private toolchain, and building C# with it.
//! * `build`: the programs, the managed assemblies, the samples and the test applications.
//! * `demo`: build and serve a sample.
//! * `bench`: ancm beside Kestrel, nginx and HAProxy.
//! * `instructions`: what a request costs the engine, counted under callgrind.
//! * `check`: format, lints, layers, unit tests, documentation; `test`: that and all other tests.
//! * `pack`: the package of the handler, for applications that bring their own.
//! * `abi`: the C header and the C# mirror of the contract.
//! * `fuzz`: the fuzz targets; `soak`: every kind of client, for hours.
//! * `conformance`: which of the module's own tests hold here.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "talking to a person is the job")]

mod abi;
mod bench;
mod build;
mod check;
mod conformance;
mod debian;
mod demo;
mod dotnet;
mod fuzz;
mod instructions;
mod pack;
mod soak;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    build::Build,
    dotnet::Toolchain,
    workspace::{Profile, Workspace},
};

/// Build, check, test and try ancm.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything and serve the hello sample; says what to try
    Demo(demo::Arguments),
    /// Check everything and run all tests; words select tests by name
    Test {
        /// Passed on to the test runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
    /// Which of the module's own tests hold here, counted from a run
    Conformance(conformance::Arguments),
    /// Format, lints, import direction, file lengths, links, unit tests, documentation
    Check,
    /// Run the fuzz targets under cargo-fuzz, which is installed if it is missing
    Fuzz(fuzz::Arguments),
    /// Serve every kind of client for long; fails on a wrong answer, or if the server grows
    Soak(soak::Arguments),
    /// Measure ancm beside Kestrel, nginx and HAProxy; needs a quiet machine
    Bench(bench::Arguments),
    /// Count what a request costs the engine, and compare with the committed figures
    Instructions(instructions::Arguments),
    /// Build the programs, the managed assemblies, the samples and the test applications
    Build {
        /// Optimised, as a release is
        #[arg(long)]
        release: bool,
    },
    /// Write the package of the in-process handler, for applications that bring their own
    Pack,
    /// Write the C header and the C# mirror of the contract anew
    Abi,
    /// Find a .NET SDK or assemble a private toolchain; prints where it is
    Dotnet,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // Without the backtrace that `Debug` would add: the chain says what was being done.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    match command {
        Command::Demo(arguments) => demo::run(&workspace, &arguments)?,
        Command::Test { filter } => return test::run(&workspace, &filter),
        Command::Bench(arguments) => return bench::run(&workspace, &arguments),
        Command::Conformance(arguments) => return conformance::run(&workspace, &arguments),
        Command::Fuzz(arguments) => fuzz::run(&workspace, &arguments)?,
        Command::Soak(arguments) => soak::run(&workspace, &arguments)?,
        Command::Abi => abi::write(&workspace)?,
        Command::Instructions(arguments) => instructions::run(&workspace, &arguments)?,
        Command::Check => check::run(&workspace)?,
        Command::Build { release } => {
            let profile = if release { Profile::Release } else { Profile::Debug };
            Build::run(&workspace, profile)?;
        }
        Command::Pack => println!("{}", pack::run(&workspace)?.display()),
        Command::Dotnet => {
            let toolchain = Toolchain::ensure(&workspace)?;
            println!("{}\n{}", toolchain.describe(), toolchain.root.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
