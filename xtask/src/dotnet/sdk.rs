//! Finding an installed .NET SDK.

use std::{
    cmp::Reverse,
    env, fs,
    path::{Path, PathBuf},
};

/// Older SDKs cannot build for the oldest .NET that is supported.
const OLDEST: u32 = 8;

/// An installed SDK with the frameworks of its own version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sdk {
    /// The folder of `dotnet`.
    pub(crate) root: PathBuf,
    /// The SDK's version.
    pub(crate) version: String,
    /// The newest ASP.NET Core of the same major version.
    pub(crate) framework_version: String,
}

/// The newest usable SDK of the first place that has one.
pub(super) fn find() -> Option<Sdk> {
    places().into_iter().find_map(|root| find_in(&root))
}

fn places() -> Vec<PathBuf> {
    let named = env::var_os("DOTNET_ROOT").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path)
        .filter_map(|dir| fs::canonicalize(dir.join("dotnet")).ok())
        .filter_map(|program| Some(program.parent()?.to_owned()));
    let usual = ["/usr/share/dotnet", "/usr/lib/dotnet", "/usr/lib64/dotnet"];
    named.into_iter().chain(on_path).chain(usual.map(PathBuf::from)).collect()
}

/// The folders say what `dotnet --list-sdks` and `--list-runtimes` say, without starting anything.
fn find_in(root: &Path) -> Option<Sdk> {
    if !root.join("dotnet").is_file() {
        return None;
    }
    let frameworks = versions(&root.join("shared/Microsoft.AspNetCore.App"));
    versions(&root.join("sdk")).into_iter().find_map(|version| {
        let major = numbers(&version)[0];
        if major < OLDEST {
            return None;
        }
        let framework_version = frameworks.iter().find(|name| numbers(name)[0] == major)?.clone();
        Some(Sdk { root: root.to_owned(), version, framework_version })
    })
}

/// Names of version folders, newest first; a preview comes after the release that it precedes.
fn versions(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    names.sort_by_key(|name| Reverse((numbers(name), !name.contains('-'))));
    names
}

fn numbers(version: &str) -> [u32; 3] {
    let release = version.split('-').next().unwrap_or_default();
    let mut parts = release.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(name: &str, folders: &[&str]) -> PathBuf {
        let root = env::temp_dir().join(format!("xtask-sdk-{name}-{}", std::process::id()));
        for folder in folders {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("dotnet"), "").unwrap();
        root
    }

    #[test]
    fn the_newest_sdk_that_has_its_framework_is_taken() {
        let root = installation(
            "newest",
            &[
                "sdk/8.0.404",
                "sdk/9.0.100",
                "sdk/9.0.100-rc.1",
                "sdk/10.0.100",
                "shared/Microsoft.AspNetCore.App/9.0.2",
                "shared/Microsoft.AspNetCore.App/9.0.11",
                "shared/Microsoft.AspNetCore.App/8.0.1",
            ],
        );
        let sdk = find_in(&root).unwrap();
        assert_eq!((&*sdk.version, &*sdk.framework_version), ("9.0.100", "9.0.11"));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_runtime_or_an_old_sdk_is_not_enough() {
        let runtime = installation("runtime", &["shared/Microsoft.AspNetCore.App/9.0.2"]);
        let old = installation("old", &["sdk/6.0.1", "shared/Microsoft.AspNetCore.App/6.0.1"]);
        assert_eq!(find_in(&runtime), None);
        assert_eq!(find_in(&old), None);
        fs::remove_dir_all(runtime).unwrap();
        fs::remove_dir_all(old).unwrap();
    }
}
