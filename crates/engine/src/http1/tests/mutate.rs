use super::super::request::{Limits, parse};
use super::super::scan::{Kind, Scan, scan};
use super::super::target::split;
use super::super::upstream::parse_response;
use super::both_ways;
use super::request::describe;

const LIMITS: Limits = Limits { request_line: 96, head: 256, fields: 5 };

/// xorshift64: the same run every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        const BYTES: &[u8] = b"\r\n\t :,;/%.#\x00\x0b\x7f\x80\xc3Ha01";
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let byte = BYTES[self.below(BYTES.len())];
            match self.below(5) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                3 => {
                    let part = bytes[at..(at + self.below(24)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, part);
                }
                _ => bytes[at] ^= 1 << self.below(8),
            }
        }
        bytes
    }
}

/// Both parsers see the same heads: what one takes the other takes, of the same length.
#[test]
fn mutated_heads_get_one_verdict() {
    let requests: [&[u8]; 3] = [
        b"GET /a/b?c HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\nGET",
        b"POST http://b/ HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n",
        b"\r\nPUT / HTTP/1.0\r\nContent-Length: 12\r\nX:\r\nY: \xc3\xa4 \r\n\r\n",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..30_000 {
        let input = random.mutate(requests[round % requests.len()]);
        both_ways(&input, |bytes| {
            let mut headers = Vec::new();
            let result = parse(bytes, &mut headers, &LIMITS);
            match (scan(Kind::Request, bytes, &LIMITS), &result) {
                (Scan::Complete(len), Ok(Some(head))) => assert_eq!(len, head.len),
                (Scan::Incomplete, Ok(None)) => {}
                (Scan::Fault(cause), Err(reject)) => assert_eq!(cause, reject.cause),
                // A rule beyond syntax.
                (Scan::Complete(_), Err(_)) => {}
                (scan, _) => panic!("{scan:?}, {result:?}: {}", bytes.escape_ascii()),
            }
            Ok(result?.map(|head| describe(&head, &headers)))
        });
    }
}

#[test]
fn mutated_answers_get_one_verdict() {
    let answers: [&[u8]; 2] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x\r\n\r\nhello",
        b"HTTP/1.0 404\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
    ];
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for round in 0..30_000 {
        let input = random.mutate(answers[round % answers.len()]);
        both_ways(&input, |bytes| {
            let mut headers = Vec::new();
            let result = parse_response(bytes, false, false, &mut headers, &LIMITS);
            match (scan(Kind::Response, bytes, &LIMITS), &result) {
                (Scan::Complete(len), Ok(Some(head))) => assert_eq!(len, head.len),
                (Scan::Incomplete, Ok(None)) => {}
                (Scan::Fault(cause), Err(reject)) => assert_eq!(cause, reject.cause),
                (Scan::Complete(_), Err(_)) => {}
                (scan, _) => panic!("{scan:?}, {result:?}: {}", bytes.escape_ascii()),
            }
            Ok(result?.map(|head| format!("{head:?}")))
        });
    }
}

#[test]
fn mutated_bodies_decode_the_same_in_any_pieces() {
    let seed = b"3;a=\"b\"\r\nabc\r\n0a\r\n0123456789\r\n0\r\nT: u\r\n\r\nGET";
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..30_000 {
        // Compares several ways to cut the input.
        super::chunked::verdict(&random.mutate(seed));
    }
}

#[test]
fn mutated_targets_stay_below_the_root() {
    let seeds: [&[u8]; 3] =
        [b"/app/..%2e/%2E./%2f%c3%a4/../x?y", b"/App//.././%C3%A4%41/..", b"http://h/a/.%2e/b"];
    let mut random = Random(0x0f1e_2d3c_4b5a_6978);
    for round in 0..100_000 {
        let input = random.mutate(seeds[round % seeds.len()]);
        let mut scratch = Vec::new();
        let Ok(target) = split(&input, b"/app", &mut scratch) else { continue };
        let path = std::str::from_utf8(target.path).unwrap();
        assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{path}");
        assert!(!path.bytes().any(|byte| byte < b' ' || byte == 0x7f), "{path}");
        assert!(path.is_empty() || path.starts_with('/'), "{path}");
        assert!(target.path_base.is_empty() || target.path_base.starts_with(b"/"));
    }
}
