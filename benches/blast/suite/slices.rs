//! One slice after the other: who runs, who is stopped, and in which order.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::brokers::Broker;
use crate::engine::probe::Probe;
use crate::engine::recorder::Recorder;
use crate::engine::workload::Workload;
use crate::engine::{self, Outcome};
use crate::output::slice::{Noise, to_json};

use super::loads::{Client, Load};
use super::neutral;

/// How long the machine is watched before a slice while nothing of ours runs.
const QUIET: Duration = Duration::from_millis(300);
/// From this many on the first batch of each is no part of a slice.
const MANY_PARTITIONS: i32 = 1_000;
const FIRST_BATCHES_PATIENCE: Duration = Duration::from_secs(180);

pub struct Bench {
    pub brokers: Vec<Broker>,
    pub seconds: f64,
    pub retries: usize,
}

/// A measured slice. `round` counts the slices of one broker and load: equal rounds are neighbours in time.
pub struct Slice {
    pub broker: String,
    pub load: String,
    pub round: usize,
    pub json: Value,
    pub latency: Recorder,
    pub end_to_end: Recorder,
}

impl Bench {
    /// Load on each broker in turn, unmeasured. Afterwards all are stopped.
    pub fn warm_up(&mut self, workload: &Workload, seconds: f64) -> anyhow::Result<()> {
        let mut workload = workload.clone();
        workload.warm_up = Duration::ZERO;
        workload.time = Duration::from_secs_f64(seconds.max(0.1));
        for broker in &mut self.brokers {
            // Native code has nothing to compile; but the memory of its cache is to be the process's own.
            let share = if broker.name == "kafka" { 1.0 } else { 0.25 };
            workload.time = Duration::from_secs_f64((seconds * share).max(0.5));
            eprintln!("warming {} for {:.0} s", broker.name, workload.time.as_secs_f64());
            run_once(broker, &workload)?;
            broker.process().pause();
        }
        Ok(())
    }

    /// `count` slices of each broker in the order A B B A A B B A.
    pub fn rotation(&mut self, load: &Load, workload: &Workload, count: usize) -> anyhow::Result<Vec<Slice>> {
        let mut slices = Vec::new();
        // A peer that cannot do a load is left out of it; that ours cannot is an error, unless it is the client's choice.
        // One without a disk is not compared where every commit is synced.
        let synced = workload
            .topic_configs
            .iter()
            .any(|setting| setting.starts_with("flush."));
        let mut left_out: Vec<bool> = self
            .brokers
            .iter()
            .map(|broker| synced && !broker.is_durable())
            .collect();
        for round in 0..count {
            let mut order: Vec<usize> = (0..self.brokers.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for at in order {
                if left_out[at] {
                    continue;
                }
                match self.calm_slice(at, load, workload, round) {
                    Ok(slice) => {
                        eprintln!("  {}", line(&slice));
                        slices.push(slice);
                    }
                    Err(problem) if at > 0 || load.client != Client::Blast => {
                        eprintln!("  {} is left out of this load: {problem:#}", self.brokers[at].name);
                        left_out[at] = true;
                    }
                    Err(problem) => {
                        return Err(problem.context(format!("{} under {}", self.brokers[at].name, load.name)));
                    }
                }
            }
        }
        Ok(slices)
    }

    /// A slice that others did not disturb, or after some tries one that is marked as noisy.
    fn calm_slice(&mut self, at: usize, load: &Load, workload: &Workload, round: usize) -> anyhow::Result<Slice> {
        let mut left = self.retries;
        loop {
            let (outcome, noise) = self.slice(at, load, workload)?;
            if !noise.is_noisy() || left == 0 {
                let broker = self.brokers[at].name.clone();
                let mut json = to_json(&outcome, &noise);
                json["broker"] = json!(broker);
                json["load"] = json!(load.name);
                json["round"] = json!(round);
                return Ok(Slice {
                    broker,
                    load: load.name.to_owned(),
                    round,
                    json,
                    latency: outcome.latency,
                    end_to_end: outcome.end_to_end,
                });
            }
            left -= 1;
        }
    }

    fn slice(&mut self, at: usize, load: &Load, workload: &Workload) -> anyhow::Result<(Outcome, Noise)> {
        let pressure = quiet_pressure();
        let broker = &mut self.brokers[at];
        broker.process().resume();
        let outcome = match (load.client, load.fill) {
            (Client::Blast, None) => run_once(broker, workload),
            (Client::Blast, Some(fill)) => fill_and_read(broker, fill, workload),
            (client, fill) => neutral::run(client, broker, load.about, fill, workload),
        };
        broker.process().pause();
        let outcome = outcome?;
        let noise = Noise::of(&outcome.used, Some(pressure));
        Ok((outcome, noise))
    }
}

/// Runs a workload on a topic of its own, which is gone afterwards.
pub fn run_once(broker: &Broker, workload: &Workload) -> anyhow::Result<Outcome> {
    let mut workload = workload.clone();
    if workload.partitions >= MANY_PARTITIONS {
        workload.topic = written_to(broker, &workload)?;
        workload.keep_topic = true;
    }
    let outcome = engine::run(&broker.bootstrap, &workload, Some(broker.pid()))?;
    outcome.topology.delete(&broker.bootstrap)?;
    settle();
    Ok(outcome)
}

/// A new topic with a batch in every partition. Kafka makes a partition's files, and syncs one of them, when it is first
/// written to: with very many partitions that takes longer than a slice.
fn written_to(broker: &Broker, workload: &Workload) -> anyhow::Result<String> {
    let mut first = workload.clone();
    first.rate = None;
    first.fan_out = 0;
    first.warm_up = Duration::ZERO;
    first.time = FIRST_BATCHES_PATIENCE;
    // Each producer goes through all partitions.
    first.count = Some(workload.partitions as u64 * workload.producers as u64);
    let outcome = engine::run(&broker.bootstrap, &first, Some(broker.pid()))?;
    settle();
    Ok(outcome.topology.topic)
}

fn fill_and_read(broker: &Broker, fill: &str, workload: &Workload) -> anyhow::Result<Outcome> {
    let filled = fill_topic(broker, fill)?;
    let mut reading = workload.clone();
    reading.topic = filled.topology.topic.clone();
    reading.keep_topic = true;
    reading.producers = 0;
    reading.catch_up = true;
    reading.warm_up = Duration::ZERO;
    // The log's end is the end of the slice; the time is only a bound.
    reading.time = Duration::from_secs(60);
    let outcome = engine::run(&broker.bootstrap, &reading, Some(broker.pid()))?;
    outcome.topology.delete(&broker.bootstrap)?;
    settle();
    Ok(outcome)
}

pub fn fill_topic(broker: &Broker, flags: &str) -> anyhow::Result<Outcome> {
    let mut fill = super::loads::workload(flags);
    fill.warm_up = Duration::ZERO;
    fill.time = Duration::from_secs(60);
    engine::run(&broker.bootstrap, &fill, Some(broker.pid()))
}

/// What one broker has written must not be written to the disk while the next one is measured.
pub fn settle() {
    // SAFETY: takes no memory of ours.
    unsafe { libc::sync() };
}

/// PSI of the CPUs while every broker is stopped: what others do.
fn quiet_pressure() -> f64 {
    let before = Probe::take(None);
    thread::sleep(QUIET);
    before.until(&Probe::take(None)).pressure_share
}

fn line(slice: &Slice) -> String {
    let (broker, round, slice) = (&slice.broker, slice.round, &slice.json);
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let marks = [
        ("noisy", slice["noise"]["noisy"] == true),
        ("saturated", slice["saturated"] == true),
    ];
    let marks: Vec<&str> = marks.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    format!(
        "{broker:<9} {round:>2}  produced {:8.1} MB/s  read {:8.1} MB/s  p99 {:8.3} ms  broker {:6.2} s/GB  {}",
        number(&slice["produced"]["mb_s"]),
        number(&slice["consumed"]["mb_s"]),
        number(&slice["latency_us"]["p99"]) / 1_000.0,
        number(&slice["cpu"]["broker_s_per_gb"]),
        marks.join(" "),
    )
}
