//! The `<handlers>` section: which requests the module gets.
//!
//! IIS serves what is not mapped from the folder, `web.config` and assemblies included. This host
//! serves no files, so a folder without a mapping is refused rather than guessed.

use roxmltree::Node;

use crate::HostingModel;
use crate::nearest::nearest;

use super::Report;
use super::read::{elements, excerpt, name, start};
use super::written::{At, Mapping, Written};

/// Module names that lead to this module; the others are older and know no in-process hosting.
const MODULES: &[&str] = &["AspNetCoreModuleV2", "AspNetCoreModule", "httpPlatformHandler"];
const EXAMPLE: &str = "<add name=\"aspNetCore\" path=\"*\" verb=\"*\" \
                       modules=\"AspNetCoreModuleV2\" resourceType=\"Unspecified\" />";

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

/// Checks that the module is mapped, and to what.
pub(super) fn check(written: &Written, model: HostingModel, report: &mut Report<'_>) {
    let ours = |handler: &&At<Mapping>| module_of(&handler.value).is_some();
    let Some(handler) = written.handlers.iter().find(ours) else {
        report_none(written, report);
        return;
    };
    let mapping = &handler.value;
    let module = module_of(mapping).unwrap_or_default();
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

fn report_none(written: &Written, report: &mut Report<'_>) {
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
    let at = written.asp_net_core.as_ref().map_or(written.root_at, |section| section.at);
    let message = "no handler is mapped to AspNetCoreModuleV2, so the application gets no request";
    let finding = report.error("no-handler", at, message);
    report.push(finding.suggest(format!("<handlers>{EXAMPLE}</handlers>")));
}
