//! What the worker tells about the app, as the start needs it.
//!
//! | name | value |
//! |---|---|
//! | `app.base` | what `AppContext.BaseDirectory` is; absent: the folder of the assembly |
//! | `app.dll` | the app's assembly, absolute |
//! | `app.arguments` | its arguments, joined by NUL; absent if none |
//! | `hostfxr.library` | the hosting library, absolute |
//! | `hostfxr.kind` | `framework-dependent` or `self-contained` |
//! | `hostfxr.arguments` | the whole argument vector, joined by NUL; replaces `app.dll` and `app.arguments` |
//! | `hostfxr.host_path` | what to pass as the host's path; absent: `dotnet.exe` when self-contained |
//! | `dotnet.root`, `dotnet.exe` | the installation, if there is one |
//! | `server.dir` | folder of the managed server; absent: this library's own, or the assembly's |
//!
//! Read by the managed server: `addresses`, `body.limit`, `websockets`.

use std::path::PathBuf;

use clr::{HostFxr, Kind};

use crate::bridge::Link;
use crate::place::own_folder;

/// A parameter of the start is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host gave no property {0}")]
pub(crate) struct Missing(&'static str);

/// The hosting library and how to call it.
pub(crate) fn host_fxr(link: &Link) -> Result<HostFxr, Missing> {
    from(|name| link.property(name))
}

/// The assembly that the runtime is entered by; that of the server lies beside it.
pub(crate) const BOOTSTRAP: &str = "Ancm.Bootstrap.dll";

/// The folder of the managed server. A publish of an application that refers to our package puts
/// assemblies beside its own and this library below them.
pub(crate) fn server_folder(link: &Link, host: &HostFxr) -> Result<PathBuf, Missing> {
    if let Some(given) = link.property("server.dir") {
        return Ok(given.into());
    }
    let own = own_folder().ok_or(Missing("server.dir"))?;
    let of_app = host.app_dll.parent().filter(|folder| folder.join(BOOTSTRAP).is_file());
    match of_app {
        Some(folder) if !own.join(BOOTSTRAP).is_file() => Ok(folder.to_owned()),
        _ => Ok(own),
    }
}

fn from<'a>(property: impl Fn(&str) -> Option<&'a str>) -> Result<HostFxr, Missing> {
    let optional = |name| property(name).filter(|value| !value.is_empty());
    let required = |name| optional(name).ok_or(Missing(name));
    let is_self_contained = optional("hostfxr.kind") == Some("self-contained");
    let app_dll = required("app.dll")?;
    let dotnet_exe = optional("dotnet.exe").map(PathBuf::from);
    let argv = match optional("hostfxr.arguments") {
        Some(all) => all.split('\0').map(str::to_owned).collect(),
        None => std::iter::once(app_dll)
            .chain(optional("app.arguments").into_iter().flat_map(|all| all.split('\0')))
            .map(str::to_owned)
            .collect(),
    };
    let host_path = optional("hostfxr.host_path").map(PathBuf::from);
    Ok(HostFxr {
        library: required("hostfxr.library")?.into(),
        version: None,
        dotnet_root: optional("dotnet.root").map(PathBuf::from).filter(|_| !is_self_contained),
        host_path: host_path.or_else(|| dotnet_exe.clone().filter(|_| is_self_contained)),
        dotnet_exe,
        kind: if is_self_contained { Kind::SelfContained } else { Kind::FrameworkDependent },
        app_dll: app_dll.into(),
        argv,
        found_by: "the worker".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties<'a>(pairs: &'a [(&str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    #[test]
    fn arguments_follow_the_assembly() {
        let host = from(properties(&[
            ("app.dll", "/a/App.dll"),
            ("app.arguments", "--one\0two words"),
            ("hostfxr.library", "/n/libhostfxr.so"),
            ("dotnet.root", "/n"),
        ]))
        .unwrap();
        assert_eq!(host.argv, ["/a/App.dll", "--one", "two words"]);
        assert_eq!(host.dotnet_root, Some("/n".into()));
        assert_eq!(host.kind, Kind::FrameworkDependent);
    }

    #[test]
    fn a_self_contained_app_is_its_own_host() {
        let host = from(properties(&[
            ("app.dll", "/a/App.dll"),
            ("hostfxr.library", "/a/libhostfxr.so"),
            ("hostfxr.kind", "self-contained"),
            ("dotnet.exe", "/a/App"),
        ]))
        .unwrap();
        assert_eq!(host.host_path, Some("/a/App".into()));
        assert_eq!(host.dotnet_root, None);
    }

    #[test]
    fn nat_30_what_is_missing_is_named() {
        let missing = from(properties(&[("app.dll", "/a/App.dll")])).unwrap_err();
        assert_eq!(missing.to_string(), "the host gave no property hostfxr.library");
    }
}
