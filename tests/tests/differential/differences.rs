//! What may differ from Kestrel, and why.

use testkit::Model;

use crate::server::Place;

/// One aspect of one answer.
pub(crate) struct Difference {
    /// The conversation.
    pub(crate) topic: &'static str,
    /// The server that is different.
    pub(crate) place: Place,
    /// Method and target.
    pub(crate) asked: &'static str,
    /// `status`, `body`, `header name`.
    pub(crate) aspect: &'static str,
    /// Why that is right.
    #[allow(dead_code, reason = "for whoever reads the table")]
    pub(crate) reason: &'static str,
}

const IN_PROCESS: Place = Place::Ancm(Model::InProcess);

const fn in_process(
    topic: &'static str,
    asked: &'static str,
    aspect: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { topic, place: IN_PROCESS, asked, aspect, reason }
}

/// All of them. An entry that no longer differs fails its test.
pub(crate) const DIFFERENCES: &[Difference] = &[];
