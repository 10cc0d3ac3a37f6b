//! Many deployments under load, and processes that are killed again and again.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use testkit::{App, Load, Model, Process, Site, eventually};

/// Clients of each kind.
const CLIENTS: usize = 4;
/// The longest that a killed application may be away.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// `count` deployments of each kind; nobody notices any of them.
pub(crate) fn deploys(model: Model, count: u64) -> ExitCode {
    let versions = ["1", "2"].map(|number| version(number, model));
    let site = Site::start(version("0", model), model);
    for (name, deploy) in KINDS {
        let load = Load::start(site.address(), "/HelloWorld", CLIENTS, CLIENTS);
        load.wait_for_more(100);
        let begun = Instant::now();
        for round in 0..count {
            let number = ["1", "2"][round as usize % 2];
            deploy(&site, versions[round as usize % 2].dir());
            eventually("the version", || {
                let served = site.get("/GetEnvironmentVariable?name=VERSION").ok().text();
                (served == number).then_some(())
            });
        }
        let seconds = begun.elapsed().as_secs_f64();
        let tally = load.stop();
        println!(
            "{name:<8} {count} deployments in {seconds:.1} s, statuses {:?}, {} broken, {} crashes",
            tally.statuses,
            tally.broken.len(),
            crashes(&site)
        );
        tally.assert_lossless();
        assert_eq!(crashes(&site), 0, "{}", site.log());
        nothing_is_left_over(&site);
    }
    site.stop();
    ExitCode::SUCCESS
}

type Kind = (&'static str, fn(&Site, &Path));

const KINDS: [Kind; 2] = [
    ("deploy", |site, new| {
        let ended = site.command("deploy", &[new.to_str().expect("a path")]);
        assert!(ended.status.success(), "{}", ended.stderr);
    }),
    ("rsync", |site, new| {
        let mut rsync = Command::new("rsync");
        rsync.args(["-rc", "--inplace", "--delete"]).arg(new.join("")).arg(site.app().dir());
        assert!(rsync.status().expect("rsync can be run").success());
    }),
];

fn version(number: &str, model: Model) -> App {
    App::test("Site").model(model).variables(&[("VERSION", number)])
}

/// For so many seconds what serves is killed each second; only what it was busy with is lost.
pub(crate) fn kills(model: Model, seconds: u64) -> ExitCode {
    // Sixty a minute are too many to be called rapid failures here.
    let app = App::test("Site").attribute("rapidFailsPerMinute", "100");
    let app = match model {
        Model::InProcess => app,
        Model::OutOfProcess => app.attribute("processesPerApplication", "2"),
    };
    let site = Site::start(app, model);
    let load = Load::start(site.address(), "/HelloWorld", CLIENTS, CLIENTS);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut killed, mut longest) = (0, Duration::ZERO);
    while Instant::now() < end {
        let next = Instant::now() + Duration::from_secs(1);
        if let Some(victim) = victim(&site, model, killed) {
            victim.signal("KILL");
            killed += 1;
            let begun = Instant::now();
            load.wait_for_more(1);
            longest = longest.max(begun.elapsed());
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    load.wait_for_more(100);
    let tally = load.stop();
    println!(
        "{killed} kills in {seconds} s: statuses {:?}, {} broken, nobody answered for {} ms at most",
        tally.statuses,
        tally.broken.len(),
        longest.as_millis()
    );
    tally.broken.iter().take(5).for_each(|broken| println!("  {broken}"));
    assert!(longest < LONGEST_REST);
    assert!(tally.statuses.keys().all(|status| *status == 200), "{:?}", tally.statuses);
    match model {
        // Whoever held the connections is gone, and they with it.
        Model::InProcess => assert!(tally.broken.len() as u64 <= killed * 2 * CLIENTS as u64),
        // Another backend was there: only an answer that had begun could not be given again.
        Model::OutOfProcess => {
            let had_begun = |broken: &String| {
                broken.starts_with("the end after ") && !broken.contains(" 0 bytes")
            };
            assert!(tally.broken.iter().all(had_begun), "{:?}", tally.broken);
            assert!((tally.broken.len() as u64) < killed / 10, "{:?}", tally.broken);
        }
    }
    nothing_is_left_over(&site);
    site.stop();
    ExitCode::SUCCESS
}

/// The worker in-process, one backend after the other out-of-process.
fn victim(site: &Site, model: Model, turn: u64) -> Option<Process> {
    let worker = *site.supervisor().children().first()?;
    match model {
        Model::InProcess => Some(worker),
        Model::OutOfProcess => {
            let backends = worker.children();
            backends.get(turn as usize % backends.len().max(1)).copied()
        }
    }
}

fn crashes(site: &Site) -> usize {
    site.log().matches("error 1").count()
}

/// One worker, its backends, one snapshot, and as few handles as ever.
fn nothing_is_left_over(site: &Site) {
    eventually("one worker", || (site.supervisor().children().len() == 1).then_some(()));
    assert!(site.supervisor().zombies().is_empty());
    eventually("one snapshot", || {
        let folder = site.app().dir().with_file_name(".app.ancm").join("snapshots");
        (fs::read_dir(folder).ok()?.count() == 1).then_some(())
    });
    let handles = site.supervisor().descriptors();
    println!("  left: 1 worker, 1 snapshot, {handles} handles of the supervisor");
    assert!(handles < 64, "handles of the supervisor");
}
