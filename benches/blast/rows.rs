//! Measures with goals: taken one after the other, of one kind of broker after the other, and printed as they are taken.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::brokers::{self, Kind};
use crate::suite::table::short;

/// A number, and the most that it may be; another broker's is there to compare with.
pub struct Row {
    pub what: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub goal: Option<f64>,
    pub note: String,
}

impl Row {
    /// True: our broker has missed the goal.
    pub fn print(&self, broker: &str, kind: Kind) -> bool {
        let is_over = self.goal.is_some_and(|goal| self.value > goal);
        let goal = match self.goal {
            Some(goal) => format!(", at most {} {}", short(goal), self.unit),
            None => String::new(),
        };
        let verdict = if is_over { ": MISSED" } else { "" };
        println!(
            "{}: {broker} {} {}{goal}{verdict} ({})",
            self.what,
            short(self.value),
            self.unit,
            self.note
        );
        is_over && kind == Kind::Corelane
    }
}

/// A part of a suite, and the name by which it is chosen.
pub type Measure<B> = (&'static str, fn(&mut B, Duration) -> anyhow::Result<Vec<Row>>);

/// What is measured, and of whom.
pub struct Rounds<'a, B> {
    pub brokers: &'a [Kind],
    /// Only the measures whose names begin so; all, where it is empty.
    pub only: &'a [String],
    pub time: Duration,
    pub data: &'a PathBuf,
    pub measures: &'a [Measure<B>],
}

impl<B> Rounds<'_, B> {
    /// Fails where Corelane misses a goal.
    pub fn run(
        &self,
        start: impl Fn(Kind, &Path) -> anyhow::Result<B>,
        name: impl Fn(&B) -> &str,
        end: impl Fn(&mut B),
    ) -> anyhow::Result<ExitCode> {
        std::fs::create_dir_all(self.data).with_context(|| format!("make {}", self.data.display()))?;
        let data = self.data.canonicalize()?;
        let mut missed = false;
        for kind in self.brokers {
            if let Some(reason) = brokers::missing(*kind) {
                eprintln!("{kind:?} is left out: {reason}");
                continue;
            }
            let mut broker = start(*kind, &data)?;
            for (_, measure) in self.measures.iter().filter(|(name, _)| self.is_wanted(name)) {
                for row in measure(&mut broker, self.time)? {
                    missed |= row.print(name(&broker), *kind);
                }
            }
            end(&mut broker);
        }
        std::fs::remove_dir_all(&data).context("remove the brokers' data")?;
        Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| name.starts_with(wanted.as_str()))
    }
}
