//! A broker comes back that lacks much: what its catching up does to the others' clients, and how long it takes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use corelane::client::Cluster;

use super::loads::{RATE, open_loop, run, with_replicas};
use super::outage::{controller, other_than};
use crate::brokers::{NODES, Trio};
use crate::engine::Topology;
use crate::rows::{Goal, Row};

/// Batches of 16 KiB that it lacks: 10 GB.
const LACKING: u64 = 610_000;
/// For writing them.
const FILL_PATIENCE: Duration = Duration::from_secs(900);
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How much later the last of a hundred answers may come meanwhile.
const RATIO_MAX: f64 = 1.3;

pub fn measure(trio: &mut Trio, time: Duration) -> anyhow::Result<Vec<Row>> {
    let mut fill = with_replicas(3, FILL_PATIENCE);
    fill.acks = 1;
    fill.count = Some(LACKING);
    let topology = Topology::prepare(&trio.bootstrap(), &fill)?;
    fill.topic = topology.topic.clone();
    fill.keep_topic = true;
    let mut alone = open_loop(trio, time, RATE)?;

    let away = other_than(controller(trio)?).0 as usize;
    trio.process(away).end();
    let outcome = run(trio, &fill)?;
    let back = Instant::now();
    let (bootstrap, topic) = (trio.bootstrap(), fill.topic.clone());
    let catching_up = thread::spawn(move || wait_until_in_sync(&bootstrap, &topic).map(|()| back.elapsed()));
    trio.restart(away)?;
    let (mut beside, mut beside_until) = (open_loop(trio, time, RATE)?, back.elapsed());
    while !catching_up.is_finished() {
        let more = open_loop(trio, time, RATE)?;
        // What ends after it is about something else.
        if !catching_up.is_finished() {
            beside.add(more)?;
            beside_until = back.elapsed();
        }
    }
    let took = catching_up.join().expect("it does not panic")?;
    // Before and after: on a busy machine one of them alone may be twice the other.
    alone.add(open_loop(trio, time, RATE)?)?;
    topology.delete(&trio.bootstrap())?;

    let (alone, beside) = (
        alone.value_at_quantile(0.99) as f64,
        beside.value_at_quantile(0.99) as f64,
    );
    let row = |what, value, unit, goal, note| Row {
        what,
        value,
        unit,
        goal,
        note,
    };
    let gb = outcome.produced.bytes as f64 / 1e9;
    let note = format!(
        "{:.1} ms, {:.1} ms without; {RATE:.0} records of 1 KiB a second, three replicas, acks=all, until {:.0} s after \
         its start",
        beside / 1e3,
        alone / 1e3,
        beside_until.as_secs_f64()
    );
    Ok(vec![
        row(
            "99 % of the answers while a broker catches up, by those before and after",
            beside / alone,
            "times",
            Some(Goal::AtMost(RATIO_MAX)),
            note,
        ),
        row(
            "until the broker has caught up",
            took.as_secs_f64(),
            "s",
            None,
            format!("{gb:.1} GB, its start included"),
        ),
    ])
}

fn wait_until_in_sync(bootstrap: &str, topic: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + CATCH_UP_PATIENCE;
    let mut cluster = Cluster::connect(bootstrap, "corelane-bench")?;
    loop {
        let answer = cluster.metadata(Some(&[topic]), false)?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let in_sync: Vec<bool> = partitions.map(|partition| partition.isr_nodes.len() == NODES).collect();
        if !in_sync.is_empty() && in_sync.iter().all(|is| *is) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{topic} is not in sync again");
        thread::sleep(LOOK_EVERY);
    }
}
