//! `app_offline.htm` coming and going in bursts under load.

use std::{
    fs,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use testkit::{App, Load, eventually};

use crate::{
    Random,
    stage::{Stage, left_columns, status},
    table::{Run, Table},
};

/// In which the state has to be what the file says.
const OFFLINE_LIMIT: Duration = Duration::from_millis(250);

/// `count` changes of the file in bursts; after each burst the state is soon what the file says.
pub(crate) fn offline(run: &Run) -> ExitCode {
    let mut table = Table::new(
        run,
        "offline",
        left_columns!["changes", "bursts", "late", "worst ms", "answers", "503", "broken"],
    );
    let stage = Stage::start(App::sample("hello"), run.model);
    let site = &stage.site;
    let load = Load::start(site.address(), "/plaintext", 2, 2);
    let mut random = Random(0x0FF1_14E0);
    let file = site.app().path("app_offline.htm");
    let other = site.app().path("app_offline.htm.off");
    let (mut done, mut bursts, mut late) = (0, 0, 0);
    let mut worst = Duration::ZERO;
    while done < run.number {
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
            (status(site)["is_offline"] == is_offline).then_some(())
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
    let left = stage.settle("offline", &mut table);
    let answers: usize = tally.statuses.values().sum();
    let mut row = vec![
        json!(done),
        json!(bursts),
        json!(late),
        json!(u64::try_from(worst.as_millis()).unwrap_or(u64::MAX)),
        json!(answers),
        json!(tally.statuses.get(&503)),
        json!(tally.broken.len()),
    ];
    row.extend(left.cells());
    table.row(row);
    table.expect_lossless("offline", &tally, &[200, 503]);
    table.expect(late == 0, || {
        format!("{late} states were told later than after {} ms", OFFLINE_LIMIT.as_millis())
    });
    stage.site.stop();
    table.finish()
}
