//! The renderings of the contract: the C header and the C# mirror.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use crate::{
    step::{run, step},
    workspace::Workspace,
};

const RENDERINGS: [(&str, &str); 2] =
    [("c", "include/ancm_handler.h"), ("csharp", "dotnet/src/Ancm.Server/Native/Abi.g.cs")];

/// Writes both from the declarations in crate `abi`.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    for (language, path) in RENDERINGS {
        step(path, || {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.current_dir(&workspace.root);
            cargo.args(["run", "--quiet", "-p", "ancm-abi", "--example", "render", "--", language]);
            let text = run(&mut cargo)?.stdout;
            fs::write(workspace.root.join(path), text)
                .with_context(|| format!("cannot write {path}"))
        })?;
    }
    Ok(())
}
