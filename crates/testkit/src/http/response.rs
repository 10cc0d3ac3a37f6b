//! Responses, parsed strictly.

use std::time::Instant;

/// Status line and header lines.
#[derive(Clone, Debug)]
pub struct Head {
    /// Such as `HTTP/1.1`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// The reason phrase, possibly empty.
    pub reason: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Chunked,
    Close,
    Length(u64),
    None,
}

/// A part of a body, as it arrived: one chunk, or what one read returned.
#[derive(Clone, Debug)]
pub struct Piece {
    /// When.
    pub at: Instant,
    /// What.
    pub bytes: Vec<u8>,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status and headers.
    pub head: Head,
    /// The body, decoded.
    pub body: Vec<u8>,
}

impl Head {
    /// Parses `text`, which ends with the last header line.
    pub(crate) fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let mut parts = status_line.splitn(3, ' ');
        let version = parts.next().unwrap_or_default().to_owned();
        let status = parts.next().and_then(|status| status.parse().ok());
        let (Some(status), Some(reason)) = (status, parts.next()) else {
            panic!("not a status line: {status_line:?}")
        };
        let headers = lines.map(|line| {
            let (name, value) =
                line.split_once(':').unwrap_or_else(|| panic!("not a header line: {line:?}"));
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            assert!(!name.is_empty() && name.chars().all(is_token), "header name {name:?}");
            assert!(!value.contains(['\r', '\n', '\0']), "header value {value:?}");
            (name.to_owned(), value.trim().to_owned())
        });
        Self { version, status, reason: reason.to_owned(), headers: headers.collect() }
    }

    /// The value of a header that may be there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} is there {} times: {self:?}", values.len());
        values.first().copied()
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let matching = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        matching.map(|(_, value)| value.as_str()).collect()
    }

    /// How the body of the answer to `method` is framed.
    pub(crate) fn framing(&self, method: &str) -> Framing {
        let length = self.header("Content-Length");
        let coding = self.header("Transfer-Encoding");
        assert!(length.is_none() || coding.is_none(), "framed twice: {self:?}");
        if method == "HEAD" || matches!(self.status, 100..=199 | 204 | 304) {
            return Framing::None;
        }
        match (length, coding) {
            (Some(length), _) => Framing::Length(length.parse().expect("a length is a number")),
            (_, Some(coding)) => {
                assert_eq!(coding.to_ascii_lowercase(), "chunked");
                Framing::Chunked
            }
            (None, None) => Framing::Close,
        }
    }
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The value of a header that may be there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is text")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The same, when the status is 200.
    #[must_use]
    pub fn ok(self) -> Self {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]);
        assert_eq!(self.status(), 200, "{:?}\n{body}", self.head);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_apart() {
        let head = Head::parse("HTTP/1.1 200 All right\r\nA: 1\r\nb:2\r\na: 3");
        assert_eq!((head.status, head.reason.as_str()), (200, "All right"));
        assert_eq!(head.all("A"), ["1", "3"]);
        assert_eq!(head.header("B"), Some("2"));
        assert_eq!(head.framing("GET"), Framing::Close);
        assert_eq!(head.framing("HEAD"), Framing::None);
    }
}
