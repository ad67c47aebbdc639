//! Every generated message in every version that we serve, against the oracle.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as oracle;
use kafka_protocol::protocol::{Decodable, Encodable};
use proptest::prelude::*;

use super::draw::{Entropy, draw};
use crate::wire::messages::*;
use crate::wire::shape::{self, Shape};
use crate::wire::{ApiKey, is_flexible};

/// A test per API: what the oracle writes, we read to the same fields; what we write, the oracle reads back to the same
/// message with nothing left over. Both for the request and for the response.
macro_rules! agree {
    ($($name:ident: $key:ident, $versions:expr, $($ours:ident = $oracle:ident as $shape:ident),*;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
            $(
                #[test]
                fn $name(entropy in prop::collection::vec(any::<u8>(), 0..600)) {
                    for version in $versions {
                        $(agree::<$ours, oracle::$oracle>(&entropy, ApiKey::$key, &shape::$shape, version);)*
                    }
                }
            )*
        }
    };
}

served!(agree);

/// Fields of responses that must be at their defaults in versions that do not carry them: the encoder refuses to drop
/// them. Every other field may be filled in for all versions alike. (FindCoordinator, AddPartitionsToTxn
/// and OffsetFetch have two forms: one answer, or a list.)
const NEVER_DROPPED: [(ApiKey, &str); 21] = [
    (ApiKey::ADD_PARTITIONS_TO_TXN, "results_by_topic_v3_and_below"),
    (ApiKey::ADD_PARTITIONS_TO_TXN, "results_by_transaction"),
    (ApiKey::DESCRIBE_CLUSTER, "endpoint_type"),
    (ApiKey::DESCRIBE_CLUSTER, "is_fenced"),
    (ApiKey::DESCRIBE_GROUPS, "authorized_operations"),
    (ApiKey::DESCRIBE_GROUPS, "error_message"),
    (ApiKey::DESCRIBE_QUORUM, "nodes"),
    (ApiKey::DESCRIBE_QUORUM, "replica_directory_id"),
    (ApiKey::ELECT_LEADERS, "error_code"),
    (ApiKey::FIND_COORDINATOR, "error_code"),
    (ApiKey::FIND_COORDINATOR, "node_id"),
    (ApiKey::FIND_COORDINATOR, "host"),
    (ApiKey::FIND_COORDINATOR, "port"),
    (ApiKey::FIND_COORDINATOR, "coordinators"),
    (ApiKey::JOIN_GROUP, "skip_assignment"),
    (ApiKey::LEAVE_GROUP, "members"),
    (ApiKey::LIST_OFFSETS, "leader_epoch"),
    (ApiKey::METADATA, "cluster_authorized_operations"),
    (ApiKey::METADATA, "topic_authorized_operations"),
    (ApiKey::OFFSET_FETCH, "groups"),
    (ApiKey::OFFSET_FETCH, "topics"),
];

macro_rules! rewrite {
    ($($name:ident: $key:ident, $versions:expr,
        $request:ident = $oracle_request:ident as $request_shape:ident,
        $response:ident = $oracle:ident as $shape:ident;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

            /// A response filled in for one version can be written in every other, and the oracle reads it.
            #[test]
            fn responses_are_written_in_every_version(entropy in prop::collection::vec(any::<u8>(), 0..600)) {
                $(for (filled_for, version) in $versions.flat_map(|from| $versions.map(move |to| (from, to))) {
                    rewrite::<$response, oracle::$oracle>(&entropy, ApiKey::$key, &shape::$shape, filled_for, version);
                })*
            }
        }
    };
}

served!(rewrite);

fn rewrite<Ours, Oracle>(entropy: &[u8], key: ApiKey, shape: &Shape, filled_for: i16, version: i16)
where
    Ours: Decode + Encode,
    Oracle: Decodable,
{
    let drawn = draw(&mut Entropy(entropy), shape, is_flexible(key, filled_for), filled_for).freeze();
    let ours = Ours::decode(drawn, filled_for, usize::MAX).expect("what is drawn can be read");
    match ours.encode(version) {
        Ok(bytes) => drop(oracle_read::<Oracle>(bytes, version)),
        Err(error) => {
            let error = error.to_string();
            let known = NEVER_DROPPED
                .iter()
                .any(|(of, field)| *of == key && error.contains(&format!("field={field},")));
            assert!(known, "filled in for {filled_for}, written as {version}: {error}");
        }
    }
}

fn agree<Ours, Oracle>(entropy: &[u8], key: ApiKey, shape: &Shape, version: i16)
where
    Ours: Decode + Encode + Debug,
    Oracle: Encodable + Decodable + Debug + PartialEq,
{
    let drawn = draw(&mut Entropy(entropy), shape, is_flexible(key, version), version).freeze();
    let theirs: Oracle = oracle_read(drawn.clone(), version);
    let their_bytes = oracle_write(&theirs, version);
    assert_eq!(
        their_bytes, drawn,
        "the oracle writes what was drawn, version {version}"
    );

    let (ours, trailing) =
        Ours::decode_with_trailing(their_bytes, version, usize::MAX).expect("we read what the oracle writes");
    assert_eq!(trailing, 0, "version {version}");
    assert_eq!(fields(&ours), fields(&theirs), "version {version}");

    let our_bytes = ours.encode(version).expect("what was read can be written");
    assert_eq!(oracle_read::<Oracle>(our_bytes, version), theirs, "version {version}");
}

pub(super) fn oracle_read<M: Decodable>(mut bytes: Bytes, version: i16) -> M {
    let message = M::decode(&mut bytes, version).expect("the oracle reads it");
    assert!(
        bytes.is_empty(),
        "the oracle leaves {} bytes over, version {version}",
        bytes.len()
    );
    message
}

pub(super) fn oracle_write<M: Encodable>(message: &M, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("the oracle writes it");
    bytes.freeze()
}

/// The names and values of a message's fields, as its debug print has them, without what is only the dress of a type:
/// `name: Some(KafkaString { inner: b"a" })` and `name: Some(TopicName("a"))` are both `name: "a"`. Null and empty
/// count as the same, because the two implementations differ in what a field that the version does not carry reads as;
/// where the version does carry it, the comparison of what each writes tells null from empty.
fn fields(message: &impl Debug) -> Vec<String> {
    let print = format!("{message:?}").replace("b\"", "\"").replace("{ inner: ", "{ ");
    let print = UNSHARED.iter().fold(print, |print, field| print.replace(field, ""));
    let print = print
        .replace("\"\"", "None")
        .replace("[]", "None")
        .replace('[', " [ ")
        .replace(']', " ] ");
    let tokens = print
        .split([' ', ',', '(', ')', '{', '}'])
        .filter(|token| !token.is_empty());
    tokens.filter(|token| !is_dress(token)).map(str::to_owned).collect()
}

/// Fields that only one of the two has: the tags that neither knows, and those of releases that the oracle is behind.
const UNSHARED: [&str; 12] = [
    "_unknown_tagged_fields: []",
    "unknown_tagged_fields: {}",
    "is_cordoned: false",
    "enable2_pc: false",
    "enable_2_pc: false",
    "keep_prepared_txn: false",
    "transaction_version: 0",
    "is_renew_ack: false",
    "acquisition_lock_timeout_ms: 0",
    "lag: -1",
    "ack_when_committed: true",
    "delivery_complete_count: -1",
];

fn is_dress(token: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_uppercase()) && token != "None"
}
