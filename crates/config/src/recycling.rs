//! When a generation that does well is replaced, or stopped, all the same. Under IIS these are
//! settings of the application pool; here they are handler settings, in the same words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// All off unless written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recycling {
    /// `idleTimeout`: stop after so long without a request, until one comes.
    pub idle_timeout: Option<Duration>,
    /// `periodicRestartPrivateMemory`, written in kilobytes: most bytes that a generation, its
    /// backends included, may have for itself.
    pub private_memory: Option<u64>,
    /// `periodicRestartRequests`: after so many requests.
    pub requests: Option<u64>,
    /// `periodicRestartSchedule`: at these times of day, since midnight.
    pub schedule: Vec<Duration>,
    /// `periodicRestartTime`: after so long.
    pub time: Option<Duration>,
}
