//! The fixed loads of the gates: one connection, bounded by count, whole windows at once, so that the broker meets the same
//! bytes in the same portions every time.

use std::time::Duration;

use crate::engine::workload::Workload;
use crate::suite::loads::workload;

/// Far more than a load takes, also under valgrind.
const TIME: Duration = Duration::from_secs(300);

fn bounded(flags: &str, count: u64) -> Workload {
    let mut workload = workload(flags);
    workload.warm_up = Duration::ZERO;
    workload.time = TIME;
    workload.drain = TIME;
    workload.count = Some(count);
    workload
}

/// Values of one batch of [`produce`].
pub const PAYLOAD_BYTES: f64 = 16.0 * 1_024.0;

/// `count` batches of 16 records of 1 KiB over 8 partitions.
pub fn produce(window: usize, count: u64) -> Workload {
    bounded(&format!("--producers 1 --burst --window {window}"), count)
}

/// Small batches (16 records of 100 bytes), so that 64 of them fit into a socket's buffer.
pub fn produce_small(window: usize, count: u64) -> Workload {
    let flags = format!("--producers 1 --burst --window {window} --record-bytes 100 --batch-records 16");
    bounded(&flags, count)
}

/// The same with one in flight, but so slowly that it takes `seconds`.
pub fn produce_small_slowly(count: u64, seconds: f64) -> Workload {
    let records_per_second = (16.0 * count as f64 / seconds).round();
    let flags = format!(
        "--producers 1 --window 1 --rate {records_per_second} --arrival constant --record-bytes 100 --batch-records 16"
    );
    bounded(&flags, count)
}

/// Batches of 10,000 bytes, of one record or of a hundred: a record has seven bytes of its own around its value.
pub fn produce_cut(records: usize, count: u64) -> Workload {
    let value = 10_000 / records - 7;
    let flags = format!("--producers 1 --burst --window 16 --record-bytes {value} --batch-records {records}");
    bounded(&flags, count)
}

/// The same onto a topic that is there.
pub fn onto(mut workload: Workload, topic: &str) -> Workload {
    workload.topic = topic.to_owned();
    workload.keep_topic = true;
    workload
}

/// All of a topic, once.
pub fn read(topic: &str) -> Workload {
    let mut workload = onto(workload("--producers 0 --catch-up --fan-out 1"), topic);
    workload.warm_up = Duration::ZERO;
    workload.time = TIME;
    workload
}
