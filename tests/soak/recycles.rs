//! Recycles under load, many for each reason that there is; nobody notices any.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde_json::json;
use testkit::{App, Load, Site, Start, env, eventually};

use crate::{
    beside::Beside,
    stage::{Stage, crashes, left_columns, serving, status},
    table::{Run, Table},
};

/// Clients of each kind: those that keep their connection, those that open new ones.
const CLIENTS: usize = 4;

/// Why a generation is replaced, as `status` says it.
struct Trigger {
    reason: &'static str,
    /// How one is asked for; others come by themselves, from the settings.
    ask: Option<fn(&Site, &Offline)>,
    settings: &'static [(&'static str, &'static str)],
    /// For those that take long.
    most: u64,
}

const USUAL: Trigger = Trigger { reason: "", ask: None, settings: &[], most: u64::MAX };

const TRIGGERS: [Trigger; 11] = [
    Trigger { reason: "signal", ask: Some(|site, _| site.signal("HUP")), ..USUAL },
    Trigger { reason: "command", ask: Some(|site, _| command(site)), ..USUAL },
    Trigger {
        reason: "configuration",
        ask: Some(|site, _| rewrite(&site.app().path("web.config"))),
        ..USUAL
    },
    Trigger {
        reason: "files",
        ask: Some(|site, _| rewrite(&site.app().path("Site.dll"))),
        ..USUAL
    },
    Trigger { reason: "runtime", ask: Some(|site, _| rewrite(&runtime_file(site))), ..USUAL },
    Trigger { reason: "online", ask: Some(come_back), ..USUAL },
    Trigger { reason: "lifetime", settings: &[("periodicRestartTime", "00:00:02")], ..USUAL },
    Trigger { reason: "requests", settings: &[("periodicRestartRequests", "500")], ..USUAL },
    Trigger { reason: "memory", settings: &[("periodicRestartPrivateMemory", "1000")], ..USUAL },
    Trigger {
        reason: "unhealthy",
        settings: &[
            ("healthCheckPath", "/WellUntil/1"),
            ("healthCheckInterval", "00:00:01"),
            ("healthCheckFailures", "1"),
        ],
        ..USUAL
    },
    // Up to 20 s pass from each time of day to its recycle.
    Trigger { reason: SCHEDULE, most: 20, ..USUAL },
];

const SCHEDULE: &str = "schedule";

/// Where the site finds a .NET of its own, which may be changed.
const OWN_DOTNET: &str = "own-dotnet";

/// `count` recycles for each reason; every request is answered with 200, each recycle finds a slow
/// request and a download under way, and all of these are answered in full.
pub(crate) fn recycles(run: &Run) -> ExitCode {
    let mut table = Table::new(
        run,
        "recycles",
        left_columns![
            "reason",
            "recycles",
            "seconds",
            "answers",
            "not 200",
            "broken",
            "wrong",
            "slow",
            "downloads",
            "damaged"
        ],
    );
    // One reason can be picked, to look into it.
    let only = std::env::var("ANCM_SOAK_ONLY").ok();
    for trigger in &TRIGGERS {
        if only.as_ref().is_none_or(|only| only == trigger.reason) {
            replace(trigger, run, &mut table);
        }
    }
    table.finish()
}

fn replace(trigger: &Trigger, run: &Run, table: &mut Table<'_>) {
    // Who downloads a GiB takes longer than the default of ten seconds.
    let mut app = App::test("Site").attribute("shutdownTimeLimit", "600");
    for (name, value) in trigger.settings {
        app = app.handler_setting(name, value);
    }
    if trigger.reason == SCHEDULE {
        app = app.handler_setting("periodicRestartSchedule", &times_of_day());
    }
    let stage = Stage::start_with(app, run.model, |start| match trigger.reason {
        "runtime" => with_own_dotnet(start),
        _ => start,
    });
    let site = &stage.site;
    let offline = Arc::new(Offline::default());
    let judge = offline.clone();
    let load = Load::start_judged(
        site.address(),
        "/HelloWorld",
        CLIENTS,
        CLIENTS,
        Arc::new(move |asked, status, _| judge.judge(asked, status)),
    );
    load.wait_for_more(100);
    let mut beside = Beside::new(site.address());
    let (begun, first) = (Instant::now(), serving(site).0);
    let mut last = first;
    let rounds = run.number.min(trigger.most);
    for _ in 0..rounds {
        beside.begin();
        if let Some(ask) = trigger.ask {
            ask(site, &offline);
        }
        let (next, reason) = eventually("the next generation", || {
            Some(serving(site)).filter(|(number, _)| *number > last)
        });
        last = next;
        table.expect(reason.trim_matches('"') == trigger.reason, || {
            format!("{}: generation {next} is there for {reason}", trigger.reason)
        });
    }
    let seconds = begun.elapsed().as_secs_f64();
    load.wait_for_more(20);
    beside.finish();
    let tally = load.stop();
    let reason = trigger.reason;
    // Some recycle themselves as long as they are there: what is left is looked at without.
    if trigger.ask.is_none() {
        site.app().write("web.config", quiet(&site.app().read("web.config")));
    }
    let left = stage.settle(reason, table);
    let answers: usize = tally.statuses.values().sum();
    let not_200 = answers - tally.statuses.get(&200).copied().unwrap_or(0);
    let mut row = vec![
        json!(reason),
        // Those that come by themselves may be more than were waited for; a page has a number, too.
        json!(if trigger.ask.is_some() { rounds } else { last - first }),
        json!(seconds),
        json!(answers),
        json!(not_200),
        json!(tally.broken.len()),
        json!(tally.wrong.len()),
        json!(beside.slow_begun),
        json!(beside.downloads_begun),
        json!(beside.failures.len()),
    ];
    row.extend(left.cells());
    table.row(row);
    let statuses: &[u16] = if reason == "online" { &[200, 503] } else { &[200] };
    table.expect_lossless(reason, &tally, statuses);
    for failure in &beside.failures {
        table.fail(format!("{reason}: {failure}"));
    }
    let crashes = crashes(site);
    table.expect(crashes == 0, || format!("{reason}: {crashes} crashes\n{}", site.log()));
    stage.site.stop();
}

fn command(site: &Site) {
    let ended = site.command("recycle", &[]);
    assert!(ended.status.success(), "{}", ended.stderr);
}

/// As a deployment writes: beside, then over it.
fn rewrite(path: &Path) {
    let new = path.with_extension("new");
    fs::copy(path, &new).and_then(|_| fs::rename(&new, path)).expect("it can be written");
}

/// Without the settings by which it recycles itself.
fn quiet(web_config: &str) -> String {
    let (before, rest) = web_config.split_once("<handlerSettings>").expect("there are some");
    let (_, after) = rest.rsplit_once("</handlerSettings>").expect("they end");
    format!("{before}{after}")
}

/// When `app_offline.htm` was there.
#[derive(Default)]
struct Offline(Mutex<Option<(Instant, Option<Instant>)>>);

impl Offline {
    /// 503 is the answer between the file's creation and the application's return, and never else.
    fn judge(&self, asked: Instant, status: u16) -> Result<(), String> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may_be = known.is_some_and(|(_, back)| back.is_none_or(|back| asked < back));
        match status {
            503 if !may_be => Err("503 while the application was there".to_owned()),
            _ => Ok(()),
        }
    }

    fn set(&self, state: (Instant, Option<Instant>)) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }
}

/// `app_offline.htm` comes and goes.
fn come_back(site: &Site, offline: &Offline) {
    let gone = Instant::now();
    offline.set((gone, None));
    site.app().write("app_offline.htm", "back soon");
    eventually("the file's page", || (site.get("/HelloWorld").status() == 503).then_some(()));
    fs::remove_file(site.app().path("app_offline.htm")).expect("it is there");
    eventually("the application", || {
        let told = status(site);
        (told["is_offline"] == false && told["state"] == "serving").then_some(())
    });
    eventually("its answers", || (site.get("/HelloWorld").status() == 200).then_some(()));
    offline.set((gone, Some(Instant::now())));
}

/// As many times of day as there may be, five seconds apart, from now on.
fn times_of_day() -> String {
    let script = "for i in $(seq 3 5 478); do date +%T -d \"+$i seconds\"; done";
    let times = Command::new("sh").args(["-c", script]).output().expect("there is a shell").stdout;
    String::from_utf8(times).expect("times are text").trim().replace('\n', ",")
}

/// Beside the temporary folder of the site: what is mapped then has the new path.
fn with_own_dotnet(start: Start) -> Start {
    let root = start.app_dir().with_file_name(OWN_DOTNET);
    fs::create_dir(&root).expect("a folder can be made");
    for name in ["dotnet", "host", "shared"] {
        let from = env::dotnet_root().join(name);
        let copied = Command::new("cp").arg("-rpL").arg(&from).arg(&root).status();
        assert!(copied.is_ok_and(|status| status.success()), "{} can be copied", from.display());
    }
    start.env("DOTNET_ROOT", root)
}

/// What a newer package of the same version would replace.
fn runtime_file(site: &Site) -> PathBuf {
    let root = site.app().dir().with_file_name(OWN_DOTNET);
    let frameworks = fs::read_dir(root.join("shared/Microsoft.NETCore.App")).expect("it is there");
    let version = frameworks.flatten().next().expect("there is a version").path();
    version.join("Microsoft.NETCore.App.deps.json")
}
