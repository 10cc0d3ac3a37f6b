//! A report as a response: HTML for people, JSON for programs, text for the rest.
//!
//! Details (exception, output, paths) are for developers: without `detailed` a response carries the
//! number, the hints and the reference under which the log has everything else. All text is
//! escaped; a page loads nothing from anywhere.

use std::fmt::Write;

use lifecycle::StartReport;
use serde::Serialize;

/// Names an address that pages link to.
const LINK_VARIABLE: &str = "ANCM_ADDITIONAL_ERROR_PAGE_LINK";

/// The form of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page.
    Html,
    /// `application/json`.
    Json,
    /// What the log shows.
    Text,
}

impl Form {
    /// The form that an `Accept` header asks for by name; a page when it names none of ours, and
    /// when it does not mind.
    pub fn preferred(accept: Option<&str>) -> Self {
        let items = || accept.unwrap_or_default().split(',');
        let weight = |ranges: &[&str]| {
            let weights =
                ranges.iter().map(|range| items().find_map(|item| weight_of(item, range)));
            weights.flatten().next().unwrap_or(0)
        };
        let html = weight(&["text/html", "application/xhtml+xml", "text/*"]);
        let json = weight(&["application/json", "application/problem+json", "application/*"]);
        let text = weight(&["text/plain", "text/*"]);
        match html.max(json).max(text) {
            best if best == html => Self::Html,
            best if best == json => Self::Json,
            _ => Self::Text,
        }
    }

    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// The weight, in thousandths, that an item of `Accept` gives to exactly this range.
fn weight_of(item: &str, range: &str) -> Option<u16> {
    let mut parts = item.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(range) {
        return None;
    }
    let quality =
        parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality: f32 = quality.map_or(Some(1.0), |text| text.parse().ok())?;
    Some((quality.clamp(0.0, 1.0) * 1000.0) as u16)
}

/// The body of a response.
pub fn render(report: &StartReport, detailed: bool, form: Form) -> String {
    match form {
        Form::Html => html(report, detailed),
        Form::Json => json(report, detailed),
        Form::Text if detailed => format!("HTTP Error {report}"),
        Form::Text => {
            let StartReport { code, reference, .. } = report;
            format!("HTTP Error {code} - {}\nReference: {reference}\n", report.title())
        }
    }
}

/// What programs are told, in the manner of problem details.
#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    code: &'a str,
    title: &'a str,
    reference: &'a str,
    event: u16,
    suggestions: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a StartReport>,
}

fn json(report: &StartReport, detailed: bool) -> String {
    let hints = report.code.hints().iter().copied();
    let problem = Problem {
        status: report.code.status(),
        code: report.code.number(),
        title: report.title(),
        reference: &report.reference,
        event: report.event(),
        suggestions: if detailed { report.to_try().collect() } else { hints.collect() },
        report: detailed.then_some(report),
    };
    serde_json::to_string(&problem).unwrap_or_default()
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}\
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1rem;margin:2rem 0 .5rem}\
table{border-collapse:collapse}th{text-align:left;vertical-align:top;padding-right:1.5rem;\
font-weight:600;white-space:nowrap}td{overflow-wrap:anywhere}\
pre{overflow:auto;max-height:30rem;padding:1rem;border-radius:.4rem;background:#8882;\
font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}\
footer{margin-top:2.5rem;opacity:.7;font-size:.9rem}";

fn html(report: &StartReport, detailed: bool) -> String {
    let heading = format!("HTTP Error {} - {}", report.code, escape(report.title()));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <title>{heading}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{heading}</h1>\n"
    );
    if detailed {
        details_before(&mut page, report);
    }
    page.push_str("<h2>What to try</h2>\n<ul>\n");
    let hints = report.code.hints().iter().copied();
    let to_try: Vec<&str> = if detailed { report.to_try().collect() } else { hints.collect() };
    for suggestion in to_try {
        item(&mut page, format_args!("<li>{}</li>\n", escape(suggestion)));
    }
    page.push_str("</ul>\n");
    if detailed {
        details_after(&mut page, report);
    } else {
        page.push_str(
            "<p>The log of the server has the cause under the reference below. Set \
             <code>ASPNETCORE_DETAILEDERRORS=true</code> to see it here.</p>\n",
        );
    }
    if let Some(link) = additional_link() {
        let link = escape(&link);
        item(&mut page, format_args!("<p>More about it: <a href=\"{link}\">{link}</a></p>\n"));
    }
    let (reference, time) = (escape(&report.reference), escape(&report.time));
    item(&mut page, format_args!("<footer>Reference {reference} &middot; {time}</footer>\n"));
    page.push_str("</body>\n</html>\n");
    page
}

/// Where an operator has more to read, as in the module: a page of their own about failures.
fn additional_link() -> Option<String> {
    let link = std::env::var(LINK_VARIABLE).ok()?;
    let is_web = ["https://", "http://"].iter().any(|scheme| link.starts_with(scheme));
    is_web.then_some(link)
}

fn details_before(page: &mut String, report: &StartReport) {
    item(page, format_args!("<p>{}.</p>\n", escape(&capitalized(&report.summary))));
    if let Some(detail) = &report.detail {
        item(page, format_args!("<pre>{}</pre>\n", escape(detail)));
    }
}

fn details_after(page: &mut String, report: &StartReport) {
    page.push_str("<h2>What was done</h2>\n<table>\n");
    let installed = report.runtimes_installed.join("\n");
    let journey = report.journey.to_string();
    let event = report.event().to_string();
    for (name, text) in [
        ("Command", report.command.as_deref()),
        ("Folder", report.app_dir.as_deref()),
        ("Runtime wanted", report.runtime_wanted.as_deref()),
        ("Installed", Some(installed.as_str())),
        ("Journey", Some(journey.as_str())),
        ("Process", report.exit.as_deref()),
        ("Event", Some(event.as_str())),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            let text = escape(text).replace('\n', "<br>");
            item(page, format_args!("<tr><th>{name}</th><td>{text}</td></tr>\n"));
        }
    }
    page.push_str("</table>\n");
    for (name, text) in [("Standard output", &report.stdout), ("Standard error", &report.stderr)] {
        if !text.is_empty() {
            item(page, format_args!("<h2>{name}</h2>\n<pre>{}</pre>\n", escape(text)));
        }
    }
}

/// Appending to a string cannot fail.
fn item(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use lifecycle::Code;

    use super::*;

    fn report() -> StartReport {
        let mut report = StartReport::new(Code::AppDidNotStart, "main threw")
            .with_detail("Exception: <script>alert(1)</script>")
            .of_command("dotnet App.dll", "/srv/secret");
        report.reference = "4f3a".to_owned();
        report
    }

    #[test]
    fn a_page_has_the_number_in_title_and_heading() {
        let page = render(&report(), true, Form::Html);
        let heading = "HTTP Error 500.30 - The application did not start";
        assert!(page.contains(&format!("<title>{heading}</title>")), "{page}");
        assert!(page.contains(&format!("<h1>{heading}</h1>")), "{page}");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
        assert!(page.contains("<p>Main threw.</p>"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    }

    #[test]
    fn details_are_for_developers() {
        for form in [Form::Html, Form::Json, Form::Text] {
            let body = render(&report(), false, form);
            assert!(body.contains("500.30") && body.contains("4f3a"), "{body}");
            for secret in ["Exception", "secret", "main threw"] {
                assert!(!body.contains(secret), "{secret} in {body}");
            }
            assert!(render(&report(), true, form).contains("/srv/secret"));
        }
    }

    #[test]
    fn the_client_chooses_the_form() {
        for (accept, expected) in [
            (None, Form::Html),
            (Some("*/*"), Form::Html),
            (Some("application/json"), Form::Json),
            (Some("application/json, text/plain, */*"), Form::Json),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Form::Html),
            (Some("text/html;q=0.5, application/json"), Form::Json),
            (Some("text/plain"), Form::Text),
            (Some("image/png"), Form::Html),
        ] {
            assert_eq!(Form::preferred(accept), expected, "{accept:?}");
        }
    }
}
