//! One application: its folder, its settings, and where they come from.
//!
//! [`App::load`] is the only way in. It looks for `web.config` in any casing, falls back to the
//! single `*.runtimeconfig.json`, applies the command line and the `ANCM_LAUNCHER_*` variables,
//! and reports whatever stands in the way of a start.

mod folder;
mod load;
mod program;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{AspNetCore, Env, Finding, HostingModel, PathBase};

/// A validated application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// What people call it: the name of its assembly or program, else of its folder.
    pub name: String,
    /// Its folder, absolute, symbolic links resolved.
    pub dir: PathBuf,
    /// The `web.config` in force, if there is one.
    pub web_config_path: Option<PathBuf>,
    /// Its settings.
    pub settings: AspNetCore,
    /// What the settings were read from.
    pub source: Source,
    /// The path below which it is served.
    pub path_base: PathBase,
    /// What decided the hosting model.
    pub hosting_model_origin: Origin,
    /// The folder that its code is executed from, when that is a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<PathBuf>,
}

/// What an application's settings were read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// There is no `web.config`; the single `*.runtimeconfig.json` names the application.
    RuntimeConfig,
    /// The folder's `web.config`.
    WebConfig,
}

/// What decided the hosting model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The command line.
    CommandLine,
    /// Nothing is written: the default of the source.
    Default,
    /// `web.config` says so.
    WebConfig,
}

/// What the command line says instead of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--hosting-model`.
    pub hosting_model: Option<HostingModel>,
    /// `--environment`.
    pub environment: Option<String>,
    /// `--path-base`.
    pub path_base: PathBase,
}

/// What is known about an application after looking at its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The application, unless a finding prevents its start.
    pub app: Option<App>,
    /// Everything worth telling, errors included.
    pub findings: Vec<Finding>,
}

impl App {
    /// The folder that its code is executed from.
    pub fn code_dir(&self) -> &Path {
        self.snapshot.as_deref().unwrap_or(&self.dir)
    }

    /// Reads and checks the application in `dir`. Never fails: what is wrong is in the findings,
    /// and `app` is `None` exactly when one of them is an error.
    pub fn load(dir: &Path, overrides: Overrides, env: &Env) -> Loaded {
        load::load(dir, &overrides, env)
    }
}
