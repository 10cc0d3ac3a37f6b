//! The limits that a client or an application can run into, by name, and how often each one did.
//!
//! A refusal names its limit in its body. A connection that is cut off has nobody to tell: there
//! the count is what an operator sees, so whoever hits a limit notes it here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::http1::certificate::Unfit;
use crate::http1::reject::Cause;

macro_rules! limits {
    ($($(#[doc = $doc:literal])* $name:ident $text:literal;)*) => {
        /// Something of which there may only be so much. `docs/limits.md` says how much.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Limit { $($(#[doc = $doc])* $name,)* }

        impl Limit {
            /// All of them, in the order in which they are counted.
            pub const ALL: &[Limit] = &[$(Limit::$name),*];

            /// Its name in logs and in `docs/limits.md`.
            pub const fn name(self) -> &'static str {
                match self { $(Limit::$name => $text,)* }
            }
        }
    };
}

limits! {
    /// [`crate::http1::request::Limits::request_line`]: answered with 414.
    RequestLine "request line";
    /// [`crate::Filter::url`]: answered with 404.
    Url "maxUrl";
    /// [`crate::Filter::query`]: answered with 404.
    Query "maxQueryString";
    /// [`crate::http1::request::Limits::head`]: answered with 431.
    Head "request head";
    /// [`crate::http1::request::Limits::fields`]: answered with 431.
    Fields "header count";
    /// [`crate::Filter::fields`]: answered with 431.
    Field "headerLimits";
    /// [`crate::Options::head_time`]: answered with 408.
    HeadTime "header time";
    /// [`crate::Options::max_body`]: answered with 413.
    Body "body size";
    /// [`crate::Options::min_rate`] of a body that is read: 408, or cut off.
    BodyRate "body rate";
    /// [`crate::Options::min_rate`] of an answer that is sent: cut off.
    AnswerRate "answer rate";
    /// [`crate::Options::keep_alive`]: closed.
    KeepAlive "keep-alive";
    /// [`crate::Options::requests_per_connection`]: `Connection: close` on the last answer.
    Requests "requests per connection";
    /// [`crate::Options::connections`]: more wait in the accept queue.
    Connections "connections";
    /// Descriptors or memory that the system did not grant for a connection.
    System "system resources";
    /// [`crate::Options::queue`]: answered with 503.
    Queue "queue";
    /// [`crate::Options::queue_time`]: answered with 503.
    QueueTime "queue time";
    /// [`crate::Options::concurrent`]: answered with 503.
    Concurrent "concurrent requests";
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Limit {
    /// Whether an operator should hear of it: the application or the machine cannot keep up, or
    /// clients are cut off without a word.
    pub const fn is_for_operators(self) -> bool {
        matches!(
            self,
            Self::BodyRate
                | Self::AnswerRate
                | Self::Connections
                | Self::System
                | Self::Queue
                | Self::QueueTime
                | Self::Concurrent
        )
    }

    /// The limit behind a refusal, if it is one.
    pub(crate) const fn behind(cause: Cause) -> Option<Self> {
        Some(match cause {
            Cause::RequestLineTooLong => Self::RequestLine,
            Cause::UrlTooLong => Self::Url,
            Cause::QueryTooLong => Self::Query,
            Cause::HeadTooLarge => Self::Head,
            Cause::TooManyFields => Self::Fields,
            Cause::FieldTooLong => Self::Field,
            Cause::HeadTooSlow => Self::HeadTime,
            Cause::BodyTooLarge => Self::Body,
            Cause::BodyTooSlow => Self::BodyRate,
            _ => return None,
        })
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// A limit that was hit.
    Limit(Limit),
    /// A field that should tell of a client's certificate and does not count.
    Certificate(Unfit),
}

impl Noted {
    const COUNT: usize = Limit::ALL.len() + Unfit::ALL.len();

    fn all() -> impl Iterator<Item = Self> {
        let limits = Limit::ALL.iter().copied().map(Self::Limit);
        limits.chain(Unfit::ALL.iter().copied().map(Self::Certificate))
    }

    const fn index(self) -> usize {
        match self {
            Self::Limit(limit) => limit as usize,
            Self::Certificate(unfit) => Limit::ALL.len() + unfit as usize,
        }
    }
}

impl From<Limit> for Noted {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl From<Unfit> for Noted {
    fn from(unfit: Unfit) -> Self {
        Self::Certificate(unfit)
    }
}

/// Counts of an engine, over all lanes.
#[derive(Debug)]
pub struct Tally {
    counts: [AtomicU64; Noted::COUNT],
    news: Mutex<bool>,
    changed: Condvar,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; _],
            news: Mutex::new(false),
            changed: Condvar::new(),
        }
    }
}

/// What of a [`Tally`] somebody has seen.
#[derive(Debug, Default)]
pub struct Seen([u64; Noted::COUNT]);

impl Tally {
    /// How often it came about since the start.
    pub fn count(&self, what: impl Into<Noted>) -> u64 {
        self.counts[what.into().index()].load(Ordering::Relaxed)
    }

    /// Waits for something that was not waited for yet.
    pub fn wait(&self) {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let news = self.changed.wait_while(news, |news| !*news);
        *news.unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// What came about since `seen`, and how often.
    pub fn since(&self, seen: &mut Seen) -> Vec<(Noted, u64)> {
        let mut news = Vec::new();
        for (what, seen) in Noted::all().zip(&mut seen.0) {
            let now = self.count(what);
            if now > *seen {
                news.push((what, now - *seen));
                *seen = now;
            }
        }
        news
    }

    pub(crate) fn note(&self, what: impl Into<Noted>) {
        self.counts[what.into().index()].fetch_add(1, Ordering::Relaxed);
        // Whoever reads the news takes the lock for a moment only, and rarely.
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *news, true) {
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_what_came_since() {
        let (tally, mut seen) = (Tally::default(), Seen::default());
        assert_eq!(tally.since(&mut seen), []);
        tally.note(Limit::Queue);
        tally.note(Limit::Queue);
        tally.note(Limit::Url);
        tally.note(Unfit::Form);
        tally.wait();
        let news = [(Limit::Url.into(), 1), (Limit::Queue.into(), 2), (Unfit::Form.into(), 1)];
        assert_eq!(tally.since(&mut seen), news);
        assert_eq!(tally.since(&mut seen), []);
    }

    /// Who meets a limit in a log or an answer finds it in the table.
    #[test]
    fn every_limit_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
        let table = std::fs::read_to_string(path).unwrap();
        for limit in Limit::ALL {
            assert!(table.contains(&format!("| {limit} |")), "{limit} is not in docs/limits.md");
        }
    }
}
