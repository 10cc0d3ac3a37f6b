//! What a connection brings from its first byte to its last: heads, framing, and when it ends.

use crate::{client::Client, compare::compare};

/// Sends it all at once and notes everything that comes, but for the names and clocks of servers.
pub(crate) fn talk(client: &mut Client, name: &str, text: &str) {
    let mut connection = client.connect();
    connection.send(text);
    let all = connection.rest();
    let all = String::from_utf8_lossy(&all);
    let lines: Vec<&str> = all
        .split("\r\n")
        .filter(|line| !line.starts_with("Date:") && !line.starts_with("Server:"))
        .collect();
    client.note(name, "all", &lines.join("\n"));
}

/// A request to the host `a`, its further fields and its body.
pub(crate) fn request(line: &str, version: &str, rest: &str) -> String {
    format!("{line} HTTP/{version}\r\nHost: a\r\n{rest}")
}

#[test]
fn connections_are_alike_byte_for_byte() {
    compare("bare bytes", "Market", |client| {
        let last = &request("GET /bare/next", "1.1", "Connection: close\r\n\r\n");
        let read = "POST /bare/behind/read";
        for (name, line, version, rest) in [
            ("old", "GET /bare/next", "1.0", "\r\n"),
            ("old, kept without length", "GET /bare/next", "1.0", "Connection: keep-alive\r\n\r\n"),
            ("old, kept", "GET /bare/unknown", "1.0", "Connection: x, Keep-Alive\r\n\r\n"),
            (
                "old, kept with a body",
                "POST /bare/unknown",
                "1.0",
                "Connection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
            ),
            ("kept twice", "GET /bare/next", "1.1", "Connection: keep-alive\r\n\r\n"),
            ("kept and closed", "GET /bare/next", "1.1", "Connection: keep-alive, close\r\n\r\n"),
            ("unread", "POST /bare/next", "1.1", "Content-Length: 5\r\n\r\nhello"),
            (
                "unread chunks",
                "POST /bare/next",
                "1.1",
                "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ),
            ("read", read, "1.1", "Content-Length: 5\r\n\r\nhello"),
            (
                "read chunks",
                read,
                "1.1",
                "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n000\r\nX: y\r\n\r\n",
            ),
            ("no chunks", read, "1.1", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("head", "HEAD /bare/next", "1.1", "\r\n"),
            ("head of nothing", "HEAD /bare/unknown", "1.1", "\r\n"),
            ("expecting", read, "1.1", "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"),
            ("expecting else", read, "1.1", "Expect: 101-x\r\nContent-Length: 5\r\n\r\nhello"),
            (
                "expecting of old",
                read,
                "1.0",
                "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
            ),
            (
                "expecting in vain",
                "POST /bare/unknown",
                "1.1",
                "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
            ),
            ("expecting nothing", "GET /bare/unknown", "1.1", "Expect: 100-continue\r\n\r\n"),
            (
                "a body that is got",
                "GET /bare/behind/read",
                "1.1",
                "Content-Length: 5\r\n\r\nhello",
            ),
            ("deleted", "DELETE /bare/next", "1.1", "\r\n"),
            ("patched", "PATCH /bare/next", "1.1", "\r\n"),
        ] {
            talk(client, name, &(request(line, version, rest) + last));
        }
        talk(client, "an empty line", &format!("\r\n{last}"));
        let upgrade = "Connection: Upgrade\r\nUpgrade: own\r\n\r\n";
        let refused = request("GET /bare/taken-over/refused", "1.1", upgrade);
        for how in ["unread", "failing"] {
            let taken = request(&format!("GET /bare/taken-over/{how}"), "1.1", upgrade);
            talk(client, how, &format!("{refused}{taken}hello"));
        }
    });
}
