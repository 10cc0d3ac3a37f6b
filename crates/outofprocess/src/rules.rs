//! The rules of forwarding to one incarnation of a backend, as the engine asks for them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::AspNetCore;
use engine::{Answer, Forward, Request, UpstreamFailure};
use os::eventfd::EventFd;

use crate::answers::Answers;
use crate::doubt::Doubt;
use crate::failures::Failures;
use crate::headers::{
    Policy, RequestHead, ResponseRules, is_connection_option, may_upgrade, write_request_head,
};

/// What a `requestTimeout` of zero means, as for the library that the module forwards with.
const NO_LIMIT: Duration = Duration::from_secs(u32::MAX as u64);

/// How requests go to one incarnation of a backend and how its answers come back.
pub(crate) struct Rules {
    token: Option<String>,
    policy: Policy,
    response: ResponseRules,
    answers: Arc<Answers>,
    failures: Arc<Failures>,
    request_timeout: Duration,
    connection_limit: usize,
    doubt: Option<Arc<EventFd>>,
    losses: Doubt,
}

impl Rules {
    /// `doubt` is woken when the backend may not listen any more.
    pub(crate) fn new(
        token: Option<String>,
        settings: &AspNetCore,
        answers: Arc<Answers>,
        failures: Arc<Failures>,
        doubt: Option<Arc<EventFd>>,
    ) -> Self {
        let forward_connection = settings.handler_settings.forward_response_connection_header;
        Self {
            token,
            policy: Policy {
                fields: settings.handler_settings.forwarded_fields,
                trusted: settings.handler_settings.trusted_proxies.clone(),
                stays_http: !settings.web_sockets,
            },
            response: ResponseRules { forward_connection },
            answers,
            failures,
            request_timeout: match settings.request_timeout {
                Duration::ZERO => NO_LIMIT,
                limit => limit,
            },
            connection_limit: settings
                .handler_settings
                .backend_connection_limit
                .unwrap_or(usize::MAX),
            doubt,
            losses: Doubt::new(),
        }
    }
}

impl Forward for Rules {
    fn request_head(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        write_request_head(request, &self.policy, self.token.as_deref(), out);
    }

    fn keep_request_trailer(&self, request: &Request<'_>, name: &[u8]) -> bool {
        !is_connection_option(request, name)
    }

    fn keep_response_field(&self, name: &[u8], value: &[u8]) -> bool {
        self.response.keep(name, value)
    }

    fn may_switch(&self, request: &Request<'_>) -> bool {
        !self.policy.stays_http && may_upgrade(request)
    }

    fn failed(&self, request: &Request<'_>, failure: &UpstreamFailure) -> Answer {
        self.failures.note(request, failure);
        self.answers.forward_failed(failure)
    }

    fn broke_off(&self, request: &Request<'_>, failure: &UpstreamFailure) {
        self.failures.note(request, failure);
    }

    fn silence_limit(&self) -> Duration {
        self.request_timeout
    }

    fn connection_limit(&self) -> usize {
        self.connection_limit
    }

    // A process that is gone is noticed by its descriptor, sooner than by its connections. One that is
    // not may close connections as it likes, as long as it takes others.
    fn connection_lost(&self, was_new: bool) {
        if was_new {
            self.losses.on_loss();
        }
        if let Some(doubt) = &self.doubt {
            doubt.wake();
        }
    }

    fn is_doubtful(&self) -> bool {
        self.losses.is_on()
    }
}

impl<'a> RequestHead<'a> for Request<'a> {
    fn method(&self) -> &'a [u8] {
        Request::method(self)
    }

    fn target(&self) -> &'a [u8] {
        Request::target(self)
    }

    fn version(&self) -> u16 {
        Request::version(self)
    }

    fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        Request::headers(self)
    }

    fn content_length(&self) -> Option<u64> {
        Request::content_length(self)
    }

    fn is_chunked(&self) -> bool {
        Request::is_chunked(self)
    }

    fn client_certificate(&self) -> Option<&'a [u8]> {
        Request::client_certificate(self)
    }

    fn remote(&self) -> Option<SocketAddr> {
        Request::remote(self)
    }

    fn local(&self) -> Option<SocketAddr> {
        Request::local(self)
    }

    fn scheme(&self) -> &'a str {
        Request::scheme(self)
    }

    fn is_upgrade(&self) -> bool {
        Request::is_upgrade(self)
    }

    fn expects_continue(&self) -> bool {
        Request::expects_continue(self)
    }
}
