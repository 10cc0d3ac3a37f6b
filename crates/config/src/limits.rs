//! What clients may have and how long they may take, as `web.config` says it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of requests and connections. What is `None` has the engine's default; `docs/limits.md`
/// tells them all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `requestLimits@maxAllowedContentLength`, in bytes. Without a `<requestFiltering>` section the
    /// module sets no limit in-process; with one its default is 30,000,000.
    pub max_allowed_content_length: Option<u64>,
    /// `requestLimits@maxUrl`: bytes of the path.
    pub max_url: Option<u32>,
    /// `requestLimits@maxQueryString`: bytes of the query string without its question mark.
    pub max_query_string: Option<u32>,
    /// `requestLimits/headerLimits`: bytes of the value of single fields, by name.
    pub header_limits: Vec<(String, u32)>,
    /// `maxRequestLineSize`, in bytes. These and those below are handler settings, named as in
    /// Kestrel or in IIS.
    pub max_request_line_size: Option<u32>,
    /// `maxRequestHeadersTotalSize`: bytes of the head, with its first line.
    pub max_request_headers_total_size: Option<u32>,
    /// `maxRequestHeaderCount`.
    pub max_request_header_count: Option<u32>,
    /// `requestHeadersTimeout`: for a head, from its first byte.
    pub request_headers_timeout: Option<Duration>,
    /// `keepAliveTimeout`: for a connection without a request.
    pub keep_alive_timeout: Option<Duration>,
    /// `minDataRate`: bytes per second of bodies and answers; 0 asks nothing.
    pub min_data_rate: Option<u32>,
    /// `minDataRateGracePeriod`: how long the rate may be missed at first.
    pub min_data_rate_grace_period: Option<Duration>,
    /// `maxConcurrentConnections` of a worker.
    pub max_concurrent_connections: Option<u32>,
    /// `maxRequestsPerConnection`.
    pub max_requests_per_connection: Option<u32>,
    /// `queueLength`: requests that may wait for an application that takes none.
    pub queue_length: Option<u32>,
    /// `queueTimeLimit`: how long a request may wait there for a thread.
    pub queue_time_limit: Option<Duration>,
    /// `appConcurrentRequestLimit`: requests that the application may have at once.
    pub app_concurrent_request_limit: Option<u32>,
}

impl Limits {
    /// What `maxAllowedContentLength` is when `<requestFiltering>` exists without it.
    pub const DEFAULT_MAX_ALLOWED_CONTENT_LENGTH: u64 = 30_000_000;

    /// What is written, each by its name in `web.config` with its value.
    pub fn written(&self) -> Vec<String> {
        let mut written = Vec::new();
        let mut number = |name: &str, value: Option<u64>| {
            written.extend(value.map(|value| format!("{name} {value}")));
        };
        number("maxAllowedContentLength", self.max_allowed_content_length);
        for (name, value) in [
            ("maxUrl", self.max_url),
            ("maxQueryString", self.max_query_string),
            ("maxRequestLineSize", self.max_request_line_size),
            ("maxRequestHeadersTotalSize", self.max_request_headers_total_size),
            ("maxRequestHeaderCount", self.max_request_header_count),
            ("minDataRate", self.min_data_rate),
            ("maxConcurrentConnections", self.max_concurrent_connections),
            ("maxRequestsPerConnection", self.max_requests_per_connection),
            ("queueLength", self.queue_length),
            ("appConcurrentRequestLimit", self.app_concurrent_request_limit),
        ] {
            number(name, value.map(u64::from));
        }
        for (name, value) in [
            ("requestHeadersTimeout", self.request_headers_timeout),
            ("keepAliveTimeout", self.keep_alive_timeout),
            ("minDataRateGracePeriod", self.min_data_rate_grace_period),
            ("queueTimeLimit", self.queue_time_limit),
        ] {
            written.extend(value.map(|value| format!("{name} {} s", value.as_secs())));
        }
        written.extend(self.header_limits.iter().map(|(name, most)| format!("{name} {most}")));
        written
    }
}
