//! A user who has no inotify instance left, as on a machine where others watch much: everything is found
//! by comparison, as on file systems that have no events.

use std::fs;

use testkit::{App, Load, Process, Site, Start, both_models, eventually};

use crate::changes::{rewrite, wait_for_another};

/// Whether a process is told by the kernel of what happens in folders.
fn has_events(process: Process) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", process.0)).unwrap().flatten();
    let mut targets = descriptors.filter_map(|it| fs::read_link(it.path()).ok());
    targets.any(|target| target.ends_with("anon_inode:inotify"))
}

fn wait_for_status(site: &Site, status: u16) {
    eventually(&format!("status {status}"), || {
        (site.get("/HelloWorld").status() == status).then_some(())
    });
}

both_models! {
    fn without_events_the_folder_is_compared_often(model: Model) {
        let app = App::test("Site").model(model);
        fs::create_dir(app.path("plugins")).unwrap();
        let app = app.file("plugins/one.dll", "1");
        // .NET, which would fail for want of the same, is told to do without.
        let start = Start::without_inotify(app).env("DOTNET_USE_POLLING_FILE_WATCHER", "1");
        let site = start.run();
        assert!(!has_events(site.supervisor()));

        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        let mut before = site.application();
        for (file, reason) in [
            ("web.config", "web.config has changed"),
            ("Site.dll", "files of the application have changed"),
            ("plugins/one.dll", "files of the application have changed"),
        ] {
            let reason = format!("a new generation is started ({reason})");
            let count = || site.log().matches(&reason).count();
            let told = count();
            rewrite(&site.app().path(file));
            wait_for_another(&site, before);
            assert_eq!(count(), told + 1, "{file}: {}", site.log());
            before = site.application();
        }
        load.stop().assert_lossless();

        for name in ["app_offline.htm", "App_Offline.HTM"] {
            site.app().write(name, "back soon");
            wait_for_status(&site, 503);
            fs::rename(site.app().path(name), site.app().path("aside")).unwrap();
            wait_for_status(&site, 200);
        }
        site.stop();
    }
}

#[test]
fn with_events_the_kernel_is_asked() {
    let site = Start::of(App::sample("hello")).run();
    assert!(has_events(site.supervisor()));
    site.stop();
}
