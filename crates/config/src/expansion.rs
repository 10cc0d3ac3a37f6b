//! `%NAME%` expansion as Windows does it.
//!
//! An unknown name stays literally, percent signs included; there is no escape character, and the
//! closing percent sign of an unknown name may open the next one.

use crate::Env;

/// Replaces every `%NAME%` in `text` whose name is set in `env`.
pub fn expand(text: &str, env: &Env) -> String {
    expand_with(text, |name| env.get(name).map(str::to_owned))
}

/// Placeholders whose value is another one for each backend. They are filled in when it starts, and
/// nothing that the host's own environment calls so comes before.
const PER_BACKEND: [&str; 3] = ["ANCM_SOCKET", "ASPNETCORE_PORT", "HTTP_PLATFORM_PORT"];

/// Whether the value of this name is known only when a backend starts.
pub fn is_per_backend(name: &str) -> bool {
    PER_BACKEND.iter().any(|placeholder| placeholder.eq_ignore_ascii_case(name))
}

/// As [`expand`], but leaves what is filled in for each backend.
pub fn expand_but_per_backend(text: &str, env: &Env) -> String {
    expand_with(text, |name| env.get(name).filter(|_| !is_per_backend(name)).map(str::to_owned))
}

/// Replaces every `%NAME%` in `text` for which `lookup` has a value.
pub fn expand_with(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('%') {
        expanded.push_str(before);
        let Some((name, after)) = from.split_once('%') else {
            expanded.push('%');
            expanded.push_str(from);
            return expanded;
        };
        match lookup(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                expanded.push_str(&value);
                rest = after;
            }
            None => {
                expanded.push('%');
                expanded.push_str(name);
                // The second sign is looked at again: in `50% of %HOME%` it opens a name.
                rest = &from[name.len()..];
            }
        }
    }
    expanded.push_str(rest);
    expanded
}

/// The first name in `text` that is written as a variable and is not set in `env`.
pub(crate) fn first_unknown<'a>(text: &'a str, env: &Env) -> Option<&'a str> {
    let mut parts = text.split('%').skip(1).peekable();
    while let Some(name) = parts.next() {
        parts.peek()?;
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '(' | ')'));
        if is_name && env.get(name).is_none() {
            return Some(name);
        }
        parts.next();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nat_12_windows_rules_hold() {
        let env = Env::from_iter([("HOME", "/home/app"), ("Empty", ""), ("NESTED", "%HOME%")]);
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("%HOME%", "/home/app"),
            ("%home%/x", "/home/app/x"),
            ("a%HOME%b%HOME%c", "a/home/appb/home/appc"),
            ("%UNKNOWN%", "%UNKNOWN%"),
            ("%EMPTY%x", "x"),
            ("%NESTED%", "%HOME%"),
            ("100%", "100%"),
            ("%%", "%%"),
            ("%%HOME%%", "%/home/app%"),
            ("50% of %HOME%", "50% of /home/app"),
            ("%UNKNOWN%HOME%", "%UNKNOWN/home/app"),
            ("%ä%", "%ä%"),
        ] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }

    #[test]
    fn the_first_unknown_name_is_reported() {
        let env = Env::from_iter([("HOME", "/home/app")]);
        assert_eq!(first_unknown("%HOME%/%LAUNCHER_PATH%", &env), Some("LAUNCHER_PATH"));
        assert_eq!(first_unknown("%HOME%", &env), None);
        assert_eq!(first_unknown("50% of 70%", &env), None);
        assert_eq!(first_unknown("100%", &env), None);
    }
}
