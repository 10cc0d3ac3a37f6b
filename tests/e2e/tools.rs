//! Tools of .NET at the process that an application is in: traces, dumps, profilers. What is
//! hosted is under load meanwhile, and loses nothing.

mod diagnostics;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testkit::{App, Load, Model, Process, Request, Site, Start, both_models, env, eventually};

use crate::abi_skew::compile;
use diagnostics::Diagnostics;

/// The server whose events are of single requests.
const fn server_events(model: Model) -> &'static str {
    match model {
        Model::InProcess => "Ancm-Server",
        Model::OutOfProcess => "Microsoft-AspNetCore-Server-Kestrel",
    }
}

/// A site whose runtimes can be reached, in a folder of their own.
fn reachable(app: App, model: Model) -> (Site, TempDir) {
    let temporary = tempfile::tempdir().unwrap();
    let site = Start::of(app.model(model)).env("TMPDIR", temporary.path()).run();
    (site, temporary)
}

fn is_dump(path: &Path) -> bool {
    // The first bytes of a core are those of every ELF file.
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF") && bytes.len() > 1 << 20)
}

fn has_createdump() -> bool {
    let frameworks = env::dotnet_root().join("shared/Microsoft.NETCore.App");
    frameworks.join(env::framework_version()).join("createdump").is_file()
}

/// A profiler, compiled; beside it are its notes.
fn profiler(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/tools/profiler.c");
    let library = folder.join("libprofiler.so");
    compile(&source, &library, &["-shared", "-fPIC"]);
    library
}

both_models! {
    /// The sampling profiler stops all threads a thousand times a second.
    fn traces_are_taken_under_load(model: Model) {
        let (site, temporary) = reachable(App::test("Site"), model);
        let process = site.application();
        let load = Load::start(site.address(), "/HelloWorld", 3, 3);
        load.wait_for_more(50);
        for _ in 0..2 {
            let session = Diagnostics::of(process, temporary.path()).trace(&[
                ("Microsoft-DotNETCore-SampleProfiler", 0xF000_0000_0000, 4),
                ("Microsoft-Windows-DotNETRuntime", 0x14_C14F_CCBD, 4),
                ("Microsoft.AspNetCore.Hosting", u64::MAX, 4),
                (server_events(model), u64::MAX, 4),
            ]);
            load.wait_for_more(200);
            // A buffer is sent from time to time; the samples may wait for the end.
            for name in [server_events(model), "RequestStart"] {
                eventually(name, || session.has_told(name).then_some(()));
            }
            let bytes = session.stop(Diagnostics::of(process, temporary.path()));
            assert!(bytes > 10_000, "{bytes} bytes of events");
            load.wait_for_more(50);
        }
        load.stop().assert_lossless();
        assert_eq!(site.application(), process);
        site.stop();
    }

    /// The process is copied while it stands still.
    fn a_dump_is_taken_under_load(model: Model) {
        assert!(has_createdump(), "the runtime has no createdump");
        let (site, temporary) = reachable(App::test("Site"), model);
        let process = site.application();
        let load = Load::start(site.address(), "/HelloWorld", 3, 3);
        load.wait_for_more(50);
        let dump = temporary.path().join("asked.dump");
        Diagnostics::of(process, temporary.path()).dump(&dump);
        assert!(is_dump(&dump));
        load.wait_for_more(50);
        load.stop().assert_lossless();
        assert_eq!(site.application(), process);
        site.stop();
    }

    fn a_crash_leaves_the_dump_that_was_asked_for(model: Model) {
        assert!(has_createdump(), "the runtime has no createdump");
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("crash.%p").display().to_string();
        let app = App::misbehaving("Serve").variables(&[
            ("DOTNET_DbgEnableMiniDump", "1"),
            ("DOTNET_DbgMiniDumpType", "2"),
            ("DOTNET_DbgMiniDumpName", &name),
        ]);
        let site = Site::start(app, model);
        let first = site.get("/pid").ok().text();
        let mut connection = site.connect();
        connection.send(Request::post("/crash-on-a-thread", "").to_bytes());
        let _ = connection.rest_or_response();
        assert_ne!(site.get("/pid").ok().text(), first);
        let dump = folder.path().join(format!("crash.{first}"));
        assert!(is_dump(&dump), "{:?}", fs::read_dir(folder.path()).unwrap().collect::<Vec<_>>());
        site.wait_for_log("nobody catches this");
        site.stop();
    }

    /// As those that trace applications from outside are loaded.
    fn a_profiler_is_loaded_and_the_application_runs(model: Model) {
        let folder = tempfile::tempdir().unwrap();
        let library = profiler(folder.path());
        let notes = folder.path().join("notes");
        let app = App::test("Site").variables(&[
            ("CORECLR_ENABLE_PROFILING", "1"),
            ("CORECLR_PROFILER", "{846F5F1C-F9AE-4B07-969E-05C26BC060D8}"),
            ("CORECLR_PROFILER_PATH", &library.display().to_string()),
            ("PROFILER_NOTES", &notes.display().to_string()),
        ]);
        let site = Site::start(app, model);
        let load = Load::start(site.address(), "/HelloWorld", 3, 3);
        load.wait_for_more(100);
        load.stop().assert_lossless();
        let process: Process = site.application();
        assert!(process.has_mapped("libprofiler.so"));
        site.stop();
        let told = fs::read_to_string(&notes).unwrap();
        let lines: Vec<_> = told.lines().collect();
        // It has seen the whole life: the compilation of methods between its first and last call.
        assert_eq!(lines.first(), Some(&"initialized"), "{told}");
        let compiled = lines.last().and_then(|line| line.strip_prefix("shut down after "));
        let compiled: u32 = compiled.expect("its end is told").parse().unwrap();
        assert!(compiled > 100, "{told}");
    }
}
