//! Windows forms of paths and what they name here.
//!
//! Conversion changes separators and prefixes only: the casing stays, and `..` is left for the
//! kernel to follow, because removing it in text is wrong across symbolic links.

use std::path::{Path, PathBuf};

use crate::{Env, arguments};

const DOTNET: &str = "dotnet";
/// In which users name it; .NET looks for the one of the architecture first.
const ROOT_VARIABLES: [&str; 2] = if cfg!(target_arch = "aarch64") {
    ["DOTNET_ROOT_ARM64", "DOTNET_ROOT"]
} else {
    ["DOTNET_ROOT_X64", "DOTNET_ROOT"]
};
/// In which an installation says where it is.
const LOCATION_FILES: [&str; 2] = if cfg!(target_arch = "aarch64") {
    ["/etc/dotnet/install_location_arm64", "/etc/dotnet/install_location"]
} else {
    ["/etc/dotnet/install_location_x64", "/etc/dotnet/install_location"]
};
/// Where packages and scripts of .NET put it.
const ROOTS: [&str; 3] = ["/usr/share/dotnet", "/usr/lib/dotnet", "/usr/lib64/dotnet"];

/// A program that cannot be started because no such file was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramNotFound {
    /// A bare name is in no folder of the search path.
    #[error("`{name}` is neither in {} nor in a folder of PATH ({path}){}", dir.display(), places_of(name))]
    NotOnPath {
        /// The name.
        name: String,
        /// The application's folder.
        dir: PathBuf,
        /// The search path.
        path: String,
    },
    /// The path names nothing.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The absolute path.
        path: PathBuf,
    },
    /// The path names something that is not a file.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// The absolute path.
        path: PathBuf,
    },
    /// The file's mode does not let anybody execute it.
    #[error("{} is not executable", path.display())]
    NotExecutable {
        /// The absolute path.
        path: PathBuf,
    },
}

/// The Linux form of a path as Windows writes it: device prefix stripped, `\` become `/`.
pub fn to_linux(text: &str) -> String {
    let text = [r"\\?\", r"\\.\"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
    text.replace('\\', "/")
}

/// Whether the text is a path on a Windows drive or share, which can name nothing here.
pub fn is_windows_only(text: &str) -> bool {
    let linux = to_linux(text);
    let mut chars = linux.chars();
    let is_drive = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.next() == Some(':')
        && matches!(chars.next(), None | Some('/'));
    is_drive || linux.starts_with("//")
}

/// The last component of a path in either form.
pub fn file_name(text: &str) -> &str {
    text.rsplit(['/', '\\']).next().unwrap_or(text)
}

/// The path without its `.exe`, if it ends in one (in any casing).
pub fn without_exe(text: &str) -> Option<&str> {
    let at = text.len().checked_sub(4)?;
    let ending = text.get(at..)?;
    let stem = text.get(..at)?;
    (ending.eq_ignore_ascii_case(".exe") && !file_name(stem).is_empty()).then_some(stem)
}

/// Splits the text of `arguments` and gives tokens that name files their Linux form.
///
/// As the module does, the whole text is first tried as one path, so that an unquoted name with
/// blanks works.
pub fn argument_list(text: &str, dir: &Path) -> Vec<String> {
    let whole = text.trim();
    if !whole.is_empty() && !whole.contains('"') {
        let path = to_linux(whole);
        if dir.join(&path).is_file() {
            return vec![path];
        }
    }
    arguments::split(text).into_iter().map(|token| argument(token, dir)).collect()
}

/// One argument in its Linux form, if it names a file or is clearly meant to: a backslash may mean
/// something else to the application.
fn argument(token: String, dir: &Path) -> String {
    if !token.contains('\\') {
        return token;
    }
    let linux = to_linux(&token);
    let is_relative = linux.starts_with("./") || linux.starts_with("../");
    if is_relative || dir.join(&linux).exists() { linux } else { token }
}

/// The file that starting `process_path` executes: relative paths and bare names are tried in the
/// application's folder, then bare names along `PATH`, and `dotnet` at last where .NET may be installed.
///
/// # Errors
///
/// Nothing executable was found.
pub fn resolve_program(
    process_path: &str,
    dir: &Path,
    env: &Env,
) -> Result<PathBuf, ProgramNotFound> {
    let local = join_clean(dir, process_path);
    if process_path.contains('/') || local.is_file() {
        return executable(local);
    }
    let path = env.non_empty("PATH").unwrap_or_default();
    let on_path = path.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let roots = (process_path == DOTNET).then(|| dotnet_roots(env)).into_iter().flatten();
    on_path
        .chain(roots)
        .find_map(|folder| executable(dir.join(folder).join(process_path)).ok())
        .ok_or_else(|| ProgramNotFound::NotOnPath {
            name: process_path.to_owned(),
            dir: dir.to_owned(),
            path: path.to_owned(),
        })
}

/// Where a .NET may be installed, in the order in which its own hosts look.
fn dotnet_roots(env: &Env) -> impl Iterator<Item = PathBuf> {
    let set = |name: &str| env.non_empty(name).map(PathBuf::from);
    let of_variables = ROOT_VARIABLES.iter().filter_map(move |name| set(name));
    let noted = LOCATION_FILES.iter().filter_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().next().map(|line| PathBuf::from(line.trim())).filter(|it| it.is_absolute())
    });
    let home = env.non_empty("HOME").map(|home| Path::new(home).join(".dotnet"));
    of_variables.chain(noted).chain(ROOTS.iter().map(PathBuf::from)).chain(home)
}

/// Where else a program was looked for.
fn places_of(name: &str) -> String {
    match name {
        DOTNET => format!(
            ", {} is not set or has none, and there is none in {} or ~/.dotnet",
            ROOT_VARIABLES.join(" or "),
            ROOTS.join(", ")
        ),
        _ => String::new(),
    }
}

/// `path` below `dir` unless absolute, without `.` components, for people to read.
pub fn join_clean(dir: &Path, path: impl AsRef<Path>) -> PathBuf {
    dir.join(path).components().collect()
}

fn executable(path: PathBuf) -> Result<PathBuf, ProgramNotFound> {
    use std::os::unix::fs::PermissionsExt;

    match path.metadata() {
        Err(_) => Err(ProgramNotFound::Missing { path }),
        Ok(metadata) if !metadata.is_file() => Err(ProgramNotFound::NotAFile { path }),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Err(ProgramNotFound::NotExecutable { path })
        }
        Ok(_) => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_forms_become_linux_forms() {
        for (text, expected) in [
            (r".\App.dll", "./App.dll"),
            (r".\logs\stdout", "./logs/stdout"),
            (r"\\?\C:\x", "C:/x"),
            (r"\\?\/home/app\LogFiles\stdout", "/home/app/LogFiles/stdout"),
            (r"..\Up\MyApp", "../Up/MyApp"),
            ("/usr/bin/node", "/usr/bin/node"),
            ("dotnet", "dotnet"),
        ] {
            assert_eq!(to_linux(text), expected, "{text}");
        }
    }

    #[test]
    fn drives_and_shares_are_recognised() {
        for text in [r"C:\Program Files\dotnet\dotnet.exe", "c:/x", r"\\server\share\x", "D:"] {
            assert!(is_windows_only(text), "{text}");
        }
        for text in [r".\App.exe", "dotnet", "/srv/app", "ab:c", r"\\?\/home/x", "é:"] {
            assert!(!is_windows_only(text), "{text}");
        }
    }

    #[test]
    fn the_exe_ending_is_dropped_in_any_casing() {
        assert_eq!(without_exe("./MyApp.EXE"), Some("./MyApp"));
        assert_eq!(without_exe("./MyApp"), None);
        assert_eq!(without_exe("./.exe"), None);
        assert_eq!(without_exe("éxe"), None);
    }

    #[test]
    fn only_tokens_that_name_files_lose_their_backslashes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        std::fs::write(dir.path().join("bin/App.dll"), "").unwrap();
        std::fs::write(dir.path().join("My App.dll"), "").unwrap();
        for (text, expected) in [
            (r".\App.dll --regex \d+", &["./App.dll", "--regex", r"\d+"][..]),
            (r"bin\App.dll", &["bin/App.dll"]),
            (r"exec bin\App.dll", &["exec", "bin/App.dll"]),
            (r".\My App.dll", &["./My App.dll"]),
            (r#""My App.dll" x"#, &["My App.dll", "x"]),
            (r"DOMAIN\user", &[r"DOMAIN\user"]),
            ("", &[]),
        ] {
            assert_eq!(argument_list(text, dir.path()), expected, "{text}");
        }
    }

    #[test]
    fn programs_are_found_in_the_folder_then_on_the_path() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let bin = tempfile::tempdir().unwrap();
        for file in [dir.path().join("MyApp"), bin.path().join("node")] {
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        }
        std::fs::write(dir.path().join("plain"), "").unwrap();
        let env = Env::from_iter([("PATH", format!("/nowhere::{}", bin.path().display()))]);
        let resolve = |text: &str| resolve_program(text, dir.path(), &env);
        assert_eq!(resolve("MyApp"), Ok(dir.path().join("MyApp")));
        assert_eq!(resolve("./MyApp"), Ok(dir.path().join("MyApp")));
        assert_eq!(resolve("node"), Ok(bin.path().join("node")));
        assert!(matches!(resolve("python"), Err(ProgramNotFound::NotOnPath { .. })));
        assert!(matches!(resolve("./node"), Err(ProgramNotFound::Missing { .. })));
        assert!(matches!(resolve("./plain"), Err(ProgramNotFound::NotExecutable { .. })));
        assert!(matches!(resolve("/"), Err(ProgramNotFound::NotAFile { .. })));
    }

    #[test]
    fn dotnet_is_found_where_it_is_installed_without_being_on_the_path() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let dotnet = home.path().join(".dotnet/dotnet");
        std::fs::create_dir(home.path().join(".dotnet")).unwrap();
        std::fs::write(&dotnet, "").unwrap();
        std::fs::set_permissions(&dotnet, PermissionsExt::from_mode(0o755)).unwrap();
        let resolve = |variable: &str, value: &Path| {
            let env = Env::from_iter([(variable, value.display().to_string())]);
            resolve_program("dotnet", Path::new("/nowhere"), &env)
        };
        assert_eq!(resolve("DOTNET_ROOT", &home.path().join(".dotnet")), Ok(dotnet.clone()));
        // Unless the machine has one for everybody.
        let found = resolve("HOME", home.path()).unwrap();
        assert!(found == dotnet || !found.starts_with(home.path()), "{}", found.display());
        let error = ProgramNotFound::NotOnPath {
            name: "dotnet".into(),
            dir: "/srv/app".into(),
            path: "/usr/bin".into(),
        };
        assert!(error.to_string().contains("/usr/share/dotnet"), "{error}");
    }
}
