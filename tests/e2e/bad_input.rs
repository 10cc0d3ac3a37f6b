//! What cannot be served is refused with one clear message and an exit code.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use testkit::{App, Start, both_models, env, site::Ended};

/// Exit codes that scripts may rely on.
const REFUSED: i32 = 1;
const USAGE: i32 = 2;
const ADDRESS: i32 = 3;

/// Refused soon, with a message that contains these words and nothing that looks like a crash.
fn assert_refused(start: Start, code: i32, words: &[&str]) -> Ended {
    let begun = Instant::now();
    let ended = start.run_to_end();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(ended.status.code(), Some(code), "{}\n{}", ended.status, ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    ended
}

#[test]
fn a_missing_folder_is_named() {
    assert_refused(
        Start::of_folder(Path::new("/not/there")),
        REFUSED,
        &["/not/there", "no such folder"],
    );
}

#[test]
fn a_file_is_not_a_folder() {
    let app = App::sample("hello");
    let file = app.path("Hello.dll");
    assert_refused(Start::of_folder(&file), REFUSED, &["Hello.dll", "not a folder"]);
}

#[test]
fn an_empty_folder_has_no_application() {
    assert_refused(Start::of(App::empty()), REFUSED, &["web.config", "runtimeconfig.json"]);
}

#[test]
fn without_web_config_the_single_runtimeconfig_is_served() {
    let site = Start::of(App::sample("hello").without("web.config")).run();
    assert_eq!(site.get("/plaintext").ok().text(), "Hello, World!");
    let server = site.get("/hosting").ok().json()["server"].to_string();
    assert!(server.contains("Ancm."), "{server}");
    site.stop();
}

#[test]
fn without_web_config_two_runtimeconfigs_are_one_too_many() {
    let app = App::sample("hello").without("web.config");
    let config = app.read("Hello.runtimeconfig.json");
    let app = app.file("Other.runtimeconfig.json", config);
    assert_refused(Start::of(app), REFUSED, &["Hello", "Other"]);
}

#[test]
fn broken_xml_is_refused_with_its_line() {
    let app = App::sample("hello").replace("</handlers>", "</handler>");
    assert_refused(Start::of(app), REFUSED, &["web.config", "7"]);
    let app = App::sample("hello").file("web.config", b"\xff\xfe\x00garbage");
    assert_refused(Start::of(app), REFUSED, &["web.config"]);
    let app = App::sample("hello").file("web.config", "");
    assert_refused(Start::of(app), REFUSED, &["web.config"]);
}

#[test]
fn cfg_01_an_unknown_hosting_model_is_refused_with_its_value() {
    let app = App::sample("hello").attribute("hostingModel", "bogus");
    assert_refused(Start::of(app), REFUSED, &["bogus", "hostingModel"]);
}

#[test]
fn cfg_02_authoring_errors_are_refused() {
    let app = App::sample("hello").attribute("processPath", "");
    assert_refused(Start::of(app), REFUSED, &["processPath"]);
    let app = App::sample("hello").attribute("hostingModel", "5");
    assert_refused(Start::of(app), REFUSED, &["hostingModel"]);
    let add = r#"<environmentVariables><add name="A" value="B" /></environmentVariables>"#;
    assert_refused(Start::of(App::sample("hello").element(add)), REFUSED, &["add"]);
}

#[test]
fn an_unknown_argument_is_a_usage_error() {
    let app = App::sample("hello");
    assert_refused(Start::of(app).argument("--nonsense"), USAGE, &["--nonsense"]);
    let app = App::sample("hello");
    assert_refused(Start::of(app).url("nonsense"), USAGE, &["nonsense"]);
    let app = App::sample("hello");
    let start = Start::of(app).argument("--hosting-model").argument("bogus");
    assert_refused(start, USAGE, &["bogus"]);
}

#[test]
fn a_port_in_use_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let start = Start::of(App::sample("hello")).url(&format!("http://127.0.0.1:{port}"));
    assert_refused(start, ADDRESS, &[&port, "another process"]);
}

#[test]
fn an_address_of_another_computer_is_named() {
    let start = Start::of(App::sample("hello")).url("http://192.0.2.1:5000");
    assert_refused(start, ADDRESS, &["192.0.2.1"]);
}

both_models! {
    fn a_missing_dotnet_is_named(model: Model) {
        let app = App::sample("hello").model(model);
        let empty = tempfile::tempdir().unwrap();
        let start = Start::of(app)
            .without_env("DOTNET_ROOT")
            .without_env("DOTNET_ROOT_X64")
            .env("HOME", empty.path())
            .env("PATH", empty.path());
        let site = start.spawn();
        // Refused at once, or answered for by a page.
        testkit::eventually("a refusal or a page", || {
            (!site.supervisor().is_alive() || !site.addresses().is_empty()).then_some(())
        });
        if !site.addresses().is_empty() {
            let page = site.get("/");
            assert!(matches!(page.status(), 500 | 502), "{}", page.text());
        }
        site.wait_for_log("dotnet");
        assert!(!site.log().contains("panicked"));
    }

    fn shim_15_a_missing_assembly_is_named(model: Model) {
        let app = App::sample("hello").arguments(r".\NotThere.dll").model(model);
        let site = Start::of(app).env("ASPNETCORE_DETAILEDERRORS", "1").spawn();
        testkit::eventually("a refusal or a page", || {
            (!site.supervisor().is_alive() || !site.addresses().is_empty()).then_some(())
        });
        if !site.addresses().is_empty() {
            let page = site.get("/");
            assert!(matches!(page.status(), 500 | 502), "{}", page.text());
            assert!(page.text().contains("NotThere.dll"), "{}", page.text());
        }
        site.wait_for_log("NotThere.dll");
    }

    fn shim_03_bad_process_paths_are_named(model: Model) {
        for path in ["./not-there", "/not/there/dotnet", "not-there-at-all"] {
            let app = App::sample("hello").attribute("processPath", path).model(model);
            let site = Start::of(app).spawn();
            testkit::eventually("a refusal or a page", || {
                (!site.supervisor().is_alive() || !site.addresses().is_empty()).then_some(())
            });
            if !site.addresses().is_empty() {
                let page = site.get("/");
                assert!(matches!(page.status(), 500 | 502), "{path}: {}", page.text());
            }
            site.wait_for_log("there");
        }
    }
}

#[test]
fn two_of_a_kind_on_one_port_are_refused() {
    let first = Start::of(App::sample("hello")).run();
    let port = first.address().port().to_string();
    let second = Start::of(App::sample("hello")).url(&format!("http://127.0.0.1:{port}"));
    assert_refused(second, ADDRESS, &[&port]);
    assert_eq!(first.get("/plaintext").status(), 200);
}

#[test]
fn an_installation_without_its_worker_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let program: PathBuf = temp.path().join("ancm");
    std::fs::copy(env::programs().join("ancm"), &program).unwrap();
    let output = std::process::Command::new(program)
        .args(["run", "/tmp", "--url", "http://127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("ancm-worker is missing"), "{stderr}");
}
