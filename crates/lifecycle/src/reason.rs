//! Why a generation was started: in the log, in `status`, in the same words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why there is a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// `ancm recycle`.
    Command,
    /// `web.config` is another.
    Configuration,
    /// `ancm deploy` put another version there.
    Deployment,
    /// The one before ended unasked.
    Died,
    /// The start before failed.
    Failed,
    /// Assemblies are others.
    Files,
    /// It is the first.
    First,
    /// `ancm stop`.
    Halted,
    /// Nobody has asked for long.
    Idle,
    /// It has served for long enough.
    Lifetime,
    /// The one before had too much memory.
    Memory,
    /// `app_offline.htm` is there.
    Offline,
    /// `app_offline.htm` was removed.
    Online,
    /// The application stopped by itself.
    Quit,
    /// The start before failed, some time ago.
    Retry,
    /// The one before had enough requests.
    Requests,
    /// `ancm rollback` put the version before there.
    Rollback,
    /// The .NET that it runs on is another, or a newer one is there.
    Runtime,
    /// It is the time of day for it.
    Schedule,
    /// SIGHUP.
    Signal,
    /// `ancm start`.
    Started,
    /// The one before has failed its health checks.
    Unhealthy,
    /// Somebody asks an application that was stopped because nobody did.
    Woken,
}

impl Reason {
    /// Whether somebody wants the application to run now, with what there is.
    pub const fn is_wish(self) -> bool {
        use Reason::{Command, Deployment, First, Online, Rollback, Signal, Started};
        matches!(self, Command | Deployment | First | Online | Rollback | Signal | Started)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command => "an operator asked for it",
            Self::Configuration => "web.config has changed",
            Self::Deployment => "another version was deployed",
            Self::Died => "the one before ended unasked",
            Self::Failed => "the application did not start",
            Self::Files => "files of the application have changed",
            Self::First => "the site was started",
            Self::Halted => "an operator has stopped the application",
            Self::Idle => "nobody has asked for the time of idleTimeout",
            Self::Lifetime => "the time of periodicRestartTime is over",
            Self::Memory => "the memory of periodicRestartPrivateMemory is passed",
            Self::Offline => "app_offline.htm is there",
            Self::Online => "app_offline.htm was removed",
            Self::Quit => "the application stopped by itself",
            Self::Retry => "the start before had failed",
            Self::Requests => "the requests of periodicRestartRequests are done",
            Self::Rollback => "the version before was put back",
            Self::Runtime => "the .NET that it runs on has changed",
            Self::Schedule => "it is a time of periodicRestartSchedule",
            Self::Signal => "a signal asks for it",
            Self::Started => "an operator has started the application",
            Self::Unhealthy => "the checks of healthCheckPath have failed",
            Self::Woken => "a request came for an application that was idle",
        })
    }
}
