//! Reading `.csproj` files as MSBuild would, as far as the projects of this repository need it.
//!
//! A project must mean the same in both back ends. So what is not understood here is an error with
//! its line, never ignored: properties that [`evaluation`] does not list, items other than the kinds
//! below, conditions other than comparisons.

mod evaluation;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use roxmltree::{Document, Node};

use self::evaluation::{Evaluation, position, stem};
use super::glob;

/// Which of the SDK's project kinds a project is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SdkKind {
    /// `Microsoft.NET.Sdk`.
    Plain,
    /// `Microsoft.NET.Sdk.Web`: ASP.NET Core, content files, `web.config`.
    Web,
}

/// A project as the compile and publish steps need it.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) path: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) sdk: SdkKind,
    /// The property files that took part, for the stamp.
    pub(super) imports: Vec<PathBuf>,
    pub(super) sources: Vec<PathBuf>,
    /// Project files of other projects.
    pub(super) references: Vec<PathBuf>,
    pub(super) aspnet: bool,
    /// Files for the publish folder: where each is and its path there.
    pub(super) content: Vec<(PathBuf, String)>,
    /// Embedded files and their names in the assembly.
    pub(super) resources: Vec<(PathBuf, String)>,
    properties: BTreeMap<String, String>,
}

impl Project {
    /// Reads a project and the `Directory.Build.props` above it. `tfm` overrides what it targets,
    /// as `-p:TargetFramework=` does.
    pub(super) fn load(path: &Path, tfm: &str) -> Result<Self> {
        let path = fs::canonicalize(path)
            .with_context(|| format!("there is no project {}", path.display()))?;
        let dir = path.parent().context("a project file has a folder")?.to_owned();
        let mut imports: Vec<PathBuf> =
            dir.ancestors().map(|dir| dir.join("Directory.Build.props")).collect();
        imports.retain(|props| props.is_file());
        imports.truncate(1);

        let mut evaluation = Evaluation::new(&path, tfm);
        let files: Vec<&PathBuf> = imports.iter().chain([&path]).collect();
        let texts = files.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
        let mut sdk = None;
        // Properties of all files come before items of any, as in MSBuild.
        for (file, text) in files.iter().zip(&texts) {
            let document = parse(file, text)?;
            evaluation.read_properties(file, document.root_element())?;
            sdk = document.root_element().attribute("Sdk").map(str::to_owned).or(sdk);
        }
        let sdk = match sdk.as_deref() {
            Some("Microsoft.NET.Sdk") => SdkKind::Plain,
            Some("Microsoft.NET.Sdk.Web") => SdkKind::Web,
            other => bail!("{}: Sdk {other:?} is not supported", path.display()),
        };
        let mut project = Project {
            sdk,
            imports: imports.clone(),
            sources: Vec::new(),
            references: Vec::new(),
            aspnet: sdk == SdkKind::Web,
            content: Vec::new(),
            resources: Vec::new(),
            properties: BTreeMap::new(),
            dir,
            path: path.clone(),
        };
        project.add_default_items(&evaluation)?;
        for (file, text) in files.iter().zip(&texts) {
            let document = parse(file, text)?;
            for group in elements(document.root_element(), "ItemGroup") {
                if evaluation.holds(file, group)? {
                    for item in group.children().filter(Node::is_element) {
                        project.apply_item(&evaluation, file, item)?;
                    }
                }
            }
        }
        project.sources.sort();
        project.sources.dedup();
        project.properties = evaluation.properties;
        Ok(project)
    }

    /// The assembly's name.
    pub(super) fn name(&self) -> &str {
        self.property("AssemblyName").unwrap_or_else(|| stem(&self.path))
    }

    /// Whether it has an entry point; web projects do unless they say otherwise.
    pub(super) fn is_program(&self) -> bool {
        match self.property("OutputType") {
            Some(output) => output.eq_ignore_ascii_case("exe"),
            None => self.sdk == SdkKind::Web,
        }
    }

    /// A property's value, if it was set to something.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A property that is `true`, `enable` or the like; `None` when it was not set.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let value = self.property(name)?;
        Some(value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("enable"))
    }

    fn add_default_items(&mut self, evaluation: &Evaluation) -> Result<()> {
        let compile = evaluation.expand("$(EnableDefaultCompileItems)") != "false";
        for file in glob::files_below(&self.dir)? {
            if compile && file.ends_with(".cs") {
                self.sources.push(self.dir.join(&file));
            }
            let is_content = file.starts_with("wwwroot/")
                || (file.ends_with(".json") || file.ends_with(".config"))
                    && file != "Properties/launchSettings.json";
            if self.sdk == SdkKind::Web && is_content {
                self.content.push((self.dir.join(&file), file));
            }
        }
        Ok(())
    }

    fn apply_item(&mut self, evaluation: &Evaluation, file: &Path, item: Node) -> Result<()> {
        if !evaluation.holds(file, item)? {
            return Ok(());
        }
        let kind = item.tag_name().name();
        let at = || position(file, item);
        let list = |name: &str| -> Vec<String> {
            let value = evaluation.expand(item.attribute(name).unwrap_or_default());
            let parts = value.split(';').map(|part| part.trim().replace('\\', "/"));
            parts.filter(|part| !part.is_empty()).collect()
        };
        let metadata = |name: &'static str| {
            let child = elements(item, name).next().and_then(|child| child.text());
            item.attribute(name).or(child).map(|value| evaluation.expand(value))
        };
        match kind {
            "Compile" => {
                self.sources.extend(expand_all(&self.dir, &list("Include"))?);
                let removed = expand_all(&self.dir, &list("Remove"))?;
                self.sources.retain(|source| !removed.contains(source));
            }
            "ProjectReference" => {
                for include in list("Include") {
                    let path = self.dir.join(include);
                    let path = fs::canonicalize(&path)
                        .with_context(|| format!("{}: no {}", at(), path.display()))?;
                    self.references.push(path);
                }
            }
            "FrameworkReference" => {
                let names = list("Include");
                ensure!(
                    names == ["Microsoft.AspNetCore.App"],
                    "{}: only Microsoft.AspNetCore.App is supported",
                    at()
                );
                self.aspnet = true;
            }
            "Content" | "None" => {
                let removed = list("Remove");
                self.content.retain(|(_, to)| !removed.iter().any(|p| glob::matches(p, to)));
                let copied = metadata("CopyToOutputDirectory")
                    .or_else(|| metadata("CopyToPublishDirectory"))
                    .is_some_and(|value| value != "Never");
                for path in expand_all(&self.dir, &[list("Include"), list("Update")].concat())? {
                    let to = metadata("Link").unwrap_or_else(|| relative(&self.dir, &path));
                    self.content.retain(|(_, known)| *known != to);
                    if copied {
                        self.content.push((path, to));
                    }
                }
            }
            "EmbeddedResource" => {
                for path in expand_all(&self.dir, &list("Include"))? {
                    let default = relative(&self.dir, &path).replace('/', ".");
                    let default = format!("{}.{default}", stem(&self.path));
                    self.resources.push((path, metadata("LogicalName").unwrap_or(default)));
                }
            }
            _ => bail!("{}: items of kind {kind} are not supported without an SDK", at()),
        }
        Ok(())
    }
}

fn parse<'a>(file: &Path, text: &'a str) -> Result<Document<'a>> {
    let text = text.trim_start_matches('\u{feff}');
    Document::parse(text).with_context(|| format!("cannot read {}", file.display()))
}

fn elements<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

fn expand_all(dir: &Path, patterns: &[String]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for pattern in patterns {
        for file in glob::expand(dir, pattern)? {
            // One name for one file, so that removing and comparing work.
            files.push(fs::canonicalize(&file).unwrap_or(file));
        }
    }
    Ok(files)
}

fn relative(dir: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(dir).ok();
    let outside = || Path::new(path.file_name().unwrap_or_default());
    inside.unwrap_or_else(outside).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
