//! Why a process ended, read from what it wrote last; and what helps against it.
//!
//! Runtimes say it in words of their own: an unhandled exception, a stack overflow, a host library
//! that misses a framework. The words are stable enough to search for, at the beginning of a line
//! only, since applications quote them in the middle of theirs.

/// Why a process ended, in the words of its runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// One line without full stop.
    pub summary: String,
    /// What was written, from the first telling word to the end.
    pub detail: String,
}

/// How a runtime begins its last words, and how that is told.
struct Opening {
    words: &'static str,
    /// Goes before the rest of the line, or stands alone when nothing of the rest is telling.
    told: &'static str,
    rest: Rest,
}

#[derive(Clone, Copy)]
enum Rest {
    /// The remainder of the line, or the next one if it is empty.
    Told,
    /// Nothing: the words say everything.
    Dropped,
    /// The words are a part of what is told.
    WithWords,
}

const fn opening(words: &'static str, told: &'static str, rest: Rest) -> Opening {
    Opening { words, told, rest }
}

const OPENINGS: &[Opening] = &[
    opening("Unhandled exception.", "an exception that nobody caught: ", Rest::Told),
    opening("Stack overflow.", "its stack overflowed", Rest::Dropped),
    opening("Process terminated.", "it failed fast: ", Rest::Told),
    opening("Out of memory.", "the runtime is out of memory", Rest::Dropped),
    opening("Fatal error.", "a fatal error of the runtime: ", Rest::Told),
    opening("GC heap initialization failed", "", Rest::WithWords),
    opening("Failed to create CoreCLR", "", Rest::WithWords),
    opening(
        "You must install or update .NET to run this application.",
        "a framework that it needs is not installed",
        Rest::Dropped,
    ),
    opening("An assembly specified in the application dependencies manifest", "", Rest::WithWords),
    opening("A JSON parsing exception occurred", "", Rest::WithWords),
    opening("Error initializing the dependency resolver", "", Rest::WithWords),
    opening("The application to execute does not exist", "", Rest::WithWords),
    opening("The application '", "", Rest::WithWords),
    opening("A fatal error was encountered", "", Rest::WithWords),
    opening("A fatal error occurred", "", Rest::WithWords),
    opening("Could not execute because", "", Rest::WithWords),
    opening("Cannot use file stream for", "", Rest::WithWords),
    opening("Traceback (most recent call last):", "", Rest::Dropped),
];

impl Cause {
    /// The cause that the end of a stream names, if it names one.
    pub fn in_output(text: &str) -> Option<Self> {
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let words = line.trim_start();
            if let Some(opening) = OPENINGS.iter().find(|it| words.starts_with(it.words)) {
                return Some(Self::told(opening, text[at..].trim()));
            }
            at += line.len();
        }
        None
    }

    fn told(opening: &Opening, detail: &str) -> Self {
        let first_line = detail.lines().next().unwrap_or_default().trim();
        let summary = match opening.rest {
            // Python names the exception in the last line, below the stack.
            Rest::Dropped if opening.told.is_empty() => last_line(detail).to_owned(),
            Rest::Dropped => opening.told.to_owned(),
            Rest::WithWords => first_line.to_owned(),
            Rest::Told => {
                let rest = first_line[opening.words.len()..].trim();
                let second = detail.lines().nth(1).unwrap_or_default().trim();
                let rest = if rest.is_empty() { second } else { rest };
                let root = innermost(detail);
                let root = root.map_or(String::new(), |root| format!(", because of {root}"));
                format!("{}{}{root}", opening.told, without_end(rest))
            }
        };
        Self { summary: without_end(&summary).to_owned(), detail: detail.to_owned() }
    }
}

/// The exception that led to all the others: .NET writes causes inside their consequences.
fn innermost(detail: &str) -> Option<&str> {
    let mut causes = detail.lines().filter_map(|line| line.trim_start().strip_prefix("---> "));
    causes.next_back().map(without_end)
}

/// The last line with something in it.
pub fn last_line(text: &str) -> &str {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

fn without_end(line: &str) -> &str {
    line.trim_end_matches(['.', ':', ' '])
}

/// Words of an exception or a host library, and what helps. The first that is found counts, so
/// what is specific comes first.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["System.DllNotFoundException", "cannot open shared object file"],
        "install the native library that is named, with all that it needs (`ldd` shows what is \
         missing), or publish for this system (`dotnet publish -r linux-x64`)",
    ),
    (
        &["valid ICU package", "Failed to load app-local ICU"],
        "install the ICU libraries (package libicu), or set \
         DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 if the application needs no cultures",
    ),
    (
        &["System.BadImageFormatException", "is not a valid assembly"],
        "the assembly that is named is damaged or no .NET assembly: publish and copy again",
    ),
    (
        &[
            "System.IO.FileLoadException",
            "System.MissingMethodException",
            "System.TypeLoadException",
        ],
        "versions of assemblies do not fit together: publish into an empty folder and replace \
         the application's folder as a whole",
    ),
    (
        &["Could not load file or assembly", "application dependencies manifest"],
        "an assembly is missing: publish again and copy the whole folder; one that exists for \
         a newer .NET only needs that .NET",
    ),
    (
        &["Failed to load configuration from file", "System.Text.Json.JsonReaderException"],
        "correct the configuration file that is named; the position is in the message",
    ),
    (
        &["Some services are not able to be constructed", "Unable to resolve service for type"],
        "register the service that is named, or correct what its constructor asks for",
    ),
    (
        &["System.OutOfMemoryException", "Out of memory.", "GC heap initialization failed"],
        "give the application more memory: its own limit (DOTNET_GCHeapHardLimit), the cgroup's \
         or the container's",
    ),
    (
        &["System.Net.Sockets.SocketException", "Connection refused"],
        "a service that the application connects to does not answer: check its address and \
         whether it runs",
    ),
    (
        &["System.UnauthorizedAccessException", "Permission denied"],
        "the user that ancm runs as may not use the file that is named: check owner and mode",
    ),
    (
        &["Stack overflow."],
        "the stack above shows the method that calls itself without end; if it is only deep, \
         raise the handler setting stackSize",
    ),
    (
        &["runtimeconfig.json", "A JSON parsing exception occurred"],
        "the file that is named is damaged: publish again",
    ),
];

/// What helps against the failure that these words describe.
pub fn advice(words: &str) -> Option<&'static str> {
    let is_told = |tokens: &[&str]| tokens.iter().any(|token| words.contains(token));
    ADVICE.iter().find(|(tokens, _)| is_told(tokens)).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_runtime_name_the_cause() {
        for (text, summary) in [
            (
                "info: x\nUnhandled exception. System.Exception: no\n   at Main()\n",
                "an exception that nobody caught: System.Exception: no",
            ),
            (
                "Unhandled exception. A: no.\n ---> B: why\n ---> C: so\n   at X\n   --- End of",
                "an exception that nobody caught: A: no, because of C: so",
            ),
            ("Stack overflow.\nRepeated 9 times:\n", "its stack overflowed"),
            ("Process terminated. on purpose\n   at X", "it failed fast: on purpose"),
            ("Process terminated.\non purpose\n   at X", "it failed fast: on purpose"),
            (
                "Fatal error.\nSystem.AccessViolationException: read\n",
                "a fatal error of the runtime: System.AccessViolationException: read",
            ),
            ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
            (
                "Error:\n  An assembly specified in the application dependencies manifest \
                 (A.deps.json) was not found:\n    path: 'B.dll'\n",
                "An assembly specified in the application dependencies manifest (A.deps.json) was \
                 not found",
            ),
        ] {
            let cause = Cause::in_output(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(cause.summary, summary, "{text}");
        }
    }

    #[test]
    fn what_an_application_quotes_is_no_cause() {
        assert_eq!(Cause::in_output("all is well"), None);
        assert_eq!(Cause::in_output("fail: Unhandled exception. caught it"), None);
    }

    #[test]
    fn the_most_specific_advice_is_given() {
        let words = "System.DllNotFoundException: Unable to load x: cannot open: Permission denied";
        assert!(advice(words).unwrap().contains("ldd"));
        assert_eq!(advice("System.InvalidOperationException: no"), None);
    }
}
