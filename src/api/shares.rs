//! What the APIs of share groups have in common: whose request it is, the group's limits, and acknowledgements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::ShareReset;
use crate::model::{ErrorCode, TopicId};
use crate::rt::wall_ms;
use crate::shard::{Isolation, ShareAction, ShareAsk, ShareBegin};
use crate::share::{AckBatch, AckKind, Limits};
use crate::wire::messages::KafkaString;

use super::Context;
use super::cluster_view::led_partition;
use super::share_session::Member;

/// A member's id is a UUID as text, of its own making.
const MEMBER_ID_BYTES_MAX: usize = 36;

/// A group's name is part of the keys that its state is kept under; their lengths have 15 bits.
pub const GROUP_BYTES_MAX: usize = 16_384;

/// How one group wants its records.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub limits: Limits,
    pub begin: ShareBegin,
    pub isolation: Isolation,
}

pub fn settings(cx: &Context, group: &str) -> Settings {
    let image = cx.image();
    let shares = &image.config().shares;
    let own = image.group_configs.get(group).map(|set| shares.with_group(set));
    let shares = own.as_ref().unwrap_or(shares);
    Settings {
        limits: Limits {
            deliveries_max: shares.deliveries_max,
            lock: shares.lock,
            in_flight_max: shares.in_flight_max,
            renewals: shares.renewals,
        },
        begin: match shares.reset {
            ShareReset::Earliest => ShareBegin::Earliest,
            ShareReset::Latest => ShareBegin::Latest,
            ShareReset::Before(ago) => begin_before(ago),
        },
        isolation: match shares.read_committed {
            true => Isolation::ReadCommitted,
            false => Isolation::ReadUncommitted,
        },
    }
}

/// The group and the member that a request names.
pub fn member(group: Option<&KafkaString>, member: Option<&KafkaString>) -> Result<Member, ErrorCode> {
    let group = group.ok_or(ErrorCode::InvalidRequest)?;
    let member = member.map(KafkaString::as_str).unwrap_or_default();
    if group.as_str().is_empty() || group.as_str().len() > GROUP_BYTES_MAX {
        return Err(ErrorCode::InvalidGroupId);
    }
    if member.is_empty() || member.len() > MEMBER_ID_BYTES_MAX {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok((group.as_str().into(), member.into()))
}

impl Settings {
    pub fn ask(&self, (group, member): &Member, action: ShareAction) -> ShareAsk {
        ShareAsk {
            group: group.clone(),
            member: member.clone(),
            limits: self.limits,
            begin: self.begin,
            action,
        }
    }

    pub fn lock_ms(&self) -> i32 {
        i32::try_from(self.limits.lock.as_millis()).unwrap_or(i32::MAX)
    }
}

/// What a request says of its partitions: a range as (first, last, kinds as numbers).
pub type Said = (i64, i64, Vec<i8>);

/// Which partition, as the request names it.
pub type Named = (TopicId, i32);

/// Acknowledges what was said of each partition; an error code for each.
pub async fn acknowledge(
    cx: &Context,
    member: &Member,
    settings: &Settings,
    said: BTreeMap<Named, Vec<Said>>,
    may_renew: bool,
) -> BTreeMap<Named, ErrorCode> {
    let image = cx.image();
    let mut answers = BTreeMap::new();
    let mut asked = Vec::new();
    for ((topic, index), ranges) in said {
        let partition = match image.topic_by_id(&topic) {
            Some(topic) => led_partition(topic, index, cx.broker_id()),
            None => Err(ErrorCode::UnknownTopicId),
        };
        match partition.and_then(|partition| Ok((partition, batches(ranges, may_renew)?))) {
            Err(error) => drop(answers.insert((topic, index), error)),
            Ok((partition, batches)) => {
                let ask = settings.ask(member, ShareAction::Acknowledge(batches));
                asked.push(((topic, index), cx.router().share(partition, ask)));
            }
        }
    }
    for (named, answer) in asked {
        answers.insert(named, answer.await.err().unwrap_or(ErrorCode::None));
    }
    answers
}

fn batches(said: Vec<Said>, may_renew: bool) -> Result<Vec<AckBatch>, ErrorCode> {
    let batch = |(first, last, kinds): Said| {
        let kinds: Result<Vec<AckKind>, ErrorCode> = kinds.into_iter().map(|kind| ack_kind(kind, may_renew)).collect();
        Ok(AckBatch {
            first,
            last,
            kinds: kinds?,
        })
    };
    said.into_iter().map(batch).collect()
}

//= KIP-932, KIP-1222: 0 gap, 1 accept, 2 release, 3 reject, 4 renew
fn ack_kind(kind: i8, may_renew: bool) -> Result<AckKind, ErrorCode> {
    match kind {
        0 => Ok(AckKind::Gap),
        1 => Ok(AckKind::Accept),
        2 => Ok(AckKind::Release),
        3 => Ok(AckKind::Reject),
        4 if may_renew => Ok(AckKind::Renew),
        _ => Err(ErrorCode::InvalidRequest),
    }
}

/// The time so long before now.
fn begin_before(ago: Duration) -> ShareBegin {
    let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    ShareBegin::AtTime(wall_ms().saturating_sub(ago_ms).max(0))
}

/// A group's name as the shards know it.
pub fn group_name(group: &str) -> Arc<str> {
    group.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::kafka_string;

    #[test]
    fn a_request_names_its_group_and_its_member() {
        let named = |group: &str, of: &str| member(Some(&kafka_string(group)), Some(&kafka_string(of)));
        assert_eq!(named("g", "a"), Ok(("g".into(), "a".into())));
        assert_eq!(named("", "a"), Err(ErrorCode::InvalidGroupId));
        assert_eq!(named("g", ""), Err(ErrorCode::InvalidRequest));
    }
}
