//! The corpora, and a target without cargo-fuzz: replay, then mutations for a while.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Target;

/// The committed inputs of a target, by name. The heads of requests begin connections.
pub fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = if target == "request_head" { "connection" } else { target };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name, fs::read(&path).expect("a corpus can be read"))
    };
    files.into_iter().map(read).collect()
}

/// Runs a target: `PROGRAM [SECONDS]`.
pub fn main(name: &str, target: Target) {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let corpus = corpus(name);
    for (input, data) in &corpus {
        guarded(target, data, input);
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut random =
        Random(Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id()));
    let mut runs = 0_u64;
    while Instant::now() < end {
        let first = &corpus[random.below(corpus.len())].1;
        let second = &corpus[random.below(corpus.len())].1;
        guarded(target, &mutated(first, second, &mut random), "a mutation");
        runs += 1;
    }
    println!("{name}: {} inputs replayed, {runs} mutations tried", corpus.len());
}

/// Runs once; a panic shows its input, in a form that a test can be made of.
fn guarded(target: Target, data: &[u8], what: &str) {
    if let Err(panic) = std::panic::catch_unwind(|| target(data)) {
        eprintln!("{what}: b\"{}\"", data.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

fn mutated(first: &[u8], second: &[u8], random: &mut Random) -> Vec<u8> {
    /// What parsers stumble over.
    const WORDS: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"0",
        b"%",
        b"\x85",
        b"..",
        b"/",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"chunked",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: a\r\n",
        b"Connection: close\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"ffffffffffffffff",
        b"%2f",
        b"\xff",
        b"\"",
        b"<",
        b">",
    ];
    let mut data = first.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        let to = (at + random.below(8)).min(data.len());
        match random.below(6) {
            0 => drop(data.drain(at..to)),
            1 => data.insert(at, random.below(256) as u8),
            2 if at < data.len() => data[at] ^= 1 << random.below(8),
            3 => {
                let from = random.below(second.len() + 1);
                let piece = second[from..].to_vec();
                drop(data.splice(at..to, piece));
            }
            4 => {
                let piece = data[at..to].to_vec();
                drop(data.splice(at..at, piece));
            }
            _ => drop(data.splice(at..to, WORDS[random.below(WORDS.len())].iter().copied())),
        }
    }
    data.truncate(20_000);
    data
}

/// Good enough to choose with.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}
