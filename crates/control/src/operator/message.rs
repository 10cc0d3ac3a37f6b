//! Requests of operators and the answers to them. Their JSON is stable: fields are added, never
//! renamed; a command ignores what it does not know.

use serde::{Deserialize, Serialize};

use lifecycle::{Code, GenerationId, Reason, StartReport};

/// The version of the conversation.
pub const VERSION: u32 = 1;

/// What a command says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What is wanted.
    #[serde(flatten)]
    pub command: Command,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// What supervisor and application have written lately; each line is an answer.
    Logs {
        /// At most so many lines, the last ones.
        lines: usize,
        /// And everything that they write from now on.
        #[serde(default)]
        follow: bool,
    },
    /// A new generation in place of the one that serves; answered when it serves, or has failed.
    Recycle {
        /// Who wants it.
        #[serde(default)]
        by: Asked,
    },
    /// The application, if it was stopped; answered when it serves, or has failed.
    Start,
    /// How the site is.
    Status,
    /// The end of the application, until it is started; answered when it has ended.
    Stop,
}

/// Which command wants a new generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// `ancm deploy`.
    Deploy,
    /// `ancm recycle`.
    #[default]
    Recycle,
    /// `ancm rollback`.
    Rollback,
}

impl From<Asked> for Reason {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Deploy => Self::Deployment,
            Asked::Recycle => Self::Command,
            Asked::Rollback => Self::Rollback,
        }
    }
}

/// What the supervisor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// It was done.
    Done {
        /// One line.
        text: String,
        /// The generation that serves now, if that was the wish.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<GenerationId>,
    },
    /// It was tried in vain; what served before goes on.
    Failed {
        /// One line.
        text: String,
        /// What is known about a failed start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Box<StartReport>>,
    },
    /// A line that was written.
    Line {
        /// Where to.
        stream: Stream,
        /// What, without its end.
        text: String,
    },
    /// It was not tried: the request makes no sense, or not now.
    Refused {
        /// One line.
        text: String,
    },
    /// How the site is.
    Status(Box<Status>),
}

/// Where something was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard error, where also the supervisor writes.
    Stderr,
    /// Standard output.
    Stdout,
}

/// How a site is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of this form.
    pub version: u32,
    /// The name of the application.
    pub app: String,
    /// Its folder, as it was named.
    pub dir: String,
    /// `inprocess` or `outofprocess`.
    pub hosting_model: String,
    /// In one word.
    pub state: SiteState,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// The supervisor.
    pub supervisor: ProcessStatus,
    /// The version of its program.
    pub ancm: String,
    /// When it was started, UTC.
    pub started: String,
    /// How long ago that is.
    pub up_seconds: u64,
    /// Whether `app_offline.htm` is there.
    pub is_offline: bool,
    /// Whether an operator has stopped the application.
    #[serde(default)]
    pub is_stopped: bool,
    /// Why the last generation could not be started beside the one before, if that was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_shortage: Option<Shortage>,
    /// What is wrong with the configuration on disk, if it cannot be used: what runs, runs as it was
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_refused: Option<RefusedConfiguration>,
    /// The generations that have a process, oldest first.
    pub generations: Vec<GenerationStatus>,
    /// The last start that failed since the application was ready last.
    #[serde(default)]
    pub last_failure: Option<Failure>,
}

/// There was not enough memory for two generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// What a second one would have needed, in bytes.
    pub needed_bytes: u64,
    /// What was available.
    pub available_bytes: u64,
}

/// A configuration that was read and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedConfiguration {
    /// When the first one was refused since one could be used last, UTC.
    pub since: String,
    /// How long ago that is.
    pub since_seconds: u64,
    /// How much is wrong with it.
    pub errors: usize,
    /// The first of that, ten at most.
    pub findings: Vec<RefusedPart>,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPart {
    /// The stable name of its kind.
    pub code: String,
    /// The file or folder it is about, as a person would name it.
    pub file: String,
    /// The line in that file, from one.
    #[serde(default)]
    pub line: Option<u32>,
    /// The column in that line, in characters from one.
    #[serde(default)]
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What would be accepted at that place.
    #[serde(default)]
    pub expected: Option<String>,
    /// What to write or do instead.
    #[serde(default)]
    pub suggestion: Option<String>,
}

/// How a site is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SiteState {
    /// The application could not be started; a page says why.
    Failed,
    /// Nobody has asked for long; the next request starts the application.
    Idle,
    /// `app_offline.htm` is served.
    Offline,
    /// The application is served.
    Serving,
    /// It will be in a moment; requests wait.
    Starting,
    /// An operator has stopped the application.
    Stopped,
    /// The supervisor is ending.
    Stopping,
}

/// How a generation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationStatus {
    /// Its number.
    pub id: GenerationId,
    /// What it serves.
    pub serves: Serves,
    /// Where it stands.
    pub state: Stage,
    /// Since when, UTC.
    pub since: String,
    /// How long that is.
    pub since_seconds: u64,
    /// Why it was started.
    pub reason: Reason,
    /// The same, for people.
    pub why: String,
    /// Requests that the application has, or that wait for it; one that is answered at once is in
    /// neither. None if the worker does not tell.
    #[serde(default)]
    pub requests_in_flight: Option<u64>,
    /// Requests that it was given so far.
    #[serde(default)]
    pub requests_taken: Option<u64>,
    /// Its worker.
    pub worker: ProcessStatus,
    /// The folder with the copy of the application's code that it executes, if it has one.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// What the worker has started.
    pub children: Vec<ProcessStatus>,
    /// Backends that have ended unasked, if any have: the worker starts others in their places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_ends: Option<BackendEnds>,
    /// Resident memory of all of them, in bytes.
    pub memory_bytes: u64,
}

/// What has become of backends of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendEnds {
    /// How many have ended.
    pub count: u64,
    /// When the last one did, UTC.
    pub last: String,
    /// How, and when the next is started, as the log says it.
    pub text: String,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its number.
    pub pid: i32,
    /// The name of its program, as the system knows it.
    pub name: String,
    /// Resident memory, in bytes; memory that is shared counts in each process.
    pub memory_bytes: u64,
}

/// What a generation serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serves {
    /// The application.
    App,
    /// `app_offline.htm`.
    Offline,
    /// The page of a failed start.
    Page,
    /// That the application is stopped.
    Stopped,
}

/// Where a generation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It finishes what it has.
    Draining,
    /// Its start has failed and it ends.
    Failing,
    /// The application stops by itself.
    Leaving,
    /// It serves.
    Serving,
    /// It is not ready yet.
    Starting,
}

/// A start that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The module's number.
    pub code: Code,
    /// What happened, in one sentence.
    pub summary: String,
    /// What log and page call it.
    pub reference: String,
    /// When it happened, UTC.
    pub time: String,
    /// In how many seconds the application is tried again; none while it is being tried.
    #[serde(default)]
    pub retry_in_seconds: Option<u64>,
    /// Why not sooner.
    #[serde(default)]
    pub retry_waits_because: Option<String>,
}
