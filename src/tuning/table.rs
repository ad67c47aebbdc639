//! The table, as `tuning/knobs.tsv` has it.

use std::sync::LazyLock;

/// One row. What the columns mean is said by `tune explain` and by the head of `tuning/lib/check.sh`.
#[derive(Debug, PartialEq, Eq)]
pub struct Knob {
    pub id: &'static str,
    pub kind: &'static str,
    pub path: &'static str,
    pub op: &'static str,
    pub value: &'static str,
    pub severity: &'static str,
    pub profiles: &'static str,
    pub why: &'static str,
    /// What to do; empty where `tune apply` does it.
    pub cure: &'static str,
}

/// Every row, in the table's order.
pub static KNOBS: LazyLock<Vec<Knob>> = LazyLock::new(|| TEXT.lines().skip(1).filter_map(knob).collect());

const TEXT: &str = include_str!("../../tuning/knobs.tsv");

fn knob(line: &'static str) -> Option<Knob> {
    let fields: Vec<_> = line
        .split('\t')
        .map(|field| if field == "-" { "" } else { field })
        .collect();
    let [
        id,
        kind,
        path,
        op,
        value,
        severity,
        profiles,
        _reboot,
        _source,
        why,
        _risk,
        cure,
    ] = fields.try_into().ok()?;
    Some(Knob {
        id,
        kind,
        path,
        op,
        value,
        severity,
        profiles,
        why,
        cure,
    })
}

#[cfg(test)]
mod tests {
    use super::{KNOBS, TEXT};

    #[test]
    fn every_line_is_a_row() {
        assert_eq!(KNOBS.len(), TEXT.lines().count() - 1);
    }
}
