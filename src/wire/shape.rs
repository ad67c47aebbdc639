//! The shapes of the generated messages, and the check of a body against them.
//!
//! A shape says what lies where in which version. A body is checked before the generated decoder runs, and the check is
//! what makes that decoder safe to feed: it refuses what Kafka refuses and the decoder lets pass (a null array where
//! null is not allowed), and it finds out that a claimed number of elements or tags is not backed by bytes before any
//! memory is reserved for them. The tests draw random messages from the same table, so a row that is wrong does not
//! survive the comparison with a second implementation.

use super::primitives::{DecodeError, Reader};

/// What a field looks like on the wire.
pub(super) enum Shape {
    /// A number or an id of this many bytes.
    Fixed(usize),
    Bool,
    String,
    NullableString,
    Bytes,
    Array(&'static Shape),
    NullableArray(&'static Shape),
    Struct(&'static [Row]),
    NullableStruct(&'static [Row]),
    /// Lives in the tag section of the structure that it is a row of.
    Tagged(u32, &'static Shape),
}

/// A field of a structure: the first and the last version that carry it, and its shape.
pub(super) type Row = (i16, i16, Shape);

/// Checks that it begins with a message of this shape, and counts the bytes behind that.
pub(super) fn check(mut reader: Reader<'_>, shape: &Shape, version: i16) -> Result<usize, DecodeError> {
    walk(&mut reader, shape, version)?;
    Ok(reader.remaining())
}

fn walk(reader: &mut Reader<'_>, shape: &Shape, version: i16) -> Result<(), DecodeError> {
    match shape {
        Shape::Fixed(len) => reader.skip(*len),
        Shape::Bool => reader.skip(1),
        Shape::String => reader.string().map(drop),
        Shape::NullableString => reader.nullable_string().map(drop),
        Shape::Bytes => reader.bytes().map(drop),
        // A Vec of units takes no memory.
        Shape::Array(element) => reader.array(1, |reader| walk(reader, element, version)).map(drop),
        Shape::NullableArray(element) => reader
            .nullable_array(1, |reader| walk(reader, element, version))
            .map(drop),
        Shape::Struct(rows) => walk_rows(reader, rows, version),
        Shape::NullableStruct(rows) => match reader.i8()? {
            ..0 => Ok(()),
            _ => walk_rows(reader, rows, version),
        },
        Shape::Tagged(..) => Ok(()),
    }
}

fn walk_rows(reader: &mut Reader<'_>, rows: &[Row], version: i16) -> Result<(), DecodeError> {
    for (_, _, shape) in rows.iter().filter(|(from, to, _)| (*from..=*to).contains(&version)) {
        walk(reader, shape, version)?;
    }
    reader.tags(|tag, field| {
        let known = rows.iter().find_map(|(from, to, shape)| match shape {
            Shape::Tagged(number, shape) if *number == tag && (*from..=*to).contains(&version) => Some(shape),
            _ => None,
        });
        known.map_or(Ok(()), |shape| walk(field, shape, version))
    })
}

use Shape::{Array, Bool, Bytes, Fixed, NullableArray, NullableString, NullableStruct, String, Struct, Tagged};

/// No last version: the field is still there in the newest.
const ON: i16 = i16::MAX;
const I8: Shape = Fixed(1);
const I16: Shape = Fixed(2);
const I32: Shape = Fixed(4);
const I64: Shape = Fixed(8);
const UUID: Shape = Fixed(16);

pub(super) const API_VERSIONS_REQUEST: Shape = Struct(&[(3, ON, String), (3, ON, String)]);
pub(super) const API_VERSIONS_RESPONSE: Shape = Struct(&[
    (0, ON, I16),
    (0, ON, Array(&Struct(&[(0, ON, I16), (0, ON, I16), (0, ON, I16)]))),
    (1, ON, I32),
    (
        3,
        ON,
        Tagged(0, &Array(&Struct(&[(3, ON, String), (3, ON, I16), (3, ON, I16)]))),
    ),
    (3, ON, Tagged(1, &I64)),
    (
        3,
        ON,
        Tagged(2, &Array(&Struct(&[(3, ON, String), (3, ON, I16), (3, ON, I16)]))),
    ),
    (3, ON, Tagged(3, &Bool)),
]);

const METADATA_REQUEST_TOPIC: Shape = Struct(&[(10, ON, UUID), (0, 9, String), (10, ON, NullableString)]);
pub(super) const METADATA_REQUEST: Shape = Struct(&[
    (0, 0, Array(&METADATA_REQUEST_TOPIC)),
    (1, ON, NullableArray(&METADATA_REQUEST_TOPIC)),
    (4, ON, Bool),
    (8, 10, Bool),
    (8, ON, Bool),
]);
const METADATA_RESPONSE_PARTITION: Shape = Struct(&[
    (0, ON, I16),
    (0, ON, I32),
    (0, ON, I32),
    (7, ON, I32),
    (0, ON, Array(&I32)),
    (0, ON, Array(&I32)),
    (5, ON, Array(&I32)),
]);
const METADATA_RESPONSE_TOPIC: Shape = Struct(&[
    (0, ON, I16),
    (0, 11, String),
    (12, ON, NullableString),
    (10, ON, UUID),
    (1, ON, Bool),
    (0, ON, Array(&METADATA_RESPONSE_PARTITION)),
    (8, ON, I32),
]);
pub(super) const METADATA_RESPONSE: Shape = Struct(&[
    (3, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, ON, I32),
            (0, ON, String),
            (0, ON, I32),
            (1, ON, NullableString),
        ])),
    ),
    (2, ON, NullableString),
    (1, ON, I32),
    (0, ON, Array(&METADATA_RESPONSE_TOPIC)),
    (8, 10, I32),
    (13, ON, I16),
]);

const CREATABLE_TOPIC: Shape = Struct(&[
    (0, ON, String),
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, Array(&Struct(&[(0, ON, I32), (0, ON, Array(&I32))]))),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, NullableString)]))),
]);
pub(super) const CREATE_TOPICS_REQUEST: Shape =
    Struct(&[(0, ON, Array(&CREATABLE_TOPIC)), (0, ON, I32), (1, ON, Bool)]);
const CREATABLE_TOPIC_CONFIG: Shape = Struct(&[
    (5, ON, String),
    (5, ON, NullableString),
    (5, ON, Bool),
    (5, ON, I8),
    (5, ON, Bool),
]);
const CREATABLE_TOPIC_RESULT: Shape = Struct(&[
    (0, ON, String),
    (7, ON, UUID),
    (0, ON, I16),
    (1, ON, NullableString),
    (5, ON, Tagged(0, &I16)),
    (5, ON, I32),
    (5, ON, I16),
    (5, ON, NullableArray(&CREATABLE_TOPIC_CONFIG)),
]);
pub(super) const CREATE_TOPICS_RESPONSE: Shape = Struct(&[(2, ON, I32), (0, ON, Array(&CREATABLE_TOPIC_RESULT))]);

pub(super) const DELETE_TOPICS_REQUEST: Shape = Struct(&[
    (0, 5, Array(&String)),
    (6, ON, Array(&Struct(&[(6, ON, NullableString), (6, ON, UUID)]))),
    (0, ON, I32),
]);
const DELETABLE_TOPIC_RESULT: Shape = Struct(&[
    (0, 5, String),
    (6, ON, NullableString),
    (6, ON, UUID),
    (0, ON, I16),
    (5, ON, NullableString),
]);
pub(super) const DELETE_TOPICS_RESPONSE: Shape = Struct(&[(1, ON, I32), (0, ON, Array(&DELETABLE_TOPIC_RESULT))]);

const CREATE_PARTITIONS_TOPIC: Shape = Struct(&[
    (0, ON, String),
    (0, ON, I32),
    (0, ON, NullableArray(&Struct(&[(0, ON, Array(&I32))]))),
]);
pub(super) const CREATE_PARTITIONS_REQUEST: Shape =
    Struct(&[(0, ON, Array(&CREATE_PARTITIONS_TOPIC)), (0, ON, I32), (0, ON, Bool)]);
pub(super) const CREATE_PARTITIONS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, String), (0, ON, I16), (0, ON, NullableString)])),
    ),
]);

pub(super) const DESCRIBE_CLUSTER_REQUEST: Shape = Struct(&[(0, ON, Bool), (1, ON, I8), (2, ON, Bool)]);
const DESCRIBE_CLUSTER_BROKER: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, String),
    (0, ON, I32),
    (0, ON, NullableString),
    (2, ON, Bool),
]);
pub(super) const DESCRIBE_CLUSTER_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (1, ON, I8),
    (0, ON, String),
    (0, ON, I32),
    (0, ON, Array(&DESCRIBE_CLUSTER_BROKER)),
    (0, ON, I32),
]);

const CURSOR: Shape = NullableStruct(&[(0, ON, String), (0, ON, I32)]);
pub(super) const DESCRIBE_TOPIC_PARTITIONS_REQUEST: Shape = Struct(&[
    (0, ON, Array(&Struct(&[(0, ON, String)]))),
    (0, ON, I32),
    (0, ON, CURSOR),
]);
const DESCRIBE_TOPIC_PARTITIONS_PARTITION: Shape = Struct(&[
    (0, ON, I16),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, Array(&I32)),
    (0, ON, Array(&I32)),
    (0, ON, NullableArray(&I32)),
    (0, ON, NullableArray(&I32)),
    (0, ON, Array(&I32)),
]);
const DESCRIBE_TOPIC_PARTITIONS_TOPIC: Shape = Struct(&[
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, UUID),
    (0, ON, Bool),
    (0, ON, Array(&DESCRIBE_TOPIC_PARTITIONS_PARTITION)),
    (0, ON, I32),
]);
pub(super) const DESCRIBE_TOPIC_PARTITIONS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, Array(&DESCRIBE_TOPIC_PARTITIONS_TOPIC)),
    (0, ON, CURSOR),
]);

pub(super) const DESCRIBE_CONFIGS_REQUEST: Shape = Struct(&[
    (
        0,
        ON,
        Array(&Struct(&[
            (0, ON, I8),
            (0, ON, String),
            (0, ON, NullableArray(&String)),
        ])),
    ),
    (1, ON, Bool),
    (3, ON, Bool),
]);
const DESCRIBE_CONFIGS_ENTRY: Shape = Struct(&[
    (0, ON, String),
    (0, ON, NullableString),
    (0, ON, Bool),
    (1, ON, I8),
    (0, ON, Bool),
    (
        1,
        ON,
        Array(&Struct(&[(1, ON, String), (1, ON, NullableString), (1, ON, I8)])),
    ),
    (3, ON, I8),
    (3, ON, NullableString),
]);
const DESCRIBE_CONFIGS_RESULT: Shape = Struct(&[
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, I8),
    (0, ON, String),
    (0, ON, Array(&DESCRIBE_CONFIGS_ENTRY)),
]);
pub(super) const DESCRIBE_CONFIGS_RESPONSE: Shape = Struct(&[(0, ON, I32), (0, ON, Array(&DESCRIBE_CONFIGS_RESULT))]);

const ALTERABLE_CONFIGS: Shape = Array(&Struct(&[(0, ON, String), (0, ON, NullableString)]));
pub(super) const ALTER_CONFIGS_REQUEST: Shape = Struct(&[
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, I8), (0, ON, String), (0, ON, ALTERABLE_CONFIGS)])),
    ),
    (0, ON, Bool),
]);
const INCREMENTAL_CONFIGS: Shape = Array(&Struct(&[(0, ON, String), (0, ON, I8), (0, ON, NullableString)]));
pub(super) const INCREMENTAL_ALTER_CONFIGS_REQUEST: Shape = Struct(&[
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, I8), (0, ON, String), (0, ON, INCREMENTAL_CONFIGS)])),
    ),
    (0, ON, Bool),
]);
/// The same for both ways to alter configs.
pub(super) const ALTER_CONFIGS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, ON, I16),
            (0, ON, NullableString),
            (0, ON, I8),
            (0, ON, String),
        ])),
    ),
]);

const LIST_OFFSETS_PARTITION: Shape = Struct(&[(0, ON, I32), (4, ON, I32), (0, ON, I64)]);
pub(super) const LIST_OFFSETS_REQUEST: Shape = Struct(&[
    (0, ON, I32),
    (2, ON, I8),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, String), (0, ON, Array(&LIST_OFFSETS_PARTITION))])),
    ),
    (10, ON, I32),
]);
const LIST_OFFSETS_PARTITION_RESPONSE: Shape =
    Struct(&[(0, ON, I32), (0, ON, I16), (1, ON, I64), (1, ON, I64), (4, ON, I32)]);
pub(super) const LIST_OFFSETS_RESPONSE: Shape = Struct(&[
    (2, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, ON, String),
            (0, ON, Array(&LIST_OFFSETS_PARTITION_RESPONSE)),
        ])),
    ),
]);

const DELETE_RECORDS_PARTITIONS: Shape = Array(&Struct(&[(0, ON, I32), (0, ON, I64)]));
pub(super) const DELETE_RECORDS_REQUEST: Shape = Struct(&[
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, String), (0, ON, DELETE_RECORDS_PARTITIONS)])),
    ),
    (0, ON, I32),
]);
const DELETE_RECORDS_RESULTS: Shape = Array(&Struct(&[(0, ON, I32), (0, ON, I64), (0, ON, I16)]));
pub(super) const DELETE_RECORDS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, String), (0, ON, DELETE_RECORDS_RESULTS)])),
    ),
]);

const OFFSET_FOR_LEADER_PARTITIONS: Shape = Array(&Struct(&[(0, ON, I32), (2, ON, I32), (0, ON, I32)]));
pub(super) const OFFSET_FOR_LEADER_EPOCH_REQUEST: Shape = Struct(&[
    (3, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, String), (0, ON, OFFSET_FOR_LEADER_PARTITIONS)])),
    ),
]);
const EPOCH_END_OFFSETS: Shape = Array(&Struct(&[(0, ON, I16), (0, ON, I32), (1, ON, I32), (0, ON, I64)]));
pub(super) const OFFSET_FOR_LEADER_EPOCH_RESPONSE: Shape = Struct(&[
    (2, ON, I32),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, EPOCH_END_OFFSETS)]))),
]);

pub(super) const INIT_PRODUCER_ID_REQUEST: Shape =
    Struct(&[(0, ON, NullableString), (0, ON, I32), (3, ON, I64), (3, ON, I16)]);
pub(super) const INIT_PRODUCER_ID_RESPONSE: Shape = Struct(&[(0, ON, I32), (0, ON, I16), (0, ON, I64), (0, ON, I16)]);

pub(super) const FIND_COORDINATOR_REQUEST: Shape = Struct(&[(0, 3, String), (1, ON, I8), (4, ON, Array(&String))]);
const COORDINATOR: Shape = Struct(&[
    (4, ON, String),
    (4, ON, I32),
    (4, ON, String),
    (4, ON, I32),
    (4, ON, I16),
    (4, ON, NullableString),
]);
pub(super) const FIND_COORDINATOR_RESPONSE: Shape = Struct(&[
    (1, ON, I32),
    (0, 3, I16),
    (1, 3, NullableString),
    (0, 3, I32),
    (0, 3, String),
    (0, 3, I32),
    (4, ON, Array(&COORDINATOR)),
]);

const TOPIC_WITH_INDEXES: Shape = Struct(&[(0, ON, String), (0, ON, Array(&I32))]);
pub(super) const DESCRIBE_LOG_DIRS_REQUEST: Shape = Struct(&[(0, ON, NullableArray(&TOPIC_WITH_INDEXES))]);
const LOG_DIR_PARTITIONS: Shape = Array(&Struct(&[(0, ON, I32), (0, ON, I64), (0, ON, I64), (0, ON, Bool)]));
const LOG_DIR: Shape = Struct(&[
    (0, ON, I16),
    (0, ON, String),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, LOG_DIR_PARTITIONS)]))),
    (4, ON, I64),
    (4, ON, I64),
]);
pub(super) const DESCRIBE_LOG_DIRS_RESPONSE: Shape = Struct(&[(0, ON, I32), (3, ON, I16), (0, ON, Array(&LOG_DIR))]);

pub(super) const DESCRIBE_QUORUM_REQUEST: Shape = Struct(&[(
    0,
    ON,
    Array(&Struct(&[(0, ON, String), (0, ON, Array(&Struct(&[(0, ON, I32)])))])),
)]);
const QUORUM_REPLICA: Shape = Struct(&[(0, ON, I32), (2, ON, UUID), (0, ON, I64), (1, ON, I64), (1, ON, I64)]);
const QUORUM_PARTITION: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (2, ON, NullableString),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, I64),
    (0, ON, Array(&QUORUM_REPLICA)),
    (0, ON, Array(&QUORUM_REPLICA)),
]);
const QUORUM_NODE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, String), (0, ON, I16)]))),
]);
pub(super) const DESCRIBE_QUORUM_RESPONSE: Shape = Struct(&[
    (0, ON, I16),
    (2, ON, NullableString),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, String), (0, ON, Array(&QUORUM_PARTITION))])),
    ),
    (2, ON, Array(&QUORUM_NODE)),
]);

pub(super) const UNREGISTER_BROKER_REQUEST: Shape = Struct(&[(0, ON, I32)]);
pub(super) const UNREGISTER_BROKER_RESPONSE: Shape = Struct(&[(0, ON, I32), (0, ON, I16), (0, ON, NullableString)]);

pub(super) const UPDATE_FEATURES_REQUEST: Shape = Struct(&[
    (0, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, String), (0, ON, I16), (0, 0, Bool), (1, ON, I8)])),
    ),
    (1, ON, Bool),
]);
const UPDATED_FEATURE: Shape = Struct(&[(0, ON, String), (0, ON, I16), (0, ON, NullableString)]);
pub(super) const UPDATE_FEATURES_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, 1, Array(&UPDATED_FEATURE)),
]);

pub(super) const ADD_RAFT_VOTER_REQUEST: Shape = Struct(&[
    (0, ON, NullableString),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, UUID),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, String), (0, ON, I16)]))),
    (1, ON, Bool),
]);
pub(super) const ADD_RAFT_VOTER_RESPONSE: Shape = UNREGISTER_BROKER_RESPONSE;

pub(super) const REMOVE_RAFT_VOTER_REQUEST: Shape = Struct(&[(0, ON, NullableString), (0, ON, I32), (0, ON, UUID)]);
pub(super) const REMOVE_RAFT_VOTER_RESPONSE: Shape = UNREGISTER_BROKER_RESPONSE;

pub(super) const ELECT_LEADERS_REQUEST: Shape =
    Struct(&[(1, ON, I8), (0, ON, NullableArray(&TOPIC_WITH_INDEXES)), (0, ON, I32)]);
/// A topic, and for each of its partitions an error and its text.
const TOPIC_WITH_TEXTS: Shape = Struct(&[
    (0, ON, String),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, I32), (0, ON, I16), (0, ON, NullableString)])),
    ),
]);
pub(super) const ELECT_LEADERS_RESPONSE: Shape =
    Struct(&[(0, ON, I32), (1, ON, I16), (0, ON, Array(&TOPIC_WITH_TEXTS))]);

const NEW_REPLICAS: Shape = Struct(&[(0, ON, I32), (0, ON, NullableArray(&I32))]);
pub(super) const ALTER_PARTITION_REASSIGNMENTS_REQUEST: Shape = Struct(&[
    (0, ON, I32),
    (1, ON, Bool),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, Array(&NEW_REPLICAS))]))),
]);
pub(super) const ALTER_PARTITION_REASSIGNMENTS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (1, ON, Bool),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, Array(&TOPIC_WITH_TEXTS)),
]);

pub(super) const LIST_PARTITION_REASSIGNMENTS_REQUEST: Shape =
    Struct(&[(0, ON, I32), (0, ON, NullableArray(&TOPIC_WITH_INDEXES))]);
const REASSIGNMENTS: Shape = Array(&Struct(&[
    (0, ON, I32),
    (0, ON, Array(&I32)),
    (0, ON, Array(&I32)),
    (0, ON, Array(&I32)),
]));
pub(super) const LIST_PARTITION_REASSIGNMENTS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, REASSIGNMENTS)]))),
]);

const TXN_TOPICS: Shape = Array(&TOPIC_WITH_INDEXES);
const ADD_PARTITIONS_TRANSACTION: Shape = Struct(&[
    (4, ON, String),
    (4, ON, I64),
    (4, ON, I16),
    (4, ON, Bool),
    (4, ON, TXN_TOPICS),
]);
pub(super) const ADD_PARTITIONS_TO_TXN_REQUEST: Shape = Struct(&[
    (4, ON, Array(&ADD_PARTITIONS_TRANSACTION)),
    (0, 3, String),
    (0, 3, I64),
    (0, 3, I16),
    (0, 3, TXN_TOPICS),
]);
/// A topic and an error for each of its partitions.
const TOPIC_WITH_ERRORS: Shape = Struct(&[(0, ON, String), (0, ON, Array(&Struct(&[(0, ON, I32), (0, ON, I16)])))]);
pub(super) const ADD_PARTITIONS_TO_TXN_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (4, ON, I16),
    (
        4,
        ON,
        Array(&Struct(&[(4, ON, String), (4, ON, Array(&TOPIC_WITH_ERRORS))])),
    ),
    (0, 3, Array(&TOPIC_WITH_ERRORS)),
]);

pub(super) const ADD_OFFSETS_TO_TXN_REQUEST: Shape =
    Struct(&[(0, ON, String), (0, ON, I64), (0, ON, I16), (0, ON, String)]);
pub(super) const ADD_OFFSETS_TO_TXN_RESPONSE: Shape = Struct(&[(0, ON, I32), (0, ON, I16)]);

pub(super) const END_TXN_REQUEST: Shape = Struct(&[(0, ON, String), (0, ON, I64), (0, ON, I16), (0, ON, Bool)]);
pub(super) const END_TXN_RESPONSE: Shape = Struct(&[(0, ON, I32), (0, ON, I16), (5, ON, I64), (5, ON, I16)]);

const WRITABLE_TXN_MARKER: Shape = Struct(&[
    (0, ON, I64),
    (0, ON, I16),
    (0, ON, Bool),
    (0, ON, TXN_TOPICS),
    (0, ON, I32),
    (2, ON, I8),
]);
pub(super) const WRITE_TXN_MARKERS_REQUEST: Shape = Struct(&[(0, ON, Array(&WRITABLE_TXN_MARKER))]);
pub(super) const WRITE_TXN_MARKERS_RESPONSE: Shape = Struct(&[(
    0,
    ON,
    Array(&Struct(&[(0, ON, I64), (0, ON, Array(&TOPIC_WITH_ERRORS))])),
)]);

const TXN_OFFSETS: Shape = Array(&Struct(&[
    (0, ON, I32),
    (0, ON, I64),
    (2, ON, I32),
    (0, ON, NullableString),
]));
pub(super) const TXN_OFFSET_COMMIT_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (0, ON, String),
    (0, ON, I64),
    (0, ON, I16),
    (3, ON, I32),
    (3, ON, String),
    (3, ON, NullableString),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, TXN_OFFSETS)]))),
]);
pub(super) const TXN_OFFSET_COMMIT_RESPONSE: Shape = Struct(&[(0, ON, I32), (0, ON, Array(&TOPIC_WITH_ERRORS))]);

pub(super) const DESCRIBE_PRODUCERS_REQUEST: Shape = Struct(&[(0, ON, TXN_TOPICS)]);
const PRODUCER_STATES: Shape = Array(&Struct(&[
    (0, ON, I64),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, I64),
    (0, ON, I32),
    (0, ON, I64),
]));
const DESCRIBED_PARTITIONS: Shape = Array(&Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, PRODUCER_STATES),
]));
pub(super) const DESCRIBE_PRODUCERS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, DESCRIBED_PARTITIONS)]))),
]);

pub(super) const DESCRIBE_TRANSACTIONS_REQUEST: Shape = Struct(&[(0, ON, Array(&String))]);
const DESCRIBED_TRANSACTION: Shape = Struct(&[
    (0, ON, I16),
    (0, ON, String),
    (0, ON, String),
    (0, ON, I32),
    (0, ON, I64),
    (0, ON, I64),
    (0, ON, I16),
    (0, ON, TXN_TOPICS),
]);
pub(super) const DESCRIBE_TRANSACTIONS_RESPONSE: Shape =
    Struct(&[(0, ON, I32), (0, ON, Array(&DESCRIBED_TRANSACTION))]);

pub(super) const LIST_TRANSACTIONS_REQUEST: Shape = Struct(&[
    (0, ON, Array(&String)),
    (0, ON, Array(&I64)),
    (1, ON, I64),
    (2, ON, NullableString),
]);
pub(super) const LIST_TRANSACTIONS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, Array(&String)),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, I64), (0, ON, String)]))),
]);

const OFFSET_COMMIT_PARTITION: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I64),
    (6, ON, I32),
    (1, 1, I64),
    (0, ON, NullableString),
]);
pub(super) const OFFSET_COMMIT_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (1, ON, I32),
    (1, ON, String),
    (7, ON, NullableString),
    (2, 4, I64),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, 9, String),
            (10, ON, UUID),
            (0, ON, Array(&OFFSET_COMMIT_PARTITION)),
        ])),
    ),
]);
pub(super) const OFFSET_COMMIT_RESPONSE: Shape = Struct(&[
    (3, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, 9, String),
            (10, ON, UUID),
            (0, ON, Array(&Struct(&[(0, ON, I32), (0, ON, I16)]))),
        ])),
    ),
]);

const OFFSET_FETCH_TOPIC: Shape = Struct(&[(0, ON, String), (0, ON, Array(&I32))]);
const OFFSET_FETCH_GROUP: Shape = Struct(&[
    (8, ON, String),
    (9, ON, NullableString),
    (9, ON, I32),
    (
        8,
        ON,
        NullableArray(&Struct(&[(8, 9, String), (10, ON, UUID), (8, ON, Array(&I32))])),
    ),
]);
pub(super) const OFFSET_FETCH_REQUEST: Shape = Struct(&[
    (0, 7, String),
    (0, 1, Array(&OFFSET_FETCH_TOPIC)),
    (2, 7, NullableArray(&OFFSET_FETCH_TOPIC)),
    (8, ON, Array(&OFFSET_FETCH_GROUP)),
    (7, ON, Bool),
]);
const FETCHED_OFFSET: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I64),
    (5, ON, I32),
    (0, ON, NullableString),
    (0, ON, I16),
]);
pub(super) const OFFSET_FETCH_RESPONSE: Shape = Struct(&[
    (3, ON, I32),
    (0, 7, Array(&Struct(&[(0, 7, String), (0, 7, Array(&FETCHED_OFFSET))]))),
    (2, 7, I16),
    (
        8,
        ON,
        Array(&Struct(&[
            (8, ON, String),
            (
                8,
                ON,
                Array(&Struct(&[
                    (8, 9, String),
                    (10, ON, UUID),
                    (8, ON, Array(&FETCHED_OFFSET)),
                ])),
            ),
            (8, ON, I16),
        ])),
    ),
]);

pub(super) const JOIN_GROUP_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (0, ON, I32),
    (1, ON, I32),
    (0, ON, String),
    (5, ON, NullableString),
    (0, ON, String),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, Bytes)]))),
    (8, ON, NullableString),
]);
pub(super) const JOIN_GROUP_RESPONSE: Shape = Struct(&[
    (2, ON, I32),
    (0, ON, I16),
    (0, ON, I32),
    (7, ON, NullableString),
    (0, 6, String),
    (7, ON, NullableString),
    (0, ON, String),
    (9, ON, Bool),
    (0, ON, String),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, String), (5, ON, NullableString), (0, ON, Bytes)])),
    ),
]);

pub(super) const HEARTBEAT_REQUEST: Shape =
    Struct(&[(0, ON, String), (0, ON, I32), (0, ON, String), (3, ON, NullableString)]);
pub(super) const HEARTBEAT_RESPONSE: Shape = Struct(&[(1, ON, I32), (0, ON, I16)]);

pub(super) const LEAVE_GROUP_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (0, 2, String),
    (
        3,
        ON,
        Array(&Struct(&[
            (3, ON, String),
            (3, ON, NullableString),
            (5, ON, NullableString),
        ])),
    ),
]);
pub(super) const LEAVE_GROUP_RESPONSE: Shape = Struct(&[
    (1, ON, I32),
    (0, ON, I16),
    (
        3,
        ON,
        Array(&Struct(&[(3, ON, String), (3, ON, NullableString), (3, ON, I16)])),
    ),
]);

pub(super) const SYNC_GROUP_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (0, ON, I32),
    (0, ON, String),
    (3, ON, NullableString),
    (5, ON, NullableString),
    (5, ON, NullableString),
    (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, Bytes)]))),
]);
pub(super) const SYNC_GROUP_RESPONSE: Shape = Struct(&[
    (1, ON, I32),
    (0, ON, I16),
    (5, ON, NullableString),
    (5, ON, NullableString),
    (0, ON, Bytes),
]);

const DESCRIBED_GROUP_MEMBER: Shape = Struct(&[
    (0, ON, String),
    (4, ON, NullableString),
    (0, ON, String),
    (0, ON, String),
    (0, ON, Bytes),
    (0, ON, Bytes),
]);
pub(super) const DESCRIBE_GROUPS_REQUEST: Shape = Struct(&[(0, ON, Array(&String)), (3, ON, Bool)]);
pub(super) const DESCRIBE_GROUPS_RESPONSE: Shape = Struct(&[
    (1, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, ON, I16),
            (6, ON, NullableString),
            (0, ON, String),
            (0, ON, String),
            (0, ON, String),
            (0, ON, String),
            (0, ON, Array(&DESCRIBED_GROUP_MEMBER)),
            (3, ON, I32),
        ])),
    ),
]);

pub(super) const LIST_GROUPS_REQUEST: Shape = Struct(&[(4, ON, Array(&String)), (5, ON, Array(&String))]);
pub(super) const LIST_GROUPS_RESPONSE: Shape = Struct(&[
    (1, ON, I32),
    (0, ON, I16),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, ON, String),
            (0, ON, String),
            (4, ON, String),
            (5, ON, String),
        ])),
    ),
]);

pub(super) const DELETE_GROUPS_REQUEST: Shape = Struct(&[(0, ON, Array(&String))]);
pub(super) const DELETE_GROUPS_RESPONSE: Shape =
    Struct(&[(0, ON, I32), (0, ON, Array(&Struct(&[(0, ON, String), (0, ON, I16)])))]);

pub(super) const OFFSET_DELETE_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, String), (0, ON, Array(&Struct(&[(0, ON, I32)])))])),
    ),
]);
pub(super) const OFFSET_DELETE_RESPONSE: Shape = Struct(&[
    (0, ON, I16),
    (0, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, ON, String),
            (0, ON, Array(&Struct(&[(0, ON, I32), (0, ON, I16)]))),
        ])),
    ),
]);

const HEARTBEAT_PARTITIONS: Shape = Struct(&[(0, ON, UUID), (0, ON, Array(&I32))]);
pub(super) const CONSUMER_GROUP_HEARTBEAT_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (0, ON, String),
    (0, ON, I32),
    (0, ON, NullableString),
    (0, ON, NullableString),
    (0, ON, I32),
    (0, ON, NullableArray(&String)),
    (1, ON, NullableString),
    (0, ON, NullableString),
    (0, ON, NullableArray(&HEARTBEAT_PARTITIONS)),
]);
pub(super) const CONSUMER_GROUP_HEARTBEAT_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, NullableString),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, NullableStruct(&[(0, ON, Array(&HEARTBEAT_PARTITIONS))])),
]);

pub(super) const CONSUMER_GROUP_DESCRIBE_REQUEST: Shape = Struct(&[(0, ON, Array(&String)), (0, ON, Bool)]);
const DESCRIBED_ASSIGNMENT: Shape = Struct(&[(
    0,
    ON,
    Array(&Struct(&[(0, ON, UUID), (0, ON, String), (0, ON, Array(&I32))])),
)]);
const DESCRIBED_CONSUMER: Shape = Struct(&[
    (0, ON, String),
    (0, ON, NullableString),
    (0, ON, NullableString),
    (0, ON, I32),
    (0, ON, String),
    (0, ON, String),
    (0, ON, Array(&String)),
    (0, ON, NullableString),
    (0, ON, DESCRIBED_ASSIGNMENT),
    (0, ON, DESCRIBED_ASSIGNMENT),
    (1, ON, I8),
]);
pub(super) const CONSUMER_GROUP_DESCRIBE_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, ON, I16),
            (0, ON, NullableString),
            (0, ON, String),
            (0, ON, String),
            (0, ON, I32),
            (0, ON, I32),
            (0, ON, String),
            (0, ON, Array(&DESCRIBED_CONSUMER)),
            (0, ON, I32),
        ])),
    ),
]);

pub(super) const SHARE_GROUP_HEARTBEAT_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (0, ON, String),
    (0, ON, I32),
    (0, ON, NullableString),
    (0, ON, NullableArray(&String)),
]);
const SHARE_GROUP_PARTITIONS: Shape = Struct(&[(0, ON, UUID), (0, ON, Array(&I32))]);
pub(super) const SHARE_GROUP_HEARTBEAT_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, NullableString),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, NullableStruct(&[(0, ON, Array(&SHARE_GROUP_PARTITIONS))])),
]);

pub(super) const SHARE_GROUP_DESCRIBE_REQUEST: Shape = Struct(&[(0, ON, Array(&String)), (0, ON, Bool)]);
const SHARE_GROUP_NAMED_PARTITIONS: Shape = Struct(&[(0, ON, UUID), (0, ON, String), (0, ON, Array(&I32))]);
const SHARE_GROUP_MEMBER: Shape = Struct(&[
    (0, ON, String),
    (0, ON, NullableString),
    (0, ON, I32),
    (0, ON, String),
    (0, ON, String),
    (0, ON, Array(&String)),
    (0, ON, Struct(&[(0, ON, Array(&SHARE_GROUP_NAMED_PARTITIONS))])),
]);
const SHARE_GROUP_DESCRIBED: Shape = Struct(&[
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, String),
    (0, ON, String),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, String),
    (0, ON, Array(&SHARE_GROUP_MEMBER)),
    (0, ON, I32),
]);
pub(super) const SHARE_GROUP_DESCRIBE_RESPONSE: Shape = Struct(&[(0, ON, I32), (0, ON, Array(&SHARE_GROUP_DESCRIBED))]);

const SHARE_ACKNOWLEDGEMENTS: Shape = Array(&Struct(&[(0, ON, I64), (0, ON, I64), (0, ON, Array(&I8))]));
const SHARE_PARTITION: Shape = Struct(&[(0, ON, I32), (0, ON, SHARE_ACKNOWLEDGEMENTS)]);
const SHARE_TOPIC: Shape = Struct(&[(0, ON, UUID), (0, ON, Array(&SHARE_PARTITION))]);
pub(super) const SHARE_FETCH_REQUEST: Shape = Struct(&[
    (0, ON, NullableString),
    (0, ON, NullableString),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, I32),
    (1, ON, I32),
    (1, ON, I32),
    (2, ON, I8),
    (2, ON, Bool),
    (0, ON, Array(&SHARE_TOPIC)),
    (0, ON, Array(&SHARE_GROUP_PARTITIONS)),
]);
pub(super) const SHARE_ACKNOWLEDGE_REQUEST: Shape = Struct(&[
    (0, ON, NullableString),
    (0, ON, NullableString),
    (0, ON, I32),
    (2, ON, Bool),
    (0, ON, Array(&SHARE_TOPIC)),
]);
const SHARE_LEADER: Shape = Struct(&[(0, ON, I32), (0, ON, I32)]);
const SHARE_NODES: Shape = Array(&Struct(&[
    (0, ON, I32),
    (0, ON, String),
    (0, ON, I32),
    (0, ON, NullableString),
]));
const SHARE_ACKNOWLEDGED: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, SHARE_LEADER),
]);
pub(super) const SHARE_ACKNOWLEDGE_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (2, ON, I32),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, UUID), (0, ON, Array(&SHARE_ACKNOWLEDGED))])),
    ),
    (0, ON, SHARE_NODES),
]);

const SHARE_OFFSETS_ASKED: Shape = Struct(&[(0, ON, String), (0, ON, Array(&I32))]);
pub(super) const DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST: Shape = Struct(&[(
    0,
    ON,
    Array(&Struct(&[
        (0, ON, String),
        (0, ON, NullableArray(&SHARE_OFFSETS_ASKED)),
    ])),
)]);
const SHARE_OFFSETS_PARTITION: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I64),
    (0, ON, I32),
    (1, ON, I64),
    (0, ON, I16),
    (0, ON, NullableString),
]);
const SHARE_OFFSETS_TOPIC: Shape = Struct(&[(0, ON, String), (0, ON, UUID), (0, ON, Array(&SHARE_OFFSETS_PARTITION))]);
const SHARE_OFFSETS_GROUP: Shape = Struct(&[
    (0, ON, String),
    (0, ON, Array(&SHARE_OFFSETS_TOPIC)),
    (0, ON, I16),
    (0, ON, NullableString),
]);
pub(super) const DESCRIBE_SHARE_GROUP_OFFSETS_RESPONSE: Shape =
    Struct(&[(0, ON, I32), (0, ON, Array(&SHARE_OFFSETS_GROUP))]);

const SHARE_OFFSETS_NEW: Shape = Struct(&[(0, ON, String), (0, ON, Array(&Struct(&[(0, ON, I32), (0, ON, I64)])))]);
pub(super) const ALTER_SHARE_GROUP_OFFSETS_REQUEST: Shape =
    Struct(&[(0, ON, String), (0, ON, Array(&SHARE_OFFSETS_NEW))]);
const SHARE_OFFSETS_ALTERED: Shape = Struct(&[
    (0, ON, String),
    (0, ON, UUID),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, I32), (0, ON, I16), (0, ON, NullableString)])),
    ),
]);
pub(super) const ALTER_SHARE_GROUP_OFFSETS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, Array(&SHARE_OFFSETS_ALTERED)),
]);

pub(super) const DELETE_SHARE_GROUP_OFFSETS_REQUEST: Shape =
    Struct(&[(0, ON, String), (0, ON, Array(&Struct(&[(0, ON, String)])))]);
pub(super) const DELETE_SHARE_GROUP_OFFSETS_RESPONSE: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (
        0,
        ON,
        Array(&Struct(&[
            (0, ON, String),
            (0, ON, UUID),
            (0, ON, I16),
            (0, ON, NullableString),
        ])),
    ),
]);

const SHARE_STATE_BATCH: Shape = Struct(&[(0, ON, I64), (0, ON, I64), (0, ON, I8), (0, ON, I16)]);
/// The answer that says of each partition whether it is done.
const SHARE_STATE_DONE: Shape = Struct(&[(
    0,
    ON,
    Array(&Struct(&[
        (0, ON, UUID),
        (
            0,
            ON,
            Array(&Struct(&[(0, ON, I32), (0, ON, I16), (0, ON, NullableString)])),
        ),
    ])),
)]);
const SHARE_STATE_NEW: Shape = Struct(&[(0, ON, I32), (0, ON, I32), (0, ON, I64)]);
pub(super) const INITIALIZE_SHARE_GROUP_STATE_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, UUID), (0, ON, Array(&SHARE_STATE_NEW))])),
    ),
]);
pub(super) const INITIALIZE_SHARE_GROUP_STATE_RESPONSE: Shape = SHARE_STATE_DONE;

const SHARE_STATE_ASKED: Shape = Struct(&[(0, ON, UUID), (0, ON, Array(&Struct(&[(0, ON, I32), (0, ON, I32)])))]);
pub(super) const READ_SHARE_GROUP_STATE_REQUEST: Shape = Struct(&[(0, ON, String), (0, ON, Array(&SHARE_STATE_ASKED))]);
const SHARE_STATE_READ: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, I32),
    (0, ON, I64),
    (0, ON, Array(&SHARE_STATE_BATCH)),
]);
pub(super) const READ_SHARE_GROUP_STATE_RESPONSE: Shape = Struct(&[(
    0,
    ON,
    Array(&Struct(&[(0, ON, UUID), (0, ON, Array(&SHARE_STATE_READ))])),
)]);

const SHARE_STATE_WRITTEN: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, I64),
    (1, ON, I32),
    (0, ON, Array(&SHARE_STATE_BATCH)),
]);
pub(super) const WRITE_SHARE_GROUP_STATE_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, UUID), (0, ON, Array(&SHARE_STATE_WRITTEN))])),
    ),
]);
pub(super) const WRITE_SHARE_GROUP_STATE_RESPONSE: Shape = SHARE_STATE_DONE;

pub(super) const DELETE_SHARE_GROUP_STATE_REQUEST: Shape = Struct(&[
    (0, ON, String),
    (
        0,
        ON,
        Array(&Struct(&[(0, ON, UUID), (0, ON, Array(&Struct(&[(0, ON, I32)])))])),
    ),
]);
pub(super) const DELETE_SHARE_GROUP_STATE_RESPONSE: Shape = SHARE_STATE_DONE;

pub(super) const READ_SHARE_GROUP_STATE_SUMMARY_REQUEST: Shape =
    Struct(&[(0, ON, String), (0, ON, Array(&SHARE_STATE_ASKED))]);
const SHARE_STATE_SUMMARY: Shape = Struct(&[
    (0, ON, I32),
    (0, ON, I16),
    (0, ON, NullableString),
    (0, ON, I32),
    (0, ON, I32),
    (0, ON, I64),
    (1, ON, I32),
]);
pub(super) const READ_SHARE_GROUP_STATE_SUMMARY_RESPONSE: Shape = Struct(&[(
    0,
    ON,
    Array(&Struct(&[(0, ON, UUID), (0, ON, Array(&SHARE_STATE_SUMMARY))])),
)]);
