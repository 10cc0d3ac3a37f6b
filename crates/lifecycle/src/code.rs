//! What a failed start is called: the module's numbers, because people search for them.
//!
//! Title, status on the wire and hints are derived from the code here and nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a failure, by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Code {
    /// 500.0: the configuration, or a program or library it names, cannot be used.
    General,
    /// 500.30: the application inside the worker ended, threw or never registered its server.
    AppDidNotStart,
    /// 500.31: a framework or dependency is missing, or the application is not runnable.
    FrameworkMissing,
    /// 500.32: `libhostfxr.so` cannot be loaded or is too old.
    HostLibraryNotLoadable,
    /// 500.33: the in-process handler is not found, or is of a version that does not fit.
    InProcessHandlerMissing,
    /// 500.34: both hosting models in one worker.
    MixedHostingModels,
    /// 500.35: a second in-process application in one worker.
    SecondInProcessApp,
    /// 500.36: the out-of-process handler is not found.
    OutOfProcessHandlerMissing,
    /// 500.37: the start took longer than its limit.
    StartTimeLimit,
    /// 500.38: the application's assembly is missing, or it is a single file.
    AppMissing,
    /// 502.5: the backend process did not start or does not answer.
    BackendDidNotStart,
    /// 503.1, ours: the application runs, but does not answer as it should when it is ready.
    NotReady,
    /// 503.0: the application starts but keeps ending within seconds.
    KeepsCrashing,
}

/// One line of the table of failures.
struct Entry {
    number: &'static str,
    status: u16,
    title: &'static str,
    hints: &'static [&'static str],
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::General,
        Self::AppDidNotStart,
        Self::FrameworkMissing,
        Self::HostLibraryNotLoadable,
        Self::InProcessHandlerMissing,
        Self::MixedHostingModels,
        Self::SecondInProcessApp,
        Self::OutOfProcessHandlerMissing,
        Self::StartTimeLimit,
        Self::AppMissing,
        Self::BackendDidNotStart,
        Self::NotReady,
        Self::KeepsCrashing,
    ];

    /// The number as people write it, for instance `500.30`.
    pub fn number(self) -> &'static str {
        self.entry().number
    }

    /// The status of the response; the part behind the dot never goes over the wire.
    pub fn status(self) -> u16 {
        self.entry().status
    }

    /// A few words, without the number.
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// What to try, the likeliest first.
    pub fn hints(self) -> &'static [&'static str] {
        self.entry().hints
    }

    fn entry(self) -> Entry {
        let entry = |number, status, title, hints| Entry { number, status, title, hints };
        match self {
            Self::General => entry(
                "500.0",
                500,
                "The application cannot be hosted",
                &["run `ancm check` in the application's folder: it names every problem at once"],
            ),
            Self::AppDidNotStart => entry(
                "500.30",
                500,
                "The application did not start",
                &[
                    "read the exception or the last lines of output: the application ended by itself",
                    "start it by hand in its folder (`dotnet App.dll`): missing settings, \
                     connection strings and files show up there as well",
                    "check that the folder is the output of `dotnet publish`, complete and unmixed",
                ],
            ),
            Self::FrameworkMissing => entry(
                "500.31",
                500,
                "A framework that the application needs was not found",
                &[
                    "install the version that is asked for, or publish self-contained \
                     (`dotnet publish --self-contained`)",
                    "`dotnet --list-runtimes` shows what is installed; DOTNET_ROOT says where it \
                     is looked for",
                ],
            ),
            Self::HostLibraryNotLoadable => entry(
                "500.32",
                500,
                "The .NET host library could not be loaded",
                &[
                    "check that the installed .NET is for this processor and this C library \
                     (glibc or musl)",
                    "reinstall .NET, or publish self-contained for this system",
                ],
            ),
            Self::InProcessHandlerMissing => entry(
                "500.33",
                500,
                "No in-process handler that fits was found",
                &[
                    "reinstall ancm: `libancm_inprocess.so` belongs in a folder with its version, \
                     `inprocess/<version>`, beside `ancm-worker`",
                    "remove an older one from the application's folder, or update it",
                    "or run the application out-of-process: hostingModel=\"outofprocess\"",
                ],
            ),
            Self::MixedHostingModels => entry(
                "500.34",
                500,
                "Different hosting models cannot share one worker",
                &["give each application a site of its own"],
            ),
            Self::SecondInProcessApp => entry(
                "500.35",
                500,
                "A worker can host only one in-process application",
                &["give each application a site of its own"],
            ),
            Self::OutOfProcessHandlerMissing => entry(
                "500.36",
                500,
                "The out-of-process handler was not found",
                &["reinstall ancm: the worker and its handlers belong together"],
            ),
            Self::StartTimeLimit => entry(
                "500.37",
                500,
                "The application did not start within the time limit",
                &[
                    "see which step it reached: an application that waits for a database or \
                     another service stands still there",
                    "raise startupTimeLimit in web.config if it only needs longer",
                ],
            ),
            Self::AppMissing => entry(
                "500.38",
                500,
                "The application's assembly was not found",
                &[
                    "publish again and compare the file names with `arguments` in web.config",
                    "a single-file application cannot be hosted in-process: publish without \
                     PublishSingleFile, or set hostingModel=\"outofprocess\"",
                ],
            ),
            Self::BackendDidNotStart => entry(
                "502.5",
                502,
                "The backend process did not start",
                &[
                    "read the last lines of its output: the process ended or never listened",
                    "it has to listen on the port in ASPNETCORE_PORT, PORT or %ASPNETCORE_PORT%",
                    "start processPath with its arguments by hand in the application's folder",
                ],
            ),
            Self::NotReady => entry(
                "503.1",
                503,
                "The application started, but is not ready",
                &[
                    "read what the readiness path answered, and the output of the application",
                    "a 503 is asked again until startupTimeLimit; any other status that is not \
                     readinessStatus ends the start",
                ],
            ),
            Self::KeepsCrashing => entry(
                "503.0",
                503,
                "The application keeps ending",
                &[
                    "read the last lines of output of the generation that ended",
                    "it is started again with growing pauses; `kill -HUP` of ancm starts it at once",
                ],
            ),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.number().to_owned()
    }
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(number: String) -> Result<Self, Self::Error> {
        let found = Self::ALL.into_iter().find(|code| code.number() == number);
        found.ok_or_else(|| format!("`{number}` is not the number of a failure"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_number_and_something_to_try() {
        for code in Code::ALL {
            assert_eq!(Code::try_from(code.number().to_owned()), Ok(code));
            assert!(code.number().starts_with(&format!("{}.", code.status())));
            assert!(!code.title().is_empty() && !code.hints().is_empty(), "{code}");
        }
    }
}
