//! Deployments under load: two versions of an application of two assemblies, and broken ones.

use std::{
    path::Path,
    process::{Command, ExitCode},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};
use testkit::{App, Load, Model, Site, eventually};

use crate::{
    stage::{Stage, crashes, left_columns, silent, status},
    table::{Run, Table},
};

/// Clients of each kind.
const CLIENTS: usize = 4;
/// Every so many, one does not start.
const BROKEN_EVERY: u64 = 10;

/// What each version answers: the version of the program, and that of the assembly it refers to.
const ANSWERS: [&str; 2] = ["1 1", "2 2"];

/// `count` deployments of each kind; nobody notices any of them, but for the version.
pub(crate) fn deploys(run: &Run) -> ExitCode {
    let mut table = Table::new(
        run,
        "deploys",
        left_columns![
            "by", "deployed", "refused", "seconds", "answers", "not 200", "broken", "wrong",
            "crashes"
        ],
    );
    for (name, deploy) in KINDS {
        replace(name, deploy, run, &mut table);
    }
    table.finish()
}

fn replace(name: &str, deploy: Deploy, run: &Run, table: &mut Table<'_>) {
    let versions = ["Version1", "Version2"].map(|name| silent(App::test(name)).model(run.model));
    let stage = Stage::start(App::test("Version1"), run.model);
    let site = &stage.site;
    let known = Arc::new(Mutex::new(Known { old: 0, new: 0, since: Some(Instant::now()) }));
    let judge = known.clone();
    let load = Load::start_judged(
        site.address(),
        "/",
        CLIENTS,
        CLIENTS,
        Arc::new(move |asked, status, body| {
            judge.lock().unwrap_or_else(PoisonError::into_inner).judge(asked, status, body)
        }),
    );
    load.wait_for_more(100);
    let set = |state| *known.lock().unwrap_or_else(PoisonError::into_inner) = state;
    let (begun, mut serves, mut deployed, mut refused) = (Instant::now(), 0, 0, 0);
    for round in 0..run.number {
        if round % BROKEN_EVERY == BROKEN_EVERY - 1 {
            // Nothing but the old version may answer: what is known stays as it is.
            let is_assembly = (round / BROKEN_EVERY).is_multiple_of(2);
            let broken = broken(run.model, is_assembly);
            let before = trouble(site);
            let is_done = deploy(site, broken.dir());
            table.expect(!is_done || name == "rsync", || {
                format!("{name}: a broken version was deployed with exit code 0")
            });
            // The command refuses what it sees to be broken before the site hears of it.
            if is_assembly || is_done {
                eventually("what status and log say of a broken version", || {
                    (trouble(site) != before).then_some(())
                });
            }
            refused += 1;
        } else {
            let next = 1 - serves;
            set(Known { old: serves, new: next, since: None });
            let is_done = deploy(site, versions[next].dir());
            table.expect(is_done, || format!("{name}: version {next} is not deployed"));
            eventually("the version", || {
                (site.get("/").ok().text() == ANSWERS[next]).then_some(())
            });
            // Whoever kept a connection to the one before may be answered by it until it has ended.
            eventually("the end of the version before", || {
                let told = status(site);
                let generations = told["generations"].as_array()?;
                (generations.len() == 1 && generations[0]["state"] == "serving").then_some(())
            });
            set(Known { old: serves, new: next, since: Some(Instant::now()) });
            (serves, deployed) = (next, deployed + 1);
        }
        load.wait_for_more(20);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let tally = load.stop();
    let crashes = crashes(site);
    let left = stage.settle(name, table);
    let answers: usize = tally.statuses.values().sum();
    let mut row = vec![
        json!(name),
        json!(deployed),
        json!(refused),
        json!(seconds),
        json!(answers),
        json!(answers - tally.statuses.get(&200).copied().unwrap_or(0)),
        json!(tally.broken.len()),
        json!(tally.wrong.len()),
        json!(crashes),
    ];
    row.extend(left.cells());
    table.row(row);
    table.expect_lossless(name, &tally, &[200]);
    table.expect(crashes == 0, || format!("{name}: crashes\n{}", site.log()));
    stage.site.stop();
}

/// Says whether it was done.
type Deploy = fn(&Site, &Path) -> bool;

const KINDS: [(&str, Deploy); 2] = [
    ("deploy", |site, new| {
        let ended = site.command("deploy", &[new.to_str().expect("a path")]);
        ended.status.success()
    }),
    ("rsync", |site, new| {
        let mut rsync = Command::new("rsync");
        rsync.args(["-rc", "--inplace", "--delete"]).arg(new.join("")).arg(site.app().dir());
        rsync.status().expect("rsync can be run").success()
    }),
];

/// What may be answered.
struct Known {
    old: usize,
    new: usize,
    /// Who asks later gets the new version alone.
    since: Option<Instant>,
}

impl Known {
    fn judge(&self, asked: Instant, status: u16, body: &str) -> Result<(), String> {
        let is_new = body == ANSWERS[self.new];
        let is_old = body == ANSWERS[self.old] && self.since.is_none_or(|since| asked < since);
        match is_new || is_old || status != 200 {
            true => Ok(()),
            false => Err(format!("{body:?} where {:?} serves", ANSWERS[self.new])),
        }
    }
}

/// A version that cannot be started, for its assembly or for its configuration.
fn broken(model: Model, is_assembly: bool) -> App {
    let app = silent(App::test("Version2")).model(model);
    match is_assembly {
        true => app.file("Versions.dll", "this is no assembly"),
        false => app.file("web.config", "<configuration>"),
    }
}

/// What changes when a version was refused.
fn trouble(site: &Site) -> (Value, usize) {
    (
        status(site)["last_failure"].clone(),
        site.log().matches("going on with the one before").count(),
    )
}
