//! What the APIs of groups share: the way to a group's coordinator, and the words of both sides.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::group::{GroupReply, GroupRequest, Sender, partition_of};
use crate::model::{ErrorCode, OFFSETS_TOPIC, PartitionId};
use crate::wire::messages::{KafkaString, kafka_string, text};

use super::Context;
use super::cluster_view::led_partition;

/// Without an authorizer every operation on a group is allowed: read, delete, describe, and describe and alter its
/// configs, as bits of Kafka's AclOperation codes.
pub const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Asks the group's coordinator. Where it is not this broker the client is to look for it again.
pub async fn ask(cx: &Context, group: &str, request: GroupRequest) -> Result<GroupReply, ErrorCode> {
    let partition = coordinator_of(cx, group)?;
    cx.router().group(partition, request).await
}

/// The partition whose coordinator has the group.
pub fn coordinator_of(cx: &Context, group: &str) -> Result<PartitionId, ErrorCode> {
    let image = cx.image();
    let topic = image.topic(OFFSETS_TOPIC).ok_or(ErrorCode::NotCoordinator)?;
    let index = partition_of(group, topic.partitions.len() as i32);
    led_partition(topic, index, cx.broker_id()).map_err(|_| ErrorCode::NotCoordinator)
}

/// A coordinator answered another question than it was asked.
pub fn mistaken<T>() -> Result<T, ErrorCode> {
    Err(ErrorCode::UnknownServerError)
}

pub fn sender(member_id: &KafkaString, instance_id: Option<&KafkaString>, epoch: i32) -> Sender {
    Sender {
        member_id: text(member_id),
        instance_id: instance_id.map(text),
        epoch,
    }
}

pub fn optional(string: Option<&str>) -> Option<KafkaString> {
    string.map(kafka_string)
}

/// Copied, so that it does not hold on to its request.
pub fn owned(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The client's address as Kafka writes it.
pub fn client_host(cx: &Rc<Context>) -> String {
    let address = cx.peer.rsplit_once(':').map_or(&*cx.peer, |(address, _)| address);
    format!("/{}", address.trim_matches(['[', ']']))
}

/// Consecutive items of the same topic, in order.
pub fn by_topic<T>(items: Vec<T>, topic: impl Fn(&T) -> Arc<str>) -> Vec<(Arc<str>, Vec<T>)> {
    let mut topics: Vec<(Arc<str>, Vec<T>)> = Vec::new();
    for item in items {
        let name = topic(&item);
        match topics.last_mut() {
            Some((last, of)) if *last == name => of.push(item),
            _ => topics.push((name, vec![item])),
        }
    }
    topics
}
