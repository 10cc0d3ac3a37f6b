use super::*;

/// A request as text: its head, and what the engine knows besides.
struct Sample {
    head: String,
    content_length: Option<u64>,
    is_chunked: bool,
    remote: Option<SocketAddr>,
    certificate: Option<&'static [u8]>,
    is_upgrade: bool,
    version: u16,
    policy: Policy,
}

impl Sample {
    fn of(head: &str) -> Self {
        Self {
            head: head.to_owned(),
            content_length: None,
            is_chunked: false,
            remote: Some("203.0.113.9:4711".parse().unwrap()),
            certificate: None,
            is_upgrade: false,
            version: 0x0101,
            policy: Policy::default(),
        }
    }

    /// The head that goes to the backend.
    fn forwarded(&self) -> String {
        let mut out = b"before ".to_vec();
        write_request_head(&self, &self.policy, Some("secret"), &mut out);
        let text = String::from_utf8(out).unwrap();
        let text = text.strip_prefix("before ").unwrap();
        text.strip_suffix("\r\n\r\n").unwrap().replace("\r\n", "\n")
    }
}

impl<'a> RequestHead<'a> for &'a Sample {
    fn method(&self) -> &'a [u8] {
        self.head.split(' ').next().unwrap().as_bytes()
    }
    fn target(&self) -> &'a [u8] {
        self.head.lines().next().unwrap().split(' ').nth(1).unwrap().as_bytes()
    }
    fn version(&self) -> u16 {
        self.version
    }
    fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name.trim().as_bytes(), value.trim().as_bytes()))
    }
    fn content_length(&self) -> Option<u64> {
        self.content_length
    }
    fn is_chunked(&self) -> bool {
        self.is_chunked
    }
    fn client_certificate(&self) -> Option<&'a [u8]> {
        self.certificate
    }
    fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }
    fn local(&self) -> Option<SocketAddr> {
        Some("192.0.2.1:80".parse().unwrap())
    }
    fn scheme(&self) -> &'a str {
        "http"
    }
    fn is_upgrade(&self) -> bool {
        self.is_upgrade
    }
    fn expects_continue(&self) -> bool {
        self.head.contains("\nExpect: 100-continue")
    }
}

const OURS: &str =
    "X-Forwarded-For: 203.0.113.9:4711\nX-Forwarded-Proto: http\nMS-ASPNETCORE-TOKEN: secret";

#[test]
fn a_plain_request_passes_with_our_three_fields_added() {
    let sample =
        Sample::of("GET /a%2Fb%3F?q=%20&r HTTP/1.1\nHost: h:5\nAccept: */*\nCookie: a=1; b=2");
    let expected = "GET /a%2Fb%3F?q=%20&r HTTP/1.1\nHost: h:5\nAccept: */*\nCookie: a=1; b=2\n";
    assert_eq!(sample.forwarded(), format!("{expected}{OURS}"));
}

#[test]
fn the_client_s_certificate_is_told_by_us_alone() {
    let mut sample = Sample::of("GET / HTTP/1.1\nHost: h\nMS-ASPNETCORE-CLIENTCERT: forged");
    assert_eq!(sample.forwarded(), format!("GET / HTTP/1.1\nHost: h\n{OURS}"));
    sample.certificate = Some(b"0\x82");
    let told = format!("GET / HTTP/1.1\nHost: h\n{OURS}\nMS-ASPNETCORE-CLIENTCERT: MII=");
    assert_eq!(sample.forwarded(), told);
    // Programs that are no ASP.NET Core applications have the field of the proxy.
    let mut out = Vec::new();
    write_request_head(&&sample, &sample.policy, None, &mut out);
    assert!(!String::from_utf8(out).unwrap().contains("MS-ASPNETCORE"));
}

/// Each line of the left column becomes the lines of the right one.
#[test]
fn fields_pass_or_end_here() {
    for (sent, passed) in [
        ("MS-ASPNETCORE-TOKEN: forged", ""),
        ("ms-aspnetcore-event: shutdown", ""),
        ("Ms_AspNetCore_ClientCert: x", ""),
        ("MS-ASPNETCORE-WINAUTHTOKEN: 1", ""),
        ("MS-Other: x", "MS-Other: x\n"),
        ("Connection: keep-alive", ""),
        ("Connection: X-Hop, close\nX-Hop: 1\nX-Stay: 2", "X-Stay: 2\n"),
        ("X-Hop: 1\nConnection: close\nConnection: x-hop", ""),
        ("Connection: Host, Cookie, MS-ASPNETCORE-TOKEN\nCookie: a=1", ""),
        ("Keep-Alive: timeout=5", ""),
        ("Client-Cert: :AA==:", "Client-Cert: :AA==:\n"),
        ("Client_Cert: :AA==:\nClient-Cert_Chain: :AA==:", ""),
        ("Proxy-Connection: keep-alive", ""),
        ("Proxy-Authorization: Basic eA==", ""),
        ("Proxy_Authorization: Basic eA==", ""),
        ("Proxy-Other: x", "Proxy-Other: x\n"),
        ("TE: gzip", ""),
        ("TE: gzip, trailers", "Connection: TE\nTE: trailers\n"),
        ("Upgrade: websocket\nConnection: Upgrade", ""),
        ("Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAM", ""),
        // Written by us, for a client that still waits.
        ("Expect: 100-continue", "Expect: 100-continue\n"),
        ("Expect: a-miracle", ""),
        ("Content-Length: 5", ""),
        ("Content_Length: 5", ""),
        ("Transfer_Encoding: chunked", ""),
        ("X_Forwarded_For: 1.1.1.1", ""),
        ("X_Forwarded-Ssl: on\nX_Client_IP: 1.1.1.1", ""),
        ("X-Forwarded-Ssl: on\nTrue-Client-IP: 1", "X-Forwarded-Ssl: on\nTrue-Client-IP: 1\n"),
        ("Trailer: X-Sum", "Trailer: X-Sum\n"),
        ("X-Empty:", "X-Empty: \n"),
        ("Authorization: Bearer x", "Authorization: Bearer x\n"),
        ("X-Forwarded-Host: other", "X-Forwarded-Host: other\n"),
        ("Host: second", ""),
    ] {
        let sample = Sample::of(&format!("GET / HTTP/1.1\nHost: h\n{sent}"));
        let expected = format!("GET / HTTP/1.1\nHost: h\n{passed}{OURS}");
        assert_eq!(sample.forwarded(), expected, "{sent}");
    }
}

#[test]
fn forwarded_values_of_the_client_come_first_and_ours_last() {
    let lines = |sent: &str, remote: Option<&str>| {
        let mut sample = Sample::of(&format!("GET / HTTP/1.1\nHost: h\n{sent}"));
        sample.remote = remote.map(|address| address.parse().unwrap());
        let text = sample.forwarded();
        let found: Vec<_> = text.lines().filter(|l| l.starts_with("X-Forwarded-")).collect();
        found.join("\n")
    };
    let client = Some("203.0.113.9:4711");
    for (sent, remote, expected) in [
        (
            "x-forwarded-for: 1.1.1.1",
            client,
            "X-Forwarded-For: 1.1.1.1, 203.0.113.9:4711\nX-Forwarded-Proto: http",
        ),
        (
            "X-Forwarded-For: a\nX-Forwarded-For: b, c\nX-Forwarded-For:",
            client,
            "X-Forwarded-For: a, b, c, 203.0.113.9:4711\nX-Forwarded-Proto: http",
        ),
        (
            "X-Forwarded-Proto: https",
            client,
            "X-Forwarded-For: 203.0.113.9:4711\nX-Forwarded-Proto: https, http",
        ),
        (
            "",
            Some("[2001:db8::1]:555"),
            "X-Forwarded-For: [2001:db8::1]:555\nX-Forwarded-Proto: http",
        ),
        ("", Some("[fe80::1%3]:1"), "X-Forwarded-For: [fe80::1]:1\nX-Forwarded-Proto: http"),
        (
            "",
            Some("[::ffff:10.0.255.1]:80"),
            "X-Forwarded-For: 10.0.255.1:80\nX-Forwarded-Proto: http",
        ),
        ("", None, "X-Forwarded-Proto: http"),
        ("X-Forwarded-For: a", None, "X-Forwarded-For: a\nX-Forwarded-Proto: http"),
    ] {
        assert_eq!(lines(sent, remote), expected, "{sent} {remote:?}");
    }
}

#[test]
fn an_absolute_target_is_reduced_and_its_authority_is_the_host() {
    for (target, expected) in [
        ("http://other:81/p?q", "GET /p?q HTTP/1.1\nHost: other:81\n"),
        ("HTTPS://other", "GET / HTTP/1.1\nHost: other\n"),
        ("http://other?q=1", "GET /?q=1 HTTP/1.1\nHost: other\n"),
        ("http://user:pw@other/p", "GET /p HTTP/1.1\nHost: other\n"),
        ("*", "GET * HTTP/1.1\nHost: h\n"),
        ("/http://other/", "GET /http://other/ HTTP/1.1\nHost: h\n"),
        ("//double", "GET //double HTTP/1.1\nHost: h\n"),
    ] {
        let sample = Sample::of(&format!("GET {target} HTTP/1.1\nHost: h"));
        assert_eq!(sample.forwarded(), format!("{expected}{OURS}"), "{target}");
    }
}

#[test]
fn a_missing_host_is_replaced_by_our_own_address() {
    let sample = Sample::of("GET / HTTP/1.0");
    assert_eq!(sample.forwarded(), format!("GET / HTTP/1.1\nHost: 192.0.2.1:80\n{OURS}"));
}

#[test]
fn framing_is_ours() {
    let framing = |content_length, is_chunked| {
        let mut sample = Sample::of("POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked");
        (sample.content_length, sample.is_chunked) = (content_length, is_chunked);
        let text = sample.forwarded();
        let start = text.strip_prefix("POST / HTTP/1.1\nHost: h\n").unwrap();
        start.strip_suffix(OURS).unwrap().to_owned()
    };
    assert_eq!(framing(None, false), "");
    assert_eq!(framing(Some(0), false), "Content-Length: 0\n");
    assert_eq!(framing(Some(5_000_000_000), false), "Content-Length: 5000000000\n");
    assert_eq!(framing(None, true), "Transfer-Encoding: chunked\n");
    assert_eq!(framing(Some(5), true), "Transfer-Encoding: chunked\n");
}

#[test]
fn a_change_of_protocols_is_forwarded_but_never_to_h2c() {
    let fields = "Connection: keep-alive, Upgrade\nSec-WebSocket-Extensions: permessage-deflate";
    let mut sample =
        Sample::of(&format!("GET /ws HTTP/1.1\nHost: h\nUpgrade: websocket\n{fields}"));
    sample.is_upgrade = true;
    let expected = "GET /ws HTTP/1.1\nHost: h\nUpgrade: websocket\n\
                    Sec-WebSocket-Extensions: permessage-deflate\nConnection: Upgrade\n";
    assert_eq!(sample.forwarded(), format!("{expected}{OURS}"));
    assert!(may_upgrade(&&sample));
    sample.policy.stays_http = true;
    assert!(!sample.forwarded().contains("Upgrade"), "{}", sample.forwarded());

    sample = Sample::of("GET / HTTP/1.1\nHost: h\nUpgrade: foo, H2C\nConnection: Upgrade");
    sample.is_upgrade = true;
    assert!(!may_upgrade(&&sample), "what was not asked for is not taken");
    assert_eq!(sample.forwarded(), format!("GET / HTTP/1.1\nHost: h\n{OURS}"));
}

/// Policy, client, what it sent, and what the backend gets beside `Host` and the token.
#[test]
fn what_a_backend_is_told_of_the_client_is_a_matter_of_policy() {
    let every = "x-forwarded-for,x-forwarded-host,x-forwarded-proto,forwarded,via";
    let claims = "X-Forwarded-For: 9.9.9.9\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil\n\
                  X-Forwarded-Prefix: /p\nX-Real-IP: 9.9.9.9\nForwarded: for=9.9.9.9\nVia: 1.0 a\n\
                  Client-Cert: :AA==:\nX-Forwarded-Ssl: on\nX-Forwarded-Protocol: https\n\
                  X-Forwarded-Scheme: https\nX-Forwarded-Port: 443\nX-Client-IP: 9.9.9.9\n\
                  True-Client-IP: 9.9.9.9\nFront-End-Https: on";
    for (fields, trusted, remote, sent, expected) in [
        // As in the module: all is kept, ours comes last.
        (
            None,
            "*",
            Some("192.0.2.7:5"),
            claims,
            "X-Forwarded-Host: evil\nX-Forwarded-Prefix: /p\nX-Real-IP: 9.9.9.9\n\
             Forwarded: for=9.9.9.9\nVia: 1.0 a\nClient-Cert: :AA==:\n\
             X-Forwarded-Ssl: on\nX-Forwarded-Protocol: https\nX-Forwarded-Scheme: https\n\
             X-Forwarded-Port: 443\nX-Client-IP: 9.9.9.9\nTrue-Client-IP: 9.9.9.9\nFront-End-Https: on\n\
             X-Forwarded-For: 9.9.9.9, 192.0.2.7:5\nX-Forwarded-Proto: https, http\n",
        ),
        // From somebody else than the proxy in front, no claim passes.
        (
            None,
            "10.0.0.0/8",
            Some("192.0.2.7:5"),
            claims,
            "Via: 1.0 a\nX-Forwarded-For: 192.0.2.7:5\nX-Forwarded-Proto: http\n",
        ),
        (
            None,
            "10.0.0.0/8, unix",
            Some("10.1.2.3:5"),
            "X-Forwarded-For: 9.9.9.9",
            "X-Forwarded-For: 9.9.9.9\nX-Forwarded-Proto: http\n",
        ),
        // What a listed proxy says is what there is to say, but for the chain of RFC 7239.
        (
            Some(every),
            "10.0.0.0/8",
            Some("10.1.2.3:5"),
            "X-Forwarded-Proto: https\nX-Forwarded-Host: a, b\nForwarded: for=c",
            "X-Forwarded-For: 10.1.2.3:5\nX-Forwarded-Proto: https\nX-Forwarded-Host: a, b\n\
             Forwarded: for=c, for=\"10.1.2.3:5\";host=\"h:8\";proto=http\nVia: 1.1 ancm\n",
        ),
        (
            None,
            "unix",
            None,
            "X-Forwarded-For: 9.9.9.9",
            "X-Forwarded-For: 9.9.9.9\nX-Forwarded-Proto: http\n",
        ),
        (None, "", None, claims, "Via: 1.0 a\nX-Forwarded-Proto: http\n"),
        // Everything that we can say.
        (
            Some(every),
            "*",
            Some("[2001:db8::1]:5"),
            "",
            "X-Forwarded-For: [2001:db8::1]:5\nX-Forwarded-Proto: http\nX-Forwarded-Host: h:8\n\
             Forwarded: for=\"[2001:db8::1]:5\";host=\"h:8\";proto=http\nVia: 1.1 ancm\n",
        ),
        (
            Some(every),
            "*",
            Some("192.0.2.7:5"),
            "X-Forwarded-Host: a\nForwarded: for=b, for=c\nForwarded: for=d\nVia: 2 e, 1.1 f",
            "X-Forwarded-For: 192.0.2.7:5\nX-Forwarded-Proto: http\nX-Forwarded-Host: a, h:8\n\
             Forwarded: for=b, for=c, for=d, for=\"192.0.2.7:5\";host=\"h:8\";proto=http\n\
             Via: 2 e, 1.1 f, 1.1 ancm\n",
        ),
        // Whom to trust is about claims; the way that a request came is nobody's secret.
        (Some("via"), "", None, claims, "Via: 1.0 a, 1.1 ancm\n"),
        (
            Some("forwarded"),
            "",
            None,
            claims,
            "Via: 1.0 a\nForwarded: for=unknown;host=\"h:8\";proto=http\n",
        ),
        (Some(""), "", Some("192.0.2.7:5"), claims, "Via: 1.0 a\n"),
    ] {
        let mut sample = Sample::of(&format!("GET / HTTP/1.1\nHost: h:8\n{sent}"));
        sample.remote = remote.map(|remote| remote.parse().unwrap());
        sample.policy.trusted = trusted.parse().unwrap();
        if let Some(fields) = fields {
            sample.policy.fields = fields.parse().unwrap();
        }
        let text = sample.forwarded();
        let text = text.strip_prefix("GET / HTTP/1.1\nHost: h:8\n").unwrap();
        let told = text.strip_suffix("MS-ASPNETCORE-TOKEN: secret").unwrap();
        assert_eq!(told, expected, "{fields:?} {trusted} {remote:?}");
    }
}

#[test]
fn via_and_forwarded_say_what_was_received() {
    let mut sample = Sample::of("GET http://o\"th\\er/p HTTP/1.0\nHost: h");
    sample.version = 0x0100;
    sample.policy.fields = "forwarded, via".parse().unwrap();
    let text = sample.forwarded();
    assert!(text.contains("\nVia: 1.0 ancm\n"), "{text}");
    assert!(text.contains(";host=\"o\\\"th\\\\er\";"), "{text}");
}

/// A client that names them as options of the connection would have them dropped.
#[test]
fn no_claim_can_be_taken_away_by_a_connection_option() {
    let sample = Sample::of(
        "GET / HTTP/1.1\nHost: h\nConnection: X-Real-IP, X-Forwarded-For, Via\nX-Real-IP: 1\nVia: a",
    );
    let expected = "GET / HTTP/1.1\nHost: h\nX-Real-IP: 1\nVia: a\n";
    assert_eq!(sample.forwarded(), format!("{expected}{OURS}"));
}
