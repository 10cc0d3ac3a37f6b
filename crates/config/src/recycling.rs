//! When a generation that does well is replaced, or stopped, all the same. Under IIS these are
//! settings of the application pool; here they are handler settings, in the same words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Page;

/// What is asked of a generation that serves, to see whether it is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `healthCheckPath` and `healthCheckHost` (`localhost`).
    pub page: Page,
    /// `healthCheckInterval`: between two checks, and the longest that an answer may take; a second
    /// to a day, default 10 s.
    pub interval: Duration,
    /// `healthCheckFailures`: so many in a row are too many; 1 to 100, default 3.
    pub failures: u32,
}

/// All off unless written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recycling {
    /// `healthCheckPath`: replace a generation that does not answer well any more.
    pub health_check: Option<HealthCheck>,
    /// `idleTimeout`: stop after so long without a request, until one comes.
    pub idle_timeout: Option<Duration>,
    /// `overlapMemoryReserve`, written in kilobytes: bytes that have to be left when a second
    /// generation runs beside the first.
    pub overlap_memory_reserve: u64,
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
