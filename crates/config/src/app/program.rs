//! Which program a `processPath` means here, and whether it is there.
//!
//! `dotnet publish` on Windows writes `.\MyApp.exe`, for Linux `.\MyApp`, both with a backslash.
//! What names a Windows program is turned into the Linux program or assembly beside it.

use crate::paths::{self, ProgramNotFound};
use crate::{Env, Finding, Findings, HostingModel};

use super::folder::Folder;
use super::load::Draft;

const DOTNET: &str = "dotnet";

/// Gives `processPath` and `arguments` their Linux form, reports what is missing, and returns the
/// application's name.
pub(super) fn settle(
    draft: &mut Draft,
    folder: &Folder,
    env: &Env,
    findings: &mut Findings,
) -> String {
    draft.split_arguments(&folder.dir);
    let written = draft.settings.process_path.clone();
    draft.settings.process_path = paths::to_linux(&written);
    if paths::is_windows_only(&written) {
        replace_windows_path(draft, &written, findings);
    }
    drop_exe(draft, folder);
    // Windows finds `DOTNET` along the path too; a path with folders keeps its casing.
    if draft.settings.process_path.eq_ignore_ascii_case(DOTNET) {
        draft.settings.process_path = DOTNET.to_owned();
    }
    start_assembly_with_dotnet(draft, folder, findings);
    let name = name_of(draft, folder);
    if is_dotnet(&draft.settings.process_path) {
        check_dotnet_arguments(draft, folder, findings);
    }
    check_program(draft, folder, env, findings);
    name
}

/// A drive exists nowhere here, but what `C:\Program Files\dotnet\dotnet.exe` means is clear.
fn replace_windows_path(draft: &mut Draft, written: &str, findings: &mut Findings) {
    let file = paths::file_name(written);
    let stem = paths::without_exe(file).unwrap_or(file);
    let message = format!("processPath `{written}` is a path on Windows");
    let code = "windows-path";
    findings.push(if stem.eq_ignore_ascii_case(DOTNET) {
        draft.settings.process_path = DOTNET.to_owned();
        Finding::warning(code, draft.file.as_str(), format!("{message}; `dotnet` is used"))
            .at(draft.process_path_at)
            .suggest("processPath=\"dotnet\"")
    } else {
        Finding::error(code, draft.file.as_str(), message)
            .at(draft.process_path_at)
            .expected("a name on PATH, or a path relative to the application's folder")
    });
}

fn drop_exe(draft: &mut Draft, folder: &Folder) {
    let path = &draft.settings.process_path;
    let Some(without) = paths::without_exe(path) else { return };
    // A script may really be called `.exe`; what exists as written is what is meant.
    let is_windows_program = is_portable_executable(folder, path);
    if is_windows_program || !folder.dir.join(path).is_file() {
        draft.settings.process_path = without.to_owned();
    }
}

/// Whether the file begins as programs of Windows do.
fn is_portable_executable(folder: &Folder, path: &str) -> bool {
    use std::io::Read;

    let mut magic = [0; 2];
    let read =
        std::fs::File::open(folder.dir.join(path)).and_then(|mut f| f.read_exact(&mut magic));
    read.is_ok() && magic == *b"MZ"
}

/// A program that is not there, with its assembly beside it: the launcher was built for another
/// system, or not at all, and `dotnet` starts the same application.
fn start_assembly_with_dotnet(draft: &mut Draft, folder: &Folder, findings: &mut Findings) {
    let path = &draft.settings.process_path;
    let dll = format!("{path}.dll");
    let is_startable = !is_dotnet(path)
        && !folder.dir.join(path).is_file()
        && folder.dir.join(&dll).is_file()
        && !folder.dir.join("libhostfxr.so").is_file();
    if !is_startable {
        return;
    }
    findings.push(
        Finding::note(
            "assembly-instead-of-program",
            draft.file.as_str(),
            format!("{path} is not here for this system; {dll} is started with `dotnet`"),
        )
        .at(draft.process_path_at),
    );
    draft.settings.process_path = DOTNET.to_owned();
    draft.settings.arguments.insert(0, dll);
}

fn check_dotnet_arguments(draft: &Draft, folder: &Folder, findings: &mut Findings) {
    let arguments = &draft.settings.arguments;
    let place = draft.arguments_at.or(draft.process_path_at);
    if arguments.is_empty() {
        let example = folder.runtime_configs().first().map_or("MyApp", |app| app).to_owned();
        findings.push(
            Finding::error("no-arguments", draft.file.as_str(), "dotnet is given nothing to run")
                .at(place)
                .suggest(format!("arguments=\".\\{example}.dll\"")),
        );
        return;
    }
    let Some(dll) = arguments.iter().find(|argument| is_dll(argument)) else { return };
    if folder.dir.join(dll).is_file() {
        return;
    }
    let missing = format!("{} does not exist", paths::join_clean(&folder.dir, dll).display());
    let finding = Finding::error("no-assembly", draft.file.as_str(), missing).at(place);
    let apps = folder.runtime_configs();
    let alternative = folder.other_casing(paths::file_name(dll)).map(str::to_owned);
    let alternative = alternative.or_else(|| match apps.as_slice() {
        [app] => Some(format!("{app}.dll")),
        _ => None,
    });
    findings.push(match alternative {
        Some(name) => finding.suggest(format!("arguments=\".\\{name}\"")),
        None => finding.suggest("publish the application again"),
    });
}

fn check_program(draft: &mut Draft, folder: &Folder, env: &Env, findings: &mut Findings) {
    let path = draft.settings.process_path.clone();
    let is_in_process = draft.settings.hosting_model == HostingModel::InProcess;
    // In-process the runtime is looked for in more places than a program is; `clr` reports that.
    if path.is_empty() || paths::is_windows_only(&path) || (is_in_process && is_dotnet(&path)) {
        return;
    }
    let error = match paths::resolve_program(&path, &folder.dir, env) {
        Ok(_) => return,
        // In-process nothing is executed; the file only says which assembly is meant.
        Err(ProgramNotFound::NotExecutable { .. }) if is_in_process => return,
        Err(error) => error,
    };
    let code = match &error {
        ProgramNotFound::NotExecutable { .. } => "program-not-executable",
        _ => "no-program",
    };
    let finding = Finding::error(code, draft.file.as_str(), format!("processPath: {error}"))
        .at(draft.process_path_at);
    let other = folder.other_casing(paths::file_name(&path));
    findings.push(match (&error, other) {
        (ProgramNotFound::NotExecutable { path }, _) => {
            finding.suggest(format!("chmod +x {}", path.display()))
        }
        (_, Some(other)) => finding.suggest(format!("processPath=\".\\{other}\"")),
        (ProgramNotFound::NotOnPath { .. }, None) if path == DOTNET => {
            finding.suggest("install the ASP.NET Core runtime, or set DOTNET_ROOT")
        }
        _ => finding,
    });
}

fn is_dotnet(path: &str) -> bool {
    paths::file_name(path).eq_ignore_ascii_case(DOTNET)
}

fn is_dll(argument: &str) -> bool {
    argument.len() > 4
        && argument.get(argument.len() - 4..).is_some_and(|end| end.eq_ignore_ascii_case(".dll"))
}

/// The assembly's name if one is started, else the program's, else the folder's.
fn name_of(draft: &Draft, folder: &Folder) -> String {
    let path = &draft.settings.process_path;
    let dll = draft.settings.arguments.iter().find(|argument| is_dll(argument));
    let dll = dll.map(|dll| paths::file_name(dll)).and_then(|dll| dll.get(..dll.len() - 4));
    let is_local = path.contains('/') || folder.dir.join(path).is_file();
    let program = (is_local && !is_dotnet(path)).then(|| paths::file_name(path));
    let dir = || folder.dir.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = if is_dotnet(path) { dll } else { program.or(dll) };
    let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
    name.or_else(dir).unwrap_or_else(|| "app".to_owned())
}
