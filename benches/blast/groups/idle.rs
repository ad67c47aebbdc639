//! Groups of one member each that have committed and then say nothing: memory, and the CPU that they take nevertheless.

use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::commits::{commit_request, topic_with_partitions};
use super::member::Member;
use super::{Goal, Row, connect, cores_during, fresh};
use crate::brokers::Broker;
use corelane::wire::messages::OffsetCommitRequestData;

const GROUPS: usize = 10_000;
/// As many join at a time.
const AT_A_TIME: usize = 500;
const PARTITIONS: i32 = 10;
const GOAL_MIB: f64 = 64.0;
const GOAL_PERCENT: f64 = 1.0;
/// Writes and allocations go on a little after the answers.
const SETTLE: Duration = Duration::from_secs(5);

pub fn measure(broker: &mut Broker, time: Duration) -> anyhow::Result<Vec<Row>> {
    let topic = topic_with_partitions(broker, PARTITIONS)?;
    let mut connections = (0..AT_A_TIME).map(|_| connect(broker)).collect::<Result<Vec<_>, _>>()?;
    thread::sleep(SETTLE);
    let before = memory(broker)?;
    let quiet = cores_during(broker, || rest(time))?;
    let stem = fresh("idle");
    for round in 0..GROUPS / AT_A_TIME {
        let members = Member::join_all(&mut connections, |at| format!("{stem}-{round}-{at}"), &topic)?;
        for (member, connection) in members.iter().zip(&mut connections) {
            connection.send(&commit_request(&member.group, Some(member), &topic, PARTITIONS, 7))?;
        }
        for connection in &mut connections {
            connection.receive::<OffsetCommitRequestData>()?;
        }
    }
    thread::sleep(SETTLE);
    let grown = memory(broker)? - before;
    let cores = cores_during(broker, || rest(time))?;
    let note = format!("{GROUPS} groups of one member, {PARTITIONS} offsets each");
    Ok(vec![
        Row {
            what: "memory of idle groups",
            value: grown / f64::from(1 << 20),
            unit: "MiB",
            goal: Some(Goal::AtMost(GOAL_MIB)),
            note: note.clone(),
        },
        Row {
            what: "CPU of idle groups",
            value: (cores - quiet) * 100.0,
            unit: "% of a core",
            goal: Some(Goal::AtMost(GOAL_PERCENT)),
            note: format!("{note}; {:.1} % without them", quiet * 100.0),
        },
    ])
}

fn rest(time: Duration) -> anyhow::Result<()> {
    thread::sleep(time);
    Ok(())
}

fn memory(broker: &mut Broker) -> anyhow::Result<f64> {
    let bytes = broker.process().memory_bytes().context("read the broker's memory")?;
    Ok(bytes as f64)
}
