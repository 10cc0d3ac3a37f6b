use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A made-up system: an application's folder, and installations wherever a test wants them.
struct System {
    dir: TempDir,
    variables: HashMap<String, String>,
}

impl System {
    fn new() -> Self {
        let system = Self { dir: tempfile::tempdir().unwrap(), variables: HashMap::new() };
        fs::create_dir(system.app()).unwrap();
        system
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    fn app(&self) -> PathBuf {
        self.root().join("app")
    }

    fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// A hosting library that this process could load: the test program is an ELF file too.
    fn library(&self, path: &str) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(std::env::current_exe().unwrap(), path).unwrap();
        self
    }

    fn dotnet(&self, root: &str, versions: &[&str]) -> &Self {
        self.file(&format!("{root}/dotnet"), "");
        for version in versions {
            self.library(&format!("{root}/host/fxr/{version}/libhostfxr.so"));
        }
        self
    }

    fn set(&mut self, name: &str, path: &str) {
        let value = self.root().join(path).display().to_string();
        self.variables.insert(name.to_owned(), value);
    }

    fn locate(&self, process_path: &str, arguments: &[&str]) -> Result<HostFxr, LocateError> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let request = Request {
            process_path,
            arguments: &arguments,
            dir: &self.app(),
            variable: &|name| self.variables.get(name).cloned(),
        };
        locate_below(&request, &self.root())
    }
}

#[test]
fn newest_hosting_library_wins_and_releases_beat_previews() {
    let system = System::new();
    system.file("app/App.dll", "");
    system.dotnet("usr/share/dotnet", &["8.0.19", "9.0.7", "9.0.10", "9.0.10-rc.1", "junk"]);
    let host = system.locate("dotnet", &["App.dll", "x"]).unwrap();
    assert_eq!(host.version.unwrap().to_string(), "9.0.10");
    assert_eq!(host.dotnet_root, Some(system.root().join("usr/share/dotnet")));
    assert_eq!(host.dotnet_exe, Some(system.root().join("usr/share/dotnet/dotnet")));
    assert_eq!(host.kind, Kind::FrameworkDependent);
    assert_eq!(host.app_dll, system.app().join("App.dll"));
    assert_eq!(host.argv, [system.app().join("App.dll").display().to_string(), "x".to_owned()]);
}

#[test]
fn shim_07_l22_32_places_are_searched_in_order() {
    let mut system = System::new();
    system.file("app/App.dll", "");
    // From the last place to the first: each new one must win over those before.
    let steps: &[(&str, Option<&str>)] = &[
        ("home/.dotnet", Some("HOME")),
        ("usr/lib64/dotnet", None),
        ("usr/lib/dotnet", None),
        ("usr/share/dotnet", None),
        ("opt/any", Some("etc/dotnet/install_location")),
        ("opt/x64", Some("etc/dotnet/install_location_x64")),
        ("bin", Some("PATH")),
        ("root", Some("DOTNET_ROOT")),
        ("root64", Some("DOTNET_ROOT_X64")),
    ];
    for (root, leads_there) in steps {
        system.dotnet(root, &["9.0.7"]);
        match leads_there {
            Some("HOME") => system.set("HOME", "home"),
            Some(file) if file.contains('/') => {
                let target = system.root().join(root).display().to_string();
                system.file(file, &format!("{target}\n"));
            }
            Some(variable) => system.set(variable, root),
            None => {}
        }
        let host = system.locate("dotnet", &["App.dll"]).unwrap();
        assert_eq!(host.dotnet_root, Some(system.root().join(root)), "{}", host.found_by);
    }
}

#[test]
fn links_on_the_path_are_followed() {
    let mut system = System::new();
    system.file("app/App.dll", "").dotnet("opt/dotnet", &["9.0.7"]);
    fs::create_dir_all(system.root().join("usr/bin")).unwrap();
    symlink(system.root().join("opt/dotnet/dotnet"), system.root().join("usr/bin/dotnet")).unwrap();
    system.set("PATH", "usr/bin");
    let host = system.locate("dotnet", &["App.dll"]).unwrap();
    assert_eq!(host.dotnet_root, Some(system.root().join("opt/dotnet")));
    // The same through an explicit path, with and without the ending of Windows.
    let explicit = system.root().join("usr/bin/dotnet").display().to_string();
    assert_eq!(system.locate(&explicit, &["App.dll"]).unwrap().library, host.library);
    assert_eq!(system.locate("dotnet.EXE", &["App.dll"]).unwrap().library, host.library);
}

#[test]
fn a_place_that_is_set_but_empty_does_not_end_the_search() {
    let mut system = System::new();
    system.file("app/App.dll", "").dotnet("usr/lib/dotnet", &["9.0.7"]);
    system.set("DOTNET_ROOT", "gone");
    assert!(system.locate("dotnet", &["App.dll"]).is_ok());
}

#[test]
fn every_place_searched_is_named_when_nothing_is_found() {
    let mut system = System::new();
    system.file("app/App.dll", "");
    system.set("DOTNET_ROOT", "gone");
    let error = system.locate("dotnet", &["App.dll"]).unwrap_err();
    assert_eq!(error.substatus().to_string(), "500.0");
    let text = error.to_string();
    for part in ["DOTNET_ROOT_X64: not set", "DOTNET_ROOT: no folder", "PATH", "usr/share/dotnet"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn every_place_that_is_searched_is_one_to_watch_whether_it_is_there_or_not() {
    let system = Path::new("/system");
    let variable = |name: &str| {
        let value = match name {
            "DOTNET_ROOT" => "/gone",
            "PATH" => "relative:/usr/bin",
            "HOME" => "/home/me",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let places = root::places(&variable, system);
    let of_system = ["usr/share/dotnet", "usr/lib/dotnet", "etc/dotnet/install_location"];
    let others = ["/gone", "/usr/bin/dotnet", "/home/me/.dotnet"].map(PathBuf::from);
    for place in of_system.map(|place| system.join(place)).iter().chain(&others) {
        assert!(places.contains(place), "{}: {places:?}", place.display());
    }
    let request = |process_path| Request {
        process_path,
        arguments: &[],
        dir: Path::new("/app"),
        variable: &variable,
    };
    assert_eq!(super::places(&request("/opt/net/dotnet")), [Path::new("/opt/net/dotnet")]);
    assert!(super::places(&request("./App")).contains(&others[0]));
}

#[test]
fn nat_29_programs_use_their_own_runtime_or_an_installed_one() {
    let system = System::new();
    system.file("app/My.App", "").file("app/My.App.dll", "");
    system.dotnet("usr/share/dotnet", &["9.0.7"]);
    let dll = system.app().join("My.App.dll");
    let host = system.locate("./My.App", &["a", "b c"]).unwrap();
    assert_eq!((host.kind, host.host_path), (Kind::FrameworkDependent, None));
    assert_eq!(host.argv, [dll.to_str().unwrap(), "a", "b c"]);

    system.library("app/libhostfxr.so");
    let host = system.locate("My.App.exe", &[]).unwrap();
    assert_eq!(host.kind, Kind::SelfContained);
    assert_eq!(host.host_path, Some(system.app().join("My.App")));
    assert_eq!((host.dotnet_root, host.app_dll), (None, dll));
}

#[test]
fn l22_34_options_of_the_host_stay_in_front_of_the_application() {
    let system = System::new();
    system.file("app/App.dll", "").dotnet("usr/share/dotnet", &["9.0.7"]);
    let dll = system.app().join("App.dll").display().to_string();
    let host = system
        .locate("dotnet", &["exec", "--roll-forward", "Major", "App.dll", "App.dll"])
        .unwrap();
    assert_eq!(host.argv, ["exec", "--roll-forward", "Major", &dll, "App.dll"]);
    assert_eq!(host.app_dll, system.app().join("App.dll"));
}

#[test]
fn l22_33_each_mistake_has_its_number() {
    let self_contained = r#"{"runtimeOptions":{"includedFrameworks":
        [{"name":"Microsoft.NETCore.App","version":"9.0.7"}]}}"#;
    let system = System::new();
    system.dotnet("usr/share/dotnet", &["9.0.7"]).dotnet("bare", &[]);
    system.file("foreign/host/fxr/9.0.7/libhostfxr.so", "MZ").file("foreign/dotnet", "");
    system.file("app/App.dll", "").file("app/Single", "");
    system.file("app/Win.dll", "").file("app/Win.runtimeconfig.json", self_contained);
    for (process_path, arguments, code, number) in [
        ("dotnet", &[][..], "no-arguments", "500.0"),
        ("../nowhere/dotnet", &["App.dll"], "no-dotnet-at-path", "500.0"),
        ("../bare/dotnet", &["App.dll"], "no-hostfxr", "500.0"),
        ("../foreign/dotnet", &["App.dll"], "foreign-hostfxr", "500.32"),
        ("dotnet", &["Missing.dll"], "no-assembly", "500.31"),
        ("dotnet", &["run"], "not-an-application", "500.31"),
        ("dotnet", &["exec"], "not-an-application", "500.31"),
        ("dotnet", &["é"], "not-an-application", "500.31"),
        ("node", &["app.js"], "no-program", "500.0"),
        ("./Single", &[], "no-assembly-beside-program", "500.38"),
        ("dotnet", &["Win.dll"], "other-system", "500.32"),
        ("Win", &[], "other-system", "500.32"),
    ] {
        let error = system.locate(process_path, arguments).unwrap_err();
        assert_eq!((error.code(), error.substatus().to_string().as_str()), (code, number));
        assert!(!error.advice().is_empty());
    }
}

#[test]
fn installed_frameworks_are_listed() {
    let system = System::new();
    for folder in ["Microsoft.NETCore.App/9.0.10", "Microsoft.NETCore.App/9.0.7", "Empty/x"] {
        fs::create_dir_all(system.root().join("shared").join(folder)).unwrap();
    }
    let installed = installed(&system.root());
    assert_eq!(installed.len(), 1);
    assert_eq!(installed[0].versions.last().unwrap().to_string(), "9.0.10");
}
