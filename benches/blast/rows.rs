//! A figure with the goal that it has, printed as it is taken.

use crate::brokers::Kind;
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
