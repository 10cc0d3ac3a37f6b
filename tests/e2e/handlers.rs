//! Where the in-process handler comes from, and what else the runtime is started with.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Command,
    thread,
};

use tempfile::TempDir;
use testkit::{App, Model, Site, Start, env};

pub(crate) const HANDLER: &str = "libancm_inprocess.so";

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The folder of the handler that is installed beside the worker.
pub(crate) fn installed_handler() -> std::path::PathBuf {
    let versions = fs::read_dir(env::programs().join("inprocess")).unwrap();
    let folder =
        versions.map(|entry| entry.unwrap().path()).find(|path| path.join(HANDLER).is_file());
    folder.unwrap()
}

/// An installation with these versions of the handler.
pub(crate) fn installation(versions: &[&str]) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for program in ["ancm", "ancm-worker"] {
        fs::copy(env::programs().join(program), temp.path().join(program)).unwrap();
    }
    for version in versions {
        copy_folder(&installed_handler(), &temp.path().join("inprocess").join(version));
    }
    temp
}

/// Whether the worker has loaded the handler of this version.
fn has_loaded(site: &Site, installation: &TempDir, version: &str) -> bool {
    let file = installation.path().join("inprocess").join(version).join(HANDLER);
    site.worker().has_mapped(file.to_str().unwrap())
}

#[test]
fn shim_25_the_environment_names_the_handler_in_process() {
    let temp = tempfile::tempdir().unwrap();
    copy_folder(&installed_handler(), temp.path());
    let handler = temp.path().join(HANDLER);
    let site =
        Start::of(App::sample("hello")).env("ASPNETCORE_MODULE_INPROCESS_HANDLER", &handler).run();
    assert_eq!(site.get("/plaintext").status(), 200);
    assert!(site.worker().has_mapped(handler.to_str().unwrap()));
    site.stop();
}

/// What a publish makes of a reference to the package: with a runtime identifier all of it lies beside
/// the application, without one the library below.
#[test]
fn an_application_that_refers_to_the_package_is_served_by_its_own_handler_in_process() {
    for folder in ["", "runtimes/linux-x64/native"] {
        let mut app = App::sample("hello");
        fs::create_dir_all(app.path(folder)).unwrap();
        for entry in fs::read_dir(installed_handler()).unwrap() {
            let (file, name) = entry.map(|it| (it.path(), it.file_name())).unwrap();
            let name = name.to_str().unwrap();
            let place = if name == HANDLER { Path::new(folder).join(name) } else { name.into() };
            app = app.file(place.to_str().unwrap(), fs::read(file).unwrap());
        }
        let site = Site::start(app, Model::InProcess);
        assert_eq!(site.get("/plaintext").status(), 200);
        let installed = installed_handler().join(HANDLER);
        assert!(!site.worker().has_mapped(installed.to_str().unwrap()), "{folder}");
        let of_app = Path::new("/").join(folder).join(HANDLER);
        assert!(site.worker().has_mapped(of_app.to_str().unwrap()), "{folder}");
        for assembly in ["Ancm.Bootstrap.dll", "Ancm.Server.dll"] {
            let installed = installed_handler().join(assembly);
            assert!(!site.worker().has_mapped(installed.to_str().unwrap()), "{folder}");
        }
        site.stop();
    }
}

#[test]
fn shim_28_the_highest_version_is_loaded_in_process() {
    let installation = installation(&["0.9.0", "0.10.0-preview.1", "0.10.0"]);
    let site = Start::of_installation(installation.path(), App::sample("hello")).run();
    assert_eq!(site.get("/plaintext").status(), 200);
    assert!(has_loaded(&site, &installation, "0.10.0"));
    site.stop();
}

#[test]
fn shim_24_shim_27_the_version_that_web_config_names_is_loaded_in_process() {
    let installation = installation(&["0.9.0", "0.10.0", "99.0.0-renamed"]);
    for version in ["0.9.0", "99.0.0-renamed"] {
        let app = App::sample("hello").handler_setting("handlerVersion", version);
        let site = Start::of_installation(installation.path(), app).run();
        assert_eq!(site.get("/plaintext").status(), 200);
        assert!(has_loaded(&site, &installation, version));
        site.stop();
    }
}

#[test]
fn shim_26_diag_03_a_version_that_is_not_installed_names_those_that_are_in_process() {
    let installation = installation(&["0.9.0", "0.10.0"]);
    for version in ["0.9", "1.0.0", "../inprocess/0.9.0", "newest"] {
        let app = App::sample("hello").handler_setting("handlerVersion", version);
        let start = Start::of_installation(installation.path(), app);
        let site = start.env("ASPNETCORE_DETAILEDERRORS", "1").run();
        let page = site.get("/plaintext");
        assert_eq!(page.status(), 500);
        for part in ["HTTP Error 500.0", version, "0.9.0\n0.10.0"] {
            assert!(page.text().contains(part), "{part}: {}", page.text());
        }
        site.stop();
    }
}

#[test]
fn shim_29_a_higher_version_is_used_after_a_restart_in_process() {
    let installation = installation(&["1.0.0"]);
    let site = Start::of_installation(installation.path(), App::sample("hello")).run();
    assert!(has_loaded(&site, &installation, "1.0.0"));
    copy_folder(&installed_handler(), &installation.path().join("inprocess/1.0.1"));
    site.signal("HUP");
    testkit::eventually("the new handler", || {
        let workers = site.supervisor().children();
        let file = installation.path().join("inprocess/1.0.1").join(HANDLER);
        workers.iter().any(|worker| worker.has_mapped(file.to_str().unwrap())).then_some(())
    });
    assert_eq!(site.get("/plaintext").status(), 200);
    site.stop();
}

#[test]
fn shim_17_shim_30_without_a_handler_there_is_a_page_in_process() {
    let installation = installation(&[]);
    let site = Start::of_installation(installation.path(), App::sample("hello")).run();
    let page = site.get("/plaintext");
    assert_eq!(page.status(), 500);
    assert!(page.text().contains("HTTP Error 500.33"), "{}", page.text());
    site.stop();
}

#[test]
fn inp_12_a_startup_hook_of_the_user_runs_beside_ours_in_process() {
    let app = App::test("Site");
    let hook = app.path("Site.dll").display().to_string();
    let site = Site::start(app.variables(&[("DOTNET_STARTUP_HOOKS", &hook)]), Model::InProcess);
    assert_eq!(site.get("/StartupHookRan").ok().text(), "True");
    let server = site.get("/Server").ok().text();
    assert!(server.starts_with("Ancm."), "{server}");
}

#[test]
fn inp_13_a_startup_hook_of_the_user_runs_when_ours_is_off_in_process() {
    let app = App::test("Site").handler_setting("callStartupHook", "false");
    let hook = app.path("Site.dll").display().to_string();
    let site = Site::start(app.variables(&[("DOTNET_STARTUP_HOOKS", &hook)]), Model::InProcess);
    assert_eq!(site.get("/StartupHookRan").ok().text(), "True");
}

#[test]
fn inp_10_without_our_startup_hook_the_page_hides_the_exception_in_process() {
    let app = App::misbehaving("Throw").handler_setting("callStartupHook", "false");
    let site = Start::of(app.model(Model::InProcess)).env("ASPNETCORE_DETAILEDERRORS", "1").run();
    let page = site.get("/");
    assert!(page.text().contains("HTTP Error 500.30"), "{}", page.text());
    assert!(!page.text().contains("InvalidOperationException"), "{}", page.text());
    site.stop();
}

#[test]
fn inp_14_the_stack_is_large_enough_in_process() {
    let site = Site::start(App::misbehaving("Recurse 10000"), Model::InProcess);
    assert_eq!(site.get("/").status(), 200);
    site.wait_for_log("recursed 10000 deep");
    recurse_in_handlers(&site, 10_000);
}

#[test]
fn inp_15_the_stack_can_be_larger_in_process() {
    // 32 MiB, in hexadecimal as in the module.
    let app = App::misbehaving("Recurse 100000").handler_setting("stackSize", "2000000");
    let site = Site::start(app, Model::InProcess);
    assert_eq!(site.get("/").status(), 200);
    site.wait_for_log("recursed 100000 deep");
    recurse_in_handlers(&site, 100_000);
}

/// On the first threads of lanes, and on those that take a lane over whose handler blocks.
fn recurse_in_handlers(site: &Site, depth: usize) {
    let recurse = |pause: u32| {
        let text = site.get(&format!("/recurse?depth={depth}&after={pause}")).ok().text();
        let thread = text.strip_prefix(&format!("recursed {depth} deep on ")).map(str::to_owned);
        thread.unwrap_or_else(|| panic!("{text}"))
    };
    recurse(0);
    let threads: BTreeSet<_> = thread::scope(|scope| {
        let blocked: Vec<_> = (0..6).map(|_| scope.spawn(|| recurse(500))).collect();
        blocked.into_iter().map(|handler| handler.join().unwrap()).collect()
    });
    assert!(threads.len() > 2, "no lane was taken over: {threads:?}");
}

/// Puts runtime, frameworks and hosting library beside the application.
fn bring_runtime(folder: &Path, name: &str) {
    let version = env::framework_version();
    let frameworks = r#"{"runtimeOptions":{"includedFrameworks":[
        {"name":"Microsoft.NETCore.App","version":"VERSION"},
        {"name":"Microsoft.AspNetCore.App","version":"VERSION"}]}}"#;
    let config = folder.join(format!("{name}.runtimeconfig.json"));
    fs::write(config, frameworks.replace("VERSION", &version)).unwrap();
    // The SDK's list of files, if an SDK built this, knows nothing of what is added here.
    let _ = fs::remove_file(folder.join(format!("{name}.deps.json")));
    let root = env::dotnet_root();
    for part in ["shared/Microsoft.NETCore.App", "shared/Microsoft.AspNetCore.App", "host/fxr"] {
        for entry in fs::read_dir(root.join(part).join(&version)).unwrap() {
            let from = entry.unwrap().path();
            let file = from.file_name().unwrap().to_str().unwrap();
            // A list of dependencies would have to name the files of all three folders.
            if !file.ends_with(".json") {
                fs::copy(&from, folder.join(file)).unwrap();
            }
        }
    }
}

/// There is no installation.
#[test]
fn shim_01_a_self_contained_application_needs_no_installation_in_process() {
    let app = App::sample("hello").attribute("processPath", r".\Hello.exe").arguments("");
    bring_runtime(app.dir(), "Hello");
    let start = Start::of(app.model(Model::InProcess)).without_env("DOTNET_ROOT");
    let site = start.env("PATH", "/nonexistent").run();
    let hosting = site.get("/hosting").ok().json();
    assert_eq!(hosting["server"], "Ancm.Server.HostServer");
    let maps = fs::read_to_string(format!("/proc/{}/maps", site.worker().0)).unwrap();
    let runtime = maps.lines().find(|line| line.ends_with("/libcoreclr.so")).unwrap();
    assert!(runtime.contains("/.app.ancm/snapshots/"), "{runtime}");
    site.stop();
}

#[test]
fn shim_19_a_self_contained_application_in_a_folder_below_gets_its_arguments_in_process() {
    let app = App::test("Site").below("bin folder");
    bring_runtime(&app.path("bin folder"), "Site");
    let app = app.arguments(r#"one "two words" a="b c""#).model(Model::InProcess);
    let absolute = app.path("bin folder/Site");
    let mut app = app;
    for path in [r".\bin folder\Site", absolute.to_str().unwrap()] {
        app = app.attribute("processPath", path);
        let start = Start::of_folder(app.dir()).without_env("DOTNET_ROOT");
        let site = start.env("PATH", "/nonexistent").run();
        assert_eq!(site.get("/CommandLineArgs").ok().text(), "one|two words|a=b c", "{path}");
        site.stop();
    }
}

/// What the start needs may still be changed: nothing has been loaded.
#[test]
fn shim_20_a_start_waits_at_the_gate_that_the_environment_names() {
    const SETTINGS: &str = "appsettings.json";
    for model in [Model::InProcess, Model::OutOfProcess] {
        let app = App::sample("hello").model(model);
        let (gate, sign) = (app.path("gate"), app.path("gate_suspended"));
        let made = Command::new("mkfifo").args([&gate, &sign]).status().unwrap();
        assert!(made.success());
        let start = Start::of(app.file(SETTINGS, "not JSON"));
        let site = start.env("ASPNETCORE_STARTUP_SUSPEND_EVENT", &gate).spawn();
        // Opening either end of a FIFO waits for the other one.
        let mut waiting = String::new();
        BufReader::new(fs::File::open(&sign).unwrap()).read_line(&mut waiting).unwrap();
        assert_eq!(waiting.trim(), site.worker().0.to_string());
        site.app().write(SETTINGS, "{}");
        drop(fs::OpenOptions::new().write(true).open(&gate).unwrap());
        site.wait_until_listening();
        assert_eq!(site.get("/").status(), 200);
        site.stop();
    }
}
