//! The loop of the console consumers: ask for records and print them, until enough are printed, none come any more, or
//! somebody interrupts.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::format::Formatter;
use crate::client::{ClientError, ConsumedRecord};
use crate::rt::{now, tool};

const OUTPUT_BYTES: usize = 1 << 20;
/// What a shell shows for a program that SIGINT ended: 128 + 2.
const INTERRUPTED: u8 = 130;

/// Whoever reads.
pub(super) trait Source {
    fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError>;

    /// Records that are not going to be printed.
    fn put_back(&mut self, records: &[ConsumedRecord]);

    fn close(self) -> Result<(), ClientError>;
}

pub(super) struct Printing {
    pub(super) formatter: Formatter,
    pub(super) max_messages: Option<u64>,
    pub(super) timeout_ms: Option<u64>,
}

impl Printing {
    /// `open` is called once an interrupt no longer ends the process at once.
    pub(super) fn run<S: Source>(&self, open: impl FnOnce() -> anyhow::Result<S>) -> anyhow::Result<ExitCode> {
        let interrupted = tool::interrupted()?;
        let mut source = open()?;
        let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock());
        let mut printed = 0;
        let mut last_record_at = now();
        let code = loop {
            if self.max_messages.is_some_and(|most| printed >= most) {
                break ExitCode::SUCCESS;
            }
            if interrupted.is_set() {
                break ExitCode::from(INTERRUPTED);
            }
            let idle = now().since(last_record_at);
            if self.timeout_ms.is_some_and(|most| idle >= Duration::from_millis(most)) {
                eprintln!("no record for {} ms, as --timeout-ms asks", idle.as_millis());
                break ExitCode::SUCCESS;
            }
            let records = match source.poll() {
                Err(ClientError::Broken(..)) if interrupted.is_set() => continue,
                records => records?,
            };
            let left = self.max_messages.map_or(u64::MAX, |most| most - printed);
            let wanted = records.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.print(&mut out, &records[..wanted])
                .context("write to the standard output")?;
            printed += wanted as u64;
            source.put_back(&records[wanted..]);
            if !records.is_empty() {
                last_record_at = now();
            }
        };
        source.close()?;
        eprintln!("Processed a total of {printed} messages");
        Ok(code)
    }

    fn print(&self, out: &mut impl Write, records: &[ConsumedRecord]) -> io::Result<()> {
        for record in records {
            self.formatter.print(out, record)?;
        }
        out.flush()
    }
}
