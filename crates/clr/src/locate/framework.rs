//! Which frameworks an application asks for, which are installed, and which of them would be used.
//!
//! hostfxr decides for itself when the application starts; this is the same rule, applied early
//! enough to say "wants Microsoft.AspNetCore.App 8.0.0; installed: 9.0.7" before starting anything.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::version::Version;

/// More than any real `runtimeconfig.json` has.
const LARGEST_BYTES: u64 = 1 << 20;

/// One framework with the version that an application was built against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Framework {
    /// Such as `Microsoft.AspNetCore.App`.
    pub name: String,
    /// The version asked for.
    pub version: Version,
}

/// One framework that is installed, with all its versions, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Such as `Microsoft.AspNetCore.App`.
    pub name: String,
    /// The versions.
    pub versions: Vec<Version>,
}

/// How far another version than the one asked for may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RollForward {
    /// Exactly this version.
    Disable,
    /// The highest version of all.
    LatestMajor,
    /// The highest minor version of the same major version.
    LatestMinor,
    /// The same major and minor version.
    LatestPatch,
    /// As `Minor`, else the lowest higher major version.
    Major,
    /// The same major version, of higher minor versions the lowest.
    #[default]
    Minor,
}

impl RollForward {
    /// Reads the policy's name in any casing.
    pub fn named(text: &str) -> Option<Self> {
        let all = [
            ("Disable", Self::Disable),
            ("LatestMajor", Self::LatestMajor),
            ("LatestMinor", Self::LatestMinor),
            ("LatestPatch", Self::LatestPatch),
            ("Major", Self::Major),
            ("Minor", Self::Minor),
        ];
        all.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, policy)| policy)
    }

    /// The installed version that serves `wanted`. Releases are preferred to pre-releases.
    pub fn choose<'a>(self, wanted: &Version, installed: &'a [Version]) -> Option<&'a Version> {
        let compatible: Vec<&Version> = installed
            .iter()
            .filter(|version| match self {
                Self::Disable => *version == wanted,
                Self::LatestPatch => (version.major, version.minor) == (wanted.major, wanted.minor),
                Self::Minor | Self::LatestMinor => version.major == wanted.major,
                Self::Major | Self::LatestMajor => true,
            })
            .filter(|version| *version >= wanted)
            .collect();
        let releases = compatible.iter().copied().filter(|version| version.prerelease.is_none());
        let releases: Vec<&Version> = releases.collect();
        let candidates = if releases.is_empty() { compatible } else { releases };
        let lowest = candidates.iter().map(|version| (version.major, version.minor)).min();
        let takes_lowest = matches!(self, Self::Minor | Self::Major);
        candidates
            .into_iter()
            .filter(|version| !takes_lowest || Some((version.major, version.minor)) == lowest)
            .max()
    }
}

/// What a `runtimeconfig.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuntimeConfig {
    /// The file.
    pub path: PathBuf,
    /// The target framework moniker, such as `net9.0`.
    pub tfm: Option<String>,
    /// The frameworks that must be installed; empty for a self-contained application.
    pub frameworks: Vec<Framework>,
    /// The frameworks that a self-contained application brings along.
    pub included_frameworks: Vec<Framework>,
    /// How far the version used may be from the one asked for.
    pub roll_forward: RollForward,
}

/// A `runtimeconfig.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeConfigError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its text is not what it has to be.
    #[error("{} is not a valid runtimeconfig.json", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenFile {
    runtime_options: WrittenOptions,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenOptions {
    tfm: Option<String>,
    framework: Option<WrittenFramework>,
    #[serde(default)]
    frameworks: Vec<WrittenFramework>,
    #[serde(default)]
    included_frameworks: Vec<WrittenFramework>,
    roll_forward: Option<String>,
}

#[derive(Deserialize)]
struct WrittenFramework {
    name: String,
    #[serde(default)]
    version: String,
}

impl WrittenFramework {
    fn checked(self) -> Option<Framework> {
        Some(Framework { version: self.version.parse().ok()?, name: self.name })
    }
}

impl RuntimeConfig {
    /// Reads the file beside an assembly: `App.dll` → `App.runtimeconfig.json`.
    ///
    /// # Errors
    ///
    /// It is missing or is no JSON of the right form.
    pub fn beside(assembly: &Path) -> Result<Self, RuntimeConfigError> {
        Self::read(&assembly.with_extension("runtimeconfig.json"))
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It is missing or is no JSON of the right form.
    pub fn read(path: &Path) -> Result<Self, RuntimeConfigError> {
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST_BYTES).read_to_end(&mut text))
            .map_err(|source| RuntimeConfigError::Unreadable { path: path.to_owned(), source })?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let written: WrittenFile = serde_json::from_slice(text)
            .map_err(|source| RuntimeConfigError::Invalid { path: path.to_owned(), source })?;
        let options = written.runtime_options;
        let checked = |list: Vec<WrittenFramework>| {
            list.into_iter().filter_map(WrittenFramework::checked).collect()
        };
        let frameworks = options.framework.into_iter().chain(options.frameworks).collect();
        Ok(Self {
            path: path.to_owned(),
            tfm: options.tfm,
            frameworks: checked(frameworks),
            included_frameworks: checked(options.included_frameworks),
            roll_forward: options
                .roll_forward
                .and_then(|text| RollForward::named(&text))
                .unwrap_or_default(),
        })
    }

    /// Whether the application brings its own runtime.
    pub fn is_self_contained(&self) -> bool {
        !self.included_frameworks.is_empty()
    }

    /// The policy in force: `DOTNET_ROLL_FORWARD` beats the file.
    pub fn effective_roll_forward(&self, variable: &dyn Fn(&str) -> Option<String>) -> RollForward {
        let named = variable("DOTNET_ROLL_FORWARD").and_then(|text| RollForward::named(&text));
        named.unwrap_or(self.roll_forward)
    }
}

/// The frameworks below `shared` of a dotnet root, by name.
pub fn installed(dotnet_root: &Path) -> Vec<Installed> {
    let mut found: Vec<Installed> = folders(&dotnet_root.join("shared"))
        .map(|(name, path)| {
            let mut versions: Vec<Version> =
                folders(&path).filter_map(|(version, _)| version.parse().ok()).collect();
            versions.sort();
            Installed { name, versions }
        })
        .filter(|framework| !framework.versions.is_empty())
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The folders in a folder; none when it cannot be listed.
pub(super) fn folders(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_choose_as_hostfxr_does() {
        let installed: Vec<Version> = ["8.0.3", "8.0.19", "8.2.0", "8.3.1", "9.0.7", "10.0.0-rc.1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        for (policy, wanted, expected) in [
            ("Minor", "8.0.0", Some("8.0.19")),
            ("Minor", "8.1.0", Some("8.2.0")),
            ("minor", "8.3.2", None),
            ("Minor", "7.0.0", None),
            ("LatestPatch", "8.0.4", Some("8.0.19")),
            ("LatestPatch", "8.1.0", None),
            ("LatestMinor", "8.0.0", Some("8.3.1")),
            ("Major", "7.0.0", Some("8.0.19")),
            ("LatestMajor", "7.0.0", Some("9.0.7")),
            ("Major", "10.0.0-alpha", Some("10.0.0-rc.1")),
            ("Disable", "8.0.3", Some("8.0.3")),
            ("Disable", "8.0.4", None),
        ] {
            let policy = RollForward::named(policy).unwrap();
            let chosen = policy.choose(&wanted.parse().unwrap(), &installed);
            assert_eq!(chosen.map(Version::to_string).as_deref(), expected, "{policy:?} {wanted}");
        }
    }

    #[test]
    fn both_spellings_of_a_framework_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("App.runtimeconfig.json");
        let single = r#"{"runtimeOptions":{"tfm":"net9.0","framework":
            {"name":"Microsoft.AspNetCore.App","version":"9.0.0"},"rollForward":"Major"}}"#;
        std::fs::write(&path, format!("\u{feff}{single}")).unwrap();
        let config = RuntimeConfig::beside(&dir.path().join("App.dll")).unwrap();
        assert_eq!(config.frameworks[0].name, "Microsoft.AspNetCore.App");
        assert_eq!(config.roll_forward, RollForward::Major);
        assert_eq!(
            config.effective_roll_forward(&|_| Some("latestminor".to_owned())),
            RollForward::LatestMinor
        );
        let included = r#"{"runtimeOptions":{"includedFrameworks":[
            {"name":"Microsoft.NETCore.App","version":"9.0.7"}]}}"#;
        std::fs::write(&path, included).unwrap();
        assert!(RuntimeConfig::read(&path).unwrap().is_self_contained());
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(RuntimeConfig::read(&path), Err(RuntimeConfigError::Invalid { .. })));
    }
}
