//! The committed limits, and the verdict on a measurement.
//!
//! ```text
//!   name <tab> limit <tab> tolerance in % <tab> goal <tab> what it is
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::Context;

#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    pub name: String,
    /// What was measured when this was committed, or what was decided.
    pub value: f64,
    pub tolerance: f64,
    /// Where it should get to; a gate does not fail for missing it.
    pub goal: Option<f64>,
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Held,
    /// Below the limit by more than the tolerance: it can be lowered.
    Better,
    Worse,
}

impl Limit {
    pub fn judge(&self, measured: f64) -> Verdict {
        // Half a thousandth is what three decimals cannot say.
        let margin = self.value.abs() * self.tolerance / 100.0 + 0.0005;
        match measured - self.value {
            above if above > margin => Verdict::Worse,
            above if above < -margin => Verdict::Better,
            _ => Verdict::Held,
        }
    }
}

pub fn read(path: &Path) -> anyhow::Result<Vec<Limit>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| parse(line).with_context(|| format!("{}: {line}", path.display())))
        .collect()
}

fn parse(line: &str) -> anyhow::Result<Limit> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, value, tolerance, goal, what] = fields[..] else {
        anyhow::bail!("not five fields");
    };
    Ok(Limit {
        name: name.to_owned(),
        value: value.parse().context("the limit is not a number")?,
        tolerance: tolerance.parse().context("the tolerance is not a number")?,
        goal: (goal != "-")
            .then(|| goal.parse())
            .transpose()
            .context("the goal is not a number")?,
        what: what.to_owned(),
    })
}

/// The table with what was measured in the place of the limits; what was not measured keeps its limit.
pub fn print(head: &str, limits: &[Limit], measured: &BTreeMap<String, f64>) -> String {
    let mut text = head.to_owned();
    for limit in limits {
        // Without a tolerance it was decided, not measured.
        let seen = measured.get(&limit.name).filter(|_| limit.tolerance > 0.0);
        let value = seen.copied().unwrap_or(limit.value);
        let goal = limit.goal.map_or("-".to_owned(), |goal| goal.to_string());
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{goal}\t{}",
            limit.name,
            rounded(value),
            limit.tolerance,
            limit.what
        );
    }
    text
}

/// The remarks at the front of a table.
pub fn head(table: &str) -> String {
    table
        .split_inclusive('\n')
        .take_while(|line| line.starts_with('#'))
        .collect()
}

fn rounded(value: f64) -> f64 {
    if value >= 100.0 {
        value.round()
    } else {
        (value * 1_000.0).round() / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(value: f64, tolerance: f64) -> Limit {
        Limit {
            name: "n".to_owned(),
            value,
            tolerance,
            goal: None,
            what: "w".to_owned(),
        }
    }

    #[test]
    fn a_regression_beyond_the_tolerance_is_worse() {
        assert_eq!(limit(100.0, 2.0).judge(101.9), Verdict::Held);
        assert_eq!(limit(100.0, 2.0).judge(102.1), Verdict::Worse);
        assert_eq!(limit(100.0, 2.0).judge(97.0), Verdict::Better);
    }

    #[test]
    fn nothing_means_nothing() {
        assert_eq!(limit(0.0, 5.0).judge(0.0), Verdict::Held);
        assert_eq!(limit(0.0, 5.0).judge(0.01), Verdict::Worse);
    }

    #[test]
    fn a_printed_table_reads_as_it_was() {
        let limits = vec![limit(12.5, 5.0)];
        let text = print("# head\n", &limits, &BTreeMap::from([("n".to_owned(), 13.25)]));
        let line = text.lines().last().unwrap();
        assert_eq!(parse(line).unwrap(), limit(13.25, 5.0));
    }
}
