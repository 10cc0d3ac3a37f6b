//! What a generation executes is its own copy; what it reads and writes is the application's folder.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use testkit::{App, Load, Process, Site, Start, both_models, eventually};

/// Where the snapshots of an application are, unless it says otherwise.
fn ours(app: &Path) -> PathBuf {
    app.with_file_name(".app.ancm")
}

fn location(site: &Site) -> PathBuf {
    site.get("/AssemblyLocation").ok().text().into()
}

/// As `cp` and many deployers do: the file is what it was, its content is another.
fn overwrite(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let len = usize::try_from(file.metadata().unwrap().len()).unwrap();
    file.write_all_at(&vec![0xAA; len], 0).unwrap();
}

fn assemblies(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "dll")).collect()
}

fn wait_for_another(site: &Site, first: Process) {
    eventually("another process", || {
        (site.get("/ProcessId").ok().text() != first.0.to_string()).then_some(())
    });
    eventually("the end of the first", || (!first.is_alive()).then_some(()));
}

/// Everything beside the application's folder.
fn beside(app: &Path) -> Vec<String> {
    let entries = fs::read_dir(app.parent().unwrap()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

both_models! {
    fn code_that_is_overwritten_in_place_goes_on_as_it_was(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let first = site.application();
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        assemblies(site.app().dir()).iter().for_each(|path| overwrite(path));
        site.wait_for_log("did not start");
        // None of these was compiled before.
        for (target, expected) in [("/GZip", "True True"), ("/EnvironmentName", "Production")] {
            assert_eq!(site.get(target).ok().text(), expected, "{target}");
        }
        assert_eq!(site.application(), first);
        load.stop().assert_lossless();
        site.stop();
    }

    fn shc_01_files_can_be_deleted_while_the_application_runs(model: Model) {
        let site = Site::start(App::test("Site"), model);
        for entry in fs::read_dir(site.app().dir()).unwrap() {
            let path = entry.unwrap().path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.unwrap();
        }
        assert_eq!(site.get("/GZip").ok().text(), "True True");
        site.stop();
    }

    fn folders_are_those_of_the_application_and_code_is_not(model: Model) {
        let site = Site::start(App::test("Site").file("note.txt", "found"), model);
        let dir = site.app().dir().to_owned();
        for what in ["BaseDirectory", "ContentRootPath", "CurrentDirectory"] {
            let text = site.get(&format!("/{what}")).ok().text();
            assert_eq!(text.trim_end_matches('/'), dir.to_str().unwrap(), "{what}");
        }
        assert!(location(&site).starts_with(ours(&dir)), "{}", location(&site).display());
        assert_eq!(site.get("/LoadAll").ok().text(), "True True");
        assert_eq!(site.get("/BesideAssembly?name=note.txt").ok().text(), "found");
        let variable = site.get("/GetEnvironmentVariable?name=ANCM_BASE_DIRECTORY");
        assert_eq!(variable.ok().text(), "(null)");
        site.wait_for_log("generation 1 runs from a snapshot");
        site.stop();
    }

    fn shc_08_nothing_is_left_of_generations_that_have_ended(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let dir = site.app().dir().to_owned();
        let count = || fs::read_dir(ours(&dir).join("snapshots")).map_or(0, Iterator::count);
        for round in 0..4 {
            let first = site.application();
            match round % 2 {
                0 => site.signal("HUP"),
                _ => site.worker().signal("KILL"),
            }
            eventually("another process", || {
                let now = site.get("/ProcessId");
                (now.status() == 200 && now.text() != first.0.to_string()).then_some(())
            });
            eventually("one snapshot", || (count() == 1).then_some(()));
        }
        site.signal("TERM");
        eventually("the end", || (!site.supervisor().is_alive()).then_some(()));
        assert_eq!(beside(&dir), ["app"]);
    }

    fn shc_07_what_a_killed_host_left_goes_with_the_next_start(model: Model) {
        let app = App::test("Site").model(model);
        let dir = app.dir().to_owned();
        let killed = Start::of(app).run();
        let left = location(&killed);
        let (supervisor, tree) = (killed.supervisor(), killed.supervisor().tree());
        supervisor.signal("KILL");
        eventually("the end of all", || (!tree.iter().any(|it| it.is_alive())).then_some(()));
        let left = left.parent().unwrap();
        // A process has ended when its first thread has; its files may be open for a moment.
        eventually("an end of its lock", || fs::File::open(left).unwrap().try_lock().ok());

        let mut site = Start::of_folder(&dir).run();
        assert!(location(&site).exists());
        let snapshots = fs::read_dir(ours(&dir).join("snapshots")).unwrap();
        assert_eq!(snapshots.count(), 1, "the new one");
        site.signal("TERM");
        assert!(site.wait_for_end().success());
        assert_eq!(beside(&dir), ["app"]);
        drop(killed);
    }

    fn without_a_snapshot_code_is_that_of_the_folder(model: Model) {
        let site = Site::start(App::test("Site").handler_setting("enableShadowCopy", "false"), model);
        let dir = site.app().dir().to_owned();
        assert_eq!(location(&site), dir.join("Site.dll"));
        assert_eq!(beside(&dir), ["app"]);
        site.stop();
    }

    fn shc_02_shc_09_shc_10_a_folder_inside_the_application_is_not_copied_into_itself(model: Model) {
        let settings = r#"<handlerSettings>
            <handlerSetting name="enableShadowCopy" value="true" />
            <handlerSetting name="shadowCopyDirectory" value=".\bin\..\ShadowCopyDirectory" />
            <handlerSetting name="cleanShadowCopyDirectory" value="true" />
        </handlerSettings>"#;
        let app = App::test("Site").element(settings);
        fs::create_dir(app.path("bin")).unwrap();
        let site = Site::start(app, model);
        for _ in 0..2 {
            let location = location(&site);
            let folder = site.app().path("ShadowCopyDirectory");
            let location = location.canonicalize().unwrap();
            assert!(location.starts_with(&folder), "{}", location.display());
            assert!(!location.with_file_name("ShadowCopyDirectory").exists());
            let first = site.application();
            site.signal("HUP");
            wait_for_another(&site, first);
        }
        assert_eq!(beside(site.app().dir()), ["app"]);
        site.stop();
    }

    fn shc_03_shc_06_a_folder_outside_the_application_may_be_there_already(model: Model) {
        let settings = r#"<handlerSettings>
            <handlerSetting name="enableShadowCopy" value="true" />
            <handlerSetting name="shadowCopyDirectory" value="../shadow/copies" />
        </handlerSettings>"#;
        let app = App::test("Site").element(settings);
        let shadow = app.dir().with_file_name("shadow");
        fs::create_dir_all(shadow.join("copies/7")).unwrap();
        let site = Site::start(app, model);
        let first = site.application();
        assert!(location(&site).canonicalize().unwrap().starts_with(&shadow));
        let new = fs::read(site.app().path("Site.dll")).unwrap();
        site.app().write("Site.dll", new);
        wait_for_another(&site, first);
        assert!(shadow.join("copies/7").exists(), "it is somebody else's");
        site.stop();
    }

    fn shc_05_a_folder_that_was_deleted_while_offline_is_not_missed(model: Model) {
        let app = App::test("Site");
        fs::create_dir(app.path("plugins")).unwrap();
        let site = Site::start(app.file("plugins/A.dll", "an assembly"), model);
        site.app().write("app_offline.htm", "later");
        eventually("the file", || (site.get("/HelloWorld").status() == 503).then_some(()));
        fs::remove_dir_all(site.app().path("plugins")).unwrap();
        fs::remove_file(site.app().path("app_offline.htm")).unwrap();
        eventually("the application", || (site.get("/HelloWorld").status() == 200).then_some(()));
        site.stop();
    }

    fn an_application_without_a_place_for_its_snapshot_runs_from_its_folder(model: Model) {
        let settings = r#"<handlerSettings>
            <handlerSetting name="enableShadowCopy" value="true" />
            <handlerSetting name="shadowCopyDirectory" value="/proc/no/place" />
        </handlerSettings>"#;
        let site = Site::start(App::test("Site").element(settings), model);
        assert_eq!(location(&site), site.app().path("Site.dll"));
        site.wait_for_log("the application runs from its folder");
        site.stop();
    }
}
