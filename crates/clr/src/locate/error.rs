//! Why no runtime was found for an application, with everything a person needs to change that.

use std::fmt;
use std::path::PathBuf;

use crate::codes::Substatus;

use super::elf::Image;

/// One place that was looked at for a dotnet root, and what was wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Searched {
    /// What led there: a variable, a file, or a fixed folder.
    pub place: String,
    /// What it says about itself: not set, no such folder, no `host/fxr`.
    pub outcome: String,
}

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.outcome)
    }
}

/// No hostfxr could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// The argument names no file.
    #[error("{} does not exist or is not a .dll", path.display())]
    AppMissing {
        /// The absolute path.
        path: PathBuf,
    },
    /// The program has no assembly beside it.
    #[error("{} does not exist; a program published as a single file cannot be hosted in-process",
        expected.display())]
    AssemblyMissing {
        /// Where it was expected.
        expected: PathBuf,
    },
    /// An explicit path to `dotnet` names nothing.
    #[error("{} does not exist", path.display())]
    DotnetMissing {
        /// The absolute path.
        path: PathBuf,
    },
    /// No dotnet root is anywhere.
    #[error("no .NET runtime was found; searched {}", list(searched))]
    DotnetNotFound {
        /// The places, in order.
        searched: Vec<Searched>,
    },
    /// The hosting library is not one for this machine.
    #[error("{} is {image}; this host runs on {}", path.display(), std::env::consts::ARCH)]
    ForeignLibrary {
        /// The library.
        path: PathBuf,
        /// What it is.
        image: Image,
    },
    /// `dotnet` is given nothing to run.
    #[error("dotnet is given no arguments")]
    NoArguments,
    /// The folder of an explicit `dotnet` has no hosting library.
    #[error("{} has no host/fxr/<version>/libhostfxr.so", root.display())]
    NoHostFxr {
        /// The folder.
        root: PathBuf,
    },
    /// The arguments contain no application.
    #[error("`{arguments}` names no .dll to run")]
    NotAnApp {
        /// The arguments.
        arguments: String,
    },
    /// Self-contained, for another system.
    #[error("{} was published with the runtime of another system", app.display())]
    OtherSystem {
        /// The assembly.
        app: PathBuf,
    },
    /// The process path names no program of .NET.
    #[error("{} does not exist, nor does an assembly of that name", path.display())]
    ProgramMissing {
        /// The absolute path.
        path: PathBuf,
    },
}

fn list(searched: &[Searched]) -> String {
    searched.iter().map(Searched::to_string).collect::<Vec<_>>().join("; ")
}

impl LocateError {
    /// The module's number for it.
    pub fn substatus(&self) -> Substatus {
        match self {
            Self::AppMissing { .. } | Self::NotAnApp { .. } => Substatus::DEPENDENCIES,
            Self::AssemblyMissing { .. } => Substatus::ASSEMBLY,
            Self::ForeignLibrary { .. } | Self::OtherSystem { .. } => Substatus::LIBRARY,
            Self::DotnetMissing { .. }
            | Self::DotnetNotFound { .. }
            | Self::NoArguments
            | Self::NoHostFxr { .. }
            | Self::ProgramMissing { .. } => Substatus::GENERAL,
        }
    }

    /// A stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AppMissing { .. } => "no-assembly",
            Self::AssemblyMissing { .. } => "no-assembly-beside-program",
            Self::DotnetMissing { .. } => "no-dotnet-at-path",
            Self::DotnetNotFound { .. } => "no-dotnet",
            Self::ForeignLibrary { .. } => "foreign-hostfxr",
            Self::NoArguments => "no-arguments",
            Self::NoHostFxr { .. } => "no-hostfxr",
            Self::NotAnApp { .. } => "not-an-application",
            Self::OtherSystem { .. } => "other-system",
            Self::ProgramMissing { .. } => "no-program",
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::AppMissing { .. } => "correct `arguments`, or publish the application again",
            Self::AssemblyMissing { .. } => {
                "publish without PublishSingleFile and PublishAot, or use \
                 hostingModel=\"outofprocess\""
            }
            Self::DotnetMissing { .. } => "write processPath=\"dotnet\"",
            Self::DotnetNotFound { .. } => {
                "install the ASP.NET Core runtime, or set DOTNET_ROOT to where it is"
            }
            Self::ForeignLibrary { .. } => {
                "install the runtime of this machine's architecture, or publish for it"
            }
            Self::NoArguments => "write arguments=\".\\MyApp.dll\"",
            Self::NoHostFxr { .. } => {
                "name the dotnet of a complete installation, or write processPath=\"dotnet\""
            }
            Self::NotAnApp { .. } => "begin `arguments` with the application's .dll",
            Self::OtherSystem { .. } => "publish with --runtime linux-x64, or framework-dependent",
            Self::ProgramMissing { .. } => {
                "in-process only .NET runs: correct processPath, or use \
                 hostingModel=\"outofprocess\" for other programs"
            }
        }
    }
}
