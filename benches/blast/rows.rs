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
    pub goal: Option<Goal>,
    pub note: String,
}

pub enum Goal {
    AtMost(f64),
    /// Part of what the same row is with Kafka, in the same run.
    OfKafka(f64),
}

impl Row {
    /// True: the goal is missed.
    fn print(&self, broker: &str) -> bool {
        let most = match self.goal {
            Some(Goal::AtMost(most)) => Some(most),
            Some(Goal::OfKafka(_)) | None => None,
        };
        let (value, unit, note) = (short(self.value), self.unit, &self.note);
        let (verdict, is_over) = judged(self.value, most, unit);
        println!("{}: {broker} {value} {unit}{verdict} ({note})", self.what);
        is_over
    }

    /// The same, of a goal that Kafka's row gives; nothing where this is no such row.
    fn print_beside(&self, broker: &str, kafka: &Row) -> bool {
        let Some(Goal::OfKafka(part)) = self.goal else {
            return false;
        };
        let (mine, theirs, unit) = (short(self.value), short(kafka.value), self.unit);
        let ratio = self.value / kafka.value;
        let (verdict, is_over) = judged(ratio, Some(part), "times");
        println!(
            "{}: {broker} {mine} {unit}, {} times Kafka's {theirs}{verdict} ({})",
            self.what,
            short(ratio),
            self.note
        );
        is_over
    }

    fn is_of(&self, other: &Row) -> bool {
        (self.what, &self.note) == (other.what, &other.note)
    }
}

/// What is said of the goal, and whether it is missed.
fn judged(value: f64, most: Option<f64>, unit: &str) -> (String, bool) {
    let Some(most) = most else {
        return (String::new(), false);
    };
    let is_over = value > most;
    let missed = if is_over { ": MISSED" } else { "" };
    (format!(", at most {} {unit}{missed}", short(most)), is_over)
}

/// Our rows beside Kafka's, where both were measured. True: one of them misses its goal.
fn print_beside_kafka(taken: &[Taken]) -> bool {
    let of = |wanted| taken.iter().filter(move |(kind, ..)| *kind == wanted);
    let mut missed = false;
    for (_, name, rows) in of(Kind::Corelane) {
        let theirs: Vec<&Row> = of(Kind::Kafka).flat_map(|(.., rows)| rows).collect();
        for row in rows {
            if let Some(kafka) = theirs.iter().find(|kafka| row.is_of(kafka)) {
                missed |= row.print_beside(name, kafka);
            }
        }
    }
    missed
}

/// A part of a suite, and the name by which it is chosen.
pub type Measure<B> = (&'static str, fn(&mut B, Duration) -> anyhow::Result<Vec<Row>>);

/// What is measured, and of whom.
pub struct Rounds<'a, B> {
    pub start: fn(Kind, &Path) -> anyhow::Result<B>,
    pub name: fn(&B) -> &str,
    pub end: fn(&mut B),
    pub brokers: &'a [Kind],
    /// Only the measures whose names begin so; all, where it is empty.
    pub only: &'a [String],
    pub time: Duration,
    pub data: &'a PathBuf,
    pub measures: &'a [Measure<B>],
    /// Those that are taken twice of each kind, in the order A B B A, each time of newly started brokers. Their rows have
    /// the mean of both.
    pub in_turns: &'a [Measure<B>],
}

/// A kind of broker, its name, and what was measured of it.
type Taken = (Kind, String, Vec<Row>);

impl<B> Rounds<'_, B> {
    /// Fails where Corelane misses a goal.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        std::fs::create_dir_all(self.data).with_context(|| format!("make {}", self.data.display()))?;
        let data = self.data.canonicalize()?;
        let kinds: Vec<Kind> = self.brokers.iter().copied().filter(is_there).collect();
        let turns: Vec<Kind> = kinds.iter().chain(kinds.iter().rev()).copied().collect();
        let (mut taken, mut missed) = (Vec::new(), false);
        for (kinds, measures) in [(&kinds, self.measures), (&turns, self.in_turns)] {
            let wanted: Vec<_> = measures.iter().filter(|(name, _)| self.is_wanted(name)).collect();
            for kind in kinds.iter().filter(|_| !wanted.is_empty()) {
                let (name, rows, misses) = self.measure(*kind, &data, &wanted)?;
                missed |= misses && *kind == Kind::Corelane;
                taken.push((*kind, name, rows));
            }
        }
        missed |= print_beside_kafka(&merged(taken));
        std::fs::remove_dir_all(&data).context("remove the brokers' data")?;
        Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Starts one, takes the measures, and ends it. Also gives whether a goal is missed.
    fn measure(&self, kind: Kind, data: &Path, wanted: &[&Measure<B>]) -> anyhow::Result<(String, Vec<Row>, bool)> {
        let mut broker = (self.start)(kind, data)?;
        let (mut rows, mut missed) = (Vec::new(), false);
        for (_, measure) in wanted {
            for row in measure(&mut broker, self.time)? {
                missed |= row.print((self.name)(&broker));
                rows.push(row);
            }
        }
        (self.end)(&mut broker);
        Ok(((self.name)(&broker).to_owned(), rows, missed))
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| name.starts_with(wanted.as_str()))
    }
}

fn is_there(kind: &Kind) -> bool {
    let missing = brokers::missing(*kind);
    if let Some(reason) = &missing {
        eprintln!("{kind:?} is left out: {reason}");
    }
    missing.is_none()
}

/// One of each kind. What was measured twice of it has the mean.
fn merged(taken: Vec<Taken>) -> Vec<Taken> {
    let mut all: Vec<Taken> = Vec::new();
    for (kind, name, rows) in taken {
        let Some((.., known)) = all.iter_mut().find(|(other, ..)| *other == kind) else {
            all.push((kind, name, rows));
            continue;
        };
        for row in rows {
            match known.iter_mut().find(|other| other.is_of(&row)) {
                Some(twin) => twin.value = f64::midpoint(twin.value, row.value),
                None => known.push(row),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(value: f64) -> Vec<Row> {
        let row = |what, goal| Row {
            what,
            value,
            unit: "s",
            goal,
            note: "alike".to_owned(),
        };
        vec![row("with a goal", Some(Goal::OfKafka(0.5))), row("without", None)]
    }

    /// A goal that Kafka gives is held, missed, or left alone where Kafka was not measured.
    #[test]
    fn a_goal_may_be_a_part_of_kafkas() {
        let missed = |mine: f64, kafkas: Option<f64>| {
            let mut taken = vec![(Kind::Corelane, "corelane".to_owned(), rows(mine))];
            taken.extend(kafkas.map(|value| (Kind::Kafka, "kafka".to_owned(), rows(value))));
            print_beside_kafka(&taken)
        };
        assert_eq!(
            [missed(1.0, Some(2.0)), missed(1.1, Some(2.0)), missed(9.0, None)],
            [false, true, false]
        );
    }

    /// Of what was taken in turns the mean counts.
    #[test]
    fn turns_are_merged() {
        let turn = |kind, value| (kind, String::new(), rows(value));
        let taken = vec![
            turn(Kind::Corelane, 1.0),
            turn(Kind::Kafka, 3.0),
            turn(Kind::Kafka, 5.0),
            turn(Kind::Corelane, 2.0),
        ];
        let merged = merged(taken);
        let values = merged
            .iter()
            .map(|(_, _, rows)| rows.iter().map(|row| row.value).collect());
        assert_eq!(values.collect::<Vec<Vec<f64>>>(), [[1.5, 1.5], [4.0, 4.0]]);
    }

    #[test]
    fn a_goal_is_missed_by_what_is_over_it() {
        assert_eq!(judged(2.0, Some(2.0), "s"), (", at most 2.00 s".to_owned(), false));
        assert!(judged(2.1, Some(2.0), "s").1);
        assert_eq!(judged(9.0, None, "s"), (String::new(), false));
    }
}
