//! Splits a command line with the rules of Windows' `CommandLineToArgvW`.
//!
//! They are not a shell's: only the double quote quotes, and a backslash means something only in a
//! run that ends at a double quote.

/// The arguments in `text`, which has no program name in front.
pub fn split(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        let (argument, after) = next_argument(rest);
        arguments.push(argument);
        rest = after.trim_start_matches(is_blank);
    }
    arguments
}

fn next_argument(text: &str) -> (String, &str) {
    let mut argument = String::new();
    let mut quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                let mut backslashes = 1;
                while chars.next_if(|(_, next)| *next == '\\').is_some() {
                    backslashes += 1;
                }
                let before_quote = chars.peek().is_some_and(|(_, next)| *next == '"');
                // 2n in front of a quote are n, and the quote quotes; 2n+1 are n and a literal quote.
                let literal = if before_quote { backslashes / 2 } else { backslashes };
                argument.extend(std::iter::repeat_n('\\', literal));
                if before_quote && backslashes % 2 == 1 {
                    argument.push('"');
                    chars.next();
                }
            }
            // Two quotes inside a quoted part are one literal quote.
            '"' if quoted && chars.next_if(|(_, next)| *next == '"').is_some() => {
                argument.push('"');
            }
            '"' => quoted = !quoted,
            c if !quoted && is_blank(c) => return (argument, &text[at..]),
            c => argument.push(c),
        }
    }
    (argument, "")
}

fn is_blank(c: char) -> bool {
    // Windows knows blank and tab. An attribute value may contain line ends written as references.
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn windows_rules_hold() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("   ", &[]),
            (r".\App.dll", &[r".\App.dll"]),
            ("a b\tc", &["a", "b", "c"]),
            (r#""a b" c"#, &["a b", "c"]),
            (r#"a"b c"d"#, &["ab cd"]),
            (r#""""#, &[""]),
            (r#"a "" b"#, &["a", "", "b"]),
            (r#""he said ""no"" twice""#, &[r#"he said "no" twice"#]),
            (r"a\b\\c", &[r"a\b\\c"]),
            (r#"a\"b"#, &[r#"a"b"#]),
            (r#"a\\"b c""#, &[r"a\b c"]),
            (r#"a\\\"b"#, &[r#"a\"b"#]),
            (r#"a\\\\"b c" d"#, &[r"a\\b c", "d"]),
            (r#""C:\dir\\" x"#, &[r"C:\dir\", "x"]),
            (r#""C:\dir\" x"#, &[r#"C:\dir" x"#]),
            (r#""unclosed x"#, &["unclosed x"]),
            (r"trailing\", &[r"trailing\"]),
            ("é 'single quotes'", &["é", "'single", "quotes'"]),
        ];
        for (text, expected) in table {
            assert_eq!(split(text), *expected, "{text}");
        }
    }

    #[test]
    fn a_long_line_of_backslashes_is_split_in_linear_time() {
        assert_eq!(split(&"\\".repeat(1 << 20)).len(), 1);
    }
}
