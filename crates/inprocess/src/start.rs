//! The start of the app, step by step, on the thread that becomes the app's main thread.
//!
//! The worker has prepared the process before: environment, working directory, signal mask and the
//! standard streams cannot change any more once the runtime runs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::thread;

use clr::{HostStatus, InitError, LoadFunctionError, PropertyError, Runtime, Substatus};

use crate::bridge::{self, Link};
use crate::exports::trampoline;
use crate::properties::{self, Missing};

/// As large as the main thread of a process has it.
const DEFAULT_STACK: usize = 8 * 1024 * 1024;
/// The runtime's own setting for threads, in hex.
const STACK_VARIABLE: &str = "DOTNET_DefaultStackSize";

/// The major version of .NET that our managed server is made for, and every later one.
const OLDEST: u32 = 8;

const BOOTSTRAP_TYPE: &str = "Ancm.Bootstrap.Entry, Ancm.Bootstrap";
const BOOTSTRAP_METHOD: &str = "Start";

/// The app did not come to its `Main`.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("the runtime cannot be initialised")]
    Initialize(#[from] InitError),
    #[error(
        "in-process hosting takes .NET {OLDEST} or newer, and the application runs on .NET {0}: with \
         hostingModel=\"outofprocess\" it is served as it is, and with \"rollForward\": \"Major\" in its \
         runtimeconfig.json it runs on a newer one"
    )]
    TooOld(String),
    #[error("the runtime does not take our property")]
    Property(#[from] PropertyError),
    #[error("the managed server cannot be loaded")]
    Load(#[from] LoadFunctionError),
    #[error("the managed server cannot be prepared ({0:#010x})")]
    Bootstrap(i32),
}

impl StartError {
    fn substatus(&self) -> Substatus {
        match self {
            Self::Initialize(error) => error.substatus(),
            Self::Load(error) => error.substatus(),
            Self::Missing(_) | Self::TooOld(_) | Self::Property(_) | Self::Bootstrap(_) => {
                Substatus::START_FAILED
            }
        }
    }

    /// The chain of causes, then hostfxr's own words, which name frameworks and versions.
    fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        if let Some(words) = self.words() {
            let _ = write!(text, "\n{words}");
        }
        text
    }

    /// What hostfxr said.
    fn words(&self) -> Option<&str> {
        let words = match self {
            Self::Initialize(error) => error.output(),
            Self::Load(LoadFunctionError::Start { output, .. }) => Some(output.as_str()),
            _ => None,
        };
        words.filter(|words| !words.is_empty())
    }
}

/// Begins the start and returns. The thread ends when the app's `Main` does.
pub(crate) fn spawn(link: &'static Link) {
    let thread = thread::Builder::new().name("clr".to_owned()).stack_size(stack_size());
    // Nobody joins it: an app whose `Main` never returns ends with the process.
    let spawned = thread.spawn(move || trampoline((), || run(link)));
    if let Err(error) = spawned {
        let substatus = i32::from(Substatus::START_FAILED.sub);
        link.fail(substatus, &format!("the app's thread cannot be created: {error}"));
    }
}

fn stack_size() -> usize {
    let setting = std::env::var(STACK_VARIABLE).ok();
    let digits = setting.as_deref().map(|text| text.trim_start_matches("0x"));
    let size = digits.and_then(|text| usize::from_str_radix(text, 16).ok());
    size.filter(|size| *size > 0).unwrap_or(DEFAULT_STACK)
}

fn run(link: &Link) {
    let runtime = match prepare(link) {
        Ok(runtime) => runtime,
        Err(error) => {
            // Where it would have gone from a program of its own, and where the log file takes it.
            if let Some(words) = error.words() {
                let _ = std::io::stderr().lock().write_all(format!("{words}\n").as_bytes());
            }
            return link.fail(i32::from(error.substatus().sub), &error.text());
        }
    };
    link.step("run app");
    let code = runtime.run_app();
    if link.is_ready() {
        link.exited(code);
        return;
    }
    let (substatus, text) = premature_end(code, link.host_was_built());
    link.fail(i32::from(substatus.sub), &text);
}

fn prepare(link: &Link) -> Result<Runtime, StartError> {
    link.step("load runtime");
    let host = properties::host_fxr(link)?;
    let folder = properties::server_folder(link, &host)?;
    let mut runtime = Runtime::initialize(&host)?;
    let framework = runtime.property("FX_DEPS_FILE").unwrap_or_default();
    if let Some(version) = too_old(&framework) {
        return Err(StartError::TooOld(version.to_owned()));
    }
    runtime.set_property(bridge::PROPERTY, &link.address())?;
    if let Some(base) = link.property("app.base") {
        runtime.set_property("APP_CONTEXT_BASE_DIRECTORY", base)?;
    }

    link.step("start runtime");
    let assembly = folder.join(properties::BOOTSTRAP);
    let entry = runtime.load_function(&assembly, BOOTSTRAP_TYPE, BOOTSTRAP_METHOD)?;
    // SAFETY: `Entry.Start` of our own assembly is marked UnmanagedCallersOnly, takes nothing,
    // returns an int and lets no exception out.
    let entry = unsafe {
        std::mem::transmute::<*const std::ffi::c_void, unsafe extern "C" fn() -> i32>(entry)
    };
    link.step("prepare server");
    // SAFETY: as above; it is called once, on the thread that started the runtime.
    match unsafe { entry() } {
        0 => Ok(runtime),
        code => Err(StartError::Bootstrap(code)),
    }
}

/// The version of the runtime, if it is one that our managed server is not made for; from the path of
/// the file that lists it, which is in a folder of that name unless the application brings its own.
fn too_old(framework: &str) -> Option<&str> {
    let mut folders = framework.rsplit('/').skip(1);
    let (version, name) = (folders.next()?, folders.next()?);
    let major = version.split('.').next()?.parse::<u32>().ok()?;
    (name == "Microsoft.NETCore.App" && major < OLDEST).then_some(version)
}

/// `Main` returned, or was never reached, and no server had started.
fn premature_end(code: i32, host_was_built: bool) -> (Substatus, String) {
    let status = HostStatus::new(code);
    if status.text().is_some() {
        return (status.substatus(), format!("the app cannot be run: {status}"));
    }
    let text = if host_was_built {
        format!("the app's Main returned {code}: it built a host but never ran its server")
    } else {
        format!("the app's Main returned {code} before a server was started")
    };
    (Substatus::START_FAILED, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_is_too_old_is_known_by_its_folder() {
        let of = |version: &str| {
            format!("/usr/share/dotnet/shared/Microsoft.NETCore.App/{version}/x.json")
        };
        assert_eq!(too_old(&of("3.1.2")), Some("3.1.2"));
        assert_eq!(too_old(&of("7.0.20")), Some("7.0.20"));
        for version in ["8.0.0", "10.0.0-rc.1", "?"] {
            assert_eq!(too_old(&of(version)), None);
        }
        assert_eq!(too_old("/srv/6.0/App.deps.json"), None);
        assert_eq!(too_old(""), None);
        let text = StartError::TooOld("3.1.2".into()).text();
        assert!(text.contains(".NET 8 or newer") && text.contains("outofprocess"), "{text}");
    }

    #[test]
    fn an_early_return_says_how_far_the_app_came() {
        let (substatus, text) = premature_end(12, false);
        assert_eq!((substatus.sub, text.contains("returned 12")), (30, true));
        let (_, text) = premature_end(0, true);
        assert!(text.contains("never ran its server"), "{text}");
        let (substatus, _) = premature_end(0x8000_8096_u32.cast_signed(), false);
        assert_eq!(substatus, Substatus::DEPENDENCIES);
    }
}
