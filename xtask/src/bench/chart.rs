//! The summary as a picture: CPU per request, a group of bars per scenario.

use std::fmt::Write;

use super::report::Report;

/// Who is drawn, in which colour; the others are in the tables.
const DRAWN: [(&str, &str); 5] = [
    ("ancm-in", "#2f6f4f"),
    ("ancm-out", "#7fb79a"),
    ("kestrel", "#c9c9c9"),
    ("kestrel-tuned", "#8f8f8f"),
    ("nginx-tcp", "#d08a5b"),
];
const WIDTH: f64 = 760.0;
const LEFT: f64 = 130.0;
const BAR: f64 = 11.0;
const GAP: f64 = 14.0;
const TOP: f64 = 56.0;

/// An SVG document. Bars are relative to the longest of their group, since an upload and a short
/// answer have nothing in common; the figures stand beside them.
pub(super) fn svg(report: &Report) -> String {
    let mut bars = String::new();
    let mut y = TOP;
    for scenario in &report.scenarios {
        let drawn: Vec<(&str, f64)> = DRAWN
            .iter()
            .filter_map(|(name, colour)| {
                let result = scenario.results.iter().find(|each| each.contender == *name)?;
                Some((*colour, result.median.cpu_us_per_request))
            })
            .collect();
        let most = drawn.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        let middle = y + BAR * drawn.len() as f64 / 2.0 + 4.0;
        let x = LEFT - 8.0;
        _ = writeln!(
            bars,
            r#"<text x="{x}" y="{middle}" text-anchor="end">{}</text>"#,
            scenario.name
        );
        for (colour, value) in drawn {
            let length = (WIDTH - LEFT - 70.0) * value / most;
            let (height, text_x, text_y) = (BAR - 1.0, LEFT + length + 4.0, y + BAR - 2.0);
            _ = writeln!(
                bars,
                r#"<rect x="{LEFT}" y="{y}" width="{length:.1}" height="{height}" fill="{colour}"/><text x="{text_x:.1}" y="{text_y}">{value:.1}</text>"#
            );
            y += BAR;
        }
        y += GAP;
    }
    let mut legend = String::new();
    for (index, (name, colour)) in DRAWN.iter().enumerate() {
        let x = LEFT + index as f64 * 120.0;
        let text_x = x + 14.0;
        _ = writeln!(
            legend,
            r#"<rect x="{x}" y="30" width="10" height="10" fill="{colour}"/><text x="{text_x}" y="39">{name}</text>"#
        );
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="10">
<rect width="{WIDTH}" height="{y}" fill="white"/>
<text x="{LEFT}" y="18" font-size="13">CPU µs per request, all processes of the server's side (less is better)</text>
{legend}{bars}</svg>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::super::{
        campaign::{Plan, Round},
        header::Header,
        report::{ContenderResult, ScenarioReport},
    };
    use super::*;

    #[test]
    fn the_longest_bar_of_a_group_is_as_long_as_that_of_another() {
        let round = |cpu| vec![Round { cpu_us_per_request: cpu, ..Round::default() }];
        let scenario = |name, cpu| ScenarioReport {
            name,
            about: "",
            command: String::new(),
            results: vec![
                ContenderResult::new("ancm-in", round(cpu)),
                ContenderResult::new("kestrel", round(cpu * 2.0)),
                ContenderResult::new("not drawn", round(9.0)),
            ],
        };
        let header = Header {
            command: String::new(),
            versions: Vec::new(),
            kernel: String::new(),
            congestion_control: String::new(),
            cores: 1,
            load_average: 0.0,
            plan: Plan { rounds: 1, seconds: 1, warm_up_seconds: 0, repeats: 0 },
            contenders: Vec::new(),
        };
        let scenarios = vec![scenario("small", 5.0), scenario("large", 500.0)];
        let text = svg(&Report::new(header, scenarios));
        assert_eq!(text.matches(r#"width="560.0""#).count(), 2, "{text}");
        assert_eq!(text.matches(r#"width="280.0""#).count(), 2, "{text}");
        assert!(text.contains(">1000.0<") && text.trim_end().ends_with("</svg>"), "{text}");
    }
}
