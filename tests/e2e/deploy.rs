//! Another version takes the place of the one that runs: by `ancm deploy`, by copying over it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{App, Load, Model, Request, Site, both_models, eventually};

const FAILED: i32 = 5;

/// A version of the application.
fn version(number: &str) -> App {
    App::test("Site").variables(&[("VERSION", number)])
}

fn served(site: &Site) -> String {
    site.get("/GetEnvironmentVariable?name=VERSION").ok().text()
}

fn deploy(site: &Site, new: &App) -> testkit::Ended {
    site.command("deploy", &[new.dir().to_str().unwrap()])
}

fn is_done(ended: &testkit::Ended) {
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

/// What is in our folder beside the application's.
fn beside(app: &Path) -> Vec<String> {
    let entries = fs::read_dir(app.with_file_name(".app.ancm")).unwrap();
    let mut names: Vec<_> =
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// As many do: everything over what is there, file by file, in place.
fn copy_over(new: &Path, dir: &Path) {
    let copied = Command::new("cp").arg("-r").arg(new.join(".")).arg(dir).status();
    assert!(copied.unwrap().success());
}

fn wait_for_version(site: &Site, number: &str) {
    eventually(&format!("version {number}"), || (served(site) == number).then_some(()));
}

/// Two versions in turn under load, with a slow request and a large answer that begin before.
fn lossless(model: Model, mut change: impl FnMut(&Site, &App, &str)) {
    const LENGTH: usize = 8 << 20;
    let versions = [version("1"), version("2")].map(|app| app.model(model));
    let site = Site::start(version("0"), model);
    let load = Load::start(site.address(), "/HelloWorld", 3, 3);
    for round in 0..4 {
        let (new, number) = (&versions[round % 2], ["1", "2"][round % 2]);
        let [mut slow, mut large] = [site.connect(), site.connect()];
        slow.send(Request::get(&format!("/Slow?ms=2000&id={round}")).to_bytes());
        site.wait_for_outcome(&round.to_string(), "waiting");
        large.send(Request::get(&format!("/LargeResponseBody?length={LENGTH}")).to_bytes());
        assert_eq!(large.head().status, 200);
        change(&site, new, number);
        let mut length = 0;
        while let Some(piece) = large.piece() {
            assert!(piece.bytes.iter().all(|byte| *byte == b'a'));
            length += piece.bytes.len();
        }
        assert_eq!(length, LENGTH);
        assert_eq!(slow.response().ok().text(), "waited");
        load.wait_for_more(50);
    }
    load.stop().assert_lossless();
    let dir = site.app().dir().to_owned();
    let old = |site: &Site| site.supervisor().children().len() > 1;
    eventually("one worker", || (!old(&site)).then_some(()));
    eventually("one snapshot", || {
        let snapshots = fs::read_dir(dir.with_file_name(".app.ancm").join("snapshots"));
        (snapshots.unwrap().count() == 1).then_some(())
    });
    site.stop();
}

both_models! {
    fn deployments_lose_nothing(model: Model) {
        lossless(model, |site, new, number| {
            is_done(&deploy(site, new));
            wait_for_version(site, number);
        });
    }

    fn shc_04_copying_over_a_running_application_loses_nothing(model: Model) {
        lossless(model, |site, new, number| {
            copy_over(new.dir(), site.app().dir());
            wait_for_version(site, number);
        });
    }

    fn a_deployment_is_one_recycle_and_can_be_undone(model: Model) {
        let site = Site::start(version("1"), model);
        let dir = site.app().dir().to_owned();
        let ended = deploy(&site, &version("2").model(model));
        is_done(&ended);
        assert!(ended.stdout.ends_with("generation 2 serves\n"), "{}", ended.stdout);
        wait_for_version(&site, "2");
        let ended = site.command("rollback", &[]);
        is_done(&ended);
        assert!(ended.stdout.ends_with("generation 3 serves\n"), "{}", ended.stdout);
        wait_for_version(&site, "1");
        is_done(&site.command("rollback", &[]));
        wait_for_version(&site, "2");
        for text in ["another version was deployed", "the version before was put back"] {
            site.wait_for_log(text);
        }
        assert!(!site.log().contains("files of the application have changed"), "{}", site.log());
        site.signal("TERM");
        eventually("the end", || (!site.supervisor().is_alive()).then_some(()));
        assert_eq!(beside(&dir), ["lock", "previous"]);
    }

    fn a_version_that_does_not_start_gives_way_to_the_one_before(model: Model) {
        let site = Site::start(version("1"), model);
        let good = fs::read(site.app().path("Site.dll")).unwrap();
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        let broken = version("2").model(model).file("Site.dll", "this is no assembly");
        let ended = deploy(&site, &broken);
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.stdout);
        for text in ["did not start", "the version before is in", "journey"] {
            assert!(ended.stderr.contains(text), "{text} in {}", ended.stderr);
        }
        assert_eq!(fs::read(site.app().path("Site.dll")).unwrap(), good);
        assert_eq!(served(&site), "1");
        assert_eq!(site.command("rollback", &[]).status.code(), Some(FAILED));
        load.wait_for_more(20);
        load.stop().assert_lossless();
        eventually("nothing else beside", || {
            (beside(site.app().dir()) == ["lock", "snapshots"]).then_some(())
        });
        site.stop();
    }

    fn a_version_that_is_not_ready_gives_way_as_well(model: Model) {
        let site = Site::start(version("1"), model);
        let new = App::test("Site").model(model).handler_setting("readinessPath", "/NoSuchEndpoint");
        let ended = deploy(&site, &new);
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.stdout);
        assert!(ended.stderr.contains("/NoSuchEndpoint gave 404, expected 200"), "{}", ended.stderr);
        assert_eq!(served(&site), "1");
        site.stop();
    }

    fn what_cannot_be_started_at_all_is_refused_before_anything_is_changed(model: Model) {
        let site = Site::start(version("1"), model);
        let before = site.application();
        let ended = deploy(&site, &version("2").file("web.config", "<configuration>"));
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
        assert!(ended.stderr.contains("web.config:"), "{}", ended.stderr);
        let ended = site.command("deploy", &["/no/such/folder"]);
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.stdout);
        let ended = site.command("deploy", &[site.app().dir().to_str().unwrap()]);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert_eq!(site.application(), before);
        site.stop();
    }

    fn what_the_application_and_people_have_put_there_stays(model: Model) {
        let site = Site::start(version("1"), model);
        let put = |name: &str| {
            let path: PathBuf = site.app().path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        };
        let is_there = |name: &str| site.app().path(name).exists();
        let names = ["App_Data/app.db", "logs/today.log", "machine.txt"];
        names.iter().for_each(|name| put(name));
        put("Plugin.dll");
        is_done(&deploy(&site, &version("2").model(model).file("old.css", "")));
        assert!(names.iter().all(|name| is_there(name)));
        assert!(!is_there("Plugin.dll"), "code of another version");
        put("App_Data/later.db");
        is_done(&deploy(&site, &version("3").model(model)));
        assert!(!is_there("old.css"), "it came with a version");
        assert!(is_there("App_Data/later.db"));
        is_done(&site.command("rollback", &[]));
        assert!(names.iter().all(|name| is_there(name)));
        assert!(is_there("App_Data/later.db") && is_there("old.css"));
        site.stop();
    }
}

/// A version with many files, each of which says which version it is of.
fn many_files(number: &str, model: Model) -> App {
    (0..200)
        .fold(version(number).model(model), |app, at| app.file(&format!("part{at}.txt"), number))
}

/// Which version the folder has, all of it.
fn whole(site: &Site) -> String {
    let config = site.app().read("web.config");
    let number = ["1", "2"].into_iter().find(|it| config.contains(&format!("value=\"{it}\"")));
    let number = number.unwrap();
    for at in 0..200 {
        assert_eq!(site.app().read(&format!("part{at}.txt")), number, "part {at}");
    }
    number.to_owned()
}

both_models! {
    /// Wherever it is killed, the folder has one version or the other; the next one tidies up.
    fn a_deployment_that_is_killed_midway_leaves_no_mixture(model: Model) {
        let versions = ["1", "2"].map(|number| many_files(number, model));
        let site = Site::start(many_files("1", model), model);
        let load = Load::start(site.address(), "/HelloWorld", 1, 1);
        let mut reached = [0, 0];
        for round in 0..16_u64 {
            let before = whole(&site);
            let new = &versions[usize::from(before == "1")];
            let mut deployment = Command::new(testkit::env::programs().join("ancm"))
                .arg("deploy")
                .args([new.dir(), site.app().dir()])
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(round * round / 2));
            deployment.kill().unwrap();
            deployment.wait().unwrap();
            let after = whole(&site);
            reached[usize::from(after != before)] += 1;
            // The site goes with the folder by itself.
            wait_for_version(&site, &after);
        }
        assert!(reached[0] > 0, "killed before the switch, and behind it: {reached:?}");
        let number = whole(&site);
        let (new, number) = if number == "1" { (&versions[1], "2") } else { (&versions[0], "1") };
        is_done(&deploy(&site, new));
        assert_eq!(whole(&site), number);
        load.stop().assert_lossless();
        let left = beside(site.app().dir());
        assert!(left.iter().all(|name| !name.contains("staging")), "{left:?}");
        assert!(left.len() <= 4, "{left:?}");
        site.stop();
    }
}

#[test]
fn without_a_supervisor_the_files_are_all_there_is_to_change() {
    let site = Site::start(version("1"), Model::InProcess);
    site.signal("TERM");
    eventually("the end", || (!site.supervisor().is_alive()).then_some(()));
    let ended = deploy(&site, &version("2"));
    is_done(&ended);
    assert!(ended.stdout.contains("so nobody has tried it"), "{}", ended.stdout);
    assert!(site.app().read("web.config").contains(r#"value="2""#));
    is_done(&site.command("rollback", &[]));
    assert!(site.app().read("web.config").contains(r#"value="1""#));
}
