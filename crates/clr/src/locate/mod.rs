//! Which hostfxr runs an application, and with which arguments.
//!
//! The rules are the module's (process path → `dotnet` or the application's own program →
//! framework-dependent or self-contained), with the places where Linux keeps .NET. Nothing is
//! loaded or executed: the answer comes from the file system and the variables passed in.

mod elf;
mod error;
mod framework;
mod root;
mod version;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use elf::Image;
pub use error::{LocateError, Searched};
pub use framework::{
    Framework, Installed, RollForward, RuntimeConfig, RuntimeConfigError, installed,
};
pub use version::{NotAVersion, Version};

use self::root::{LIBRARY, Root};

/// Options of `dotnet exec` and of `dotnet` in front of the application; each has a value.
const HOST_OPTIONS: &[&str] = &[
    "--additional-deps",
    "--additionalprobingpath",
    "--depsfile",
    "--fx-version",
    "--roll-forward",
    "--roll-forward-on-no-candidate-fx",
    "--runtimeconfig",
];

/// What to locate a runtime for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The program in its Linux form, expanded.
    pub process_path: &'a str,
    /// Its arguments in their Linux form.
    pub arguments: &'a [String],
    /// The application's folder, absolute.
    pub dir: &'a Path,
    /// Looks an environment variable up.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Where the runtime of an application comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// From an installation of .NET.
    FrameworkDependent,
    /// From the application's folder.
    SelfContained,
}

/// The hosting library of an application, and how to call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostFxr {
    /// The library, absolute.
    pub library: PathBuf,
    /// Its version; unknown when it lies in the application's folder.
    pub version: Option<Version>,
    /// The installation it belongs to; `None` when self-contained.
    pub dotnet_root: Option<PathBuf>,
    /// The `dotnet` of that installation, if it has one.
    pub dotnet_exe: Option<PathBuf>,
    /// What to pass as the path of the host: the application's own program when self-contained.
    pub host_path: Option<PathBuf>,
    /// Where the runtime comes from.
    pub kind: Kind,
    /// The application's assembly, absolute.
    pub app_dll: PathBuf,
    /// The arguments of `hostfxr_initialize_for_dotnet_command_line`: options of the host if any
    /// are written, the assembly, the application's arguments.
    pub argv: Vec<String>,
    /// What led to the installation, for people.
    pub found_by: String,
}

/// Chooses the hosting library for an application.
///
/// # Errors
///
/// There is none, or none that this process could load, or no application to run.
pub fn locate(request: &Request<'_>) -> Result<HostFxr, LocateError> {
    locate_below(request, Path::new("/"))
}

fn locate_below(request: &Request<'_>, system: &Path) -> Result<HostFxr, LocateError> {
    let name = file_name(request.process_path);
    let stem = without_exe(name);
    let host = if stem.eq_ignore_ascii_case("dotnet") {
        with_dotnet(request, system)?
    } else {
        with_program(request, system)?
    };
    match Image::of(&host.library) {
        Ok(Image::Native) => Ok(host),
        Ok(image) => Err(LocateError::ForeignLibrary { path: host.library, image }),
        Err(_) => Err(LocateError::ForeignLibrary { path: host.library, image: Image::Unknown }),
    }
}

/// Every path that may lead to the .NET of an application, whether it is there or not: roots,
/// programs beside one, files that name one.
pub fn places(request: &Request<'_>) -> Vec<PathBuf> {
    match explicit_dotnet(request) {
        Some(dotnet) => vec![dotnet],
        None => root::places(request.variable, Path::new("/")),
    }
}

/// The `dotnet` that is written with its path, or lies in the application's folder.
fn explicit_dotnet(request: &Request<'_>) -> Option<PathBuf> {
    let is_dotnet = without_exe(file_name(request.process_path)).eq_ignore_ascii_case("dotnet");
    let local = request.dir.join(request.process_path);
    let is_local = is_dotnet && (request.process_path.contains('/') || local.is_file());
    is_local.then_some(local)
}

/// Rules A: the process path is `dotnet`, the application is among its arguments.
fn with_dotnet(request: &Request<'_>, system: &Path) -> Result<HostFxr, LocateError> {
    if request.arguments.is_empty() {
        return Err(LocateError::NoArguments);
    }
    let root = match explicit_dotnet(request) {
        Some(dotnet) => root::of_executable(&dotnet)?,
        None => root::search(request.variable, system)?,
    };
    let (app_dll, argv) = application(request)?;
    check_self_contained(&app_dll)?;
    Ok(framework_dependent(root, app_dll, argv))
}

/// Rules B: the process path is the application's own program.
fn with_program(request: &Request<'_>, system: &Path) -> Result<HostFxr, LocateError> {
    let written = request.dir.join(request.process_path);
    let program = written.with_file_name(without_exe(file_name(request.process_path)));
    // `My.App` has no extension to replace: the ending is appended.
    let mut app_dll = program.clone().into_os_string();
    app_dll.push(".dll");
    let app_dll = clean(Path::new(&app_dll));
    if !app_dll.is_file() {
        let exists = program.is_file() || written.is_file();
        return Err(match exists {
            true => LocateError::AssemblyMissing { expected: app_dll },
            false => LocateError::ProgramMissing { path: clean(&written) },
        });
    }
    let mut argv = vec![app_dll.display().to_string()];
    argv.extend_from_slice(request.arguments);

    let own_library = app_dll.with_file_name(LIBRARY);
    if own_library.is_file() {
        return Ok(HostFxr {
            library: own_library,
            version: None,
            dotnet_root: None,
            dotnet_exe: None,
            host_path: Some(clean(&program)),
            kind: Kind::SelfContained,
            app_dll,
            argv,
            found_by: "the application's folder".to_owned(),
        });
    }
    check_self_contained(&app_dll)?;
    let root = root::search(request.variable, system)?;
    Ok(framework_dependent(root, app_dll, argv))
}

fn framework_dependent(root: Root, app_dll: PathBuf, argv: Vec<String>) -> HostFxr {
    let dotnet_exe = root.root.join("dotnet");
    HostFxr {
        library: root.library,
        version: Some(root.version),
        dotnet_exe: dotnet_exe.is_file().then_some(dotnet_exe),
        dotnet_root: Some(root.root),
        host_path: None,
        kind: Kind::FrameworkDependent,
        app_dll,
        argv,
        found_by: root.found_by,
    }
}

/// The assembly among the arguments of `dotnet`, and the arguments with its path made absolute.
/// Options of the host stay: hostfxr reads them itself.
fn application(request: &Request<'_>) -> Result<(PathBuf, Vec<String>), LocateError> {
    let mut argv = request.arguments.to_vec();
    let mut at = usize::from(argv.first().is_some_and(|first| first == "exec"));
    while let Some(option) = argv.get(at).filter(|argument| argument.starts_with("--")) {
        let has_value = HOST_OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(option));
        at += if has_value { 2 } else { 1 };
    }
    let not_an_app = || LocateError::NotAnApp { arguments: request.arguments.join(" ") };
    let app = argv.get_mut(at).ok_or_else(not_an_app)?;
    let is_assembly = [".dll", ".exe"].iter().any(|ending| {
        let from = app.len().checked_sub(ending.len()).filter(|from| *from > 0);
        from.and_then(|from| app.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    });
    if !is_assembly {
        return Err(not_an_app());
    }
    let path = clean(&request.dir.join(&*app));
    if !path.is_file() {
        return Err(LocateError::AppMissing { path });
    }
    *app = path.display().to_string();
    Ok((path, argv))
}

/// A self-contained application without our hosting library was published for another system:
/// hostfxr would complain about a missing file that nobody can provide.
fn check_self_contained(app_dll: &Path) -> Result<(), LocateError> {
    let is_self_contained =
        RuntimeConfig::beside(app_dll).is_ok_and(|config| config.is_self_contained());
    let has_library = app_dll.with_file_name(LIBRARY).is_file();
    if is_self_contained && !has_library {
        return Err(LocateError::OtherSystem { app: app_dll.to_owned() });
    }
    Ok(())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn without_exe(name: &str) -> &str {
    let stem_length = name.len().saturating_sub(4);
    match (name.get(..stem_length), name.get(stem_length..)) {
        (Some(stem), Some(end)) if !stem.is_empty() && end.eq_ignore_ascii_case(".exe") => stem,
        _ => name,
    }
}

/// The path without `.` components; `..` stays, for the kernel to follow.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests;
