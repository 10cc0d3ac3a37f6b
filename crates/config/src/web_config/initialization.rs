//! `<applicationInitialization>`: the pages that are requested before an application is ready.

use roxmltree::Node;

use crate::nearest::nearest;
use crate::{Finding, Page};

use super::Report;
use super::read::{elements, excerpt, name, start};
use super::written::At;

const PAGE: &str = "initializationPage";
const HOST: &str = "hostName";

/// Attributes of the section, which say what IIS answers while it initialises.
const ATTRIBUTES: &[&str] =
    &["doAppInitAfterRestart", "remapManagedRequestsTo", "skipManagedModules"];

/// Reads one section over those before it, as IIS merges collections.
pub(super) fn read(section: Node<'_, '_>, report: &mut Report<'_>, pages: &mut Vec<At<Page>>) {
    for attribute in section.attributes() {
        let at = attribute.range().start;
        let written = attribute.name();
        if written == "remapManagedRequestsTo" {
            let message = "remapManagedRequestsTo has no effect: clients wait for the application";
            report.push(report.note("section-without-effect", at, message));
        } else if !ATTRIBUTES.contains(&written)
            && !super::schema::LOCK_ATTRIBUTES.contains(&written)
        {
            let near = nearest(written, ATTRIBUTES.iter().copied());
            report.push(unknown("<applicationInitialization>", written, at, near, report));
        }
    }
    for child in elements(section) {
        match name(child) {
            "add" => add(child, report, pages),
            "clear" => pages.clear(),
            "remove" => match child.attribute(PAGE).map(|path| Page::new(path, None)) {
                Some(Ok(page)) => pages.retain(|other| other.value.target != page.target),
                _ => missing(child, report),
            },
            other => {
                let message =
                    format!("<applicationInitialization> has no element <{}>", excerpt(other));
                let finding = report.error("unknown-element", start(child), message);
                report.push(finding.expected("<add>, <remove>, <clear>"));
            }
        }
    }
}

fn add(node: Node<'_, '_>, report: &mut Report<'_>, pages: &mut Vec<At<Page>>) {
    for attribute in node.attributes() {
        let written = attribute.name();
        if !matches!(written, PAGE | HOST) {
            let near = nearest(written, [PAGE, HOST]);
            report.push(unknown("<add>", written, attribute.range().start, near, report));
        }
    }
    let Some(path) = node.attribute(PAGE) else { return missing(node, report) };
    match Page::new(path, node.attribute(HOST)) {
        Ok(value) => pages.push(At { value, at: start(node) }),
        Err(error) => {
            let which = if error == crate::PageError::Host { HOST } else { PAGE };
            let attribute = node.attribute_node(which);
            let (at, text) =
                attribute.map_or((start(node), ""), |it| (it.range_value().start, it.value()));
            let message = format!("{which}=\"{}\" is not accepted: {error}", excerpt(text));
            let finding = report.error("attribute-value", at, message);
            report.push(finding.expected("initializationPage=\"/path\" hostName=\"example.com\""));
        }
    }
}

fn missing(node: Node<'_, '_>, report: &mut Report<'_>) {
    let message = format!("<{}> has no {PAGE}", excerpt(name(node)));
    let finding = report.error("missing-attribute", start(node), message);
    report.push(finding.expected("initializationPage=\"/path\""));
}

fn unknown(
    element: &str,
    written: &str,
    at: usize,
    near: Option<&str>,
    report: &Report<'_>,
) -> Finding {
    let message = format!("{element} has no attribute `{}`", excerpt(written));
    let finding = report.error("unknown-attribute", at, message);
    match near {
        Some(near) => finding.suggest(near),
        None => finding,
    }
}
