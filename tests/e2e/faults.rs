//! Faults that were put into applications and installations, and what each of them is called: on
//! the page, in the log and in the report for programs.
//!
//! The table below is the test: a row is an application with one fault, and per hosting model the
//! number, the event and the words that its summary must have.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testkit::{App, Model, Request, Start, env};

use crate::abi_skew::compile;
use crate::handlers::{HANDLER, installation, installed_handler};

/// An application that does not start.
struct Fault {
    app: App,
    variables: Vec<(&'static str, String)>,
    removed: Vec<&'static str>,
    programs: Option<TempDir>,
}

/// How a fault is called.
struct Told {
    number: &'static str,
    event: u16,
    cause: &'static str,
}

impl Fault {
    fn of(app: App) -> Self {
        Self { app, variables: Vec::new(), removed: Vec::new(), programs: None }
    }

    fn misbehaving(how: &str) -> Self {
        Self::of(App::misbehaving(how))
    }

    fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn without_variable(mut self, name: &'static str) -> Self {
        self.removed.push(name);
        self
    }

    fn programs(mut self, programs: TempDir) -> Self {
        self.programs = Some(programs);
        self
    }

    fn map(mut self, change: impl FnOnce(App) -> App) -> Self {
        self.app = change(self.app);
        self
    }

    fn check(self, model: Model, told: &Told) {
        let app = self.app.model(model);
        let start = match &self.programs {
            Some(programs) => Start::of_installation(programs.path(), app),
            None => Start::of(app),
        };
        let start = start.env("ASPNETCORE_DETAILEDERRORS", "true");
        let start =
            self.variables.iter().fold(start, |start, (name, value)| start.env(name, value));
        let site = self.removed.iter().fold(start, |start, name| start.without_env(name)).run();

        let page = site.request(&Request::get("/").header("Accept", "text/html"));
        let text = unescaped(&page.text());
        assert_eq!(page.status().to_string(), told.number[..3], "{text}");
        assert!(text.contains(&format!("HTTP Error {}", told.number)), "{text}");
        // A sentence begins with a capital.
        let is_shown = text.to_lowercase().contains(&told.cause.to_lowercase());
        assert!(is_shown, "no {:?} on the page:\n{text}", told.cause);

        let answer = site.request(&Request::get("/").header("Accept", "application/json")).json();
        let problem = serde_json::to_string_pretty(&answer).unwrap();
        assert_eq!(answer["code"], told.number, "{problem}");
        assert_eq!(answer["event"], told.event, "{problem}");
        let summary = answer["report"]["summary"].as_str().unwrap();
        assert!(summary.contains(told.cause), "no {:?} in the summary:\n{problem}", told.cause);

        let reference = answer["reference"].as_str().unwrap();
        assert!(text.contains(reference), "no {reference} on the page:\n{text}");
        site.wait_for_log(&format!("(reference {reference})"));
        let log = site.log();
        let head = format!("ancm: error {}: {} ", told.event, told.number);
        assert!(log.contains(&head), "no {head:?} in\n{log}");
        assert!(log.contains(told.cause), "no {:?} in\n{log}", told.cause);
        site.stop();
    }
}

/// The text of a page.
fn unescaped(page: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .into_iter()
        .fold(page.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A shared library made of these lines of C.
fn library(code: &str, file: &Path) {
    let source = file.with_extension("c");
    fs::write(&source, code).unwrap();
    compile(&source, file, &["-shared", "-fPIC"]);
}

/// The application with a program of its own and this as its host library.
fn with_host_library(make: impl FnOnce(&Path)) -> Fault {
    let app = App::sample("hello").attribute("processPath", r".\Hello").arguments("");
    make(&app.path("libhostfxr.so"));
    Fault::of(app)
}

/// The host library of the installation.
pub(crate) fn host_library() -> PathBuf {
    let versions = fs::read_dir(env::dotnet_root().join("host/fxr")).unwrap();
    let found = versions.map(|entry| entry.unwrap().path().join("libhostfxr.so"));
    found.filter(|path| path.is_file()).max().unwrap()
}

/// A handler in place of the installed one.
fn with_handler(make: impl FnOnce(&Path)) -> Fault {
    let programs = installation(&[]);
    let folder = programs.path().join("inprocess/1.0.0");
    fs::create_dir_all(&folder).unwrap();
    make(&folder.join(HANDLER));
    Fault::of(App::sample("hello")).programs(programs)
}

/// A file of the application with a text in place of another.
fn edited(app: App, file: &str, from: &str, to: &str) -> App {
    let text = app.read(file);
    assert!(text.contains(from), "no {from} in {text}");
    app.file(file, text.replacen(from, to, 1))
}

macro_rules! faults {
    ($($name:ident: $fault:expr, $($model:ident $number:literal $event:literal $cause:literal),+;)*) => {
        $(mod $name {
            use super::*;
            $(#[test]
            fn $model() {
                let told = Told { number: $number, event: $event, cause: $cause };
                $fault.check(model::$model(), &told);
            })+
        })*
    };
}

/// Hosting models by the name of a test.
mod model {
    use testkit::Model;

    pub(super) fn in_process() -> Model {
        Model::InProcess
    }

    pub(super) fn out_of_process() -> Model {
        Model::OutOfProcess
    }
}

faults! {
    inp_02_main_throws: Fault::misbehaving("Throw"),
        in_process "500.30" 1018 "Main threw System.InvalidOperationException: thrown by Main on purpose",
        out_of_process "502.5" 1020 "an exception that nobody caught: System.InvalidOperationException: thrown by Main on purpose";
    main_throws_after_an_await: Fault::misbehaving("ThrowAsync"),
        in_process "500.30" 1018 "Main threw System.InvalidOperationException: thrown by Main after an await",
        out_of_process "502.5" 1020 "thrown by Main after an await";
    a_static_constructor_throws: Fault::misbehaving("ThrowInStatic"),
        in_process "500.30" 1018 "because of System.InvalidOperationException: thrown by a static constructor on purpose",
        out_of_process "502.5" 1020 "because of System.InvalidOperationException: thrown by a static constructor on purpose";
    a_thread_throws: Fault::misbehaving("ThrowOnThread"),
        in_process "500.30" 1018 "a thread of the app threw System.InvalidOperationException: thrown by a thread on purpose",
        out_of_process "502.5" 1020 "System.InvalidOperationException: thrown by a thread on purpose";
    inp_09_a_hosted_service_throws: Fault::misbehaving("ThrowInStartup"),
        in_process "500.30" 1018 "Main threw System.InvalidOperationException: thrown by a hosted service on purpose",
        out_of_process "502.5" 1020 "System.InvalidOperationException: thrown by a hosted service on purpose";
    configure_throws: Fault::misbehaving("ThrowInConfigure"),
        in_process "500.30" 1018 "Main threw System.InvalidOperationException: thrown by Configure on purpose";
    a_service_cannot_be_made: Fault::misbehaving("MissingService"),
        in_process "500.30" 1018 "Unable to resolve service for type 'IMissing'",
        out_of_process "502.5" 1020 "Unable to resolve service for type 'IMissing'";
    a_service_stops_the_start: Fault::misbehaving("StopInStart"),
        in_process "500.30" 1018 "Canceled",
        out_of_process "502.5" 1020 "Canceled";
    inp_03_main_returns_early: Fault::misbehaving("EarlyReturn"),
        in_process "500.30" 1011 "Main returned 12 before a server was started",
        out_of_process "502.5" 1020 "the process exited with code 12 before it listened";
    inp_04_main_returns_zero: Fault::misbehaving("EarlyReturn 0"),
        in_process "500.30" 1011 "Main returned 0 before a server was started",
        out_of_process "502.5" 1020 "the process exited with code 0 before it listened";
    main_returns_after_output: Fault::misbehaving("ConsoleWrite 100"),
        in_process "500.30" 1035 "Main returned 12 before a server was started",
        out_of_process "502.5" 1020 "the process exited with code 12 before it listened";
    main_never_serves: Fault::misbehaving("NeverServes"),
        in_process "500.30" 1011 "Main returned 14: it built a host but never ran its server",
        out_of_process "502.5" 1020 "the process exited with code 14 before it listened";
    the_app_exits: Fault::misbehaving("Exit"),
        in_process "500.30" 1011 "the process exited with code 13 before the application was ready",
        out_of_process "502.5" 1020 "the process exited with code 13 before it listened";
    the_app_fails_fast: Fault::misbehaving("Abort"),
        in_process "500.30" 1018 "it failed fast: failed fast on purpose",
        out_of_process "502.5" 1020 "it failed fast: failed fast on purpose";
    the_stack_overflows: Fault::misbehaving("Overflow"),
        in_process "500.30" 1018 "its stack overflowed",
        out_of_process "502.5" 1020 "its stack overflowed";
    memory_runs_out: Fault::misbehaving("Fill").variable("DOTNET_GCHeapHardLimit", "0x4000000"),
        in_process "500.30" 1018 "System.OutOfMemoryException",
        out_of_process "502.5" 1020 "emory";
    the_heap_cannot_be_made: Fault::misbehaving("Serve").variable("DOTNET_GCHeapHardLimit", "0x1000"),
        in_process "500.30" 1007 "the runtime cannot be started",
        out_of_process "502.5" 1020 "GC heap initialization failed";
    the_process_is_killed: Fault::misbehaving("Kill"),
        in_process "500.30" 1011 "the process was ended by SIGKILL",
        out_of_process "502.5" 1020 "the process was ended by SIGKILL";
    the_process_is_aborted: Fault::misbehaving("NativeAbort"),
        in_process "500.30" 1011 "the process was ended by SIGABRT",
        out_of_process "502.5" 1020 "the process was ended by SIGABRT";
    memory_is_accessed_wrongly: Fault::misbehaving("NativeFault"),
        in_process "500.30" 1011 "the process was ended by SIGSEGV",
        out_of_process "502.5" 1020 "the process was ended by SIGSEGV";
    inp_05_main_hangs: Fault::misbehaving("Hang").map(|app| app.attribute("startupTimeLimit", "2")),
        in_process "500.37" 1007 "not ready within 2 s; it was running Main until the application is built",
        out_of_process "502.5" 1020 "within 2";
    the_start_hangs: Fault::misbehaving("HangInStart").map(|app| app.attribute("startupTimeLimit", "3")),
        in_process "500.37" 1007 "not ready within 3 s; it was starting the application's services and server",
        out_of_process "502.5" 1020 "within 3";
    inp_06_a_start_that_hangs_is_answered_for_without_recycling: Fault::misbehaving("Hang").map(|app| app.attribute("startupTimeLimit", "1").handler_setting("suppressRecycleOnStartupTimeout", "true")),
        in_process "500.37" 1007 "not ready within 1 s; it was running Main until the application is built";
    a_noisy_start_throws: Fault::misbehaving("Noise"),
        in_process "500.30" 1018 "Main threw System.InvalidOperationException: thrown after a lot of noise",
        out_of_process "502.5" 1020 "System.InvalidOperationException: thrown after a lot of noise";
    a_configuration_file_is_broken: Fault::misbehaving("Serve").map(|app| app.file("appsettings.json", "{ \"Logging\": ")),
        in_process "500.30" 1018 "appsettings.json",
        out_of_process "502.5" 1020 "appsettings.json";
    an_assembly_is_missing: Fault::misbehaving("MissingAssembly"),
        in_process "500.30" 1018 "Could not load file or assembly 'Missing.Component, Version=1.2.3.4",
        out_of_process "502.5" 1020 "Could not load file or assembly 'Missing.Component, Version=1.2.3.4";
    a_native_library_is_missing: Fault::misbehaving("MissingLibrary"),
        in_process "500.30" 1018 "System.DllNotFoundException: Unable to load shared library 'missing-component'",
        out_of_process "502.5" 1020 "System.DllNotFoundException: Unable to load shared library 'missing-component'";
    icu_is_missing: Fault::misbehaving("Serve").map(|app| app.variables(&[
            ("DOTNET_SYSTEM_GLOBALIZATION_APPLOCALICU", "99.9.9"),
            ("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "false")])),
        in_process "500.30" 1007 "it failed fast: Failed to load app-local ICU",
        out_of_process "502.5" 1020 "ICU";
    a_startup_hook_is_missing: Fault::misbehaving("Serve").variable("DOTNET_STARTUP_HOOKS", "/nonexistent/hook.dll"),
        in_process "500.30" 1018 "/nonexistent/hook.dll",
        out_of_process "502.5" 1020 "/nonexistent/hook.dll";
    shim_13_shim_14_log_16_l22_30_a_framework_is_too_old: Fault::of(edited(App::sample("hello"), "Hello.runtimeconfig.json", "\"version\": \"", "\"version\": \"99.")),
        in_process "500.31" 1027 "a framework is missing",
        out_of_process "502.5" 1020 "a framework that it needs is not installed";
    a_framework_is_unknown: Fault::of(edited(App::sample("hello"), "Hello.runtimeconfig.json", "Microsoft.AspNetCore.App", "Contoso.Web.App")),
        in_process "500.31" 1027 "a framework is missing",
        out_of_process "502.5" 1020 "a framework that it needs is not installed";
    the_dependencies_are_broken: Fault::of(App::sample("hello").file("Hello.deps.json", "{ broken")),
        in_process "500.31" 1027 "the list of dependencies cannot be read",
        out_of_process "502.5" 1020 "JSON parsing";
    the_runtime_configuration_is_broken: Fault::of(App::sample("hello").file("Hello.runtimeconfig.json", "{ broken")),
        in_process "500.31" 1027 "runtimeconfig.json is invalid",
        out_of_process "502.5" 1020 "runtimeconfig.json";
    shim_15_the_assembly_does_not_exist: Fault::of(App::sample("hello").arguments(r".\Gone.dll")),
        in_process "500.31" 1027 "Gone.dll does not exist or is not a .dll",
        out_of_process "502.5" 1020 "Gone.dll";
    the_assembly_is_damaged: Fault::of(App::sample("hello").file("Hello.dll", "this is no assembly")),
        in_process "500.30" 1018 "System.BadImageFormatException",
        out_of_process "502.5" 1020 "System.BadImageFormatException";
    dotnet_has_no_arguments: Fault::of(App::sample("hello").arguments("")),
        in_process "500.0" 1031 "dotnet is given no arguments",
        out_of_process "502.5" 1020 "exited with code 129";
    the_arguments_name_no_assembly: Fault::of(App::sample("hello").arguments("serve")),
        in_process "500.31" 1027 "`serve` names no .dll to run",
        out_of_process "502.5" 1020 "The application 'serve' does not exist";
    shim_16_a_single_file_has_no_assembly: Fault::of(App::sample("hello").without("Hello.dll").file("Hello", "a single file").attribute("processPath", r".\Hello.exe").arguments("")),
        in_process "500.38" 1031 "Hello.dll does not exist";
    shim_03_the_program_does_not_exist: Fault::of(App::sample("hello").attribute("processPath", r".\nothing.exe").arguments("")),
        in_process "500.0" 1031 "nothing does not exist, nor does an assembly of that name",
        out_of_process "502.5" 1020 "nothing";
    no_dotnet_is_installed: Fault::of(App::sample("hello")).without_variable("DOTNET_ROOT").variable("PATH", "/nonexistent"),
        in_process "500.0" 1031 "no .NET runtime was found; searched",
        out_of_process "502.5" 1020 "dotnet";
    an_explicit_dotnet_does_not_exist: Fault::of(App::sample("hello").attribute("processPath", "/nonexistent/dotnet")),
        in_process "500.0" 1031 "/nonexistent/dotnet does not exist",
        out_of_process "502.5" 1020 "/nonexistent/dotnet";
    shim_11_l22_29_the_host_library_is_no_library: with_host_library(|file| fs::write(file, "no library").unwrap()),
        in_process "500.32" 1027 "libhostfxr.so is";
    shim_12_the_host_library_is_for_another_processor: with_host_library(|file| {
            let mut bytes = fs::read(host_library()).unwrap();
            // The machine in the header of ELF: none that .NET runs on.
            bytes[18..20].copy_from_slice(&[0x08, 0]);
            fs::write(file, bytes).unwrap();
        }),
        in_process "500.32" 1027 "this host runs on";
    shim_10_the_host_library_lacks_an_entry: with_host_library(|file| library("int nothing;", file)),
        in_process "500.32" 1027 "hostfxr_";
    the_app_brings_the_runtime_of_another_system: Fault::of(App::sample("hello").file("Hello.runtimeconfig.json", SELF_CONTAINED)),
        in_process "500.32" 1027 "was published with the runtime of another system";
    shim_17_shim_30_there_is_no_handler: Fault::of(App::sample("hello")).programs(installation(&[])),
        in_process "500.33" 1027 "libancm_inprocess.so was not found";
    the_handler_is_no_library: with_handler(|file| fs::write(file, "no library").unwrap()),
        in_process "500.0" 1031 "cannot be loaded";
    the_handler_is_something_else: with_handler(|file| library("int nothing;", file)),
        in_process "500.0" 1031 "does not export `ancm_create_handler`";
    the_handler_lacks_its_assemblies: with_handler(|file| {
            fs::copy(installed_handler().join(HANDLER), file).unwrap();
        }),
        in_process "500.30" 1007 "Ancm.Bootstrap.dll";
    a_backend_says_why: Fault::of(App::sample("hello").attribute("processPath", "/bin/sh").arguments("-c \"echo the database is gone >&2; exit 3\"")),
        out_of_process "502.5" 1020 "exited with code 3 before it listened";
    a_backend_says_its_last_words: Fault::of(App::sample("hello").attribute("processPath", "/bin/sh").arguments("-c \"echo the database is gone >&2; exit 3\"")),
        out_of_process "502.5" 1020 "its last words were: the database is gone";
}

const SELF_CONTAINED: &str = r#"{ "runtimeOptions": { "includedFrameworks": [
    { "name": "Microsoft.NETCore.App", "version": "8.0.0" } ] } }"#;
