//! What the APIs of transactions share: finding the coordinator of a transactional id, asking it, and Kafka's error codes
//! for what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::group::partition_of;
use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode, NamedPartitions, PartitionId, ProducerIdentity, TRANSACTIONS_TOPIC};
use crate::txn::{ClientVersion, TxnError, TxnReply, TxnRequest};
use crate::wire::messages::{AddPartitionsToTxnTopic, KafkaString, text};

use super::Context;
use super::cluster_view::led_partition;

/// A transactional id is a string of the log's key, whose length has 16 bits.
const ID_BYTES_MAX: usize = i16::MAX as usize;

/// The transactional id of a request: neither empty nor longer than the log can hold.
pub fn id_of(id: &KafkaString) -> Result<Arc<str>, ErrorCode> {
    match id.as_str() {
        "" => Err(ErrorCode::InvalidRequest),
        id if id.len() > ID_BYTES_MAX => Err(ErrorCode::InvalidRequest),
        id => Ok(id.into()),
    }
}

/// The protocol of transactions that a client speaks who sends this version of an API that has had V2 from `v2_from` on.
//= KIP-890
pub fn client_version(version: i16, v2_from: i16) -> ClientVersion {
    match version >= v2_from {
        true => ClientVersion::V2,
        false => ClientVersion::V0,
    }
}

/// The partition whose coordinator has the id.
pub fn coordinator_of(image: &Image, id: &str, me: BrokerId) -> Result<PartitionId, ErrorCode> {
    let topic = image
        .topic(TRANSACTIONS_TOPIC)
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let led = led_partition(topic, partition_of(id, partitions), me);
    led.map_err(|_| ErrorCode::NotCoordinator)
}

/// Asks the coordinator of the id. The request is on its way when this returns, before the future is polled.
pub fn ask(
    cx: &Context,
    id: &str,
    request: TxnRequest,
) -> Result<impl Future<Output = Result<TxnReply, ErrorCode>> + 'static, ErrorCode> {
    let partition = coordinator_of(&cx.image(), id, cx.broker_id())?;
    Ok(cx.router().transaction(partition, request))
}

/// Asks for a producer's identity, once more with a fresh producer id where the coordinator needs one.
pub async fn ask_for_identity(
    cx: &Context,
    id: &str,
    request: impl Fn(Option<i64>) -> TxnRequest,
) -> Result<ProducerIdentity, Problem> {
    let mut fresh_id = None;
    loop {
        match ask(cx, id, request(fresh_id))?.await? {
            TxnReply::Producer(Err(TxnError::NeedsProducerId)) if fresh_id.is_none() => {
                fresh_id = Some(super::init_producer_id::next_id(cx).await?);
            }
            TxnReply::Producer(answer) => return Ok(answer?),
            _ => return Err(ErrorCode::UnknownServerError.into()),
        }
    }
}

/// Why a request fails: by the coordinator's judgement, or because there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    Refused(TxnError),
    Failed(ErrorCode),
}

impl From<TxnError> for Problem {
    fn from(error: TxnError) -> Problem {
        Problem::Refused(error)
    }
}

impl From<ErrorCode> for Problem {
    fn from(error: ErrorCode) -> Problem {
        Problem::Failed(error)
    }
}

impl Problem {
    /// Behaviour 59: clients of older versions do not know PRODUCER_FENCED. //= KIP-588
    pub fn code(self, knows_fenced: bool) -> ErrorCode {
        match self {
            Problem::Failed(error) => error,
            Problem::Refused(error) => match error {
                TxnError::InvalidProducerIdMapping => ErrorCode::InvalidProducerIdMapping,
                TxnError::Fenced if knows_fenced => ErrorCode::ProducerFenced,
                TxnError::Fenced => ErrorCode::InvalidProducerEpoch,
                TxnError::Concurrent => ErrorCode::ConcurrentTransactions,
                TxnError::InvalidState => ErrorCode::InvalidTxnState,
                TxnError::InvalidTimeout => ErrorCode::InvalidTransactionTimeout,
                TxnError::NeedsProducerId => ErrorCode::CoordinatorNotAvailable,
            },
        }
    }
}

/// The named partitions of a request, as a transaction holds them.
pub fn partitions_of(topics: &[AddPartitionsToTxnTopic]) -> NamedPartitions {
    let mut partitions: NamedPartitions = BTreeMap::new();
    for topic in topics {
        let name: Arc<str> = text(&topic.name).into();
        partitions.entry(name).or_default().extend(&topic.partitions);
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::image;
    use crate::wire::messages::kafka_string;

    #[test]
    fn ids_are_neither_empty_nor_too_long() {
        assert_eq!(id_of(&kafka_string("t")).as_deref(), Ok("t"));
        for bad in [String::new(), "x".repeat(ID_BYTES_MAX + 1)] {
            assert_eq!(id_of(&kafka_string(&bad)), Err(ErrorCode::InvalidRequest));
        }
    }

    /// Behaviour 46: the partition by Java's hash; without the topic the client is to come back.
    #[test]
    fn coordinator_is_found_by_hash() {
        let me = BrokerId(1);
        assert_eq!(
            coordinator_of(&image(&[("a", 1)]), "t", me),
            Err(ErrorCode::CoordinatorNotAvailable)
        );
        let image = image(&[(TRANSACTIONS_TOPIC, 50)]);
        // 't' is 116.
        assert_eq!(coordinator_of(&image, "t", me).map(|partition| partition.index), Ok(16));
        assert_eq!(coordinator_of(&image, "t", BrokerId(2)), Err(ErrorCode::NotCoordinator));
    }

    /// Behaviour 59.
    #[test]
    fn fencing_has_the_code_that_the_client_knows() {
        let fenced = Problem::from(TxnError::Fenced);
        assert_eq!(fenced.code(true), ErrorCode::ProducerFenced);
        assert_eq!(fenced.code(false), ErrorCode::InvalidProducerEpoch);
        assert_eq!(
            Problem::from(ErrorCode::NotCoordinator).code(true),
            ErrorCode::NotCoordinator
        );
    }
}
