//! Requests as bytes.

/// A request under construction. Nothing is added that is not asked for, `Host` aside.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Any method.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// POST with a body and its length.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = body.len().to_string();
        Self { body, ..Self::new("POST", target) }.header("Content-Length", &length)
    }

    /// Any method with a body and its length.
    pub fn with_body(method: &str, target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { method: method.to_owned(), ..Self::post(target, body) }
    }

    /// POST with a body in chunks of up to `size` bytes.
    pub fn post_chunked(target: &str, body: &[u8], size: usize) -> Self {
        let mut chunked = Vec::with_capacity(body.len() + 64);
        for chunk in body.chunks(size) {
            chunked.extend_from_slice(&encode_chunk(chunk));
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        let request = Self { body: chunked, ..Self::new("POST", target) };
        request.header("Transfer-Encoding", "chunked")
    }

    /// With a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// What goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The part before the body.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            line("Host", "localhost");
        }
        self.headers.iter().for_each(|(name, value)| line(name, value));
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// One chunk.
pub(crate) fn encode_chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_was_asked_for() {
        let request = Request::post("/a", "xyz").header("A", "1");
        let expected =
            "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nA: 1\r\n\r\nxyz";
        assert_eq!(String::from_utf8(request.to_bytes()).unwrap(), expected);
        let chunked = Request::post_chunked("/a", b"hello", 3).to_bytes();
        assert!(chunked.ends_with(b"\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"));
    }
}
