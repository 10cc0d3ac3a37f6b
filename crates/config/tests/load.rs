//! Folders as people deploy them, and what becomes of them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ancm_config::{App, Env, Finding, HostingModel, Loaded, Origin, Overrides, Severity, Source};

struct Folder {
    dir: tempfile::TempDir,
    env: Env,
    overrides: Overrides,
}

impl Folder {
    fn new(files: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self { dir, env: Env::default(), overrides: Overrides::default() }
    }

    fn with_web_config(files: &[&str], attributes: &str) -> Self {
        let folder = Self::new(files);
        fs::write(folder.path("web.config"), web_config(attributes)).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn load(&self) -> Loaded {
        App::load(self.dir.path(), self.overrides.clone(), &self.env)
    }

    fn app(&self) -> App {
        let loaded = self.load();
        assert_eq!(errors(&loaded), [""; 0]);
        loaded.app.unwrap()
    }
}

fn web_config(attributes: &str) -> String {
    format!(
        "<configuration><system.webServer><handlers><add name='a' path='*' verb='*' \
         modules='AspNetCoreModuleV2'/></handlers>\n<aspNetCore {attributes}/>\
         </system.webServer></configuration>"
    )
}

fn codes(loaded: &Loaded, severity: Severity) -> Vec<&'static str> {
    let of_severity = |finding: &&Finding| finding.severity == severity;
    loaded.findings.iter().filter(of_severity).map(|finding| finding.code).collect()
}

fn errors(loaded: &Loaded) -> Vec<&'static str> {
    codes(loaded, Severity::Error)
}

const IN_PROCESS: &str = r"processPath='dotnet' arguments='.\App.dll' hostingModel='inprocess'";

#[test]
fn a_published_application_is_understood() {
    let folder = Folder::with_web_config(&["App.dll"], IN_PROCESS);
    let app = folder.app();
    assert_eq!(app.name, "App");
    assert_eq!(app.dir, folder.dir.path().canonicalize().unwrap());
    assert_eq!(app.settings.process_path, "dotnet");
    assert_eq!(app.settings.arguments, ["./App.dll"]);
    assert_eq!(app.settings.hosting_model, HostingModel::InProcess);
    assert_eq!((app.source, app.hosting_model_origin), (Source::WebConfig, Origin::WebConfig));
    assert!(folder.load().findings.is_empty());
}

#[test]
fn an_absent_hosting_model_means_out_of_process_and_is_mentioned() {
    let mut folder = Folder::with_web_config(&["App", "App.dll"], r"processPath='.\App'");
    let app = folder.app();
    assert_eq!(app.settings.hosting_model, HostingModel::OutOfProcess);
    assert_eq!(app.hosting_model_origin, Origin::Default);
    assert!(!app.settings.hosting_model_written);
    assert_eq!(codes(&folder.load(), Severity::Note), ["hosting-model-absent"]);
    folder.overrides.hosting_model = Some(HostingModel::InProcess);
    let app = folder.app();
    assert_eq!(app.hosting_model_origin, Origin::CommandLine);
    assert_eq!(app.settings.hosting_model, HostingModel::InProcess);
}

#[test]
fn programs_of_windows_become_programs_here() {
    let out = |path: &str| format!("processPath='{path}' hostingModel='outofprocess'");
    for (file, written, expected) in [
        ("MyApp", r".\MyApp.exe", "./MyApp"),
        ("MyApp", r".\MyApp", "./MyApp"),
        ("MyApp", "MyApp", "MyApp"),
        ("bin/MyApp", r"bin\MyApp.EXE", "bin/MyApp"),
        ("tool.exe", r".\tool.exe", "./tool.exe"),
    ] {
        let app = Folder::with_web_config(&[file], &out(written)).app();
        assert_eq!(app.settings.process_path, expected, "{written}");
        assert!(app.settings.arguments.is_empty(), "{written}");
    }
}

#[test]
fn an_assembly_without_its_program_is_started_with_dotnet() {
    for model in ["inprocess", "outofprocess"] {
        let attributes = format!(r"processPath='.\MyApp.exe' arguments='x' hostingModel='{model}'");
        let mut folder =
            Folder::with_web_config(&["MyApp.exe", "MyApp.dll", "bin/dotnet"], &attributes);
        fs::write(folder.path("MyApp.exe"), "MZ\x00").unwrap();
        folder.env.set("PATH", folder.path("bin").display().to_string());
        let app = folder.app();
        assert_eq!(app.settings.process_path, "dotnet");
        assert_eq!(app.settings.arguments, ["./MyApp.dll", "x"]);
        assert_eq!(app.name, "MyApp");
    }
}

#[test]
fn paths_of_windows_are_refused_unless_their_meaning_is_clear() {
    let dotnet = r"processPath='C:\Program Files\dotnet\dotnet.exe' arguments='App.dll' hostingModel='inprocess'";
    let folder = Folder::with_web_config(&["App.dll"], dotnet);
    assert_eq!(folder.app().settings.process_path, "dotnet");
    assert_eq!(codes(&folder.load(), Severity::Warning), ["windows-path"]);
    let node = r"processPath='C:\node\node.exe' hostingModel='outofprocess'";
    assert_eq!(errors(&Folder::with_web_config(&[], node).load()), ["windows-path"]);
}

#[test]
fn what_is_missing_is_named_with_the_place_and_the_remedy() {
    let folder = Folder::with_web_config(&["app.DLL"], IN_PROCESS);
    let loaded = folder.load();
    assert_eq!(errors(&loaded), ["no-assembly"]);
    let finding = loaded.findings.last().unwrap();
    assert_eq!((finding.line, finding.column), (Some(2), Some(45)));
    assert_eq!(finding.suggestion.as_deref(), Some(r#"arguments=".\app.DLL""#));
    assert!(loaded.app.is_some(), "the start fails later, with a page of its own");

    let out = |path: &str| format!("processPath='{path}' hostingModel='outofprocess'");
    for (files, written, expected) in [
        (&[][..], r".\MyApp", "no-program"),
        (&["myapp"], r".\MyApp", "no-program"),
        (&[], "no-such-program", "no-program"),
        (&[], "dotnet", "no-arguments"),
    ] {
        let loaded = Folder::with_web_config(files, &out(written)).load();
        assert_eq!(errors(&loaded)[0], expected, "{written}");
    }
    let folder = Folder::with_web_config(&["MyApp"], &out(r".\MyApp"));
    fs::set_permissions(folder.path("MyApp"), PermissionsExt::from_mode(0o644)).unwrap();
    let loaded = folder.load();
    assert_eq!(errors(&loaded), ["program-not-executable"]);
    assert!(loaded.findings[0].suggestion.as_ref().unwrap().starts_with("chmod +x /"));
}

#[test]
fn web_config_is_found_in_any_casing() {
    let folder = Folder::new(&["App.dll"]);
    fs::write(folder.path("Web.Config"), web_config(IN_PROCESS)).unwrap();
    assert_eq!(folder.app().web_config_path.unwrap().file_name().unwrap(), "Web.Config");
    fs::write(folder.path("web.config"), web_config(IN_PROCESS)).unwrap();
    assert_eq!(folder.app().web_config_path.unwrap().file_name().unwrap(), "web.config");
    assert_eq!(codes(&folder.load(), Severity::Warning), ["several-web-configs"]);
}

#[test]
fn without_web_config_the_single_runtime_config_counts() {
    let app = Folder::new(&["My App.dll", "My App.runtimeconfig.json", "Other.dll"]).app();
    assert_eq!(app.source, Source::RuntimeConfig);
    assert_eq!((app.name.as_str(), app.settings.process_path.as_str()), ("My App", "dotnet"));
    assert_eq!(app.settings.arguments, ["My App.dll"]);
    assert_eq!(app.settings.hosting_model, HostingModel::InProcess);

    let own = Folder::new(&["App", "App.dll", "App.runtimeconfig.json", "libhostfxr.so"]).app();
    assert_eq!(own.settings.process_path, "./App");

    for files in [&[][..], &["A.runtimeconfig.json", "B.runtimeconfig.json"]] {
        let loaded = Folder::new(files).load();
        assert_eq!(errors(&loaded), ["no-application"]);
        assert!(loaded.app.is_none());
    }
}

#[test]
fn folders_that_are_none_are_refused() {
    let load = |path: &Path| App::load(path, Overrides::default(), &Env::default());
    assert_eq!(errors(&load(Path::new("/no/such/folder"))), ["no-folder"]);
    let folder = Folder::new(&["file"]);
    assert_eq!(errors(&load(&folder.path("file"))), ["not-a-folder"]);
    let odd = folder.dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&odd).unwrap();
    assert_eq!(errors(&load(&odd)), ["folder-name"]);
    fs::create_dir(folder.path("web.config")).unwrap();
    assert_eq!(errors(&folder.load()), ["unreadable-file"]);
}

#[test]
fn launcher_variables_replace_what_is_written() {
    let mut folder = Folder::with_web_config(
        &["App.dll", "Other.dll"],
        r"processPath='nope' hostingModel='inprocess'",
    );
    folder.env.set("ANCM_LAUNCHER_PATH", "%MINE%");
    folder.env.set("ANCM_LAUNCHER_ARGS", r#""Other.dll" --x"#);
    folder.env.set("MINE", "DOTNET.exe");
    let app = folder.app();
    assert_eq!(app.settings.process_path, "dotnet");
    assert_eq!(app.settings.arguments, ["Other.dll", "--x"]);
}

#[test]
fn the_environment_of_the_command_line_is_carried_along() {
    let mut folder = Folder::with_web_config(&["App.dll"], IN_PROCESS);
    folder.overrides.environment = Some("Staging".to_owned());
    assert_eq!(folder.app().settings.environment_override.as_deref(), Some("Staging"));
}

#[test]
fn an_unusable_web_config_gives_findings_and_no_application() {
    let loaded = Folder::with_web_config(&["App.dll"], "processPath='dotnet' x=''").load();
    assert!(loaded.app.is_none());
    assert_eq!(errors(&loaded), ["unknown-attribute"]);
}

#[test]
fn the_program_of_http_platform_cannot_be_hosted_in_process() {
    let dir = tempfile::tempdir().unwrap();
    let config = "<configuration><system.webServer><handlers><add name='a' path='*' verb='*' \
                  modules='httpPlatformHandler' /></handlers><httpPlatform processPath='sh' \
                  arguments='run.sh' /></system.webServer></configuration>";
    std::fs::write(dir.path().join("web.config"), config).unwrap();
    let env = Env::from_iter([("PATH", "/usr/bin:/bin")]);
    let load = |model| {
        let overrides = Overrides { hosting_model: model, ..Overrides::default() };
        App::load(dir.path(), overrides, &env)
    };
    let loaded = load(None);
    assert_eq!(loaded.findings, []);
    let settings = loaded.app.unwrap().settings;
    assert_eq!(settings.hosting_model, HostingModel::OutOfProcess);
    assert!(load(Some(HostingModel::OutOfProcess)).app.is_some());
    let refused = load(Some(HostingModel::InProcess));
    assert!(refused.app.is_none());
    assert_eq!(refused.findings[0].suggestion.as_deref(), Some("leave --hosting-model out"));
}
