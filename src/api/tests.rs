//! Tests of the list itself.

use super::*;

/// Keys ascend, so that no API is listed twice.
#[test]
fn the_list_is_ordered() {
    assert!(ALL.windows(2).all(|pair| pair[0].key < pair[1].key));
}

/// What old librdkafka and others look for in the advertised ranges before they use a feature.
#[test]
fn old_clients_find_the_ranges_that_they_look_for() {
    let advertised = |key, version| find(key).is_some_and(|api: &Api| api.versions.contains(&version));
    for (key, version) in [
        (ApiKey::PRODUCE, 0),
        (ApiKey::PRODUCE, 3),
        (ApiKey::PRODUCE, 7),
        (ApiKey::FETCH, 4),
        (ApiKey::FETCH, 10),
        (ApiKey::FIND_COORDINATOR, 0),
        (ApiKey::LIST_OFFSETS, 1),
        (ApiKey::METADATA, 0),
        (ApiKey::INIT_PRODUCER_ID, 0),
        (ApiKey::ADD_PARTITIONS_TO_TXN, 0),
        (ApiKey::ADD_OFFSETS_TO_TXN, 0),
        (ApiKey::END_TXN, 1),
        (ApiKey::TXN_OFFSET_COMMIT, 3),
    ] {
        assert!(advertised(key, version), "{key:?} {version}");
    }
}

/// Behaviour 4: what is not served has no handler.
#[test]
fn unserved_versions_have_no_handler() {
    assert!(served(ApiKey::CREATE_TOPICS, 1).is_none() && served(ApiKey::CREATE_TOPICS, 2).is_some());
    assert!(served(ApiKey::PRODUCE, 13).is_none() && served(ApiKey::METADATA, -1).is_none());
    assert!(served(ApiKey(71), 0).is_none() && served(ApiKey(-1), 0).is_none());
}

/// Only Produce may overtake the answers before it.
#[test]
fn only_produce_is_pipelined() {
    assert!(is_pipelined(&[0, 0, 0, 9, 0, 0, 0, 1]));
    assert!(!is_pipelined(&[0, 1, 0, 12, 0, 0, 0, 1]));
    assert!(!is_pipelined(&[0, 0]));
}
