//! How the console consumer prints a record: Kafka's DefaultMessageFormatter, or a JSON object a line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::bail;
use serde_json::json;

use crate::client::ConsumedRecord;

pub(super) struct Formatter {
    json: bool,
    timestamp: bool,
    partition: bool,
    offset: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: String,
    headers_separator: String,
    line_separator: String,
    null_literal: String,
}

impl Formatter {
    pub(super) fn new(given: &BTreeMap<String, String>, json: bool) -> anyhow::Result<Formatter> {
        const KNOWN: &[&str] = &[
            "print.timestamp",
            "print.partition",
            "print.offset",
            "print.headers",
            "print.key",
            "print.value",
            "key.separator",
            "headers.separator",
            "line.separator",
            "null.literal",
            "key.deserializer",
            "value.deserializer",
            "headers.deserializer",
        ];
        if let Some(unknown) = given.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            bail!("--property {unknown}: not known; there are {}", KNOWN.join(", "));
        }
        let is_set = |key: &str, default: bool| given.get(key).map_or(default, |value| value.trim() == "true");
        let text = |key: &str, default: &str| given.get(key).cloned().unwrap_or_else(|| default.to_owned());
        Ok(Formatter {
            json,
            timestamp: is_set("print.timestamp", false),
            partition: is_set("print.partition", false),
            offset: is_set("print.offset", false),
            headers: is_set("print.headers", false),
            key: is_set("print.key", false),
            value: is_set("print.value", true),
            key_separator: text("key.separator", "\t"),
            headers_separator: text("headers.separator", ","),
            line_separator: text("line.separator", "\n"),
            null_literal: text("null.literal", "null"),
        })
    }

    pub(super) fn print(&self, out: &mut impl Write, record: &ConsumedRecord) -> io::Result<()> {
        if self.json {
            return print_json(out, record);
        }
        let mut separator: &[u8] = b"";
        let mut field = |out: &mut dyn Write, bytes: &[u8]| -> io::Result<()> {
            out.write_all(separator)?;
            separator = self.key_separator.as_bytes();
            out.write_all(bytes)
        };
        if self.timestamp {
            let kind = if record.log_append_time {
                "LogAppendTime"
            } else {
                "CreateTime"
            };
            field(out, format!("{kind}:{}", record.timestamp).as_bytes())?;
        }
        if self.partition {
            field(out, format!("Partition:{}", record.partition).as_bytes())?;
        }
        if self.offset {
            field(out, format!("Offset:{}", record.offset).as_bytes())?;
        }
        if self.headers {
            field(out, &self.headers_of(record))?;
        }
        if self.key {
            field(out, record.key.as_deref().unwrap_or(self.null_literal.as_bytes()))?;
        }
        if self.value {
            field(out, record.value.as_deref().unwrap_or(self.null_literal.as_bytes()))?;
        }
        out.write_all(self.line_separator.as_bytes())
    }

    fn headers_of(&self, record: &ConsumedRecord) -> Vec<u8> {
        if record.headers.is_empty() {
            return b"NO_HEADERS".to_vec();
        }
        let one = |header: &crate::record::Header| {
            [
                &header.key[..],
                b":",
                header.value.as_deref().unwrap_or(self.null_literal.as_bytes()),
            ]
            .concat()
        };
        record
            .headers
            .iter()
            .map(one)
            .collect::<Vec<_>>()
            .join(self.headers_separator.as_bytes())
    }
}

fn print_json(out: &mut impl Write, record: &ConsumedRecord) -> io::Result<()> {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|h| json!([text(&h.key), h.value.as_ref().map(text)]))
        .collect();
    let object = json!({
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": record.key.as_ref().map(text),
        "value": record.value.as_ref().map(text),
        "headers": headers,
    });
    writeln!(out, "{object}")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Formatter;
    use crate::client::ConsumedRecord;
    use crate::record::Header;

    fn printed(settings: &[(&str, &str)], json: bool) -> String {
        let record = ConsumedRecord {
            partition: 1,
            offset: 7,
            timestamp: 1234,
            log_append_time: false,
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: vec![Header {
                key: Bytes::from_static(b"h"),
                value: Some(Bytes::from_static(b"x")),
            }],
        };
        let given = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut out = Vec::new();
        Formatter::new(&given, json).unwrap().print(&mut out, &record).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_its_value_unless_more_is_asked_for() {
        assert_eq!(printed(&[], false), "v\n");
        let all = [
            "print.timestamp",
            "print.partition",
            "print.offset",
            "print.headers",
            "print.key",
        ];
        let all: Vec<_> = all.iter().map(|key| (*key, "true")).collect();
        assert_eq!(
            printed(&all, false),
            "CreateTime:1234\tPartition:1\tOffset:7\th:x\tnull\tv\n"
        );
    }

    #[test]
    fn json_has_one_object_a_line() {
        let line = printed(&[], true);
        assert!(line.starts_with('{') && line.ends_with("}\n") && line.contains(r#""offset":7"#));
    }
}
