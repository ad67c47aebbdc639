//! One run: prepares, starts the threads, keeps the phases, merges what they saw.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};

use super::arrival::Schedule;
use super::batch::{self, Recipe};
use super::clock::{NS_PER_S, now_ns};
use super::delivery::Delivery;
use super::link::Link;
use super::probe::{Probe, Used};
use super::random::Random;
use super::recorder::{Recorder, new_histogram};
use super::request::{Request, Shape};
use super::sender::Sender;
use super::shared::{Marks, Shared};
use super::topology::Topology;
use super::workload::Workload;
use super::{producer, reader};

/// Between the making of the threads and the first request.
const HEAD_START_NS: u64 = 50_000_000;
const PRODUCE_TIMEOUT_MS: i32 = 30_000;
/// Requests of different content that are replayed in turn where record sizes vary.
const VARIANTS: usize = 16;
/// Beyond this many numbers to keep, a producer writes to its share of the partitions only.
const SEQUENCES_MAX: usize = 1 << 20;

/// What one side of the load did in the measurement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Side {
    pub requests: u64,
    pub batches: u64,
    pub records: u64,
    /// Producers: keys and values. Readers: batches as on the wire.
    pub bytes: u64,
}

pub struct Outcome {
    pub topology: Topology,
    pub produced: Side,
    pub consumed: Side,
    /// From the intended time to the acknowledgement.
    pub latency: Recorder,
    /// From the sending to the acknowledgement, in µs.
    pub service: Histogram<u64>,
    /// From the intended time to the reading.
    pub end_to_end: Recorder,
    /// How late the client itself was, in µs.
    pub lateness: Histogram<u64>,
    pub errors: BTreeMap<i16, u64>,
    pub unanswered: u64,
    /// `None` where there is nothing to compare: no readers, no producers, or a codec.
    pub delivery: Option<Delivery>,
    /// The client, not the broker, was the bottleneck: what is said of the broker's latency is then worthless.
    pub saturated: bool,
    pub used: Used,
}

/// `broker`: its process, for CPU and I/O. The bar is shown on a terminal only.
pub fn run(bootstrap: &str, workload: &Workload, broker: Option<u32>) -> anyhow::Result<Outcome> {
    workload.check()?;
    raise_file_limit();
    let topology = Topology::prepare(bootstrap, workload)?;
    let idle = (0..workload.idle_connections)
        .map(|at| Link::open(any_leader(&topology, at)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let senders = senders(&topology, workload)?;
    let readers = readers(&topology, workload)?;
    let shared = Arc::new(shared(workload, &topology));
    let producing = start_producers(&shared, workload, &topology, senders)?;
    let reading = start_readers(&shared, workload, &topology, readers)?;
    let used = watch(&shared, workload, broker);
    let produced = join(producing);
    shared.set_produced();
    let read = join(reading);
    drop(idle);
    Ok(merge(topology, workload, produced?, read?, used))
}

fn shared(workload: &Workload, topology: &Topology) -> Shared {
    let ns = |duration: Duration| duration.as_nanos() as u64;
    let begin_ns = now_ns() + HEAD_START_NS;
    let from_ns = begin_ns + ns(workload.warm_up);
    let until_ns = from_ns + ns(workload.time);
    let marks = Marks {
        begin_ns,
        from_ns,
        until_ns,
        give_up_ns: until_ns + ns(workload.drain),
    };
    Shared::new(&marks, workload.count, topology.leaders.keys().copied())
}

fn senders(topology: &Topology, workload: &Workload) -> anyhow::Result<Vec<Sender>> {
    let leaders: Vec<&String> = distinct(topology.leaders.values());
    (0..workload.producers)
        .map(|number| {
            let leader = leaders[number % leaders.len()];
            let led = topology.leaders.iter().filter(|(_, address)| *address == leader);
            let mut partitions: Vec<i32> = led.map(|(partition, _)| *partition).collect();
            if partitions.len() * workload.producers > SEQUENCES_MAX {
                let share = partitions.len().div_ceil(workload.producers).max(1);
                partitions.rotate_left(number * share % topology.leaders.len());
                partitions.truncate(share);
            }
            Ok(Sender::new(number as u32, Link::open(leader)?, partitions))
        })
        .collect()
}

fn readers(topology: &Topology, workload: &Workload) -> anyhow::Result<Vec<reader::Reader>> {
    if workload.fan_out == 0 {
        return Ok(Vec::new());
    }
    let ends = topology.log_ends()?;
    let mut readers = Vec::new();
    for group in 0..workload.fan_out {
        for leader in distinct(topology.leaders.values()) {
            let led = topology.leaders.iter().filter(|(_, address)| *address == leader);
            let mut shares = vec![Vec::new(); workload.reader_connections];
            for (at, (partition, _)) in led.enumerate() {
                let end = ends.get(partition).copied().unwrap_or(0);
                shares[at % workload.reader_connections].push(reader::Position {
                    partition: *partition,
                    next_offset: if workload.catch_up { 0 } else { end },
                    end,
                });
            }
            for share in shares.into_iter().filter(|share| !share.is_empty()) {
                readers.push(reader::Reader::new(group, Link::open(leader)?, share));
            }
        }
    }
    Ok(readers)
}

fn start_producers(
    shared: &Arc<Shared>,
    workload: &Workload,
    topology: &Topology,
    senders: Vec<Sender>,
) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<producer::Report>>>> {
    let threads = workload.threads.min(senders.len().max(1));
    let mut handles = Vec::new();
    for (thread, senders) in deal(senders, threads)
        .into_iter()
        .enumerate()
        .filter(|(_, senders)| !senders.is_empty())
    {
        let plan = producer::Plan {
            requests: requests(topology, workload),
            window: workload.window(),
            burst: workload.burst,
            acks: workload.acks,
            version: topology.produce_version,
            seed: workload.seed + thread as u64,
        };
        let schedule = workload.requests_per_second().map(|rate| {
            let share = rate / threads as f64;
            Schedule::new(
                workload.arrival,
                share,
                shared.begin_ns,
                workload.seed + 1_000 + thread as u64,
            )
        });
        let shared = shared.clone();
        let body = move || producer::run(plan, schedule, senders, &shared);
        handles.push(thread::Builder::new().name(format!("produce-{thread}")).spawn(body)?);
    }
    Ok(handles)
}

fn start_readers(
    shared: &Arc<Shared>,
    workload: &Workload,
    topology: &Topology,
    readers: Vec<reader::Reader>,
) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<reader::Report>>>> {
    let plan = reader::Plan {
        topic: topology.topic.clone(),
        version: topology.fetch_version,
        partition_bytes: workload.fetch_partition_bytes,
        wait_ms: workload.fetch_wait_ms,
        min_bytes: workload.fetch_min_bytes,
        check_crc: workload.check_crc,
        catch_up_only: workload.producers == 0,
        begins_anywhere: workload.keep_topic,
    };
    let mut handles = Vec::new();
    let shares = deal(readers, workload.threads)
        .into_iter()
        .filter(|share| !share.is_empty());
    for (thread, readers) in shares.enumerate() {
        let (plan, shared) = (plan.clone(), shared.clone());
        let body = move || reader::run(plan, readers, &shared);
        handles.push(thread::Builder::new().name(format!("read-{thread}")).spawn(body)?);
    }
    Ok(handles)
}

/// The requests that a thread replays: one, or several where sizes vary.
fn requests(topology: &Topology, workload: &Workload) -> Vec<Request> {
    let mut random = Random::new(workload.seed);
    let spread = workload.record_bytes;
    let variants = if spread.min == spread.max { 1 } else { VARIANTS };
    let batches = match workload.keyed {
        Some(_) => workload.batch_records.min(topology.leaders.len()),
        None => 1,
    };
    let shape = Shape {
        topic: &topology.topic,
        version: topology.produce_version,
        acks: workload.acks,
        timeout_ms: PRODUCE_TIMEOUT_MS,
    };
    let mut batch = || {
        let size = |random: &mut Random| spread.min + random.below((spread.max - spread.min) as u64 + 1) as usize;
        batch::build(&Recipe {
            sizes: (0..workload.batch_records.div_ceil(batches))
                .map(|_| size(&mut random))
                .collect(),
            key_bytes: workload.keyed,
            compression: workload.compression,
            seed: random.next(),
        })
    };
    (0..variants)
        .map(|_| Request::new(&shape, (0..batches).map(|_| batch()).collect()))
        .collect()
}

/// Waits for the end of the measurement; takes the probes at its edges.
fn watch(shared: &Shared, workload: &Workload, broker: Option<u32>) -> Used {
    let bar = progress(workload);
    sleep_until(shared, &bar, |shared| shared.from_ns);
    let before = Probe::take(broker);
    sleep_until(shared, &bar, Shared::until_ns);
    let used = before.until(&Probe::take(broker));
    bar.finish_and_clear();
    used
}

fn sleep_until(shared: &Shared, bar: &ProgressBar, mark: fn(&Shared) -> u64) {
    const TICK_NS: u64 = 100_000_000;
    let mut last = (now_ns(), moved(shared));
    loop {
        let now = now_ns();
        let left = mark(shared).saturating_sub(now);
        if left == 0 {
            return;
        }
        thread::sleep(Duration::from_nanos(left.min(TICK_NS)));
        if !bar.is_hidden() {
            let (now, moved) = (now_ns(), moved(shared));
            let rate = |at: usize| (moved[at] - last.1[at]) as f64 * NS_PER_S as f64 / (now - last.0) as f64;
            bar.set_message(format!(
                "produced {:.1} MB/s {:.0} rec/s, read {:.1} MB/s",
                rate(1) / 1e6,
                rate(0),
                rate(2) / 1e6
            ));
            bar.set_position((now.saturating_sub(shared.begin_ns)) / 1_000_000);
            last = (now, moved);
        }
    }
}

fn moved(shared: &Shared) -> [u64; 3] {
    [&shared.acked_records, &shared.acked_bytes, &shared.read_bytes].map(|count| count.load(Relaxed))
}

fn progress(workload: &Workload) -> ProgressBar {
    let bar = ProgressBar::new((workload.warm_up + workload.time).as_millis() as u64);
    let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {msg}").expect("the template is valid");
    bar.set_style(style);
    bar
}

fn merge(
    topology: Topology,
    workload: &Workload,
    produced: Vec<producer::Report>,
    read: Vec<reader::Report>,
    used: Used,
) -> Outcome {
    let mut outcome = Outcome {
        topology,
        produced: Side::default(),
        consumed: Side::default(),
        latency: Recorder::new(0),
        service: new_histogram(),
        end_to_end: Recorder::new(0),
        lateness: new_histogram(),
        errors: BTreeMap::new(),
        unanswered: 0,
        delivery: None,
        saturated: false,
        used,
    };
    let mut acked: HashMap<(u32, i32), u64> = HashMap::new();
    for report in &produced {
        outcome
            .produced
            .add(report.requests, report.batches, report.records, report.payload_bytes);
        outcome.latency.merge(&report.latency);
        outcome
            .service
            .add(&report.service)
            .expect("all histograms have the same bounds");
        outcome
            .lateness
            .add(&report.lateness)
            .expect("all histograms have the same bounds");
        outcome.unanswered += report.unanswered;
        report
            .errors
            .iter()
            .for_each(|(code, count)| *outcome.errors.entry(*code).or_default() += count);
        acked.extend(report.acked.iter().copied());
    }
    for report in &read {
        outcome
            .consumed
            .add(report.fetches, report.batches, report.records, report.bytes);
        outcome.end_to_end.merge(&report.end_to_end);
    }
    let comparable = workload.producers > 0 && workload.acks != 0 && !is_packed(workload);
    if comparable && !read.is_empty() {
        let seen: Vec<_> = read.into_iter().map(|report| report.seen).collect();
        outcome.delivery = Some(Delivery::judge(&acked, workload.fan_out, &seen));
    }
    outcome.saturated = is_saturated(workload, &outcome.lateness);
    outcome
}

fn is_packed(workload: &Workload) -> bool {
    workload.compression != corelane::record::Compression::None
}

/// More than one request in a hundred was begun more than one gap late, counted from 1 ms: what a thread needs to be woken
/// on a shared machine is no saturation.
fn is_saturated(workload: &Workload, lateness: &Histogram<u64>) -> bool {
    const LATE_US_MIN: u64 = 1_000;
    let Some(per_second) = workload.requests_per_second() else {
        return false;
    };
    let gap_us = (1e6 * workload.threads as f64 / per_second) as u64;
    lateness.value_at_quantile(0.99) > gap_us.max(LATE_US_MIN)
}

impl Side {
    fn add(&mut self, requests: u64, batches: u64, records: u64, bytes: u64) {
        self.requests += requests;
        self.batches += batches;
        self.records += records;
        self.bytes += bytes;
    }
}

fn join<T>(handles: Vec<JoinHandle<anyhow::Result<T>>>) -> anyhow::Result<Vec<T>> {
    handles
        .into_iter()
        .map(|handle| {
            handle
                .join()
                .map_err(|_| anyhow!("a thread of the bench has panicked"))?
        })
        .collect::<anyhow::Result<Vec<T>>>()
        .context("the run broke off")
}

fn deal<T>(items: Vec<T>, hands: usize) -> Vec<Vec<T>> {
    let mut dealt: Vec<Vec<T>> = (0..hands).map(|_| Vec::new()).collect();
    for (at, item) in items.into_iter().enumerate() {
        dealt[at % hands].push(item);
    }
    dealt
}

fn distinct<'a>(addresses: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let mut seen = Vec::new();
    for address in addresses {
        if !seen.contains(&address) {
            seen.push(address);
        }
    }
    seen
}

fn any_leader(topology: &Topology, at: usize) -> &str {
    let leaders = distinct(topology.leaders.values());
    leaders[at % leaders.len()]
}

/// As many descriptors as this process may have.
fn raise_file_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a place for the result, then a valid limit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
