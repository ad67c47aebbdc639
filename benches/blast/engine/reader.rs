//! A thread that reads over its share of the readers' connections: one fetch in flight on each, the next one at once.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use corelane::model::TopicId;
use corelane::record::BatchHeader;
use corelane::wire::fetch::{FetchPartition, FetchPartitionResponse, FetchRequest, FetchResponse, FetchTopic};
use corelane::wire::{ApiKey, RequestHeader, is_flexible, is_response_header_flexible, parse_response};

use super::clock::now_ns;
use super::delivery::Seen;
use super::epoll::{Epoll, Ready, wake_on_time};
use super::link::Link;
use super::recorder::Recorder;
use super::request::CLIENT_ID;
use super::shared::Shared;
use super::stamp::stamp_of;

/// The most that one answer may bring.
const FETCH_BYTES_MAX: i32 = 50 << 20;
const NAP_NS: u64 = 50_000_000;

#[derive(Clone, Debug)]
pub struct Plan {
    pub topic: String,
    pub version: i16,
    pub partition_bytes: i32,
    pub wait_ms: i32,
    pub min_bytes: i32,
    pub check_crc: bool,
    /// Nobody produces: the run ends when every partition's end, as it was at the beginning, is reached.
    pub catch_up_only: bool,
    /// The first batch seen need not be number 0.
    pub begins_anywhere: bool,
}

/// One reading connection.
pub struct Reader {
    /// Readers of one group share the partitions between them.
    group: usize,
    link: Link,
    positions: Vec<Position>,
    correlation_id: i32,
    waits_to_write: bool,
    next_first: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub partition: i32,
    pub next_offset: i64,
    /// The log's end when the run began.
    pub end: i64,
}

pub struct Report {
    /// From the intended time in the stamp to the reading.
    pub end_to_end: Recorder,
    /// Within the measurement.
    pub batches: u64,
    pub records: u64,
    /// Batches as they are on the wire: payload is not looked at.
    pub bytes: u64,
    pub fetches: u64,
    pub seen: Seen,
}

impl Reader {
    pub fn new(group: usize, link: Link, positions: Vec<Position>) -> Reader {
        Reader {
            group,
            link,
            positions,
            correlation_id: 0,
            waits_to_write: false,
            next_first: 0,
        }
    }

    /// A fetch of every partition. Each time another one comes first, as in Kafka's consumer, so that none starves.
    fn ask(&mut self, plan: &Plan) {
        let count = self.positions.len();
        let partitions = (0..count).map(|at| &self.positions[(self.next_first + at) % count]);
        let partitions = partitions.map(|position| FetchPartition {
            index: position.partition,
            fetch_offset: position.next_offset,
            max_bytes: plan.partition_bytes,
            ..Default::default()
        });
        let body = FetchRequest {
            max_wait_ms: plan.wait_ms,
            min_bytes: plan.min_bytes,
            max_bytes: FETCH_BYTES_MAX,
            topics: vec![FetchTopic {
                name: Bytes::copy_from_slice(plan.topic.as_bytes()),
                id: TopicId([0; 16]),
                partitions: partitions.collect(),
            }],
            ..Default::default()
        };
        self.next_first = (self.next_first + 1) % count;
        let header = RequestHeader {
            api_key: ApiKey::FETCH,
            api_version: plan.version,
            correlation_id: self.correlation_id,
            client_id: Some(Bytes::from_static(CLIENT_ID)),
        };
        for slice in header.frame(is_flexible(ApiKey::FETCH, plan.version), body.encode(plan.version)) {
            self.link.out.extend_from_slice(&slice);
        }
    }

    fn parse(&mut self, frame: Bytes, version: i16) -> anyhow::Result<FetchResponse> {
        let (correlation_id, body) = parse_response(frame, is_response_header_flexible(ApiKey::FETCH, version))?;
        anyhow::ensure!(correlation_id == self.correlation_id, "an answer to another fetch");
        self.correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        let answer = FetchResponse::decode(body, version)?;
        anyhow::ensure!(answer.error_code == 0, "fetch failed with error {}", answer.error_code);
        Ok(answer)
    }

    fn has_read(&self, end: impl Fn(&Position) -> i64) -> bool {
        self.positions
            .iter()
            .all(|position| position.next_offset >= end(position))
    }
}

pub fn run(plan: Plan, readers: Vec<Reader>, shared: &Shared) -> anyhow::Result<Report> {
    wake_on_time();
    let mut worker = Worker {
        report: Report {
            end_to_end: Recorder::new(shared.from_ns),
            batches: 0,
            records: 0,
            bytes: 0,
            fetches: 0,
            seen: Seen::default(),
        },
        epoll: Epoll::new().context("make an epoll")?,
        plan,
        readers,
        shared,
    };
    // What is read before the marks would not be counted.
    std::thread::sleep(Duration::from_nanos(shared.begin_ns.saturating_sub(now_ns())));
    for token in 0..worker.readers.len() {
        worker.epoll.add(worker.readers[token].link.fd(), token)?;
        worker.fetch(token)?;
    }
    worker.work()?;
    Ok(worker.report)
}

struct Worker<'a> {
    plan: Plan,
    readers: Vec<Reader>,
    epoll: Epoll,
    report: Report,
    shared: &'a Shared,
}

impl Worker<'_> {
    fn work(&mut self) -> anyhow::Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            let now = now_ns();
            if self.is_done(now) {
                return Ok(());
            }
            ready.extend(self.epoll.wait(now + NAP_NS, now)?);
            for event in ready.drain(..) {
                self.on_ready(event)?;
            }
        }
    }

    /// With producers: once everything acknowledged has been read. Without: at the end of the time or of the log.
    fn is_done(&self, now: u64) -> bool {
        if now > self.shared.give_up_ns {
            return true;
        }
        if self.plan.catch_up_only {
            let all_read = self
                .readers
                .iter()
                .all(|reader| reader.has_read(|position| position.end));
            if all_read {
                self.shared.end_at(now);
            }
            return all_read || now >= self.shared.until_ns();
        }
        let acked_end = |position: &Position| self.shared.acked_end(position.partition);
        self.shared.is_produced() && self.readers.iter().all(|reader| reader.has_read(acked_end))
    }

    fn on_ready(&mut self, event: Ready) -> anyhow::Result<()> {
        let mut frames = Vec::new();
        self.readers[event.token].link.receive(|frame| {
            frames.push(frame);
            Ok(())
        })?;
        let now = now_ns();
        for frame in frames {
            let answer = self.readers[event.token].parse(frame, self.plan.version)?;
            self.report.fetches += 1;
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                self.take_partition(event.token, partition, now)?;
            }
            self.fetch(event.token)?;
        }
        self.flush(event.token)
    }

    fn fetch(&mut self, token: usize) -> anyhow::Result<()> {
        self.readers[token].ask(&self.plan);
        self.flush(token)
    }

    fn flush(&mut self, token: usize) -> anyhow::Result<()> {
        let reader = &mut self.readers[token];
        let sent = reader.link.flush()?;
        if sent == reader.waits_to_write {
            reader.waits_to_write = !sent;
            self.epoll.want_write(reader.link.fd(), token, !sent)?;
        }
        Ok(())
    }

    fn take_partition(&mut self, token: usize, partition: &FetchPartitionResponse, now: u64) -> anyhow::Result<()> {
        if partition.error_code != 0 {
            bail!(
                "partition {} cannot be read: error {}",
                partition.index,
                partition.error_code
            );
        }
        let mut positions = self.readers[token].positions.iter();
        let at = positions
            .position(|position| position.partition == partition.index)
            .context("an answer for a partition that nobody asked for")?;
        for records in &partition.records {
            let mut rest = &records[..];
            while let Some((batch, header)) = split_batch(&mut rest) {
                self.take_batch(token, at, batch, &header, now);
            }
        }
        Ok(())
    }

    fn take_batch(&mut self, token: usize, at: usize, batch: &[u8], header: &BatchHeader, now: u64) {
        let position = &mut self.readers[token].positions[at];
        if header.next_offset() <= position.next_offset {
            return; // the front of a set that begins before the offset asked for
        }
        let report = &mut self.report;
        report.seen.offset_breaks += u64::from(header.base_offset > position.next_offset);
        position.next_offset = header.next_offset();
        let records = header.record_count as u64;
        self.shared.read_records.fetch_add(records, Relaxed);
        self.shared.read_bytes.fetch_add(batch.len() as u64, Relaxed);
        if self.plan.check_crc && header.check_crc(batch).is_err() {
            report.seen.bad_checksums += 1;
        }
        if self.shared.measures(now) {
            report.batches += 1;
            report.records += records;
            report.bytes += batch.len() as u64;
        }
        let Some(stamp) = stamp_of(batch).filter(|_| header.compression_bits() == 0) else {
            return;
        };
        let group = self.readers[token].group;
        let partition = self.readers[token].positions[at].partition;
        if self.plan.begins_anywhere {
            report
                .seen
                .begin_anywhere(group, stamp.producer, partition, stamp.sequence);
        }
        report.seen.on_batch(group, stamp.producer, partition, stamp.sequence);
        if self.shared.measures(stamp.intended_ns) {
            report.end_to_end.record(stamp.intended_ns, now);
        }
    }
}

/// The next whole batch of a set; what a fetch has cut off is left.
fn split_batch<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], BatchHeader)> {
    let header = BatchHeader::parse(rest).ok()?;
    let (batch, behind) = rest.split_at_checked(header.total_len())?;
    *rest = behind;
    Some((batch, header))
}
