//! Changes under a running application: a new generation, nobody refused, nothing lost.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use testkit::{App, Load, Model, Process, Site, Start, both_models, eventually};

use crate::control::status;

pub(crate) fn wait_for_another(site: &Site, first: testkit::Process) {
    eventually("another process", || {
        (site.get("/ProcessId").ok().text() != first.0.to_string()).then_some(())
    });
    eventually("the end of the first", || (!first.is_alive()).then_some(()));
}

/// A .NET that this test may change. Hard links would not do: a new link is a change of the file, which
/// everybody notices who runs on it.
fn own_dotnet() -> tempfile::TempDir {
    let dir = tempfile::tempdir_in(testkit::env::programs()).expect("a folder can be made");
    for name in ["dotnet", "host", "shared"] {
        copy_all(&testkit::env::dotnet_root().join(name), &dir.path().join(name));
    }
    dir
}

fn copy_all(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-rpL").args([from, to]).status();
    assert!(status.is_ok_and(|it| it.success()), "{} can be copied", from.display());
}

/// As a deployment writes: in place, the content unchanged.
pub(crate) fn rewrite(path: &Path) {
    let content = fs::read(path).expect("it can be read");
    let new = path.with_extension("new");
    fs::write(&new, content).and_then(|()| fs::rename(&new, path)).expect("it can be written");
}

/// Ten changes under load; every request is answered with 200.
fn lossless(model: Model, change: impl Fn(&Site)) {
    let site = Site::start(App::test("Site"), model);
    let load = Load::start(site.address(), "/HelloWorld", 4, 4);
    for _ in 0..5 {
        let first = site.application();
        change(&site);
        wait_for_another(&site, first);
        load.wait_for_more(50);
    }
    load.stop().assert_lossless();
    site.stop();
}

/// Three recycles under load; never are there two workers.
fn rotate_without_overlap(site: &Site) {
    let load = Load::start(site.address(), "/HelloWorld", 2, 2);
    for _ in 0..3 {
        let first = site.application();
        let children = site.supervisor().children();
        site.signal("HUP");
        eventually("another worker", || {
            let now = site.supervisor().children();
            assert!(now.len() <= 1, "{now:?}");
            (!now.is_empty() && now != children).then_some(())
        });
        wait_for_another(site, first);
    }
    load.stop().assert_lossless();
}

/// The start fails for want of what `install` brings; the next one waits for that, not for the end of
/// the pause that was announced.
fn installing_ends_the_pause(site: &Site, install: impl FnOnce()) {
    assert!(site.get("/").status() >= 500);
    let pause = eventually("a long pause", || {
        let pause = status(site)["last_failure"]["retry_in_seconds"].as_u64();
        pause.filter(|seconds| *seconds > 30)
    });
    let begun = Instant::now();
    install();
    eventually("the application", || (site.get("/HelloWorld").status() == 200).then_some(()));
    assert!(begun.elapsed().as_secs() < pause, "it was there after the pause of {pause} s");
    site.wait_for_log("the .NET that it runs on has changed");
    let status = status(site);
    let newest = status["generations"].as_array().and_then(|all| all.last());
    assert_eq!(newest.unwrap()["reason"], "runtime", "{status}");
}

/// Kills a process while files are copied, which takes a while; until that is over, it has to be down.
fn die_in_the_middle_of_a_copy(site: &Site, process: Process, is_down: &dyn Fn() -> bool) {
    let first = site.application();
    let good = fs::read(site.app().path("Site.dll")).unwrap();
    // Where no event tells of it.
    site.app().write("plugins/one.dll", "a part");
    process.signal("KILL");
    site.app().write("Site.dll", "the half of an assembly");
    let (is_over, longest_ms) = (AtomicBool::new(false), AtomicU64::new(0));
    // A machine that stands still makes a copy that seems to be over.
    let is_steady = || longest_ms.load(Ordering::Relaxed) < 500;
    thread::scope(|scope| {
        scope.spawn(|| {
            for copied in 1..3000 {
                let begun = Instant::now();
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                site.app().write("Other.dll", "x".repeat(copied));
                thread::sleep(Duration::from_millis(20));
                let took = begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
                longest_ms.fetch_max(took, Ordering::Relaxed);
            }
        });
        site.wait_for_log("in 30 s at the latest");
        let mut client = site.connect();
        client.send("GET /ProcessId HTTP/1.1\r\nHost: localhost\r\n\r\n");
        eventually("many a second", || {
            let size = fs::metadata(site.app().path("Other.dll")).unwrap().len();
            assert!(is_down() || !is_steady(), "{}", site.log());
            (size > 150).then_some(())
        });
        site.app().write("Site.dll", &good);
        is_over.store(true, Ordering::Relaxed);
        // Who came meanwhile has waited.
        let answer = client.response();
        if is_steady() {
            assert_ne!(answer.ok().text(), first.0.to_string());
            assert!(!site.log().contains("did not start"), "{}", site.log());
        }
    });
}

both_models! {
    fn shut_04_v1_34_a_recycle_by_signal_loses_nothing(model: Model) {
        lossless(model, |site| site.signal("HUP"));
    }

    fn shut_03_a_changed_configuration_loses_nothing(model: Model) {
        lossless(model, |site| rewrite(&site.app().path("web.config")));
    }

    fn shc_04_a_changed_assembly_loses_nothing(model: Model) {
        lossless(model, |site| rewrite(&site.app().path("Site.dll")));
    }

    fn code_in_a_subfolder_is_watched_and_what_is_beyond_is_said(model: Model) {
        let app = App::test("Site");
        for folder in ["data", "plugins/deep"] {
            fs::create_dir_all(app.path(folder)).unwrap();
        }
        let site = Site::start(app.file("plugins/deep/one.dll", "1"), model);
        let first = site.application();
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        site.app().write("data/two.txt", "no code");
        site.app().write("plugins/deep/one.dll", "22");
        wait_for_another(&site, first);
        site.wait_for_log("files of the application have changed");
        fs::create_dir_all(site.app().path("1/2/3/4/5/6/7")).unwrap();
        site.wait_for_log("warning 1133");
        load.stop().assert_lossless();
        site.stop();
    }

    fn while_files_are_copied_nothing_is_tried_again(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let good = fs::read(site.app().path("Site.dll")).unwrap();
        site.app().write("Site.dll", "this is no assembly");
        site.wait_for_log("error 1010");
        let mut copied = 0;
        // A second after the first failure, if nothing were copied; six failures later 32 s.
        eventually("a later attempt", || {
            copied += 1;
            site.app().write("Other.dll", "x".repeat(copied));
            let retry = status(&site)["last_failure"]["retry_in_seconds"].as_u64()?;
            (retry > 20).then_some(())
        });
        let failures = site.log().matches("error 1010").count();
        assert!(failures < 4, "{failures} attempts");
        assert_eq!(site.application(), first);
        site.app().write("Site.dll", good);
        wait_for_another(&site, first);
        site.stop();
    }

    fn what_dies_in_the_middle_of_a_copy_is_started_when_that_is_over(model: Model) {
        let app = App::test("Site").model(model);
        fs::create_dir(app.path("plugins")).unwrap();
        let site = Start::of(app.file("plugins/one.dll", "")).run();
        let worker = site.worker();
        die_in_the_middle_of_a_copy(&site, worker, &|| {
            let starts = site.log().matches("runs from a snapshot").count();
            starts == 1 && status(&site)["state"] == "starting"
        });
        site.stop();
    }

    fn another_version_of_dotnet_is_taken_over_with_its_own_reason(model: Model) {
        let root = own_dotnet();
        let app = App::test("Site").model(model);
        let site = Start::of(app).env("DOTNET_ROOT", root.path()).run();
        let first = site.application();
        let version = testkit::env::framework_version();
        assert!(first.has_mapped(&root.path().display().to_string()));
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        let (minor, _) = version.rsplit_once('.').unwrap();
        let frameworks = root.path().join("shared/Microsoft.NETCore.App");
        let newer = frameworks.join(format!("{minor}.999"));
        copy_all(&frameworks.join(&version), &newer);
        wait_for_another(&site, first);
        let second = site.application();
        assert!(second.has_mapped(&newer.display().to_string()));
        let status = status(&site);
        // The one before may not have been taken away yet.
        let newest = status["generations"].as_array().and_then(|all| all.last());
        assert_eq!(newest.unwrap()["reason"], "runtime", "{status}");
        // Back to the version before, as the package manager would.
        fs::remove_dir_all(&newer).unwrap();
        wait_for_another(&site, second);
        assert!(site.application().has_mapped(&frameworks.join(&version).display().to_string()));
        load.stop().assert_lossless();
        site.stop();
    }

    fn dotnet_that_changes_while_a_generation_starts_is_a_change(model: Model) {
        let root = own_dotnet();
        // So that there is time to change something before it serves.
        let app = App::test("Site")
            .handler_setting("readinessPath", "/ReadyAfter/5")
            .handler_setting("readinessStatus", "204");
        let site = Start::of(app.model(model)).env("DOTNET_ROOT", root.path()).run();
        site.signal("HUP");
        eventually("a generation that starts", || {
            let status = status(&site);
            let mut generations = status["generations"].as_array()?.iter();
            generations.any(|it| it["state"] == "starting").then_some(())
        });
        let frameworks = root.path().join("shared/Microsoft.NETCore.App");
        let version = frameworks.join(testkit::env::framework_version());
        rewrite(&version.join("Microsoft.NETCore.App.deps.json"));
        site.wait_for_log("the .NET that it runs on has changed");
        site.stop();
    }

    fn dotnet_that_changes_while_a_generation_moves_to_it_is_a_change(model: Model) {
        let root = own_dotnet();
        let app = App::test("Site")
            .handler_setting("readinessPath", "/ReadyAfter/5")
            .handler_setting("readinessStatus", "204");
        let site = Start::of(app.model(model)).env("DOTNET_ROOT", root.path()).run();
        let version = testkit::env::framework_version();
        let (minor, _) = version.rsplit_once('.').unwrap();
        let frameworks = root.path().join("shared/Microsoft.NETCore.App");
        let newer = frameworks.join(format!("{minor}.999"));
        copy_all(&frameworks.join(&version), &newer);
        let text = "a new generation is started (the .NET that it runs on has changed)";
        let starts = || site.log().matches(text).count();
        let mapped = newer.display().to_string();
        eventually("a generation that moves to the new version", || {
            site.started().iter().any(|process| process.has_mapped(&mapped)).then_some(())
        });
        assert_eq!(starts(), 1, "{}", site.log());
        rewrite(&newer.join("Microsoft.NETCore.App.deps.json"));
        eventually("one more generation", || (starts() > 1).then_some(()));
        site.stop();
    }

    fn a_version_of_dotnet_that_a_start_lacks_is_noticed_when_it_is_installed(model: Model) {
        let root = own_dotnet();
        let version = testkit::env::framework_version();
        let framework = root.path().join("shared/Microsoft.NETCore.App").join(version);
        let aside = root.path().join("aside");
        fs::rename(&framework, &aside).unwrap();
        let app = App::test("Site").attribute("rapidFailsPerMinute", "0").model(model);
        let site = Start::of(app).env("DOTNET_ROOT", root.path()).run();
        installing_ends_the_pause(&site, || {
            // File by file, as an installation does.
            fs::create_dir(&framework).unwrap();
            for file in fs::read_dir(&aside).unwrap() {
                let file = file.unwrap();
                fs::rename(file.path(), framework.join(file.file_name())).unwrap();
            }
        });
        site.stop();
    }

    fn dotnet_is_noticed_when_it_is_installed_where_there_was_none(model: Model) {
        let installed = own_dotnet();
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("dotnet");
        let app = App::test("Site").attribute("rapidFailsPerMinute", "0").model(model);
        let start = Start::of(app).env("DOTNET_ROOT", &root).env("PATH", "/nonexistent");
        let site = start.run();
        installing_ends_the_pause(&site, || {
            std::os::unix::fs::symlink(installed.path(), &root).unwrap();
        });
        site.stop();
    }

    fn shut_05_shut_06_v1_11_l22_15_a_touched_configuration_brings_a_new_generation(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let text = site.app().read("web.config");
        fs::write(site.app().path("web.config"), text).unwrap();
        wait_for_another(&site, first);
        site.wait_for_log("web.config has changed");
        site.stop();
    }

    fn v1_12_v1_16_what_the_application_rewrites_is_served_through_changes_and_pages(model: Model) {
        let site = Site::start(App::test("Pantry"), model);
        let rewritten = || {
            let answer = site.get("/rewritten/shelf/7?x");
            (answer.status() == 200).then(|| answer.text())
        };
        let text = rewritten().expect("it is served");
        assert!(text.contains("/item ?x&shelf=7"), "{text}");
        let first = site.worker();
        rewrite(&site.app().path("web.config"));
        eventually("the next generation", || (!first.is_alive()).then_some(()));
        assert_eq!(rewritten(), Some(text.clone()));
        site.app().write("app_offline.htm", "back soon");
        eventually("the page", || (rewritten().is_none()).then_some(()));
        fs::remove_file(site.app().path("app_offline.htm")).unwrap();
        assert_eq!(eventually("the application", rewritten), text);
        site.stop();
    }

    fn shut_10_the_model_can_be_changed_in_the_file(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let other = match model {
            Model::InProcess => Model::OutOfProcess,
            Model::OutOfProcess => Model::InProcess,
        };
        let is = |now: Model| (site.application() == site.worker()) == (now == Model::InProcess);
        assert!(is(model));
        let first = site.application();
        let (from, to) = (format!("\"{model}\""), format!("\"{other}\""));
        let text = site.app().read("web.config");
        assert!(text.contains(&from), "{text}");
        site.app().write("web.config", text.replace(&from, &to));
        wait_for_another(&site, first);
        assert!(is(other));
        site.stop();
    }

    fn shut_11_a_configuration_that_is_touched_all_the_time_loses_nothing(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        for _ in 0..100 {
            rewrite(&site.app().path("web.config"));
            load.wait_for_more(1);
        }
        wait_for_another(&site, first);
        load.stop().assert_lossless();
        site.stop();
    }

    fn shut_07_shut_09_a_changed_configuration_can_be_ignored(model: Model) {
        let app = App::test("Site").handler_setting("disallowRotationOnConfigChange", "true");
        let site = Site::start(app, model);
        let first = site.application();
        rewrite(&site.app().path("web.config"));
        site.wait_for_log("disallowRotationOnConfigChange");
        assert_eq!(site.application(), first);
        rewrite(&site.app().path("Site.dll"));
        wait_for_another(&site, first);
        site.stop();
    }

    fn an_invalid_configuration_changes_nothing_and_says_why(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let good = site.app().read("web.config");
        site.app().write("web.config", "<configuration><oops></configuration>");
        site.wait_for_log("the configuration has 1 error");
        assert_eq!(site.application(), first);
        let refused = status(&site)["configuration_refused"].take();
        assert_eq!(refused["errors"], 1, "{refused}");
        let since = refused["since"].as_str().unwrap();
        // The file is wrong in another way now, since the same time.
        site.app().write("web.config", good.replace("hostingModel=\"", "hostingModel=\"x"));
        site.wait_for_log("hosting-model");
        let refused = eventually("what is wrong now", || {
            let refused = status(&site)["configuration_refused"].take();
            (refused["findings"][0]["code"] == "hosting-model").then_some(refused)
        });
        let finding = &refused["findings"][0];
        assert_eq!((&finding["file"], &refused["since"]), (&"web.config".into(), &since.into()));
        let line = good.lines().position(|line| line.contains("hostingModel=\"")).unwrap() + 1;
        assert_eq!(finding["line"], line, "{refused}");
        let text = site.command("status", &[]).stdout;
        assert!(text.contains(&format!("refused      the configuration on disk, since {since} (")), "{text}");
        for part in [&format!("web.config:{line}:"), "  expected: inprocess or outofprocess"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(site.application(), first);
        site.app().write("web.config", good);
        wait_for_another(&site, first);
        assert!(status(&site).get("configuration_refused").is_none());
        assert!(!site.command("status", &[]).stdout.contains("refused"));
        site.stop();
    }

    fn a_configuration_that_is_ignored_is_read_when_one_was_refused(model: Model) {
        let app = App::test("Site").handler_setting("disallowRotationOnConfigChange", "true");
        let site = Site::start(app, model);
        let first = site.application();
        let (file, aside) = (site.app().path("web.config"), site.app().path("aside"));
        fs::rename(&file, &aside).unwrap();
        site.app().write("web.config", "<configuration>");
        // What was deployed cannot be served like that.
        rewrite(&site.app().path("Site.dll"));
        site.wait_for_log("the configuration has 1 error");
        assert_eq!(status(&site)["configuration_refused"]["errors"], 1);
        // Put back as it was.
        fs::rename(&aside, &file).unwrap();
        wait_for_another(&site, first);
        assert!(status(&site).get("configuration_refused").is_none());
        site.stop();
    }

    fn a_failed_start_is_tried_again_when_a_file_changes(model: Model) {
        let app = App::test("Site").arguments(r".\Missing.dll").model(model);
        let good = App::test("Site").model(model).read("web.config");
        let site = Start::of(app).run();
        assert!(site.get("/HelloWorld").status() >= 500);
        site.app().write("web.config", good);
        eventually("the application", || (site.get("/HelloWorld").status() == 200).then_some(()));
        site.stop();
    }

    fn a_generation_that_cannot_start_leaves_the_old_one_serving(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        let broken = site.app().path("Site.dll");
        let good = fs::read(&broken).unwrap();
        site.app().write("Site.dll", "this is no assembly");
        site.wait_for_log("did not start");
        assert_eq!(site.application(), first);
        site.app().write("Site.dll", good);
        wait_for_another(&site, first);
        load.stop().assert_lossless();
        site.stop();
    }

    fn a_rotation_without_overlap_never_has_two_and_loses_nothing(model: Model) {
        let app = App::test("Site").handler_setting("disallowOverlappingRotation", "true");
        let site = Site::start(app, model);
        rotate_without_overlap(&site);
        site.stop();
    }

    fn a_rotation_without_memory_for_two_never_has_two_and_says_so(model: Model) {
        // A PiB that has to be left.
        let app = App::test("Site").handler_setting("overlapMemoryReserve", "1099511627776");
        let site = Site::start(app, model);
        rotate_without_overlap(&site);
        site.wait_for_log("warning 1135: no memory for two generations at once");
        let status = status(&site);
        let shortage = &status["memory_shortage"];
        let snapshot = status["generations"][0]["snapshot"].as_str().unwrap();
        assert!(Path::new(snapshot).join("Site.dll").is_file(), "{status}");
        assert!(shortage["needed_bytes"].as_u64() > shortage["available_bytes"].as_u64());
        site.stop();
    }

    /// As deterministic archives and copies that keep times leave them: neither length nor time differs.
    fn an_assembly_that_is_written_over_with_its_times_kept_is_a_change(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let assembly = site.app().path("Site.dll");
        let (content, written) = (fs::read(&assembly).unwrap(), fs::metadata(&assembly).unwrap());
        fs::write(&assembly, content).unwrap();
        let times = fs::FileTimes::new().set_modified(written.modified().unwrap());
        fs::File::options().write(true).open(&assembly).unwrap().set_times(times).unwrap();
        wait_for_another(&site, first);
        site.stop();
    }

    fn files_that_the_configuration_lists_are_followed_wherever_they_are(model: Model) {
        let elsewhere = tempfile::tempdir().unwrap();
        let rules = elsewhere.path().join("rules.json");
        let listed = format!(
            r#"<recycleOnFileChange><file path=".\data\prices.txt" /><file path="{}" /></recycleOnFileChange>"#,
            rules.display()
        );
        let app = App::test("Site").element(&listed);
        fs::create_dir(app.path("data")).unwrap();
        let site = Site::start(app.file("data/prices.txt", "1"), model);
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        let first = site.application();
        site.app().write("data/prices.txt", "2");
        wait_for_another(&site, first);
        site.wait_for_log("files of the application have changed");
        // One that was not there yet counts as well.
        let second = site.application();
        fs::write(&rules, "{}").unwrap();
        wait_for_another(&site, second);
        // The list may be another later; to change it is one change, to change a file another.
        let third = site.application();
        let text = site.app().read("web.config");
        site.app().write("web.config", text.replace("prices.txt", "names.txt"));
        wait_for_another(&site, third);
        let fourth = site.application();
        site.app().write("data/names.txt", "3");
        wait_for_another(&site, fourth);
        assert_eq!(site.log().matches("info 1012: recycling").count(), 4, "{}", site.log());
        load.stop().assert_lossless();
        site.stop();
    }

    fn a_folder_that_is_replaced_as_a_whole_is_noticed(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let (dir, new) = (site.app().dir(), site.app().dir().with_file_name("next"));
        let copied = std::process::Command::new("cp").arg("-r").args([dir, &new]).status();
        assert!(copied.unwrap().success());
        fs::rename(dir, dir.with_file_name("before")).unwrap();
        fs::rename(&new, dir).unwrap();
        wait_for_another(&site, first);
        site.stop();
    }
}

#[test]
fn a_backend_that_runs_from_the_folder_waits_for_the_end_of_a_copy() {
    let app = App::test("Site").model(Model::OutOfProcess);
    fs::create_dir(app.path("plugins")).unwrap();
    let app = app.handler_setting("enableShadowCopy", "false").file("plugins/one.dll", "");
    let site = Start::of(app).run();
    let (worker, backend) = (site.worker(), site.application());
    die_in_the_middle_of_a_copy(&site, backend, &|| worker.children().is_empty());
    site.wait_for_log("when the files of the application are changed no more");
    site.stop();
}
