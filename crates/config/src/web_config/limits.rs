//! Limits of clients: `<requestFiltering>` as IIS has it, and handler settings for what IIS sets
//! elsewhere or Kestrel in code.

use std::collections::BTreeMap;
use std::time::Duration;

use roxmltree::Node;

use crate::Limits;
use crate::nearest::nearest;

use super::read::{elements, excerpt, name, start};
use super::schema::{self, Kind};
use super::written::{At, Pair};
use super::{Report, number};

/// `<requestFiltering>`, merged, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filtering {
    /// Whether there is such a section at all.
    exists: bool,
    attributes: BTreeMap<&'static str, At<String>>,
    headers: Vec<Pair>,
    /// `removeServerHeader`.
    pub(super) removes_server: bool,
}

const REQUEST_LIMITS: &[&str] = &["maxAllowedContentLength", "maxQueryString", "maxUrl"];

const DAY: u64 = 86_400;
const BYTES: Kind = Kind::Uint { least: 128, most: 1 << 20 };
const MANY: Kind = Kind::Uint { least: 1, most: 100_000_000 };

/// The handler settings, in the order of their names.
pub(super) const SETTINGS: &[(&str, Kind)] = &[
    ("appConcurrentRequestLimit", MANY),
    ("keepAliveTimeout", Kind::TimeSpan { most_seconds: DAY }),
    ("maxConcurrentConnections", MANY),
    ("maxRequestHeaderCount", Kind::Uint { least: 1, most: 10_000 }),
    ("maxRequestHeadersTotalSize", BYTES),
    ("maxRequestLineSize", BYTES),
    ("maxRequestsPerConnection", MANY),
    ("minDataRate", Kind::Uint { least: 0, most: 1 << 30 }),
    ("minDataRateGracePeriod", Kind::TimeSpan { most_seconds: DAY }),
    ("queueLength", Kind::Uint { least: 0, most: 1_000_000 }),
    ("queueTimeLimit", Kind::TimeSpan { most_seconds: DAY }),
    ("requestHeadersTimeout", Kind::TimeSpan { most_seconds: DAY }),
];

/// Reads one `<requestFiltering>` over those before it.
pub(super) fn read(filtering: Node<'_, '_>, report: &mut Report<'_>, merged: &mut Filtering) {
    merged.exists = true;
    if let Some(removes) = filtering.attribute("removeServerHeader") {
        merged.removes_server = removes.eq_ignore_ascii_case("true");
    }
    for rule in elements(filtering) {
        if name(rule) == "requestLimits" {
            read_limits(rule, report, merged);
            continue;
        }
        let which = excerpt(name(rule));
        let message = format!("<requestFiltering> filters only sizes, so <{which}> has no effect");
        let finding = report.warning("section-not-implemented", start(rule), message);
        report.push(finding.suggest("filter in the application, or in a proxy in front"));
    }
}

fn read_limits(limits: Node<'_, '_>, report: &mut Report<'_>, merged: &mut Filtering) {
    for attribute in limits.attributes() {
        let known = REQUEST_LIMITS.iter().find(|known| **known == attribute.name());
        if let Some(known) = known {
            let value = attribute.value().to_owned();
            merged.attributes.insert(known, At { value, at: attribute.range_value().start });
        } else if !schema::LOCK_ATTRIBUTES.contains(&attribute.name()) {
            let message =
                format!("<requestLimits> has no attribute `{}`", excerpt(attribute.name()));
            let finding = report.error("unknown-attribute", attribute.range().start, message);
            report.push(match nearest(attribute.name(), REQUEST_LIMITS.iter().copied()) {
                Some(near) => finding.suggest(near),
                None => finding.expected(REQUEST_LIMITS.join(", ")),
            });
        }
    }
    for child in elements(limits) {
        if name(child) == "headerLimits" {
            elements(child).for_each(|item| read_header(item, report, &mut merged.headers));
            continue;
        }
        let message = format!("<requestLimits> has no element <{}>", excerpt(name(child)));
        let finding = report.error("unknown-element", start(child), message);
        report.push(finding.suggest("<headerLimits>"));
    }
}

fn read_header(item: Node<'_, '_>, report: &mut Report<'_>, headers: &mut Vec<Pair>) {
    let header = item.attribute("header").filter(|header| !header.is_empty());
    match (name(item), header, item.attribute("sizeLimit")) {
        ("clear", ..) => headers.clear(),
        ("remove", Some(header), _) => {
            headers.retain(|pair| !pair.value.0.eq_ignore_ascii_case(header));
        }
        ("add", Some(header), Some(size)) => {
            let attribute = item.attribute_node("sizeLimit");
            let at = attribute.map_or(start(item), |attribute| attribute.range_value().start);
            headers.push(At { value: (header.to_owned(), size.to_owned()), at });
        }
        (written, ..) => {
            let message = format!("<{}> is no limit of a header", excerpt(written));
            let finding = report.error("unknown-element", start(item), message);
            report.push(finding.expected("<add header=\"Content-Type\" sizeLimit=\"100\" />"));
        }
    }
}

/// The limits of the file. `settings` are the handler settings; of equal names the first counts.
pub(super) fn check(filtering: &Filtering, settings: &[Pair], report: &mut Report<'_>) -> Limits {
    let bytes = |most: u64| format!("bytes, at most {most}");
    let mut attribute = |name: &str| {
        let At { value, at } = filtering.attributes.get(name)?;
        let number = number::uint(value, 0, u64::from(u32::MAX));
        if number.is_none() {
            let message = format!("{name}=\"{}\" is not accepted", excerpt(value));
            let finding = report.error("attribute-value", *at, message);
            report.push(finding.expected(bytes(u64::from(u32::MAX))));
        }
        number
    };
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let default = filtering.exists.then_some(Limits::DEFAULT_MAX_ALLOWED_CONTENT_LENGTH);
    let mut limits = Limits {
        max_allowed_content_length: attribute("maxAllowedContentLength").or(default),
        max_url: attribute("maxUrl").map(small),
        max_query_string: attribute("maxQueryString").map(small),
        ..Limits::default()
    };
    for At { value: (header, size), at } in &filtering.headers {
        if let Some(most) = number::uint(size, 0, u64::from(u32::MAX)) {
            limits.header_limits.push((header.clone(), small(most)));
            continue;
        }
        let message = format!("sizeLimit=\"{}\" is not accepted", excerpt(size));
        let finding = report.error("attribute-value", *at, message);
        report.push(finding.expected(bytes(u64::from(u32::MAX))));
    }
    let mut read = Settings { settings, report };
    limits.app_concurrent_request_limit = read.number("appConcurrentRequestLimit");
    limits.keep_alive_timeout = read.time("keepAliveTimeout");
    limits.max_concurrent_connections = read.number("maxConcurrentConnections");
    limits.max_request_header_count = read.number("maxRequestHeaderCount");
    limits.max_request_headers_total_size = read.number("maxRequestHeadersTotalSize");
    limits.max_request_line_size = read.number("maxRequestLineSize");
    limits.max_requests_per_connection = read.number("maxRequestsPerConnection");
    limits.min_data_rate = read.number("minDataRate");
    limits.min_data_rate_grace_period = read.time("minDataRateGracePeriod");
    limits.queue_length = read.number("queueLength");
    limits.queue_time_limit = read.time("queueTimeLimit");
    limits.request_headers_timeout = read.time("requestHeadersTimeout");
    limits
}

struct Settings<'a, 'r, 't> {
    settings: &'a [Pair],
    report: &'r mut Report<'t>,
}

impl Settings<'_, '_, '_> {
    fn number(&mut self, name: &str) -> Option<u32> {
        self.read(name, |value, kind| match kind {
            Kind::Uint { least, most } => number::uint(value, u64::from(least), u64::from(most))
                .and_then(|number| u32::try_from(number).ok()),
            _ => None,
        })
    }

    /// One second at least.
    fn time(&mut self, name: &str) -> Option<Duration> {
        self.read(name, |value, kind| match kind {
            Kind::TimeSpan { most_seconds } => {
                number::time_span(value, most_seconds).filter(|time| !time.is_zero())
            }
            _ => None,
        })
    }

    fn read<T>(&mut self, name: &str, parse: impl Fn(&str, Kind) -> Option<T>) -> Option<T> {
        let (_, kind) = SETTINGS.iter().find(|(known, _)| *known == name)?;
        let pair = self.settings.iter().find(|pair| pair.value.0.eq_ignore_ascii_case(name))?;
        let value = parse(pair.value.1.trim(), *kind);
        if value.is_none() {
            let message =
                format!("handlerSetting {name}=\"{}\" is not accepted", excerpt(&pair.value.1));
            let finding = self.report.error("handler-setting-value", pair.at, message);
            self.report.push(finding.expected(kind.expected()));
        }
        value
    }
}
