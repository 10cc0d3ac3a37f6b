//! Many changes under load: recycles of every kind, and `app_offline.htm` coming and going.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{App, Load, Model, Site, eventually};

use crate::Random;

/// What a client that downloads slowly gets.
const DOWNLOAD_BYTES: usize = 1 << 30;
/// In which the state has to be what the file says.
const OFFLINE_LIMIT: Duration = Duration::from_millis(250);

/// How a recycle is asked for.
type Trigger = (&'static str, fn(&Site));

const TRIGGERS: [Trigger; 4] = [
    ("signal", |site| site.signal("HUP")),
    ("command", |site| assert!(site.command("recycle", &[]).status.success())),
    ("configuration", |site| rewrite(site, "web.config")),
    ("files", |site| rewrite(site, ".runtimeconfig.json")),
];

/// `count` recycles of each kind; every request is answered with 200, and a download and a slow
/// request begun before the first are answered in full.
pub(crate) fn recycles(model: Model, count: u64) -> ExitCode {
    // Who downloads a GiB takes longer than the default of ten seconds.
    let app = App::sample("hello").attribute("shutdownTimeLimit", "600");
    let site = Site::start(app, model);
    for (name, trigger) in TRIGGERS {
        let address = site.address();
        let download = thread::spawn(move || download(address));
        let slow = thread::spawn(move || slow(address));
        let load = Load::start(address, "/plaintext", 4, 4);
        load.wait_for_more(100);
        let begun = Instant::now();
        for _ in 0..count {
            let before = serving(&site);
            trigger(&site);
            eventually("the next generation", || (serving(&site) > before).then_some(()));
        }
        let seconds = begun.elapsed().as_secs_f64();
        slow.join().expect("the slow request is answered in full");
        download.join().expect("the download is whole");
        let tally = load.stop();
        println!(
            "{name:<14} {count} recycles in {seconds:.1} s, statuses {:?}, {} broken",
            tally.statuses,
            tally.broken.len()
        );
        tally.assert_lossless();
    }
    site.stop();
    ExitCode::SUCCESS
}

/// `count` changes of the file in bursts; after each burst the state is soon what the file says.
pub(crate) fn offline(model: Model, count: u64) -> ExitCode {
    let site = Site::start(App::sample("hello"), model);
    let load = Load::start(site.address(), "/plaintext", 2, 2);
    let mut random = Random(0x0FF1_14E0);
    let file = site.app().path("app_offline.htm");
    let other = site.app().path("app_offline.htm.off");
    let (mut done, mut bursts, mut late) = (0, 0, 0);
    let mut worst = Duration::ZERO;
    while done < count {
        for _ in 0..random.below(20) + 1 {
            let _ = match random.below(4) {
                0 => fs::write(&file, "back soon"),
                1 => fs::remove_file(&file),
                2 => fs::rename(&file, &other),
                _ => fs::rename(&other, &file),
            };
            done += 1;
            thread::sleep(Duration::from_millis(random.below(30)));
        }
        let begun = Instant::now();
        let is_offline = file.exists();
        let (mut asked, mut asks) = (begun, 0);
        eventually("the state of the file", || {
            (asked, asks) = (Instant::now(), asks + 1);
            (status(&site)["is_offline"] == is_offline).then_some(())
        });
        let took = begun.elapsed();
        worst = worst.max(took);
        if took > OFFLINE_LIMIT {
            late += 1;
            println!("late, after {took:?}: {asks} asks, the last took {:?}", asked.elapsed());
        }
        let expected = if is_offline { 503 } else { 200 };
        eventually("the answer of the file", || {
            (site.get("/plaintext").status() == expected).then_some(())
        });
        bursts += 1;
    }
    let _ = fs::remove_file(&file);
    eventually("the application", || (site.get("/plaintext").status() == 200).then_some(()));
    let tally = load.stop();
    println!(
        "{done} changes in {bursts} bursts: state told within {} ms at worst, {late} later than {} \
         ms; statuses {:?}, {} broken",
        worst.as_millis(),
        OFFLINE_LIMIT.as_millis(),
        tally.statuses,
        tally.broken.len()
    );
    tally.assert_only(&[200, 503]);
    assert_eq!(late, 0, "states that came late");
    site.stop();
    ExitCode::SUCCESS
}

fn status(site: &Site) -> Value {
    let ended = site.command("status", &["--json"]);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr))
}

/// The number of the generation that serves.
fn serving(site: &Site) -> u64 {
    let told = status(site);
    let generations = told["generations"].as_array().expect("a list").iter();
    let serving = generations.filter(|it| it["state"] == "serving" && it["serves"] == "app");
    serving.filter_map(|it| it["id"].as_u64()).max().unwrap_or(0)
}

/// As a deployment writes: beside, then over it.
fn rewrite(site: &Site, end: &str) {
    let entries = fs::read_dir(site.app().dir()).expect("a folder").flatten();
    let path =
        entries.map(|entry| entry.path()).find(|path| path.display().to_string().ends_with(end));
    let path = path.expect("the file is there");
    let new = path.with_extension("new");
    fs::copy(&path, &new).and_then(|_| fs::rename(&new, &path)).expect("it can be written");
}

fn slow(address: SocketAddr) {
    let mut answer = String::new();
    get(address, "/slow?ms=10000").read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("waited 10000 ms"), "{answer}");
}

fn download(address: SocketAddr) {
    const PATTERN: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut stream = get(address, &format!("/bytes?n={DOWNLOAD_BYTES}"));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200"));
    let (mut at, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        let count = stream.read(&mut buffer).expect("no reset");
        if count == 0 {
            break;
        }
        let is_right = |(index, byte): (usize, &u8)| *byte == PATTERN[(at + index) % PATTERN.len()];
        assert!(buffer[..count].iter().enumerate().all(is_right), "wrong bytes at {at}");
        at += count;
        // About as long as the slow request takes.
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(at, DOWNLOAD_BYTES);
}

fn get(address: SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    stream
}
