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

/// Joins continued lines, drops blank and comment lines, and numbers each by its first line (from 1).
fn logical_lines(text: &str) -> Vec<(String, usize)> {
    let mut lines = Vec::new();
    let mut natural = text.lines().enumerate();
    while let Some((index, line)) = natural.next() {
        let line = trim_start(line);
        if line.is_empty() || line.starts_with(['#', '!']) {
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

/// `\t \n \r \f`, `\uXXXX` (pairs make one character), and a backslash before anything else just goes.
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
