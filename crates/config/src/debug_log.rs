//! What the debug log tells and where, from the words of `debugLevel` and of the variable
//! `ASPNETCORE_MODULE_DEBUG`.

use serde::{Deserialize, Serialize};

/// How much the debug log tells; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DebugLevel {
    /// What failed.
    Error,
    /// What may fail soon.
    Warning,
    /// The steps of a life.
    Info,
    /// What was found, where, and why it was taken.
    Trace,
}

/// What is wanted of the debug log; by default, none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebugLog {
    /// How much is told.
    pub level: Option<DebugLevel>,
    /// Whether there is to be a file, named or not.
    pub to_file: bool,
    /// Whether lines are told like events, on standard error, which is the journal of a service.
    pub to_operator: bool,
}

impl DebugLog {
    /// The words that are known; a word that only begins like one counts too, as in the module.
    pub const WORDS: [&str; 8] =
        ["error", "warning", "info", "trace", "console", "file", "eventlog", "journal"];

    /// Reads words between commas, in any letter case; answers those that mean nothing as well.
    pub fn parse(text: &str) -> (Self, Vec<&str>) {
        let mut read = Self::default();
        let mut unknown = Vec::new();
        let mut has_sink = false;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let begins = |known: &&str| {
                word.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known))
            };
            let level = match Self::WORDS.into_iter().find(begins) {
                Some("error") => DebugLevel::Error,
                Some("warning") => DebugLevel::Warning,
                Some("info") => DebugLevel::Info,
                Some("trace") => DebugLevel::Trace,
                Some(sink) => {
                    has_sink = true;
                    read.to_file |= sink == "file";
                    read.to_operator |= sink != "file";
                    continue;
                }
                None => {
                    unknown.push(word);
                    continue;
                }
            };
            read.level = read.level.max(Some(level));
        }
        if has_sink && read.level.is_none() {
            read.level = Some(DebugLevel::Info);
        }
        (read, unknown)
    }

    /// Both together: what was asked for once is not taken back.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            level: self.level.max(other.level),
            to_file: self.to_file || other.to_file,
            to_operator: self.to_operator || other.to_operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_order_and_by_their_beginning() {
        let read = |text| DebugLog::parse(text);
        let wish = |level, to_file, to_operator| DebugLog { level, to_file, to_operator };
        for (text, expected) in [
            ("", wish(None, false, false)),
            ("file", wish(Some(DebugLevel::Info), true, false)),
            ("console", wish(Some(DebugLevel::Info), false, true)),
            ("FILE,trace", wish(Some(DebugLevel::Trace), true, false)),
            ("trace, error ,eventlog", wish(Some(DebugLevel::Trace), false, true)),
            ("warning", wish(Some(DebugLevel::Warning), false, false)),
            ("infoXYZ", wish(Some(DebugLevel::Info), false, false)),
        ] {
            assert_eq!(read(text), (expected, Vec::new()), "{text}");
        }
        assert_eq!(read("verbose,é,file").1, ["verbose", "é"]);
    }

    #[test]
    fn nothing_is_taken_back() {
        let (trace, _) = DebugLog::parse("trace,file");
        let (error, _) = DebugLog::parse("error,journal");
        let both = DebugLog { level: Some(DebugLevel::Trace), to_file: true, to_operator: true };
        assert_eq!((trace.and(error), error.and(trace)), (both, both));
        assert_eq!(trace.and(DebugLog::default()), trace);
    }
}
