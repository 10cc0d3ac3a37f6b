//! The contract between worker and handler speaks C, is laid out alike on all sides, and holds
//! between versions: `tests/abi` has a handler and a worker in C and the header of version 1.0.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use abi::describe::{STRUCTS, StructInfo};
use tempfile::TempDir;
use testkit::{App, Model, Request, Site, Start, env};

use crate::handlers::{HANDLER, installed_handler};

/// Runs the C compiler of this machine.
pub(crate) fn compile(source: &Path, into: &Path, arguments: &[&str]) {
    let built = Command::new("cc")
        .args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([into, source])
        .args(arguments)
        .output()
        .expect("there is a C compiler");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// The header of a version, in a folder of its own under its usual name.
fn header(version: Version) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(version.header(), folder.path().join("ancm_handler.h")).unwrap();
    folder
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// 1.0, as released; a fixture.
    First,
    /// What this worker speaks.
    Current,
}

impl Version {
    fn header(self) -> PathBuf {
        match self {
            Self::First => sources().join("ancm_handler_1_0.h"),
            Self::Current => env::include().join("ancm_handler.h"),
        }
    }
}

fn sources() -> PathBuf {
    env::include().join("../tests/abi")
}

/// The handler in C, loaded by the real worker in place of the runtime's.
fn site_of(version: Version, arguments: &[&str]) -> (Site, TempDir) {
    let folder = header(version);
    let library = folder.path().join("libhandler.so");
    let include = format!("-I{}", folder.path().display());
    let arguments = [&["-shared", "-fPIC", &include], arguments].concat();
    compile(&sources().join("handler.c"), &library, &arguments);
    let start = Start::of(App::sample("hello").model(Model::InProcess))
        .env("ASPNETCORE_MODULE_INPROCESS_HANDLER", &library)
        .env("ASPNETCORE_DETAILEDERRORS", "true");
    (start.run(), folder)
}

fn serves(site: &Site) {
    let told = site.get("/").ok();
    assert_eq!(told.header("X-Language"), Some("C"));
    let text = told.text();
    assert!(text.contains(&format!("contract={}.{}\n", abi::MAJOR, abi::MINOR)), "{text}");
    let dir = site.app().dir().display();
    assert!(text.contains(&format!("app.dir={dir}\nabsent=yes\n")), "{text}");

    let mut connection = site.connect();
    let echo = connection.request(&Request::get("/echo?a=b").header("X-One", "1"));
    assert_eq!(echo.status(), 203);
    let text = echo.text();
    assert!(text.starts_with("method=GET\npath=/echo\nquery=?a=b\n"), "{text}");
    assert!(text.contains("X-One=1\n"), "{text}");
    // The same connection goes on.
    assert_eq!(connection.get("/large").ok().text(), "0123456789abcdef".repeat(1 << 16));
    let small = connection.request(&Request::post("/upload", "ping"));
    assert_eq!(small.ok().text(), "ping");
    let large = "0123456789".repeat(1 << 17);
    let upload = connection.request(&Request::post_chunked("/upload", large.as_bytes(), 5000));
    assert!(upload.ok().text() == large, "an upload comes back as it was");
    connection.send(Request::get("/abort").to_bytes());
    assert!(!connection.answers());
}

#[test]
fn a_handler_in_c_serves_requests_in_process() {
    let (site, _folder) = site_of(Version::Current, &[]);
    serves(&site);
    site.stop();
}

#[test]
fn shim_31_l22_01_a_handler_of_version_1_0_serves_requests_in_process() {
    let (site, _folder) = site_of(Version::First, &[]);
    serves(&site);
    site.stop();
}

/// A handler that knows more than this worker keeps to what both know.
#[test]
fn a_newer_handler_of_the_same_major_version_serves_requests_in_process() {
    let (site, _folder) = site_of(Version::Current, &["-DMINOR=99"]);
    serves(&site);
    site.stop();
}

#[test]
fn a_handler_of_another_major_version_is_refused_with_both_versions_in_process() {
    for major in ["0", "2"] {
        let (site, _folder) =
            site_of(Version::Current, &[&format!("-DMAJOR={major}"), "-DMINOR=7"]);
        let page = site.get("/");
        assert_eq!(page.status(), 500);
        let text = page.text();
        assert!(text.contains("HTTP Error 500.33"), "{text}");
        let words = format!(
            "the handler speaks version {major}.7 of the contract, this worker {}.{}",
            abi::MAJOR,
            abi::MINOR
        );
        assert!(text.contains(&words), "{text}");
        site.wait_for_log(&words);
        site.stop();
    }
}

/// The worker in C of version 1.0, with the handler of today.
fn run_first_host(arguments: &[&str]) -> (String, String, Option<i32>) {
    let folder = header(Version::First);
    let program = folder.path().join("host");
    let include = format!("-I{}", folder.path().display());
    compile(
        &sources().join("host.c"),
        &program,
        &[&[&*include, "-ldl", "-pthread"], arguments].concat(),
    );
    let app = App::sample("hello");
    let fxr = crate::faults::host_library();
    let property = |name: &str, value: &Path| format!("{name}={}", value.display());
    let output = Command::new(&program)
        .arg(installed_handler().join(HANDLER))
        .arg(property("app.dll", &app.path("Hello.dll")))
        .arg(property("hostfxr.library", &fxr))
        .arg("hostfxr.kind=framework-dependent")
        .arg(property("dotnet.root", &env::dotnet_root()))
        .arg("addresses=http://127.0.0.1:7100")
        .current_dir(app.dir())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn shim_32_l22_02_a_worker_of_version_1_0_hosts_an_application_with_the_handler_of_today() {
    let (stdout, stderr, code) = run_first_host(&[]);
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    let version = format!("host 1.0, handler {}.{}, answer 0\n", abi::MAJOR, abi::MINOR);
    assert!(stdout.starts_with(&version), "{stdout}");
    assert!(stdout.contains("GET /plaintext: 200 Hello, World!\n"), "{stdout}");
    assert!(stdout.contains("POST /echo: 200 ping\n"), "{stdout}");
}

#[test]
fn a_worker_of_another_major_version_is_refused_by_the_handler_which_names_its_own() {
    let (stdout, stderr, code) = run_first_host(&["-DHOST_MAJOR=2"]);
    assert_eq!(code, Some(4), "{stdout}\n{stderr}");
    let version = format!("host 2.0, handler {}.{}, answer 1\n", abi::MAJOR, abi::MINOR);
    assert_eq!(stdout, version);
}

/// Size of each struct and offset of each of its fields, a line each.
fn layout(structs: &[&StructInfo], has: impl Fn(&StructInfo, &str) -> bool) -> String {
    let mut text = String::new();
    for info in structs {
        let _ = writeln!(text, "{} {}", info.name, info.size);
        for field in info.fields.iter().filter(|field| has(info, field.name)) {
            let _ = writeln!(text, "{}.{} {}", info.name, field.name, field.offset);
        }
    }
    text
}

/// What the C compiler makes of the header.
fn layout_in_c(version: Version, has: impl Fn(&StructInfo, &str) -> bool) -> String {
    let folder = header(version);
    let mut code =
        String::from("#include <ancm_handler.h>\n#include <stdio.h>\nint main(void) {\n");
    for info in STRUCTS {
        let (name, c_name) = (info.name, c_name(info.name));
        let _ = writeln!(code, "printf(\"{name} %zu\\n\", sizeof({c_name}));");
        for field in info.fields.iter().map(|field| field.name).filter(|field| has(info, field)) {
            let _ =
                writeln!(code, "printf(\"{name}.{field} %zu\\n\", offsetof({c_name}, {field}));");
        }
    }
    code.push_str("return 0; }\n");
    let source = folder.path().join("layout.c");
    fs::write(&source, code).unwrap();
    let program = folder.path().join("layout");
    compile(&source, &program, &[&format!("-I{}", folder.path().display())]);
    String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap()
}

fn c_name(name: &str) -> String {
    format!("ancm_{}", name.to_lowercase())
}

#[test]
fn c_and_rust_lay_the_contract_out_alike() {
    let all: Vec<_> = STRUCTS.iter().collect();
    assert_eq!(layout_in_c(Version::Current, |_, _| true), layout(&all, |_, _| true));
}

/// What version 1.0 had is where it was.
#[test]
fn nothing_has_moved_since_version_1_0() {
    let header = fs::read_to_string(Version::First.header()).unwrap();
    let has = |info: &StructInfo, field: &str| {
        let start = header.find(&format!("struct {} {{", c_name(info.name))).unwrap();
        let body = &header[start..start + header[start..].find("};").unwrap()];
        [format!(" {field};"), format!("(*{field})("), format!(" {field}[")]
            .iter()
            .any(|text| body.contains(text))
    };
    let then = layout_in_c(Version::First, has);
    let now = layout(&STRUCTS.iter().collect::<Vec<_>>(), has);
    // Sizes may have grown.
    let fields = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains('.')).map(str::to_owned).collect()
    };
    assert_eq!(fields(&then), fields(&now));
    assert!(fields(&then).len() > 50, "{then}");
    assert!(then.contains(&format!("Host {}\n", abi::Host::SIZE_1_0)), "{then}");
    assert!(then.contains(&format!("Handler {}\n", abi::Handler::SIZE_1_0)), "{then}");
}

/// Measured by the managed side, in the process that uses it.
#[test]
fn csharp_and_rust_lay_the_contract_out_alike_in_process() {
    let site = Site::start(App::test("Site"), Model::InProcess);
    let measured = site.get("/AbiLayout").ok().text();
    let all: Vec<_> = STRUCTS.iter().collect();
    let expected = layout(&all, |_, _| true);
    // Names as C# writes them, in its order.
    let in_csharp = |line: &str| match line.split_once('.') {
        Some((info, field)) => format!("{info}.{}", pascal(field)),
        None => line.to_owned(),
    };
    let mut expected: Vec<String> = expected.lines().map(in_csharp).collect();
    expected.sort();
    assert_eq!(measured.lines().collect::<Vec<_>>(), expected);
    site.stop();
}

fn pascal(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(word).collect()
}
