//! The `server.properties` file: Java's syntax, with line numbers and duplicates.
//!
//! Only the syntax: what the keys mean is `check.rs`. A broken escape is a problem of its own, kept for the check.

use std::collections::BTreeMap;
use std::fmt;

/// One finding about a line: an error refuses the start, a warning does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// None: not from the file (an override, the environment, or a rule over several keys).
    pub line: Option<usize>,
    pub fatal: bool,
    pub message: String,
}

impl ConfigProblem {
    pub(super) fn error(line: Option<usize>, message: impl Into<String>) -> ConfigProblem {
        ConfigProblem {
            line,
            fatal: true,
            message: message.into(),
        }
    }

    pub(super) fn warning(line: Option<usize>, message: impl Into<String>) -> ConfigProblem {
        ConfigProblem {
            line,
            fatal: false,
            message: message.into(),
        }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The line of an entry that no line of the file set: an override.
pub const NO_LINE: usize = 0;

/// Keys and values in file order, each with its line number.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    pub entries: Vec<(String, String, usize)>,
    /// Escapes that Java would refuse.
    pub problems: Vec<ConfigProblem>,
}

impl Properties {
    /// Reads what `java.util.Properties` reads: comments (# and !), `=`, `:` or space between key and value, lines
    /// continued by a backslash, escapes. Every line is taken, also those that repeat a key.
    pub fn parse(text: &str) -> Properties {
        let mut properties = Properties::default();
        for (line, number) in logical_lines(text) {
            let (key, value) = split_entry(&line);
            let mut unescape = |part| {
                unescape(part).unwrap_or_else(|problem| {
                    properties.problems.push(ConfigProblem::error(Some(number), problem));
                    part.to_string()
                })
            };
            let entry = (unescape(key), unescape(value), number);
            properties.entries.push(entry);
        }
        properties
    }

    /// Sets a key over whatever the file says, as `--override` does.
    pub fn set(&mut self, key: &str, value: &str) {
        self.entries.retain(|(name, _, _)| name != key);
        self.entries.push((key.to_string(), value.to_string(), NO_LINE));
    }

    /// The value that counts: the last one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries
            .iter()
            .rfind(|(name, _, _)| name == key)
            .map(|(_, value, _)| value.as_str())
    }

    /// The line that the value of `key` stands in.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        let (_, _, line) = self.entries.iter().rfind(|(name, _, _)| name == key)?;
        (*line != NO_LINE).then_some(*line)
    }

    /// Keys and the values that count.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.entries
            .iter()
            .map(|(key, value, _)| (key.clone(), value.clone()))
            .collect()
    }
}

/// Joins continued lines, drops blank and comment lines, and numbers each by its first line (from 1). A line of nothing
/// but a backslash continues nothing, as in Java.
fn logical_lines(text: &str) -> Vec<(String, usize)> {
    let mut lines = Vec::new();
    let mut natural = text.lines().enumerate();
    while let Some((index, line)) = natural.next() {
        let line = trim_start(line);
        if line.is_empty() || line == "\\" || line.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = line.to_string();
        while is_continued(&whole) {
            whole.pop();
            match natural.next() {
                Some((_, next)) => whole.push_str(trim_start(next)),
                None => break,
            }
        }
        lines.push((whole, index + 1));
    }
    lines
}

/// A line goes on when it ends in an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Splits at the first unescaped `=`, `:` or white space; around `=` and `:` white space is dropped.
fn split_entry(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            let ends = !escaped && (matches!(c, '=' | ':') || is_white(*c));
            escaped = *c == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(index, _)| index);
    let (key, rest) = line.split_at(end);
    let rest = trim_start(rest);
    let value = rest.strip_prefix(['=', ':']).map_or(rest, trim_start);
    (key, value)
}

/// `\t \n \r \f`, `\u` and four digits (pairs make one character), and a backslash before anything else just goes.
fn unescape(part: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(part.len());
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.extend(c.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        match chars.next() {
            Some('t') => units.push(u16::from(b'\t')),
            Some('n') => units.push(u16::from(b'\n')),
            Some('r') => units.push(u16::from(b'\r')),
            Some('f') => units.push(0x0c),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let is_hex = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                match u16::from_str_radix(&digits, 16) {
                    Ok(unit) if is_hex => units.push(unit),
                    _ => {
                        return Err(format!(
                            "\\u{digits} is not an escape: write four hexadecimal digits after \\u, or \\\\ for a backslash"
                        ));
                    }
                }
            }
            Some(other) => units.extend(other.encode_utf16(&mut [0; 2]).iter()),
            None => {}
        }
    }
    Ok(String::from_utf16_lossy(&units))
}

fn trim_start(line: &str) -> &str {
    line.trim_start_matches(is_white)
}

/// Java's white space within a line.
fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(text: &str) -> Vec<(String, String, usize)> {
        Properties::parse(text).entries
    }

    fn entry(text: &str) -> (String, String) {
        match entries(text).as_slice() {
            [(key, value, _)] => (key.clone(), value.clone()),
            other => panic!("{text:?} is one entry, not {other:?}"),
        }
    }

    #[test] // Java's separators: =, : and white space, each with white space around.
    fn separators_are_javas() {
        for text in [
            "a=b c",
            "a:b c",
            "a b c",
            "  a  =  b c",
            "a\t:\tb c",
            "a =b c",
            "a\u{c}b c",
        ] {
            assert_eq!(entry(text), ("a".to_string(), "b c".to_string()), "{text:?}");
        }
        assert_eq!(entry("a==b"), ("a".to_string(), "=b".to_string()));
        assert_eq!(entry("a: :b"), ("a".to_string(), ":b".to_string()));
        assert_eq!(entry("a"), ("a".to_string(), String::new()));
        assert_eq!(entry("=a"), (String::new(), "a".to_string()));
        assert_eq!(entry("a=b  "), ("a".to_string(), "b  ".to_string()));
    }

    #[test] // Blank lines and comments do not count, lines go on after a backslash, each has the number of its first line.
    fn lines_are_numbered_and_continued() {
        let text = "# one\n! two \\\n\n a = 1,\\\n    2,\\\r\n    3\r\nb=x\\\\\nc=#no comment\nd=\\";
        let lines: Vec<_> = entries(text);
        let found: Vec<_> = lines
            .iter()
            .map(|(key, value, line)| (key.as_str(), value.as_str(), *line))
            .collect();
        assert_eq!(
            found,
            [
                ("a", "1,2,3", 4),
                ("b", "x\\", 7),
                ("c", "#no comment", 8),
                ("d", "", 9)
            ]
        );
    }

    #[test] // Escapes: characters by name and by number, separators within a key.
    fn escapes_are_javas() {
        assert_eq!(entry("a\\=b\\:c\\ d=1"), ("a=b:c d".to_string(), "1".to_string()));
        assert_eq!(entry(r"a=\t\n\r\f\q\\").1, "\t\n\r\u{c}q\\");
        assert_eq!(entry(r"a=\u4e2d\u6587\uD83D\uDE00").1, "中文😀");
        assert_eq!(entry("a=中文").1, "中文");
    }

    #[test] // A broken escape is a fatal problem of its line.
    fn broken_escape_is_a_problem() {
        for text in ["x=1\na=\\u12", "x=1\na=\\u12G4", "x=1\na=\\u+123"] {
            let problems = Properties::parse(text).problems;
            assert_eq!(problems.len(), 1, "{text:?}");
            assert!(
                problems[0].fatal && problems[0].to_string().starts_with("line 2: \\u"),
                "{problems:?}"
            );
        }
    }

    proptest! {
        #[test] // No text makes the parser fail, and no entry is without a line of the text.
        fn any_text_is_read(text in "[a#!=: \\t\\\\u0-9\r\n中]{0,60}") {
            let lines = text.lines().count();
            for (_, _, line) in entries(&text) {
                prop_assert!((1..=lines).contains(&line));
            }
        }
    }
}
