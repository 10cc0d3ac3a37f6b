//! The `<handlers>` section: which requests the module gets.
//!
//! IIS serves what is not mapped from the folder, `web.config` and assemblies included. This host
//! serves no files, so a folder without a mapping is refused rather than guessed.

use roxmltree::Node;

use crate::HostingModel;
use crate::nearest::nearest;

use super::Report;
use super::read::{elements, excerpt, name, start};
use super::schema;
use super::written::{At, Mapping, Section, Written};

/// Module names that lead to this module; the others are older and know no in-process hosting.
const MODULES: &[&str] = &["AspNetCoreModuleV2", "AspNetCoreModule", "httpPlatformHandler"];
/// The module that reads `<httpPlatform>`; the others read `<aspNetCore>`.
const HTTP_PLATFORM: &str = "httpPlatformHandler";

pub(super) fn read(
    section: Node<'_, '_>,
    report: &mut Report<'_>,
    handlers: &mut Vec<At<Mapping>>,
) {
    for child in elements(section) {
        let attribute = |name| child.attribute(name).unwrap_or_default().to_owned();
        match name(child) {
            "add" => handlers.push(At {
                value: Mapping {
                    name: attribute("name"),
                    path: attribute("path"),
                    verb: attribute("verb"),
                    modules: attribute("modules"),
                },
                at: start(child),
            }),
            "clear" => handlers.clear(),
            "remove" => {
                let removed = attribute("name");
                handlers.retain(|handler| !handler.value.name.eq_ignore_ascii_case(&removed));
            }
            other => {
                let message = format!("<handlers> has no element <{}>", excerpt(other));
                let finding = report.error("unknown-element", start(child), message);
                report.push(finding.expected("<add>, <clear>, <remove>"));
            }
        }
    }
}

/// The section that counts, which is that of the mapped module if there is one, and the other one.
pub(super) fn sections(written: &Written) -> Option<(&Section, Option<&Section>)> {
    let sections = (written.asp_net_core.as_ref(), written.http_platform.as_ref());
    let (first, second) = match mapped(written) {
        Some((_, HTTP_PLATFORM)) => (sections.1, sections.0),
        _ => sections,
    };
    first.map(|first| (first, second)).or(second.map(|second| (second, None)))
}

/// The handler that leads to one of our modules, and which.
fn mapped(written: &Written) -> Option<(&At<Mapping>, &'static str)> {
    written.handlers.iter().find_map(|handler| Some((handler, module_of(&handler.value)?)))
}

/// Checks that the module is mapped, and to what.
pub(super) fn check(
    written: &Written,
    section: &Section,
    model: HostingModel,
    report: &mut Report<'_>,
) {
    let Some((handler, module)) = mapped(written) else {
        report_none(written, section, report);
        return;
    };
    let mapping = &handler.value;
    if *section.schema == schema::HTTP_PLATFORM && module != HTTP_PLATFORM {
        let message = format!("{module} does not read <httpPlatform>");
        let finding = report.error("handler-module", handler.at, message);
        report.push(finding.suggest("modules=\"httpPlatformHandler\""));
    }
    if module != "AspNetCoreModuleV2" && model == HostingModel::InProcess {
        let message = format!("{module} cannot host an application in-process");
        let finding = report.error("handler-module", handler.at, message);
        report.push(finding.suggest("modules=\"AspNetCoreModuleV2\""));
    }
    if mapping.path != "*" || mapping.verb != "*" {
        let message = format!(
            "path=\"{}\" verb=\"{}\" maps only some requests to the application; here it gets all",
            excerpt(&mapping.path),
            excerpt(&mapping.verb)
        );
        let finding = report.warning("handler-mapping", handler.at, message);
        report.push(finding.suggest("path=\"*\" verb=\"*\""));
    }
    let others = written.handlers.iter().filter(|handler| module_of(&handler.value).is_none());
    for other in others.filter(|other| !other.value.modules.is_empty()) {
        let message = format!(
            "handler `{}` of module {} does not exist here; its requests go to the application",
            excerpt(&other.value.name),
            excerpt(&other.value.modules)
        );
        report.push(report.warning("handler-not-supported", other.at, message));
    }
}

fn module_of(mapping: &Mapping) -> Option<&'static str> {
    let mut written = mapping.modules.split(',').map(str::trim);
    written.find_map(|module| MODULES.iter().find(|ours| **ours == module).copied())
}

fn report_none(written: &Written, section: &Section, report: &mut Report<'_>) {
    let misspelt = written.handlers.iter().find_map(|handler| {
        let modules = &handler.value.modules;
        nearest(modules, MODULES.iter().copied()).map(|near| (handler.at, modules, near))
    });
    if let Some((at, modules, near)) = misspelt {
        let message = format!("there is no module `{}`", excerpt(modules));
        let finding = report.error("handler-module", at, message);
        report.push(finding.suggest(format!("modules=\"{near}\"")));
        return;
    }
    let schema::Element { name, module, .. } = section.schema;
    let message = format!("no handler is mapped to {module}, so the application gets no request");
    let example = format!(
        "<add name=\"{name}\" path=\"*\" verb=\"*\" modules=\"{module}\" \
         resourceType=\"Unspecified\" />"
    );
    let finding = report.error("no-handler", section.at, message);
    report.push(finding.suggest(format!("<handlers>{example}</handlers>")));
}
