//! Questions about offsets, on the owner's side: ListOffsets, OffsetForLeaderEpoch, the start of a log that DeleteRecords
//! moves, log sizes; and about producers.

use std::path::Path;

use super::hosted::{Hosted, Open, open_at};
use super::message::{Answer, Job, TimesDone, TimesJob};
use super::read::{bound, epoch_refusal, read_refusal};
use super::state::Shard;
use super::types::*;
use crate::model::{ErrorCode, PartitionId, ShardId};
use crate::partition::{Bound, DeleteError};
use crate::rt::Now;
use crate::storage::TimePlan;

/// What became of one ListOffsets item.
enum Listing {
    Ready(ListedOffset),
    Search(TimePlan),
}

impl Shard {
    pub(super) fn on_list_offsets(&mut self, from: ShardId, request: u64, items: Vec<ListOffsetsItem>) {
        let mut answers = Vec::with_capacity(items.len());
        let mut plans = Vec::new();
        for item in &items {
            let listing = match self.serving(item.partition) {
                Err(error) => Listing::Ready(ListedOffset::refused(error)),
                Ok(open) => list(open, item),
            };
            match listing {
                Listing::Ready(answer) => answers.push(answer),
                Listing::Search(plan) => {
                    if let Ok(open) = self.serving(item.partition) {
                        plans.push((answers.len(), open.life(), plan));
                    }
                    answers.push(ListedOffset::refused(ErrorCode::None));
                }
            }
        }
        if plans.is_empty() {
            return self.answer(from, request, Answer::ListOffsets(answers));
        }
        self.jobs.push(Job::Times(TimesJob {
            to: from,
            request,
            answers,
            plans,
        }));
    }

    /// A search that found nothing answers (-1, -1) without an error (behaviour 42).
    pub(super) fn on_times(&mut self, done: TimesDone) {
        let mut answers = done.answers;
        for (at, life, found) in done.found {
            let answer = match found {
                Ok(None) => continue,
                Ok(Some((offset, timestamp))) => ListedOffset {
                    error: ErrorCode::None,
                    offset,
                    timestamp,
                    leader_epoch: open_at(&mut self.hosted, life)
                        .and_then(|open| open.partition.epoch_at(offset))
                        .unwrap_or(-1),
                },
                Err(error) => {
                    self.fail_log(life, &error);
                    ListedOffset::refused(read_refusal(&error))
                }
            };
            if let Some(known) = answers.get_mut(at) {
                *known = answer;
            }
        }
        self.answer(done.to, done.request, Answer::ListOffsets(answers));
    }

    pub(super) fn on_epoch_ends(&mut self, from: ShardId, request: u64, items: Vec<EpochItem>) {
        let ends = items.iter().map(|item| match self.serving(item.partition) {
            Err(error) => EpochEnd::refused(error),
            Ok(open) => epoch_end(open, item),
        });
        let ends = ends.collect();
        self.answer(from, request, Answer::EpochEnds(ends));
    }

    pub(super) fn on_log_sizes(&mut self, from: ShardId, request: u64, items: Vec<LogSizeItem>) {
        let sizes = items.iter().map(|item| match self.readable(item.partition) {
            Err(error) => LogSize {
                log_dir: self.hosted.get(&item.partition).and_then(Hosted::dir).map(display),
                ..LogSize::refused(error)
            },
            Ok(open) => LogSize {
                error: ErrorCode::None,
                size_bytes: open.partition.log().size_bytes() as i64,
                log_dir: Some(display(&open.place.dir.path)),
            },
        });
        let sizes = sizes.collect();
        self.answer(from, request, Answer::LogSizes(sizes));
    }

    pub(super) fn on_producers(&mut self, from: ShardId, request: u64, items: Vec<ProducersItem>) {
        let producers = items.iter().map(|item| match self.serving(item.partition) {
            Err(error) => PartitionProducers::refused(error),
            Ok(open) => PartitionProducers {
                error: ErrorCode::None,
                producers: open.partition.producers().active().collect(),
            },
        });
        let producers = producers.collect();
        self.answer(from, request, Answer::Producers(producers));
    }

    /// As [`Shard::serving`], also where this replica follows.
    fn readable(&mut self, id: PartitionId) -> Result<&mut Open, ErrorCode> {
        self.hosted
            .get_mut(&id)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
            .and_then(Hosted::readable)
    }

    pub(super) fn serving(&mut self, id: PartitionId) -> Result<&mut Open, ErrorCode> {
        self.hosted
            .get_mut(&id)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
            .and_then(Hosted::serving)
    }
}

fn list(open: &mut Open, item: &ListOffsetsItem) -> Listing {
    let partition = &mut open.partition;
    if let Err(error) = partition.check_epoch(item.leader_epoch) {
        return Listing::Ready(ListedOffset::refused(epoch_refusal(error)));
    }
    let bound = bound(item.isolation);
    let is_settled = partition
        .epoch_start()
        .is_none_or(|start| partition.high_watermark() >= start);
    // A new leader does not know yet how far consumers have read under the one before. //= KIP-207
    if !is_settled && bound != Bound::LogEnd && item.query != OffsetQuery::Earliest {
        return Listing::Ready(ListedOffset::refused(ErrorCode::OffsetNotAvailable));
    }
    let offset = match item.query {
        OffsetQuery::Timestamp(timestamp) => return Listing::Search(partition.plan_offset_for_time(timestamp, bound)),
        OffsetQuery::MaxTimestamp => return Listing::Search(partition.plan_max_timestamp(bound)),
        OffsetQuery::Earliest => partition.log().log_start(),
        OffsetQuery::Latest => partition.bound(bound),
    };
    let leader_epoch = match item.query {
        OffsetQuery::Earliest => partition.epoch_at(offset),
        _ => Some(partition.leadership().epoch.0),
    };
    Listing::Ready(ListedOffset {
        error: ErrorCode::None,
        offset,
        timestamp: -1,
        leader_epoch: leader_epoch.unwrap_or(-1),
    })
}

fn epoch_end(open: &Open, item: &EpochItem) -> EpochEnd {
    if let Err(error) = open.partition.check_epoch(item.current_leader_epoch) {
        return EpochEnd::refused(epoch_refusal(error));
    }
    match open.partition.end_of_epoch(item.epoch) {
        None => EpochEnd::refused(ErrorCode::None),
        Some((epoch, end_offset)) => EpochEnd {
            error: ErrorCode::None,
            epoch,
            end_offset,
        },
    }
}

/// The segments below the new log start go with the next look of retention, which is now due.
pub(super) fn delete_records(open: &mut Open, item: &DeleteRecordsItem, now: Now) -> DeletedRecords {
    match open.partition.delete_records(item.offset) {
        Err(DeleteError::OutOfRange) => DeletedRecords::refused(ErrorCode::OffsetOutOfRange),
        Err(DeleteError::NotDeletable) => DeletedRecords::refused(ErrorCode::PolicyViolation),
        Ok(low_watermark) => {
            open.retention_ms = now.wall_ms;
            DeletedRecords {
                error: ErrorCode::None,
                low_watermark,
            }
        }
    }
}

fn display(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
