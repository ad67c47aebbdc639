//! One group: its offsets, and when they may go.

use std::sync::Arc;

use super::offsets::Offsets;
use super::record::OffsetValue;
use super::request::Sender;
use crate::model::ErrorCode;

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: Arc<str>,
    pub(super) offsets: Offsets,
}

impl Group {
    pub(super) fn new(id: &str) -> Group {
        Group {
            id: id.into(),
            offsets: Offsets::default(),
        }
    }

    /// Whether the sender may commit offsets.
    pub(super) fn check_commit(&self, sender: &Sender) -> Result<(), ErrorCode> {
        match sender.epoch {
            ..0 => Ok(()),
            _ => Err(ErrorCode::UnknownMemberId),
        }
    }

    //= behaviour 55
    pub(super) fn is_over(&self, value: &OffsetValue, retention_ms: i64, now_ms: i64) -> bool {
        match value.expire_ms {
            Some(at) => now_ms >= at,
            None => now_ms.saturating_sub(value.commit_ms) >= retention_ms,
        }
    }
}
