//! ShareFetch against the oracle: its request as a generated message, its response by our own codec.

use bytes::Bytes;
use kafka_protocol::messages as oracle;
use kafka_protocol::messages::share_fetch_response as theirs;
use uuid::Uuid;

use super::draw::{Entropy, draw};
use super::messages::{oracle_read, oracle_write};
use crate::model::TopicId;
use crate::wire::messages::{Decode, Encode, ShareFetchRequestData};
use crate::wire::produce::NodeEndpoint;
use crate::wire::shape;
use crate::wire::share_fetch::{ShareFetchResponse, ShareFetchedPartition, ShareFetchedTopic};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// What is drawn from the shape the oracle reads, and it writes the same bytes; so do we.
    #[test]
    fn requests_agree_with_the_oracle(entropy in prop::collection::vec(any::<u8>(), 0..600)) {
        let drawn = draw(&mut Entropy(&entropy), &shape::SHARE_FETCH_REQUEST, true, 1).freeze();
        let theirs: oracle::ShareFetchRequest = oracle_read(drawn.clone(), 1);
        prop_assert_eq!(oracle_write(&theirs, 1), drawn.clone());
        let ours = ShareFetchRequestData::decode(drawn.clone(), 1, usize::MAX).unwrap();
        prop_assert_eq!(ours.encode(1).unwrap(), drawn);
    }
}

/// Every field of a response arrives where the oracle expects it, and comes back from its bytes.
#[test]
fn responses_agree_with_the_oracle() {
    let ours = ShareFetchResponse {
        throttle_time_ms: 1,
        error_code: 2,
        error_message: Some("why".into()),
        lock_timeout_ms: 30_000,
        topics: vec![ShareFetchedTopic {
            id: TopicId([5; 16]),
            partitions: vec![ShareFetchedPartition {
                index: 3,
                error_code: 6,
                acknowledge_error_code: 121,
                leader: (7, 8),
                records: vec![Bytes::from_static(b"some"), Bytes::from_static(b"where")],
                acquired: vec![(10, 19, 1), (25, 25, 4)],
            }],
        }],
        node_endpoints: vec![NodeEndpoint {
            node_id: 7,
            host: "here".into(),
            port: 9092,
            rack: None,
        }],
    };
    let bytes: Bytes = ours.clone().encode().slices.concat().into();
    let read: theirs::ShareFetchResponse = oracle_read(bytes.clone(), 1);
    assert_eq!(
        (read.throttle_time_ms, read.error_code, read.acquisition_lock_timeout_ms),
        (1, 2, 30_000)
    );
    assert_eq!(read.error_message.as_deref(), Some("why"));
    let topic = &read.responses[0];
    assert_eq!(topic.topic_id, Uuid::from_bytes([5; 16]));
    let partition = &topic.partitions[0];
    assert_eq!(
        (
            partition.partition_index,
            partition.error_code,
            partition.acknowledge_error_code
        ),
        (3, 6, 121)
    );
    assert_eq!(
        (
            partition.current_leader.leader_id,
            partition.current_leader.leader_epoch
        ),
        (7, 8)
    );
    assert_eq!(partition.records.as_deref(), Some(&b"somewhere"[..]));
    let acquired = partition.acquired_records.iter();
    let acquired: Vec<_> = acquired
        .map(|one| (one.first_offset, one.last_offset, one.delivery_count))
        .collect();
    assert_eq!(acquired, [(10, 19, 1), (25, 25, 4)]);
    assert_eq!(
        (read.node_endpoints[0].node_id.0, read.node_endpoints[0].port),
        (7, 9092)
    );

    let back: Bytes = oracle_write(&read, 1);
    let mut again = ShareFetchResponse::decode(back).unwrap();
    let partition = &mut again.topics[0].partitions[0];
    partition.records = vec![partition.records.concat().into()];
    let mut wanted = ours;
    let partition = &mut wanted.topics[0].partitions[0];
    partition.records = vec![partition.records.concat().into()];
    assert_eq!(again, wanted);
}
