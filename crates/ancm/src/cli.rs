//! The command line. Scripts rely on it: names and meanings stay.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use config::{HostingModel, ListenUrl, PathBase};
use control::Io;

/// Runs ASP.NET Core applications as IIS does: point it at the output of `dotnet publish`.
#[derive(Debug, Parser)]
#[command(name = "ancm", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve one published application in the foreground
    Run(Run),
    /// Tell everything that is wrong with an application, without starting it
    Check(Check),
    /// Tell how the sites that serve an application are
    Status(Status),
    /// Have a new generation serve an application; wait until it does
    Recycle(Site),
    /// Stop an application, which is answered for with 503 until it is started; wait for its end
    Stop(Site),
    /// Start an application that was stopped; wait until it serves
    Start(Site),
    /// Put another version into an application's folder; wait until it serves, or go back
    Deploy(Deploy),
    /// Put the version before the last deployment back; wait until it serves
    Rollback {
        /// The application's folder, named as for `ancm run`
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Print what supervisor and application have written lately
    Logs(Logs),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The application's folder
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Where to listen; may repeat [default: ASPNETCORE_URLS, else http://127.0.0.1:5000]
    #[arg(long = "url", value_name = "URL")]
    pub(crate) urls: Vec<ListenUrl>,
    /// `inprocess` or `outofprocess`, whatever web.config says
    #[arg(long, value_name = "MODEL")]
    pub(crate) hosting_model: Option<HostingModel>,
    /// Serve the application below this path of the site, for instance /shop
    #[arg(long, value_name = "PATH", default_value = "/", hide_default_value = true)]
    pub(crate) path_base: PathBase,
    /// Name of the environment, for instance Development
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// Threads that serve connections [default: one per processor]
    #[arg(long, value_name = "N", value_parser = lanes)]
    pub(crate) lanes: Option<NonZeroUsize>,
    /// How they speak to the kernel: `epoll`, `uring` (io_uring), or `auto`: io_uring where it may
    #[arg(
        long,
        value_name = "IO",
        default_value = "auto",
        hide_default_value = true,
        overrides_with = "io"
    )]
    pub(crate) io: Io,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The application's folder
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// The new version: the output of `dotnet publish`
    pub(crate) new: PathBuf,
    /// The application's folder, named as for `ancm run`
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
}

/// What a supervisor is found by.
#[derive(Debug, Args)]
pub(crate) struct Site {
    /// The application's folder, named as for `ancm run`
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Only the supervisor with this process number, when several serve the folder
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) site: Site,
    /// Print JSON, one line for each supervisor
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) site: Site,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many lines at most, the last ones
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: usize,
}

/// More lanes than this cost descriptors and gain nothing.
const MOST_LANES: usize = 256;

fn lanes(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().and_then(NonZeroUsize::new);
    number
        .filter(|number| number.get() <= MOST_LANES)
        .ok_or_else(|| format!("expected a number from 1 to {MOST_LANES}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_as_documented() {
        Cli::command().debug_assert();
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let line = "ancm run /app --url http://*:80 --url http://unix:/a --hosting-model \
                    InProcess --environment Development --lanes 2 --io uring";
        let Command::Run(run) = parse(line).unwrap().command else { panic!("{line}") };
        assert_eq!(run.urls.len(), 2);
        assert_eq!(run.hosting_model, Some(HostingModel::InProcess));
        assert_eq!(run.lanes.map(NonZeroUsize::get), Some(2));
        assert_eq!(run.io, Io::Uring);
        assert!(matches!(parse("ancm check --json").unwrap().command, Command::Check(_)));
        let Command::Deploy(deploy) = parse("ancm deploy out /app").unwrap().command else {
            panic!("deploy")
        };
        assert_eq!((deploy.new, deploy.dir), ("out".into(), "/app".into()));

        for line in [
            "ancm run --lanes 0",
            "ancm run --url nonsense",
            "ancm run --io iocp",
            "ancm run --path-base shop",
            "ancm serve",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), i32::from(lifecycle::exit::USAGE));
        }
    }
}
