//! Values of the schema's types, as strict as IIS reads them.

use std::time::Duration;

/// `true` or `false` in any casing.
pub(super) fn bool(text: &str) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Decimal digits and nothing else, from `least` to `most`.
pub(super) fn uint(text: &str, least: u64, most: u64) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && (least..=most).contains(number))
}

/// `hours:minutes:seconds`, with minutes and seconds below 60 and an optional `days.` in front.
pub(super) fn time_span(text: &str, most_seconds: u64) -> Option<Duration> {
    let (days, clock) = text.split_once('.').unwrap_or(("0", text));
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    // Fifteen days have 360 hours; the bounds keep the sum far from overflow.
    let days = uint(days, 0, 10_000)?;
    let hours = uint(hours, 0, 100_000)?;
    let minutes = uint(minutes, 0, 59)?;
    let seconds = uint(seconds, 0, 59)?;
    let total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    (total <= most_seconds).then_some(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_hours_minutes_seconds() {
        let most = 1_296_000;
        for (text, expected) in [
            ("00:02:00", Some(120)),
            ("00:00:00", Some(0)),
            ("0:20:5", Some(1205)),
            ("360:00:00", Some(most)),
            ("15.00:00:00", Some(most)),
            ("1.01:00:00", Some(90_000)),
            ("360:00:01", None),
            ("00:60:00", None),
            ("00:00:60", None),
            ("120", None),
            ("02:00", None),
            ("00:02:00.5", None),
            ("-00:02:00", None),
            ("+1:02:00", None),
            ("", None),
            ("99999999999999999999:00:00", None),
        ] {
            assert_eq!(time_span(text, most).map(|span| span.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_digits_in_range() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0010", Some(10)),
            ("100", Some(100)),
            ("101", None),
            ("+1", None),
            ("-1", None),
            (" 1", None),
            ("1.0", None),
            ("0x10", None),
            ("", None),
            ("184467440737095516160", None),
        ] {
            assert_eq!(uint(text, 0, 100), expected, "{text}");
        }
    }
}
