//! `kafka-console-producer.sh`: each line of the standard input becomes a record.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;

use super::connect::{ConnectArgs, properties};
use crate::client::{Failure, Producer, ProducerSettings};
use crate::record::{Compression, Header};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The topic to write to
    #[arg(long)]
    topic: String,
    /// none, gzip, snappy, lz4 or zstd; without a value: gzip
    #[arg(long, num_args = 0..=1, default_missing_value = "gzip")]
    compression_codec: Option<String>,
    /// Bytes of records per batch
    #[arg(long, visible_alias = "max-partition-memory-bytes")]
    batch_size: Option<usize>,
    /// all (-1), 1 or 0
    #[arg(long, allow_hyphen_values = true)]
    request_required_acks: Option<String>,
    /// Milliseconds that the broker may take over a request
    #[arg(long)]
    request_timeout_ms: Option<i32>,
    /// Wait for each record's acknowledgement before the next is read
    #[arg(long)]
    sync: bool,
    /// parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, ignore.error, null.marker
    #[arg(long = "property", visible_alias = "reader-property", value_name = "KEY=VALUE")]
    properties: Vec<String>,
    /// acks, compression.type, batch.size, request.timeout.ms, delivery.timeout.ms, retry.backoff.ms of Kafka's producer
    #[arg(
        long = "producer-property",
        visible_alias = "command-property",
        value_name = "KEY=VALUE"
    )]
    producer_properties: Vec<String>,
}

/// Bytes read from the standard input at a time.
const INPUT_BYTES: usize = 1 << 20;
/// Larger than Kafka's default of 16 KiB: a console pipe has no one who waits for a single record.
const BATCH_BYTES: usize = 128 << 10;

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let reader = LineReader::new(&args.properties)?;
    let cluster = args.connect.cluster("console-producer")?;
    let mut producer = Producer::open(cluster, &args.topic, settings(&args)?)?;
    let mut input = BufReader::with_capacity(INPUT_BYTES, io::stdin());
    let prompt = io::stdin().is_terminal();
    let (mut line, mut failed) = (Vec::new(), false);
    loop {
        if prompt {
            print!(">");
            io::stdout().flush()?;
        }
        line.clear();
        if input.read_until(b'\n', &mut line).context("read the standard input")? == 0 {
            break;
        }
        let record = reader.record(without_newline(&line))?;
        producer.send(None, record.key.as_deref(), record.value.as_deref(), &record.headers)?;
        // Nothing more to read without waiting: what was read must not wait either.
        if args.sync || input.buffer().is_empty() {
            producer.flush()?;
        }
        failed |= report(&args.topic, producer.take_failures());
    }
    producer.flush()?;
    failed |= report(&args.topic, producer.take_failures());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn report(topic: &str, failures: Vec<Failure>) -> bool {
    for failure in &failures {
        let (records, bytes, problem) = (failure.records, failure.bytes, &failure.problem);
        eprintln!(
            "ERROR Error when sending {records} message(s) to topic {topic}, {bytes} bytes with error: {problem}"
        );
    }
    !failures.is_empty()
}

fn settings(args: &Args) -> anyhow::Result<ProducerSettings> {
    let given = properties(&args.producer_properties)?;
    let number = |key: &str| -> anyhow::Result<Option<i64>> {
        given
            .get(key)
            .map(|value| value.parse().with_context(|| format!("{key}={value}: not a number")))
            .transpose()
    };
    let mut settings = ProducerSettings {
        batch_bytes: BATCH_BYTES,
        ..ProducerSettings::default()
    };
    if let Some(acks) = args
        .request_required_acks
        .as_deref()
        .or(given.get("acks").map(String::as_str))
    {
        settings.acks = match acks {
            "all" | "-1" => -1,
            "1" => 1,
            "0" => 0,
            other => bail!("acks {other}: must be all, -1, 1 or 0"),
        };
    }
    if let Some(codec) = args
        .compression_codec
        .as_deref()
        .or(given.get("compression.type").map(String::as_str))
    {
        settings.compression =
            Compression::from_name(codec).with_context(|| format!("unknown compression codec {codec}"))?;
    }
    if let Some(bytes) = args.batch_size.map(|bytes| bytes as i64).or(number("batch.size")?) {
        settings.batch_bytes = usize::try_from(bytes).context("batch.size is negative")?;
    }
    if let Some(ms) = args.request_timeout_ms.map(i64::from).or(number("request.timeout.ms")?) {
        settings.request_timeout_ms = i32::try_from(ms).context("request.timeout.ms is out of range")?;
    }
    if let Some(ms) = number("delivery.timeout.ms")? {
        settings.delivery_timeout =
            Duration::from_millis(u64::try_from(ms).context("delivery.timeout.ms is negative")?);
    }
    if let Some(ms) = number("retry.backoff.ms")? {
        settings.retry_backoff = Duration::from_millis(u64::try_from(ms).context("retry.backoff.ms is negative")?);
    }
    Ok(settings)
}

fn without_newline(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How a line is taken apart: Kafka's LineMessageReader.
struct LineReader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

struct LineRecord {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<Header>,
}

impl LineReader {
    fn new(settings: &[String]) -> anyhow::Result<LineReader> {
        let given = properties(settings)?;
        let text = |key: &str, default: &str| given.get(key).cloned().unwrap_or_else(|| default.to_owned());
        let is_set = |key: &str| given.get(key).is_some_and(|value| value.trim() == "true");
        Ok(LineReader {
            parse_key: is_set("parse.key"),
            key_separator: text("key.separator", "\t"),
            parse_headers: is_set("parse.headers"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            ignore_error: is_set("ignore.error"),
            null_marker: given.get("null.marker").cloned(),
        })
    }

    /// The record in a line; an error where a separator is missing and `ignore.error` is not set.
    fn record(&self, line: &[u8]) -> anyhow::Result<LineRecord> {
        let mut rest = line;
        let mut headers = Vec::new();
        if self.parse_headers {
            match split_at(rest, &self.headers_delimiter) {
                Some((written, behind)) => {
                    headers = self.headers(written)?;
                    rest = behind;
                }
                None => self.missing("headers delimiter", line)?,
            }
        }
        let mut key = None;
        if self.parse_key {
            match split_at(rest, &self.key_separator) {
                Some((written, behind)) => {
                    key = self.bytes(written);
                    rest = behind;
                }
                None => self.missing("key separator", line)?,
            }
        }
        Ok(LineRecord {
            key,
            value: self.bytes(rest),
            headers,
        })
    }

    fn headers(&self, written: &[u8]) -> anyhow::Result<Vec<Header>> {
        let mut headers = Vec::new();
        let mut rest = Some(written);
        while let Some(list) = rest {
            let (one, behind) = match split_at(list, &self.headers_separator) {
                Some((one, behind)) => (one, Some(behind)),
                None => (list, None),
            };
            match split_at(one, &self.headers_key_separator) {
                Some((key, value)) => headers.push(Header {
                    key: Bytes::copy_from_slice(key),
                    value: self.bytes(value).map(Bytes::from),
                }),
                None => self.missing("header key separator", one)?,
            }
            rest = behind;
        }
        Ok(headers)
    }

    fn bytes(&self, written: &[u8]) -> Option<Vec<u8>> {
        let is_null = self
            .null_marker
            .as_ref()
            .is_some_and(|marker| marker.as_bytes() == written);
        (!is_null).then(|| written.to_vec())
    }

    fn missing(&self, what: &str, line: &[u8]) -> anyhow::Result<()> {
        if self.ignore_error {
            return Ok(());
        }
        bail!("No {what} found in line: {}", String::from_utf8_lossy(line))
    }
}

fn split_at<'a>(line: &'a [u8], separator: &str) -> Option<(&'a [u8], &'a [u8])> {
    let separator = separator.as_bytes();
    if separator.is_empty() {
        return None;
    }
    let at = line.windows(separator.len()).position(|window| window == separator)?;
    Some((&line[..at], &line[at + separator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::LineReader;

    fn reader(settings: &[&str]) -> LineReader {
        LineReader::new(&settings.iter().map(|setting| (*setting).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_plain_line_is_the_value() {
        let record = reader(&[]).record(b"a\tb").unwrap();
        assert_eq!((record.key, record.value), (None, Some(b"a\tb".to_vec())));
    }

    #[test]
    fn keys_headers_and_null_markers_are_taken_apart() {
        let reader = reader(&[
            "parse.key=true",
            "key.separator=:",
            "parse.headers=true",
            "null.marker=NULL",
        ]);
        let record = reader.record(b"h1:x,h2:y\tk:NULL").unwrap();
        assert_eq!((record.key, record.value), (Some(b"k".to_vec()), None));
        let headers: Vec<_> = record.headers.iter().map(|header| header.key.to_vec()).collect();
        assert_eq!(headers, [b"h1".to_vec(), b"h2".to_vec()]);
    }

    #[test]
    fn a_missing_separator_is_an_error_unless_ignored() {
        assert!(reader(&["parse.key=true"]).record(b"no tab").is_err());
        let ignoring = reader(&["parse.key=true", "ignore.error=true"]);
        assert_eq!(ignoring.record(b"no tab").unwrap().value, Some(b"no tab".to_vec()));
    }
}
