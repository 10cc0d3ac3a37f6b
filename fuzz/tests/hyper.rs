//! The same bytes to our parsers and to hyper (which parses with httparse, as we do): where the
//! two part ways, `differences.tsv` says why. An unexplained difference fails.
//!
//! A difference is named by both verdicts: `ok`, `incomplete`, `last` (no more is read), `refused`
//! for hyper, and for us the cause of the refusal; `requests` if the requests themselves differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use ancm_fuzz::{End, Found, requests};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Method, target, and the body if it is whole.
type Seen = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

/// What hyper makes of a connection: its requests, and whether it refuses.
fn hyper(data: &[u8]) -> (Vec<Seen>, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(data).await.expect("there is room");
        client.shutdown().await.expect("it is open");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = service_fn(|request: Request<Incoming>| {
            let seen = seen.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
                let is_whole = body.is_some();
                let target = head.uri.to_string().into_bytes();
                let request = (head.method.as_str().as_bytes().to_vec(), target, body);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                if is_whole { Ok(Response::new(Empty::<Bytes>::new())) } else { Err("broken body") }
            }
        });
        let mut builder = http1::Builder::new();
        builder.half_close(true).header_read_timeout(None).max_buf_size(64 * 1024);
        let outcome = builder.serve_connection(TokioIo::new(server), service).await;
        let mut answers = Vec::new();
        let _ = client.read_to_end(&mut answers).await;
        let refused = outcome.is_err_and(|error| !error.is_incomplete_message())
            || answers.windows(12).any(|line| line.starts_with(b"HTTP/1.1 4"));
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (seen, refused)
    })
}

fn difference(data: &[u8]) -> Option<(String, &'static str)> {
    let (found, end) = requests(data);
    let ours: Vec<Seen> = found.into_iter().map(seen).collect();
    let (theirs, refused) = hyper(data);
    let name = match end {
        End::Clean => "ok".to_owned(),
        End::Last => "last".to_owned(),
        End::Incomplete => "incomplete".to_owned(),
        End::Refused(cause) => format!("{cause:?}"),
    };
    let we_refuse = matches!(end, End::Refused(_));
    match (we_refuse, refused) {
        // Broken bodies aside: who gives up first is a matter of taste.
        _ if we_refuse && theirs.last().is_some_and(|last| last.2.is_none()) => None,
        // hyper calls the end of a client in the middle of a request an error as well.
        (true, true) => None,
        (false, true) if end == End::Incomplete => None,
        (true, false) => Some((name, "ok")),
        (false, true) => Some((name, "refused")),
        (false, false) if whole(&ours) != whole(&theirs) => Some((name, "requests")),
        (false, false) => None,
    }
}

fn seen(found: Found) -> Seen {
    (found.method, found.target, found.body)
}

fn whole(all: &[Seen]) -> Vec<&Seen> {
    all.iter().filter(|request| request.2.is_some()).collect()
}

#[test]
fn every_difference_from_hyper_is_explained() {
    let table = include_str!("../differences.tsv").lines().skip(1);
    let explained: BTreeSet<(String, String)> = table
        .map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            let row = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
            assert!(columns.next().is_some_and(|why| !why.is_empty()), "no reason: {line}");
            row
        })
        .collect();
    let mut there: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (name, data) in ancm_fuzz::run::corpus("connection") {
        if let Some((ours, theirs)) = difference(&data) {
            there.entry((ours, theirs.to_owned())).or_default().push(name);
        }
    }
    let new: Vec<_> = there.iter().filter(|(key, _)| !explained.contains(*key)).collect();
    assert!(new.is_empty(), "not in differences.tsv: {new:#?}");
    let gone: Vec<_> = explained.iter().filter(|key| !there.contains_key(*key)).collect();
    assert!(gone.is_empty(), "no longer a difference: {gone:?}");
}
