//! All requests of a connection, found by the parsers alone.

use engine::http1::chunked::{Decoder, Step};
use engine::http1::reject::Cause;
use engine::http1::request::{self, Form, Framing, Limits};
use engine::http1::target;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As received.
    pub method: Vec<u8>,
    /// As received.
    pub target: Vec<u8>,
    /// Without framing; `None` if it is broken or not complete.
    pub body: Option<Vec<u8>>,
    /// It asks for `100 Continue`.
    pub expects: bool,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Behind a whole request, or before any.
    Clean,
    /// Whatever comes next is not read: the client, or its version, wants it so.
    Last,
    /// In the middle of a request.
    Incomplete,
    /// With a refusal.
    Refused(Cause),
}

/// Reads everything that a client sends on one connection.
pub fn requests(mut data: &[u8]) -> (Vec<Found>, End) {
    let mut all = Vec::new();
    let mut headers = Vec::new();
    loop {
        if matches!(data, b"" | b"\r\n") {
            return (all, End::Clean);
        }
        let head = match request::parse(data, &mut headers, &Limits::default()) {
            Ok(Some(head)) => head,
            Ok(None) => return (all, End::Incomplete),
            Err(reject) => return (all, End::Refused(reject.cause)),
        };
        if head.form != Form::Authority {
            let mut scratch = Vec::new();
            if let Err(reject) = target::split(head.target, b"", &mut scratch) {
                return (all, End::Refused(reject.cause));
            }
        }
        let mut found = Found {
            method: head.method.to_vec(),
            target: head.target.to_vec(),
            body: None,
            expects: head.expect_continue,
        };
        let (body, end) = match body(&head.framing, &data[head.len..]) {
            Ok(Some((body, len))) => (Some(body), Ok(head.len + len)),
            Ok(None) => (None, Err(End::Incomplete)),
            Err(cause) => (None, Err(End::Refused(cause))),
        };
        found.body = body;
        all.push(found);
        match end {
            Err(end) => return (all, end),
            Ok(_) if !head.keep_alive || head.content_length_ignored => return (all, End::Last),
            Ok(len) => data = &data[len..],
        }
    }
}

/// A body and its length with framing.
fn body(framing: &Framing, data: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Cause> {
    match framing {
        Framing::None => Ok(Some((Vec::new(), 0))),
        Framing::Length(length) => {
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            Ok(data.get(..length).map(|body| (body.to_vec(), length)))
        }
        Framing::Chunked => {
            let mut decoder = Decoder::default();
            let (mut body, mut read) = (Vec::new(), 0);
            loop {
                let step = decoder.step(&data[read..]).map_err(|reject| reject.cause)?;
                read += step.0;
                match step.1 {
                    Step::Data(data) => body.extend_from_slice(data),
                    Step::More => return Ok(None),
                    Step::End => return Ok(Some((body, read))),
                }
            }
        }
    }
}
