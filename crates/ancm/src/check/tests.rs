use std::fs;
use std::path::Path;

use super::*;

fn check(dir: &Path, json: bool) -> (u8, String) {
    let mut out = Vec::new();
    let code = run(dir, json, &mut out);
    (code, String::from_utf8(out).unwrap())
}

/// A backend of any kind, so that no runtime has to be installed.
fn backend(web_config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("web.config"), web_config).unwrap();
    dir
}

const BACKEND: &str = r#"<configuration><system.webServer>
<handlers><add name="a" path="*" verb="*" modules="AspNetCoreModuleV2" /></handlers>
<aspNetCore processPath="/bin/sh" arguments="-c &quot;exit 0&quot;" hostingModel="outofprocess"
    startupTimeLimit="5">
<environmentVariables><environmentVariable name="TOKEN" value="hunter2" /></environmentVariables>
</aspNetCore></system.webServer></configuration>"#;

#[test]
fn a_sound_folder_is_summed_up_and_clean() {
    let dir = backend(BACKEND);
    let (code, text) = check(dir.path(), false);
    assert_eq!(code, CLEAN, "{text}");
    for part in [
        "outofprocess (web.config)",
        "/bin/sh -c 'exit 0'",
        "startupTimeLimit 5 s",
        "TOKEN",
        "ok: nothing prevents a start\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("hunter2"), "values are secrets: {text}");
}

#[test]
fn what_comes_before_clients_is_told() {
    let dir = backend(
        &BACKEND
            .replace(
                "<aspNetCore",
                r#"<applicationInitialization>
        <add initializationPage="/warm" /></applicationInitialization><aspNetCore"#,
            )
            .replace(
                "</aspNetCore>",
                r#"<handlerSettings><handlerSetting name="readinessPath" value="/healthz" />
        <handlerSetting name="enableShadowCopy" value="false" /></handlerSettings></aspNetCore>"#,
            ),
    );
    let (code, text) = check(dir.path(), false);
    assert_eq!(code, CLEAN, "{text}");
    for part in [
        "warm-up        /warm (host localhost)",
        "ready when     /healthz (host localhost) gives 200",
        "without a snapshot",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn json_holds_the_same_and_no_secrets() {
    let dir = backend(BACKEND);
    let (code, text) = check(dir.path(), true);
    assert_eq!(code, CLEAN);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["app"]["hosting_model"], "outofprocess");
    assert_eq!(json["app"]["startup_time_limit_seconds"], 5);
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_folder_that_cannot_start_says_why() {
    let dir = backend(&BACKEND.replace("startupTimeLimit=\"5\"", "startupTimeLimit=\"5000\""));
    let (code, text) = check(dir.path(), false);
    assert_eq!(code, PREVENTED);
    assert!(text.contains("web.config:4:23: error: startupTimeLimit=\"5000\""), "{text}");
    assert!(text.contains("cannot be started (1 error)"), "{text}");

    let (code, text) = check(Path::new("/no/such/folder"), true);
    assert_eq!(code, PREVENTED);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["findings"][0]["code"], "no-folder");
    assert_eq!(json["app"], serde_json::Value::Null);
}

#[test]
fn output_that_cannot_be_written_is_no_clean_bill() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert_eq!(run(backend(BACKEND).path(), false, &mut Closed), UNUSABLE);
}
