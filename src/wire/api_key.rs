//! API keys by name, and the version from which on each API is flexible.
//!
//! Which keys and versions are served is the list in `api`, not this one.

/// The number that names an API on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKey(pub i16);

macro_rules! api_keys {
    ($($constant:ident = $key:literal, flexible from $flexible:literal;)*) => {
        impl ApiKey {
            $(pub const $constant: ApiKey = ApiKey($key);)*

            /// The first flexible version (//= KIP-482); `None` for a key that this table does not hold.
            const fn flexible_from(self) -> Option<i16> {
                match self.0 {
                    $($key => Some($flexible),)*
                    _ => None,
                }
            }
        }
    };
}

api_keys! {
    PRODUCE = 0, flexible from 9;
    FETCH = 1, flexible from 12;
    LIST_OFFSETS = 2, flexible from 6;
    METADATA = 3, flexible from 9;
    OFFSET_COMMIT = 8, flexible from 8;
    OFFSET_FETCH = 9, flexible from 6;
    FIND_COORDINATOR = 10, flexible from 3;
    JOIN_GROUP = 11, flexible from 6;
    HEARTBEAT = 12, flexible from 4;
    LEAVE_GROUP = 13, flexible from 4;
    SYNC_GROUP = 14, flexible from 4;
    DESCRIBE_GROUPS = 15, flexible from 5;
    LIST_GROUPS = 16, flexible from 3;
    API_VERSIONS = 18, flexible from 3;
    CREATE_TOPICS = 19, flexible from 5;
    DELETE_TOPICS = 20, flexible from 4;
    DELETE_RECORDS = 21, flexible from 2;
    INIT_PRODUCER_ID = 22, flexible from 2;
    OFFSET_FOR_LEADER_EPOCH = 23, flexible from 4;
    ADD_PARTITIONS_TO_TXN = 24, flexible from 3;
    ADD_OFFSETS_TO_TXN = 25, flexible from 3;
    END_TXN = 26, flexible from 3;
    WRITE_TXN_MARKERS = 27, flexible from 1;
    TXN_OFFSET_COMMIT = 28, flexible from 3;
    DESCRIBE_CONFIGS = 32, flexible from 4;
    ALTER_CONFIGS = 33, flexible from 2;
    DESCRIBE_LOG_DIRS = 35, flexible from 2;
    CREATE_PARTITIONS = 37, flexible from 2;
    DELETE_GROUPS = 42, flexible from 2;
    ELECT_LEADERS = 43, flexible from 2;
    INCREMENTAL_ALTER_CONFIGS = 44, flexible from 1;
    ALTER_PARTITION_REASSIGNMENTS = 45, flexible from 0;
    LIST_PARTITION_REASSIGNMENTS = 46, flexible from 0;
    OFFSET_DELETE = 47, flexible from 32767;
    DESCRIBE_QUORUM = 55, flexible from 0;
    UPDATE_FEATURES = 57, flexible from 0;
    DESCRIBE_CLUSTER = 60, flexible from 0;
    DESCRIBE_PRODUCERS = 61, flexible from 0;
    UNREGISTER_BROKER = 64, flexible from 0;
    DESCRIBE_TRANSACTIONS = 65, flexible from 0;
    LIST_TRANSACTIONS = 66, flexible from 0;
    CONSUMER_GROUP_HEARTBEAT = 68, flexible from 0;
    CONSUMER_GROUP_DESCRIBE = 69, flexible from 0;
    DESCRIBE_TOPIC_PARTITIONS = 75, flexible from 0;
    SHARE_GROUP_HEARTBEAT = 76, flexible from 0;
    SHARE_GROUP_DESCRIBE = 77, flexible from 0;
    SHARE_FETCH = 78, flexible from 0;
    SHARE_ACKNOWLEDGE = 79, flexible from 0;
    ADD_RAFT_VOTER = 80, flexible from 0;
    REMOVE_RAFT_VOTER = 81, flexible from 0;
    INITIALIZE_SHARE_GROUP_STATE = 83, flexible from 0;
    READ_SHARE_GROUP_STATE = 84, flexible from 0;
    WRITE_SHARE_GROUP_STATE = 85, flexible from 0;
    DELETE_SHARE_GROUP_STATE = 86, flexible from 0;
    READ_SHARE_GROUP_STATE_SUMMARY = 87, flexible from 0;
    DESCRIBE_SHARE_GROUP_OFFSETS = 90, flexible from 0;
    ALTER_SHARE_GROUP_OFFSETS = 91, flexible from 0;
    DELETE_SHARE_GROUP_OFFSETS = 92, flexible from 0;
}

/// Whether a request of this key and version has a tag section in its header (request header version 2) and its body. A
/// key that is not known here is not flexible.
pub fn is_flexible(key: ApiKey, version: i16) -> bool {
    key.flexible_from().is_some_and(|from| version >= from)
}

/// Whether the response's header ends with a tag section (response header version 1).
///
/// //= KIP-511: never for ApiVersions, whose answer has to be readable by a client that does not know our versions yet.
pub fn is_response_header_flexible(key: ApiKey, version: i16) -> bool {
    key != ApiKey::API_VERSIONS && is_flexible(key, version)
}
