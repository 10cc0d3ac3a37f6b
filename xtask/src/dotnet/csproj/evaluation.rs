//! The properties of a project: setting them, using them, asking for them.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail, ensure};
use roxmltree::Node;

/// The properties that `compile` and `publish` act on.
const ACTED_ON: &[&str] = &[
    "AllowUnsafeBlocks",
    "AspNetCoreHostingModel",
    "AssemblyName",
    "CheckForOverflowUnderflow",
    "DefineConstants",
    "EnableDefaultCompileItems",
    "GenerateDocumentationFile",
    "ImplicitUsings",
    "InvariantGlobalization",
    "IsTransformWebConfigDisabled",
    "LangVersion",
    "NoWarn",
    "Nullable",
    "OutputType",
    "PathMap",
    "ServerGarbageCollection",
    "StartupHookSupport",
    "TargetFramework",
    "TreatWarningsAsErrors",
    "UseAppHost",
    "Version",
    "WarningsNotAsErrors",
];
/// The properties that mean nothing here: what they are about (analyzers, packages) does not
/// happen, or happens always.
const WITHOUT_EFFECT: &[&str] = &[
    "AncmTargetFramework",
    "Authors",
    "DebugType",
    "Description",
    "Deterministic",
    "EnableNETAnalyzers",
    "IsPackable",
    "IsPublishable",
    "NuGetAudit",
    "PackageLicenseExpression",
    "Product",
    "RootNamespace",
    "SatelliteResourceLanguages",
];

/// The state of reading one project: its properties so far.
pub(super) struct Evaluation {
    pub(super) properties: BTreeMap<String, String>,
    tfm: String,
}

impl Evaluation {
    pub(super) fn new(project: &Path, tfm: &str) -> Self {
        let dir = project.parent().unwrap_or(project).display().to_string();
        let properties = [
            ("MSBuildProjectName", stem(project)),
            ("MSBuildProjectDirectory", &dir),
            ("Configuration", "Release"),
            ("TargetFramework", tfm),
            ("AncmTargetFramework", tfm),
        ];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Evaluation { properties: properties.into(), tfm: tfm.to_owned() }
    }

    pub(super) fn read_properties(&mut self, file: &Path, root: Node) -> Result<()> {
        let folder = format!("{}/", file.parent().unwrap_or(file).display());
        self.properties.insert("MSBuildThisFileDirectory".into(), folder);
        for element in root.children().filter(Node::is_element) {
            match element.tag_name().name() {
                "PropertyGroup" => {}
                "ItemGroup" => continue,
                other => {
                    bail!("{}: <{other}> is not supported without an SDK", position(file, element))
                }
            }
            if !self.holds(file, element)? {
                continue;
            }
            for property in element.children().filter(Node::is_element) {
                let name = property.tag_name().name();
                ensure!(
                    ACTED_ON.contains(&name) || WITHOUT_EFFECT.contains(&name),
                    "{}: the property {name} is not supported without an SDK",
                    position(file, property)
                );
                if self.holds(file, property)? {
                    let value = self.expand(property.text().unwrap_or_default().trim());
                    self.properties.insert(name.to_owned(), value);
                }
            }
        }
        // Given from outside, these are not the project's to change.
        self.properties.insert("TargetFramework".into(), self.tfm.clone());
        Ok(())
    }

    /// Whether an element's condition, if it has one, is true.
    pub(super) fn holds(&self, file: &Path, element: Node) -> Result<bool> {
        let Some(condition) = element.attribute("Condition") else { return Ok(true) };
        let operand = |text: &str| {
            let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (!inner.contains('\'')).then(|| self.expand(inner))
        };
        let compared = ["==", "!="].into_iter().find_map(|operator| {
            let (left, right) = condition.split_once(operator)?;
            let equal = operand(left)?.eq_ignore_ascii_case(&operand(right)?);
            Some(equal == (operator == "=="))
        });
        compared.with_context(|| {
            format!(
                "{}: the condition {condition} is not a comparison of two quoted texts",
                position(file, element)
            )
        })
    }

    /// Replaces `$(Name)`; a property that was not set is empty.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("$(") {
            let Some((name, after)) = after.split_once(')') else { break };
            expanded.push_str(before);
            expanded.push_str(self.properties.get(name).map_or("", String::as_str));
            rest = after;
        }
        expanded + rest
    }
}

/// Where an element is, for messages.
pub(super) fn position(file: &Path, node: Node) -> String {
    let line = node.document().text_pos_at(node.range().start).row;
    format!("{}:{line}", file.display())
}

/// A file's name without its extension.
pub(super) fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}
