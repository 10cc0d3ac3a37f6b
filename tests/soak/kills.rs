//! Processes that are killed again and again.

use std::{
    collections::BTreeSet,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use testkit::{App, Load, Model, Process, Site, eventually};

use crate::{
    stage::{Stage, left_columns},
    table::{Run, Table},
};

/// Clients of each kind.
const CLIENTS: usize = 4;
/// The longest that a killed application may be away.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// For so many seconds what serves is killed each second; only what it was busy with is lost.
/// Out-of-process it is the worker and one of two backends, in turn.
pub(crate) fn kills(run: &Run) -> ExitCode {
    // Sixty a minute are too many to be called rapid failures here.
    let app = App::test("Site").attribute("rapidFailsPerMinute", "100");
    let app = match run.model {
        Model::InProcess => app,
        Model::OutOfProcess => app.attribute("processesPerApplication", "2"),
    };
    let mut table = Table::new(
        run,
        "kills",
        left_columns!["workers", "backends", "seconds", "answers", "not 200", "broken", "away ms"],
    );
    let mut stage = Stage::start(app, run.model);
    if run.model == Model::OutOfProcess {
        let mut seen = BTreeSet::new();
        eventually("answers of both backends", || {
            seen.insert(stage.site.application());
            (seen.len() == 2).then_some(())
        });
        stage.begin();
    }
    let site = &stage.site;
    let load = Load::start(site.address(), "/HelloWorld", CLIENTS, CLIENTS);
    let begun = Instant::now();
    let (mut workers, mut backends, mut longest) = (0, 0, Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(run.number) {
        let next = Instant::now() + Duration::from_secs(1);
        let is_worker = run.model == Model::InProcess || workers <= backends;
        if let Some(victim) = victim(site, is_worker, backends) {
            victim.signal("KILL");
            *(if is_worker { &mut workers } else { &mut backends }) += 1;
            let killed = Instant::now();
            load.wait_for_more(1);
            longest = longest.max(killed.elapsed());
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    load.wait_for_more(100);
    let seconds = begun.elapsed().as_secs_f64();
    let tally = load.stop();
    let left = stage.settle("kills", &mut table);
    let answers: usize = tally.statuses.values().sum();
    let not_200 = answers - tally.statuses.get(&200).copied().unwrap_or(0);
    let mut row = vec![
        json!(workers),
        json!(backends),
        json!(seconds),
        json!(answers),
        json!(not_200),
        json!(tally.broken.len()),
        json!(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)),
    ];
    row.extend(left.cells());
    table.row(row);
    tally.broken.iter().take(5).for_each(|broken| println!("  {broken}"));
    table.expect(not_200 == 0, || format!("answers: {:?}", tally.statuses));
    table.expect(longest < LONGEST_REST, || format!("nobody answered for {longest:?}"));
    // Who held the connections is gone with a worker, and they with it. When a backend is killed,
    // there is another: only an answer that had begun cannot be given again.
    let most = workers * 2 * CLIENTS as u64 + backends / 10;
    table.expect(tally.broken.len() as u64 <= most, || format!("{} broken", tally.broken.len()));
    stage.site.stop();
    table.finish()
}

/// The worker, or one backend after the other.
fn victim(site: &Site, is_worker: bool, turn: u64) -> Option<Process> {
    let worker = *site.supervisor().children().first()?;
    if is_worker {
        return Some(worker);
    }
    let backends = worker.children();
    backends.get(turn as usize % backends.len().max(1)).copied()
}
