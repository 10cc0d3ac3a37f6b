//! Talks to a server and writes down what it says, without what differs from run to run.

use std::{collections::BTreeMap, net::SocketAddr};

use testkit::{Connection, Request, Response, http::Head};

/// Names that servers give themselves.
const SERVERS: [&str; 2] = ["Kestrel", "ancm"];

/// One answer: aspects by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What was asked.
    pub(crate) asked: String,
    /// What came.
    pub(crate) aspects: BTreeMap<String, String>,
}

/// A client with a memory.
pub(crate) struct Client {
    address: SocketAddr,
    connection: Connection,
    entries: Vec<Entry>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: Connection::open(address), entries: Vec::new() }
    }

    /// What was noted.
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// A connection of its own, for what is not request and response.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Sends a request on the connection at hand and notes the response.
    pub(crate) fn ask(&mut self, request: Request) -> Response {
        let response = self.connection.request(&request);
        let closes = response.header("Connection").is_some_and(|value| value.contains("close"));
        self.note_response(&request, &response.head, &response.body, None);
        if closes {
            self.connection = self.connect();
        }
        response
    }

    /// GET.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.ask(Request::get(target))
    }

    /// Sends a request that may not be answered in full, on a connection of its own, and notes
    /// what there is.
    pub(crate) fn ask_in_vain(&mut self, request: Request) {
        let mut connection = self.connect();
        connection.send(request.to_bytes());
        if !connection.answers() {
            return self.note(&asked(&request), "answer", "none");
        }
        let head = connection.head_of(request.method());
        let mut body = Vec::new();
        let end = loop {
            match connection.try_piece() {
                Ok(Some(piece)) => body.extend_from_slice(&piece.bytes),
                Ok(None) => break "whole",
                Err(_) => break "broken",
            }
        };
        self.note_response(&request, &head, &body, Some(end));
    }

    /// Sends a request that is given up at some point of its response: how much of it arrives is
    /// chance, but it is not all.
    pub(crate) fn ask_for_nothing_whole(&mut self, request: Request) {
        let mut connection = self.connect();
        connection.send(request.to_bytes());
        let is_whole = connection.answers() && {
            // A proxy that got nothing says so.
            let is_answer = connection.head_of(request.method()).status != 502;
            loop {
                match connection.try_piece() {
                    Ok(Some(_)) => {}
                    Ok(None) => break is_answer,
                    Err(_) => break false,
                }
            }
        };
        self.note(&asked(&request), "is whole", &is_whole.to_string());
    }

    /// Sends a request that ends the connection without a word, or with an answer.
    pub(crate) fn ask_nobody(&mut self, request: Request) {
        let mut connection = self.connect();
        // Not by ending this side: Kestrel of .NET 10 may drop such a request before it is handled.
        connection.send(request.clone().header("Connection", "close").to_bytes());
        let said = String::from_utf8_lossy(&connection.rest()).into_owned();
        // A proxy that got nothing says so.
        let first = said.lines().next().filter(|line| !line.starts_with("HTTP/1.1 502 "));
        let first = first.unwrap_or("nothing").to_owned();
        self.note(&asked(&request), "answer", &first);
    }

    /// Sends these bytes on a connection of their own and notes the status of what comes back.
    pub(crate) fn send_raw(&mut self, what: &str, bytes: &[u8]) {
        let mut connection = self.connect();
        connection.send(bytes);
        let response = connection.response();
        self.note(what, "status", &response.status().to_string());
        self.note(what, "body", &body_text(&response.body));
    }

    /// Notes anything.
    pub(crate) fn note(&mut self, asked: &str, aspect: &str, text: &str) {
        let mut entry = Entry { asked: asked.to_owned(), ..Entry::default() };
        entry.aspects.insert(aspect.to_owned(), text.to_owned());
        self.entries.push(entry);
    }

    /// Notes a head without a body.
    pub(crate) fn note_head(&mut self, request: &Request, head: &Head) {
        self.note_response(request, head, b"", None);
    }

    fn note_response(&mut self, request: &Request, head: &Head, body: &[u8], end: Option<&str>) {
        let mut entry = Entry { asked: asked(request), ..Entry::default() };
        let aspects = &mut entry.aspects;
        aspects.insert("status".to_owned(), head.status.to_string());
        aspects.insert("reason".to_owned(), head.reason.clone());
        aspects.insert("version".to_owned(), head.version.clone());
        for (name, value) in &head.headers {
            let name = name.to_ascii_lowercase();
            let is_name_of_server = name == "server" && SERVERS.contains(&value.as_str());
            // When it was is all that may differ of a date.
            if name == "date" || is_name_of_server {
                continue;
            }
            let values = aspects.entry(format!("header {name}")).or_default();
            if !values.is_empty() {
                values.push_str(" ¦ ");
            }
            values.push_str(&mask_header(&name, value));
        }
        aspects.insert("names".to_owned(), names(head));
        aspects.insert("body".to_owned(), mask_body(&body_text(body)));
        if let Some(end) = end {
            aspects.insert("end".to_owned(), end.to_owned());
        }
        self.entries.push(entry);
    }
}

/// Names of fields in their spelling and order.
fn names(head: &Head) -> String {
    head.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The values of the cookies that a response sets, as a request sends them back.
pub(crate) fn cookies_of(response: &Response) -> String {
    let set = response.head.all("Set-Cookie");
    let pairs: Vec<&str> =
        set.iter().map(|cookie| cookie.split(';').next().unwrap_or("")).collect();
    pairs.join("; ")
}

fn asked(request: &Request) -> String {
    let head = String::from_utf8_lossy(&request.head()).into_owned();
    let line = head.lines().next().unwrap_or_default();
    line.trim_end_matches(" HTTP/1.1").to_owned()
}

/// Text as it is, unless it is long or not text.
fn body_text(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if text.len() < 4000 => text.to_owned(),
        // FNV-1a: equal bodies are what counts, not secrets.
        _ => {
            let hash = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            });
            format!("{} bytes, {hash:016x}", body.len())
        }
    }
}

/// Encrypted values are never the same twice.
fn mask_header(name: &str, value: &str) -> String {
    if name != "set-cookie" {
        return value.to_owned();
    }
    let Some((key, rest)) = value.split_once('=') else { return value.to_owned() };
    let (secret, attributes) = rest.split_once(';').unwrap_or((rest, ""));
    let secret = if secret.len() > 40 { "*" } else { secret };
    let key =
        if key.starts_with(".AspNetCore.Antiforgery.") { ".AspNetCore.Antiforgery" } else { key };
    format!("{key}={secret};{attributes}")
}

/// Spans have new numbers with each request.
fn mask_body(text: &str) -> String {
    const TRACE: &str = "\"traceId\":\"";
    match text.split_once(TRACE) {
        Some((before, rest)) => {
            let after = rest.split_once('"').map_or("", |(_, after)| after);
            format!("{before}{TRACE}*\"{after}")
        }
        None => text.to_owned(),
    }
}
