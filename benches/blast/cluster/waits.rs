//! How long a client waits for acks=all, with three replicas.

use std::time::Duration;

use super::loads::{RATE, open_loop, warm_up};
use crate::brokers::Trio;
use crate::rows::{Goal, Row};

/// Records a second, half of what Kafka carries on two cores, as `copies` has it.
const HALF_OF_KAFKAS: f64 = 4_600.0;
/// The last of a hundred answers, of Kafka's.
const WAIT_MAX: f64 = 1.0 / 3.0;

pub fn measure(trio: &mut Trio, time: Duration) -> anyhow::Result<Vec<Row>> {
    warm_up(trio)?;
    // Its topic is removed meanwhile.
    open_loop(trio, time, HALF_OF_KAFKAS)?;
    let mut rows = Vec::new();
    for rate in [HALF_OF_KAFKAS, RATE] {
        rows.extend(at_rate(trio, time, rate, "", Some(WAIT_MAX))?);
    }
    Ok(rows)
}

/// `most`: what the last of a hundred answers may take of Kafka's.
pub fn at_rate(trio: &Trio, time: Duration, rate: f64, which: &str, most: Option<f64>) -> anyhow::Result<Vec<Row>> {
    let total = open_loop(trio, time, rate)?;
    let at = |what, quantile: f64, goal| Row {
        what,
        value: total.value_at_quantile(quantile) as f64 / 1_000.0,
        unit: "ms",
        goal,
        note: format!("{rate:.0} records of 1 KiB a second{which}, open loop, three replicas, acks=all"),
    };
    Ok(vec![
        at("half of the answers within", 0.5, None),
        at("99 % of the answers within", 0.99, most.map(Goal::OfKafka)),
    ])
}
