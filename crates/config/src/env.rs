//! A snapshot of environment variables, passed as an argument to whatever needs one.
//!
//! Names are looked up as Windows does when there is no exact match, because a `web.config` written
//! for Windows spells `%home%` and `%Path%` as it likes. Printing a snapshot shows names only:
//! values are secrets until proven otherwise.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Environment variables by name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Env {
    variables: BTreeMap<String, String>,
}

impl Env {
    /// The environment of this process; variables that are not UTF-8 are left out, since no
    /// `web.config` can name them.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables }
    }

    /// Sets one variable, under exactly this spelling.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.variables.insert(name.into(), value.into());
    }

    /// The value of `name`: the exact spelling first, else any other casing of it.
    pub fn get(&self, name: &str) -> Option<&str> {
        let spelling = self.spelling_of(name)?;
        self.variables.get(spelling).map(String::as_str)
    }

    /// The value of `name` unless it is unset or empty; the module treats both alike.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Whether `name` is set to `1` or `true`, the module's way to switch something on.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// How an existing variable is spelled that Windows would take for `name`.
    pub fn spelling_of(&self, name: &str) -> Option<&str> {
        if let Some((spelling, _)) = self.variables.get_key_value(name) {
            return Some(spelling);
        }
        self.variables.keys().find(|other| other.eq_ignore_ascii_case(name)).map(String::as_str)
    }

    /// All variables, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().map(|(n, v)| (n.into(), v.into())).collect() }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_spelling_wins_over_another_casing() {
        let env = Env::from_iter([("HTTP_PROXY", "upper"), ("http_proxy", "lower")]);
        assert_eq!(env.get("http_proxy"), Some("lower"));
        assert_eq!(env.get("Http_Proxy"), Some("upper"));
        assert_eq!(env.get("other"), None);
    }

    #[test]
    fn nat_14_nat_15_a_value_is_read_whole_or_not_at_all() {
        let env = Env::from_iter([("EMPTY", ""), ("VALUE", " a=b\n")]);
        assert_eq!(env.get("VALUE"), Some(" a=b\n"));
        assert_eq!(env.get("EMPTY"), Some(""));
        assert_eq!(env.get("UNSET"), None);
    }

    #[test]
    fn printing_shows_no_values() {
        let env = Env::from_iter([("TOKEN", "secret")]);
        assert!(!format!("{env:?}").contains("secret"));
    }
}
