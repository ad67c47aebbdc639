//! Blocks of producer ids: a broker hands them out by itself, so a new producer does not wait for a commit.

use super::brokers::check_epoch;
use super::{Scratch, refuse};
use crate::metadata::command::{CommandError, Reply};
use crate::metadata::record::{self, Record};
use crate::model::{BrokerId, ErrorCode};

/// As Kafka's controller gives them out.
pub const PRODUCER_IDS_PER_BLOCK: i32 = 1000;

pub fn allocate(scratch: &mut Scratch<'_>, broker: BrokerId, epoch: i64) -> Result<Reply, CommandError> {
    check_epoch(&scratch.image, broker, epoch)?;
    let first = scratch.image.next_producer_id;
    let Some(next) = first.checked_add(PRODUCER_IDS_PER_BLOCK.into()) else {
        return refuse(ErrorCode::UnknownServerError, "All producer ids are given out.");
    };
    scratch.push(Record::ProducerIds(record::ProducerIds { next }));
    Ok(Reply::ProducerIds {
        first,
        count: PRODUCER_IDS_PER_BLOCK,
    })
}
