//! XML to [`Written`]: finds the sections at the root and below the `<location>`s that mean this
//! application, and merges them in document order, as IIS does.

use roxmltree::{Document, Node, ParsingOptions};

use crate::nearest::nearest;

use super::schema::{self, Collection, Element};
use super::written::{At, Pair, Section, Written};
use super::{Report, handlers, initialization, sections, shape};

/// Reads the tree. `None` when the file is no configuration at all.
pub(super) fn written(text: &str, report: &mut Report<'_>) -> Option<Written> {
    if let Err(error) = shape::check(text) {
        let finding = report.error("xml-shape", error.at(), error.to_string());
        report.push(finding.expected("the web.config that `dotnet publish` writes"));
        return None;
    }
    // A DTD is refused above already, and once more by the parser's default.
    let document = match Document::parse_with_options(text, ParsingOptions::default()) {
        Ok(document) => document,
        Err(error) => {
            let position = error.pos();
            let message = error.to_string();
            // The parser repeats the position at the end of its sentence.
            let message = message.strip_suffix(&format!(" at {position}")).unwrap_or(&message);
            let at = crate::Position { line: position.row, column: position.col };
            report.push(
                crate::Finding::error(
                    "xml-syntax",
                    report.file,
                    format!("not valid XML: {message}"),
                )
                .at(at),
            );
            return None;
        }
    };
    let root = document.root_element();
    let mut written = Written { root_at: root.range().start, ..Written::default() };
    if name(root) != "configuration" {
        report.push(
            report
                .error("root-element", start(root), format!("the root element is <{}>", name(root)))
                .expected("<configuration>"),
        );
        return None;
    }
    read_group_parent(root, report, &mut written);
    for child in elements(root) {
        match name(child) {
            "location" => read_location(child, report, &mut written),
            "aspNetCore" | "handlers" | "httpPlatform" => report.push(misplaced(child, report)),
            other
                if other.eq_ignore_ascii_case("system.webServer")
                    && other != "system.webServer" =>
            {
                report.push(
                    report
                        .error(
                            "unknown-element",
                            start(child),
                            format!("unknown element <{other}>"),
                        )
                        .suggest("<system.webServer>"),
                );
            }
            _ => {}
        }
    }
    Some(written)
}

fn misplaced(node: Node<'_, '_>, report: &Report<'_>) -> crate::Finding {
    let message = format!("<{}> stands outside <system.webServer>", name(node));
    report
        .error("misplaced-section", start(node), message)
        .suggest("move it into <system.webServer>")
}

fn read_location(location: Node<'_, '_>, report: &mut Report<'_>, written: &mut Written) {
    let path = location.attribute("path").unwrap_or_default();
    if matches!(path, "" | ".") {
        read_group_parent(location, report, written);
        elements(location)
            .filter(|child| matches!(name(*child), "aspNetCore" | "handlers" | "httpPlatform"))
            .for_each(|child| report.push(misplaced(child, report)));
    } else if elements(location).any(|child| name(child) == "system.webServer") {
        let message = format!("<location path=\"{}\"> is ignored", excerpt(path));
        report.push(
            report
                .warning("location-ignored", start(location), message)
                .expected("path=\".\" or no path: this host serves the folder as one application"),
        );
    }
}

fn read_group_parent(parent: Node<'_, '_>, report: &mut Report<'_>, written: &mut Written) {
    for group in elements(parent).filter(|child| name(*child) == "system.webServer") {
        for section in elements(group) {
            if is_elsewhere(section, report) {
                continue;
            }
            match name(section) {
                "applicationInitialization" => {
                    initialization::read(section, report, &mut written.initialization);
                }
                "aspNetCore" => {
                    read_section(section, &schema::ASP_NET_CORE, report, &mut written.asp_net_core);
                }
                "handlers" => handlers::read(section, report, &mut written.handlers),
                "httpPlatform" => {
                    let schema = &schema::HTTP_PLATFORM;
                    read_section(section, schema, report, &mut written.http_platform);
                }
                "security" => {
                    sections::read_security(section, report, &mut written.filtering);
                }
                "webSocket" => {
                    sections::read_web_socket(section, report, &mut written.web_sockets_are_off);
                }
                _ => sections::report(section, report),
            }
        }
    }
}

/// Whether the content of the section stands somewhere that we cannot read.
fn is_elsewhere(section: Node<'_, '_>, report: &mut Report<'_>) -> bool {
    let is_ours = matches!(name(section), "aspNetCore" | "handlers" | "httpPlatform");
    if let Some(attribute) = section.attribute_node("configSource") {
        let message = format!("configSource on <{}> is not supported", name(section));
        let finding = report
            .error("config-source", attribute.range().start, message)
            .suggest("write the section into web.config itself");
        report.push(finding);
        return true;
    }
    let is_encrypted = section.attribute("configProtectionProvider").is_some()
        || elements(section).any(|child| name(child) == "EncryptedData");
    if is_encrypted {
        let message = format!("<{}> is encrypted with a key of Windows", name(section));
        let finding = report
            .error("encrypted-section", start(section), message)
            .suggest("decrypt it on the machine it comes from: aspnet_regiis -pdf");
        report.push(finding);
        return is_ours;
    }
    false
}

fn read_section(
    node: Node<'_, '_>,
    schema: &'static Element,
    report: &mut Report<'_>,
    merged: &mut Option<Section>,
) {
    let section = merged.get_or_insert_with(|| Section::new(schema, start(node)));
    for attribute in node.attributes() {
        let mut known = schema.attribute_names();
        if attribute.namespace().is_some() {
            let message =
                format!("attribute `{}` belongs to a transformation", excerpt(attribute.name()));
            report.push(
                report
                    .error("unknown-attribute", attribute.range().start, message)
                    .suggest("publish the transformed web.config"),
            );
        } else if let Some(known) = known.find(|known| *known == attribute.name()) {
            let value = attribute.value().to_owned();
            section.attributes.insert(known, At { value, at: attribute.range_value().start });
        } else if !schema::LOCK_ATTRIBUTES.contains(&attribute.name()) {
            let message =
                format!("<{}> has no attribute `{}`", schema.name, excerpt(attribute.name()));
            let finding = report.error("unknown-attribute", attribute.range().start, message);
            report.push(match nearest(attribute.name(), schema.attribute_names()) {
                Some(near) => finding.suggest(near),
                None => finding.expected(join(schema.attribute_names())),
            });
        }
    }
    for child in elements(node) {
        let known = schema::COLLECTIONS.iter().find(|collection| collection.name == name(child));
        match known {
            Some(&schema::ENVIRONMENT_VARIABLES) => {
                let collection = schema::ENVIRONMENT_VARIABLES;
                read_collection(child, collection, report, &mut section.environment_variables);
            }
            Some(&schema::HANDLER_SETTINGS) => {
                let collection = schema::HANDLER_SETTINGS;
                read_collection(child, collection, report, &mut section.handler_settings);
            }
            Some(collection) => {
                read_collection(child, *collection, report, &mut section.watched_files);
            }
            None => {
                let names = schema::COLLECTIONS.iter().map(|collection| collection.name);
                report.push(unknown_element(child, schema.name, names, report));
            }
        }
    }
}

fn read_collection(
    node: Node<'_, '_>,
    collection: Collection,
    report: &mut Report<'_>,
    pairs: &mut Vec<Pair>,
) {
    if let Some(attribute) =
        node.attributes().find(|a| !schema::LOCK_ATTRIBUTES.contains(&a.name()))
    {
        let message =
            format!("<{}> has no attribute `{}`", collection.name, excerpt(attribute.name()));
        report.push(report.error("unknown-attribute", attribute.range().start, message));
    }
    for child in elements(node) {
        match name(child) {
            "clear" => pairs.clear(),
            item if item == collection.item => pairs.extend(read_item(child, collection, report)),
            _ => report.push(unknown_element(
                child,
                collection.name,
                [collection.item, "clear"].into_iter(),
                report,
            )),
        }
    }
}

/// The first two attributes of an item; `None` when something about it is wrong.
fn read_item(node: Node<'_, '_>, collection: Collection, report: &mut Report<'_>) -> Option<Pair> {
    let item = collection.item;
    let mut is_complete = true;
    for attribute in node.attributes() {
        let is_known = attribute.namespace().is_none()
            && (collection.attributes.contains(&attribute.name())
                || schema::LOCK_ATTRIBUTES.contains(&attribute.name()));
        if !is_known {
            is_complete = false;
            let message = format!("<{item}> has no attribute `{}`", excerpt(attribute.name()));
            let known = collection.attributes.iter().copied();
            let finding = report.error("unknown-attribute", attribute.range().start, message);
            report.push(match nearest(attribute.name(), known.clone()) {
                Some(near) => finding.suggest(near),
                None => finding.expected(join(known)),
            });
        }
    }
    if let Some(child) = elements(node).next() {
        is_complete = false;
        report.push(unknown_element(child, item, [].into_iter(), report));
    }
    let mut values = collection.attributes.iter().enumerate().map(|(index, required)| {
        let value = node.attribute(*required);
        let is_missing = value.is_none() || (index == 0 && value == Some(""));
        if is_missing {
            is_complete = false;
            let what = if value.is_none() { "has no" } else { "has an empty" };
            let message = format!("<{item}> {what} `{required}`");
            report.push(report.error("missing-attribute", start(node), message));
        }
        value.unwrap_or_default().to_owned()
    });
    let pair = (values.next().unwrap_or_default(), values.next().unwrap_or_default());
    is_complete.then_some(At { value: pair, at: start(node) })
}

/// An element that the schema does not know; IIS then refuses the whole section.
fn unknown_element<'a>(
    node: Node<'_, '_>,
    parent: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    report: &Report<'_>,
) -> crate::Finding {
    let message = format!("<{parent}> has no element <{}>", excerpt(name(node)));
    let finding = report.error("unknown-element", start(node), message);
    match nearest(name(node), known.clone()) {
        Some(near) => finding.suggest(format!("<{near}>")),
        None => {
            let names = join(known.map(|name| format!("<{name}>")));
            finding.expected(if names.is_empty() { "no element".to_owned() } else { names })
        }
    }
}

pub(super) fn elements<'a, 'input>(
    node: Node<'a, 'input>,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

/// The name without its namespace, which IIS does not look at.
pub(super) fn name<'a>(node: Node<'a, '_>) -> &'a str {
    node.tag_name().name()
}

pub(super) fn start(node: Node<'_, '_>) -> usize {
    node.range().start
}

/// The beginning of something that may be a megabyte long, safe to print on one line.
pub(super) fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        excerpt.push('…');
    }
    excerpt
}

fn join(names: impl Iterator<Item = impl Into<String>>) -> String {
    names.map(Into::into).collect::<Vec<String>>().join(", ")
}
