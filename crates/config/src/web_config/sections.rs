//! Sections of `<system.webServer>` that belong to other parts of IIS.
//!
//! Under IIS they change what an application sees. What this host does not implement is named in a
//! finding, with the way to get the effect: never ignored in silence.

use roxmltree::Node;

use crate::nearest::nearest;

use super::limits::{self, Filtering};
use super::read::{elements, excerpt, name, start};
use super::{Report, number};

/// What becomes of a section.
enum Fate {
    /// Nothing that a client or the application could see depends on it.
    Harmless,
    /// Its effect is missing; the text says how to get it.
    Missing(&'static str),
}

use Fate::{Harmless, Missing};

const SECTIONS: &[(&str, Fate)] = &[
    ("asp", Harmless),
    ("caching", Missing("use response caching or output caching in the application")),
    ("cgi", Missing("CGI programs are not run here")),
    ("defaultDocument", Missing("use UseDefaultFiles in the application")),
    ("directoryBrowse", Missing("use UseDirectoryBrowser in the application")),
    ("fastCgi", Missing("FastCGI programs are not run here")),
    ("globalModules", Missing("IIS modules do not exist here")),
    ("httpCompression", Missing("use response compression in the application")),
    ("httpErrors", Missing("use UseStatusCodePages or UseExceptionHandler in the application")),
    ("httpLogging", Missing("use HTTP logging in the application")),
    ("httpProtocol", Missing("set the headers in the application")),
    ("httpRedirect", Missing("redirect in the application")),
    ("httpTracing", Harmless),
    ("isapiFilters", Missing("ISAPI filters do not exist here")),
    ("management", Harmless),
    (
        "modules",
        Missing(
            "IIS modules do not exist here; what they added is missing, what is removed was never there",
        ),
    ),
    ("odbcLogging", Harmless),
    (
        "rewrite",
        Missing(
            "use AddIISUrlRewrite of Microsoft.AspNetCore.Rewrite in the application, or a proxy in front",
        ),
    ),
    ("serverRuntime", Harmless),
    ("serverSideInclude", Missing("server-side includes are not run here")),
    ("staticContent", Missing("use UseStaticFiles with StaticFileOptions in the application")),
    ("tracing", Harmless),
    ("urlCompression", Missing("use response compression in the application")),
    ("validation", Harmless),
    ("wdeploy", Harmless),
    ("webdav", Missing("WebDAV does not exist here")),
];

const SECURITY: &[(&str, Fate)] = &[
    (
        "access",
        Missing(
            "TLS and its certificates belong to what ends TLS in front; clientCertificateField in \
             <handlerSettings> takes a client's certificate over",
        ),
    ),
    ("applicationDependencies", Harmless),
    (
        "authentication",
        Missing("requests are anonymous here; authenticate in the application or in front"),
    ),
    ("authorization", Missing("authorize in the application, or in a proxy in front")),
    ("dynamicIpSecurity", Missing("use rate limiting in the application, or a proxy in front")),
    ("ipSecurity", Missing("restrict addresses in a firewall or in a proxy in front")),
    ("isapiCgiRestriction", Harmless),
];

/// Reports a direct child of `<system.webServer>` that is not ours.
pub(super) fn report(section: Node<'_, '_>, report: &mut Report<'_>) {
    let written = name(section);
    // The commonest harmless lines: modules that never existed here are taken away.
    let only_removes = written == "modules"
        && section.attributes().len() == 0
        && elements(section).all(|child| name(child) == "remove");
    if only_removes {
        let message = "<modules> removes modules that do not exist here";
        report.push(report.note("section-without-effect", start(section), message));
        return;
    }
    report_by_table(section, SECTIONS, written, report);
}

/// Reads `<webSocket>` over those before it. How its sockets work is the application's affair.
pub(super) fn read_web_socket(section: Node<'_, '_>, report: &mut Report<'_>, are_off: &mut bool) {
    for attribute in section.attributes() {
        let (written, at) = (attribute.name(), attribute.range_value().start);
        if written != "enabled" {
            let message = format!("{} of <webSocket> has no effect", excerpt(written));
            let finding = report.warning("section-not-implemented", at, message);
            report.push(finding.suggest("use WebSocketOptions in the application"));
        } else if let Some(enabled) = number::bool(attribute.value()) {
            *are_off = !enabled;
        } else {
            let value = excerpt(attribute.value());
            let message = format!("enabled=\"{value}\" of <webSocket> is not accepted");
            let finding = report.error("attribute-value", at, message);
            report.push(finding.expected("true or false"));
        }
    }
}

/// Reads the limits that `<security>` holds, and reports the rest.
pub(super) fn read_security(
    security: Node<'_, '_>,
    report: &mut Report<'_>,
    filtering: &mut Filtering,
) {
    for section in elements(security) {
        if name(section) == "requestFiltering" {
            limits::read(section, report, filtering);
        } else if name(section) == "authentication" && asks_for_anonymous(section) {
            let message = "<security/authentication> asks for what holds here anyway";
            report.push(report.note("section-without-effect", start(section), message));
        } else {
            let path = format!("security/{}", name(section));
            report_by_table(section, SECURITY, &path, report);
        }
    }
}

/// Whether every scheme is written as it is here: anonymous on, all others off.
fn asks_for_anonymous(authentication: Node<'_, '_>) -> bool {
    elements(authentication).all(|scheme| {
        let is_on = scheme.attribute("enabled").is_some_and(|on| on.eq_ignore_ascii_case("true"));
        is_on == (name(scheme) == "anonymousAuthentication")
    })
}

fn report_by_table(
    section: Node<'_, '_>,
    table: &'static [(&'static str, Fate)],
    path: &str,
    report: &mut Report<'_>,
) {
    let path = excerpt(path);
    let at = start(section);
    let finding = match table.iter().find(|(known, _)| *known == name(section)) {
        Some((_, Harmless)) => report.note(
            "section-without-effect",
            at,
            format!("<{path}> has no effect on this host, and none is missed"),
        ),
        Some((_, Missing(instead))) => report
            .warning("section-not-implemented", at, format!("<{path}> is not implemented"))
            .suggest(*instead),
        None => {
            let ours = [
                "applicationInitialization",
                "aspNetCore",
                "handlers",
                "httpPlatform",
                "security",
                "webSocket",
            ];
            let near = nearest(name(section), ours);
            let message = format!("unknown section <{path}>");
            match near {
                // A misspelt section of ours would silently lose everything in it.
                Some(near) => {
                    report.error("unknown-section", at, message).suggest(format!("<{near}>"))
                }
                None => report.warning("unknown-section", at, message),
            }
        }
    };
    report.push(finding);
}
