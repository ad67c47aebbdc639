//! Each rule of `decide`, with the exact code and sentence.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

mod brokers;
mod elections;
mod histories;
mod isr;
mod placing;
mod reassigning;
mod rig;

use super::*;
use crate::config::BrokerConfig;
use crate::metadata::command::{ConfigChange, ConfigOp, ConfigResource, CreateTopic, DeleteTopic, NewPartitions};
use crate::metadata::image::ImageEpoch;
use crate::metadata::record;
use crate::model::{BrokerId, DirId};

const ME: BrokerId = BrokerId(0);
const DIRECTORIES: [DirId; 2] = [DirId([1; 16]), DirId([2; 16])];

fn live() -> Live {
    let contact = Contact {
        last_ns: 0,
        has_ended: false,
        image_epoch: ImageEpoch(0),
        online_dirs: DIRECTORIES.to_vec(),
    };
    Live {
        now_ns: 0,
        contacts: BTreeMap::from([(ME, contact)]),
    }
}

/// A cluster of brokers 0 to `count` - 1; this is broker 0.
fn cluster(count: i32) -> Image {
    cluster_with(count, |_| {})
}

fn cluster_with(count: i32, change: impl FnOnce(&mut BrokerConfig)) -> Image {
    let mut config = BrokerConfig::embedded(Path::new("/nowhere"));
    change(&mut config);
    let mut image = Image::empty("cluster", Arc::new(config));
    for id in 0..count {
        image.apply(&Record::RegisterBroker(record::RegisterBroker {
            id,
            epoch: 1,
            ..record::RegisterBroker::default()
        }));
    }
    image
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> CreateTopic {
    CreateTopic {
        name: name.to_owned(),
        partitions,
        replication_factor,
        assignments: BTreeMap::new(),
        configs: BTreeMap::new(),
    }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> CreateTopic {
    let replicas = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    CreateTopic {
        assignments: assignments.iter().map(|(index, ids)| (*index, replicas(ids))).collect(),
        ..topic(name, -1, -1)
    }
}

fn configured(name: &str, configs: &[(&str, Option<&str>)]) -> CreateTopic {
    let owned = |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(str::to_owned));
    CreateTopic {
        configs: configs.iter().map(owned).collect(),
        ..topic(name, 1, 1)
    }
}

/// Decides and, as the control thread does, applies.
fn run(image: &mut Image, command: Command) -> Result<Reply, CommandError> {
    run_with(image, &live(), command)
}

fn run_with(image: &mut Image, live: &Live, command: Command) -> Result<Reply, CommandError> {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let count = match &command {
        Command::CreateTopics { topics, .. } => topics.len(),
        _ => 0,
    };
    let id = |_| TopicId(u128::from(DRAWN.fetch_add(1, Ordering::Relaxed)).to_be_bytes());
    let draw = Draw {
        topic_ids: (0..count).map(id).collect(),
        placement: 0,
    };
    let decision = decide(image, live, &command, &draw)?;
    image.apply_all(&decision.records);
    image.epoch.0 += u64::from(!decision.records.is_empty());
    Ok(decision.reply)
}

type Outcome = Result<(), (ErrorCode, String)>;

fn outcome<T>(result: &Result<T, CommandError>) -> Outcome {
    result
        .as_ref()
        .map(drop)
        .map_err(|error| (error.code, error.message.clone()))
}

fn create_all(image: &mut Image, topics: Vec<CreateTopic>) -> Vec<Outcome> {
    match run(
        image,
        Command::CreateTopics {
            topics,
            validate_only: false,
        },
    ) {
        Ok(Reply::CreateTopics(results)) => results.iter().map(outcome).collect(),
        Ok(other) => panic!("{other:?}"),
        Err(error) => vec![Err((error.code, error.message))],
    }
}

fn create(image: &mut Image, topic: CreateTopic) -> Outcome {
    create_all(image, vec![topic]).remove(0)
}

fn alter(image: &mut Image, resource: ConfigResource, ops: &[(&str, ConfigOp)], replace: bool) -> Outcome {
    let ops = ops.iter().map(|(key, op)| ((*key).to_owned(), op.clone())).collect();
    alter_all(image, vec![ConfigChange { resource, ops, replace }]).remove(0)
}

fn alter_all(image: &mut Image, changes: Vec<ConfigChange>) -> Vec<Outcome> {
    match run(
        image,
        Command::AlterConfigs {
            changes,
            validate_only: false,
        },
    )
    .unwrap()
    {
        Reply::AlterConfigs(results) => results.iter().map(outcome).collect(),
        other => panic!("{other:?}"),
    }
}

fn grow(image: &mut Image, name: &str, count: i32, assignments: Option<&[&[i32]]>) -> Outcome {
    let assignments = assignments.map(|lists| {
        let replicas = |ids: &&[i32]| ids.iter().copied().map(BrokerId).collect();
        lists.iter().map(replicas).collect()
    });
    let topics = vec![NewPartitions {
        topic: name.to_owned(),
        count,
        assignments,
    }];
    match run(
        image,
        Command::CreatePartitions {
            topics,
            validate_only: false,
        },
    ) {
        Ok(Reply::CreatePartitions(results)) => outcome(&results[0]),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err((error.code, error.message)),
    }
}

fn delete_all(image: &mut Image, topics: Vec<DeleteTopic>) -> Vec<Outcome> {
    match run(image, Command::DeleteTopics { topics }).unwrap() {
        Reply::DeleteTopics(results) => results.iter().map(outcome).collect(),
        other => panic!("{other:?}"),
    }
}

fn refused(code: ErrorCode, message: &str) -> Outcome {
    Err((code, message.to_owned()))
}

fn set(value: &str) -> ConfigOp {
    ConfigOp::Set(value.to_owned())
}

fn of_topic(name: &str) -> ConfigResource {
    ConfigResource::Topic(name.to_owned())
}

fn override_of(image: &Image, topic: &str, key: &str) -> Option<String> {
    image.topic(topic).unwrap().overrides.get(key).cloned()
}

/// Kafka's words for every name that it refuses, and its longest name.
#[test]
fn topic_names_are_checked() {
    let long = "x".repeat(250);
    let why = |why: String| {
        refused(
            ErrorCode::InvalidTopicException,
            &format!("Topic name is invalid: {why}"),
        )
    };
    let foreign = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
    let cases = [
        ("", why("the empty string is not allowed".into())),
        (".", why("'.' is not allowed".into())),
        ("..", why("'..' is not allowed".into())),
        ("a b", why(format!("'a b' {foreign}"))),
        ("ä", why(format!("'ä' {foreign}"))),
        ("a/b", why(format!("'a/b' {foreign}"))),
        (
            &long,
            why(format!(
                "the length of '{long}' is longer than the max allowed length 249"
            )),
        ),
        (
            "__cluster_metadata",
            refused(
                ErrorCode::InvalidRequest,
                "Creation of internal topic __cluster_metadata is prohibited.",
            ),
        ),
        (&long[1..], Ok(())),
        ("a-B.9_", Ok(())),
    ];
    for (name, expected) in cases {
        assert_eq!(create(&mut cluster(1), topic(name, 1, 1)), expected, "{name:?}");
    }
}

/// A name that is taken, or that is another's once '.' is '_'.
#[test]
fn names_must_be_free() {
    let mut image = cluster(1);
    assert_eq!(create(&mut image, topic("a.b", 1, 1)), Ok(()));
    assert_eq!(
        create(&mut image, topic("a.b", 1, 1)),
        refused(ErrorCode::TopicAlreadyExists, "Topic 'a.b' already exists.")
    );
    let collides = refused(
        ErrorCode::InvalidTopicException,
        "Topic 'a_b' collides with existing topic: a.b",
    );
    assert_eq!(create(&mut image, topic("a_b", 1, 1)), collides);
    assert_eq!(create(&mut image, topic("a-b", 1, 1)), Ok(()));
    delete_all(&mut image, vec![DeleteTopic::Name("a.b".into())]);
    assert_eq!(create(&mut image, topic("a_b", 1, 1)), Ok(()));
    // Within one request too.
    let both = create_all(&mut image, vec![topic("c.d", 1, 1), topic("c_d", 1, 1)]);
    assert_eq!(both[0], Ok(()));
    assert_eq!(both[1].as_ref().unwrap_err().0, ErrorCode::InvalidTopicException);
}

/// Counts that are zero, below -1, or more than there are brokers.
#[test]
fn counts_are_checked() {
    let factor = "Replication factor must be larger than 0, or -1 to use the default value.";
    let partitions = "Number of partitions must be larger than 0, or -1 to use the default value.";
    let brokers = "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached \
                   because only 3 broker(s) are registered or some brokers have all their log directories cordoned.";
    let cases = [
        (topic("t", 1, 0), refused(ErrorCode::InvalidReplicationFactor, factor)),
        (topic("t", 1, -2), refused(ErrorCode::InvalidReplicationFactor, factor)),
        (topic("t", 0, 1), refused(ErrorCode::InvalidPartitions, partitions)),
        (topic("t", -2, 1), refused(ErrorCode::InvalidPartitions, partitions)),
        (topic("t", 1, 4), refused(ErrorCode::InvalidReplicationFactor, brokers)),
        (topic("t", 1, 3), Ok(())),
    ];
    for (asked, expected) in cases {
        assert_eq!(create(&mut cluster(3), asked.clone()), expected, "{asked:?}");
    }
}

/// -1 stands for num.partitions and default.replication.factor; the answer says what came of it.
#[test]
fn minus_one_takes_the_brokers_defaults() {
    let mut image = cluster_with(3, |config| {
        config.num_partitions = 5;
        config.default_replication_factor = 2;
    });
    let asked = Command::CreateTopics {
        topics: vec![topic("t", -1, -1)],
        validate_only: false,
    };
    let Reply::CreateTopics(results) = run(&mut image, asked).unwrap() else {
        panic!("another reply")
    };
    let created = results[0].as_ref().unwrap();
    assert_eq!((created.partitions, created.replication_factor), (5, 2));
    let made = image.topic("t").unwrap();
    assert_eq!((made.id, made.partitions.len()), (created.id, 5));
    assert!(made.partitions.iter().all(|partition| partition.replicas.len() == 2));
}

/// What KRaft says of assignments that do not hold together.
#[test]
fn manual_assignments_are_checked() {
    let cases: [(CreateTopic, Outcome); 9] = [
        (assigned("t", &[(0, &[0, 1]), (1, &[1, 2])]), Ok(())),
        (
            assigned("t", &[(0, &[])]),
            refused(
                ErrorCode::InvalidReplicaAssignment,
                "The manual partition assignment includes an empty replica list.",
            ),
        ),
        (
            assigned("t", &[(0, &[0, 9])]),
            refused(
                ErrorCode::InvalidReplicaAssignment,
                "The manual partition assignment includes broker 9, but no such broker is registered.",
            ),
        ),
        (
            assigned("t", &[(0, &[0, 0])]),
            refused(
                ErrorCode::InvalidReplicaAssignment,
                "The manual partition assignment includes the broker 0 more than once.",
            ),
        ),
        (
            assigned("t", &[(0, &[0, 1]), (1, &[2])]),
            refused(
                ErrorCode::InvalidReplicaAssignment,
                "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent \
                 with previous partitions, which have 2 replica(s).",
            ),
        ),
        (
            assigned("t", &[(0, &[0]), (2, &[1])]),
            refused(
                ErrorCode::InvalidReplicaAssignment,
                "partitions should be a consecutive 0-based integer sequence",
            ),
        ),
        (
            assigned("t", &[(1, &[0])]),
            refused(
                ErrorCode::InvalidReplicaAssignment,
                "partitions should be a consecutive 0-based integer sequence",
            ),
        ),
        (
            CreateTopic {
                replication_factor: 1,
                ..assigned("t", &[(0, &[0])])
            },
            refused(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but replication factor was not set to -1.",
            ),
        ),
        (
            CreateTopic {
                partitions: 1,
                ..assigned("t", &[(0, &[0])])
            },
            refused(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ),
        ),
    ];
    for (asked, expected) in cases {
        assert_eq!(create(&mut cluster(3), asked.clone()), expected, "{asked:?}");
    }
}

/// Both of a pair are refused, the others of the request are not.
#[test]
fn duplicates_in_one_request_are_both_refused() {
    let mut image = cluster(1);
    let outcomes = create_all(&mut image, vec![topic("a", 1, 1), topic("b", 1, 1), topic("a", 2, 1)]);
    let duplicate = refused(ErrorCode::InvalidRequest, "Duplicate topic name.");
    assert_eq!(outcomes, [duplicate.clone(), Ok(()), duplicate]);
    assert!(image.topic("a").is_none());
    assert!(image.topic("b").is_some());
}

/// Unknown keys, illegal values and nulls; a good one is resolved over the defaults.
#[test]
fn configs_of_a_new_topic_are_checked() {
    let mut image = cluster(1);
    let cases = [
        ("no.such", Some("1"), "Unknown topic config name: no.such"),
        (
            "retention.ms",
            Some("x"),
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "retention.ms",
            None,
            "Null value not supported for topic configs: retention.ms",
        ),
    ];
    for (key, value, message) in cases {
        let outcome = create(&mut image, configured("t", &[(key, value)]));
        assert_eq!(outcome, refused(ErrorCode::InvalidConfig, message));
    }
    let good = [("retention.ms", Some("1000")), ("cleanup.policy", Some("compact"))];
    assert_eq!(create(&mut image, configured("t", &good)), Ok(()));
    let config = &image.topic("t").unwrap().config;
    assert_eq!((config.retention_ms, config.cleanup_policy.compact), (1000, true));
}

/// A question changes nothing, and finds what the request itself would do.
#[test]
fn validate_only_answers_and_changes_nothing() {
    let mut image = cluster(1);
    let before = image.to_records();
    let asked = Command::CreateTopics {
        topics: vec![topic("a", 2, 1), topic("a.b", 1, 1), topic("a_b", 1, 1)],
        validate_only: true,
    };
    let Reply::CreateTopics(results) = run(&mut image, asked).unwrap() else {
        panic!("another reply")
    };
    assert_eq!(results[0].as_ref().unwrap().partitions, 2);
    assert!(results[2].is_err());
    assert_eq!(image.to_records(), before);
}

/// A request for more partitions than one commit should carry is refused as a whole.
#[test]
fn too_many_partitions_in_one_request_are_refused() {
    let excessive = refused(
        ErrorCode::PolicyViolation,
        "Excessively large number of partitions per request.",
    );
    let mut image = cluster(1);
    assert_eq!(create(&mut image, topic("t", 10_001, 1)), excessive);
    assert_eq!(create(&mut image, topic("t", i32::MAX, 1)), excessive);
    let half = create_all(&mut image, vec![topic("a", 5_001, 1), topic("b", 5_000, 1)]);
    assert_eq!(half, std::slice::from_ref(&excessive));
    assert_eq!(create(&mut image, topic("t", 10_000, 1)), Ok(()));
    assert_eq!(grow(&mut image, "t", 20_001, None), excessive);
    assert_eq!(grow(&mut image, "t", 20_000, None), Ok(()));
}

/// A broker does not take more partitions than it can carry.
#[test]
fn a_full_broker_takes_no_more_partitions() {
    let mut image = cluster(1);
    let per_topic = PARTITIONS_PER_REQUEST_MAX as i32;
    for nth in 0..9 {
        assert_eq!(create(&mut image, topic(&format!("wide-{nth}"), per_topic, 1)), Ok(()));
    }
    assert_eq!(create(&mut image, topic("wide", per_topic - 1, 1)), Ok(()));
    assert_eq!(create(&mut image, topic("a", 1, 1)), Ok(()));
    assert_eq!(
        create(&mut image, topic("b", 1, 1)),
        refused(
            ErrorCode::PolicyViolation,
            "Broker 0 holds 100000 partition(s); 1 more would exceed its limit of 100000.",
        )
    );
}

/// Each partition goes to the online directory that holds the fewest.
#[test]
fn partitions_go_to_the_emptiest_directory() {
    let mut image = cluster(1);
    assert_eq!(create(&mut image, topic("a", 3, 1)), Ok(()));
    assert_eq!(create(&mut image, topic("b", 2, 1)), Ok(()));
    let directory = |topic: &str, index: usize| image.topic(topic).unwrap().partitions[index].directories[0];
    let [first, second] = DIRECTORIES;
    let taken = [
        directory("a", 0),
        directory("a", 1),
        directory("a", 2),
        directory("b", 0),
        directory("b", 1),
    ];
    assert_eq!(taken, [first, second, first, second, first]);
}

/// Leaders go round; no broker stands twice in a list; the followers of one leader are spread over the others.
#[test]
fn replicas_are_spread_as_kafka_spreads_them() {
    let image = cluster(5);
    let assignments = placement::assign(&image, 0, 10, 3, 0).unwrap();
    let ids = |replicas: &Vec<BrokerId>| replicas.iter().map(|replica| replica.0).collect::<Vec<_>>();
    let expected = [
        [0, 1, 2],
        [1, 2, 3],
        [2, 3, 4],
        [3, 4, 0],
        [4, 0, 1],
        [0, 2, 3],
        [1, 3, 4],
        [2, 4, 0],
        [3, 0, 1],
        [4, 1, 2],
    ];
    assert_eq!(assignments.iter().map(ids).collect::<Vec<_>>(), expected);
}

/// The load is even whatever the draw, the factor and the number of brokers.
#[test]
fn every_broker_leads_equally_many_partitions() {
    for (brokers, factor, draw) in [(1, 1, 7), (2, 2, 1), (3, 2, 11), (7, 3, u64::MAX)] {
        let image = cluster(brokers);
        let assignments = placement::assign(&image, 0, brokers as usize * 4, factor, draw).unwrap();
        for broker in image.brokers.keys() {
            let leads = assignments.iter().filter(|replicas| replicas[0] == *broker).count();
            let holds = assignments.iter().filter(|replicas| replicas.contains(broker)).count();
            assert_eq!((leads, holds), (4, 4 * factor));
        }
        for replicas in &assignments {
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), factor);
        }
    }
}

/// By name and by id; unknown ones have an error each; a topic that is named twice stays.
#[test]
fn topics_are_deleted_by_name_or_id() {
    let mut image = cluster(1);
    for name in ["a", "b", "c"] {
        create(&mut image, topic(name, 2, 1)).unwrap();
    }
    let id = |image: &Image, name: &str| image.topic(name).unwrap().id;
    let (b, c) = (id(&image, "b"), id(&image, "c"));
    let asked = vec![
        DeleteTopic::Name("a".into()),
        DeleteTopic::Id(b),
        DeleteTopic::Name("c".into()),
        DeleteTopic::Id(c),
        DeleteTopic::Name("nope".into()),
        DeleteTopic::Id(TopicId([0xff; 16])),
    ];
    assert_eq!(
        delete_all(&mut image, asked),
        [
            Ok(()),
            Ok(()),
            refused(ErrorCode::InvalidRequest, "Duplicate topic name."),
            refused(ErrorCode::InvalidRequest, "Duplicate topic id."),
            refused(
                ErrorCode::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ),
            refused(ErrorCode::UnknownTopicId, "This server does not host this topic ID."),
        ]
    );
    assert_eq!(
        image.topics.keys().map(|name| name.as_ref()).collect::<Vec<&str>>(),
        ["c"]
    );
    assert_eq!((image.topics_by_id.len(), image.partitions_on(ME)), (1, 2));
}

/// delete.topic.enable=false.
#[test]
fn deletion_can_be_disabled() {
    let mut image = cluster_with(1, |config| config.delete_topic_enable = false);
    create(&mut image, topic("a", 1, 1)).unwrap();
    let outcomes = delete_all(&mut image, vec![DeleteTopic::Name("a".into())]);
    assert_eq!(
        outcomes,
        [refused(ErrorCode::TopicDeletionDisabled, "Topic deletion is disabled.")]
    );
    assert!(image.topic("a").is_some());
}

/// A topic that is created again is another topic.
#[test]
fn ids_are_not_reused() {
    let mut image = cluster(1);
    create(&mut image, configured("a", &[("retention.ms", Some("5"))])).unwrap();
    let first = image.topic("a").unwrap().id;
    delete_all(&mut image, vec![DeleteTopic::Name("a".into())]);
    create(&mut image, topic("a", 1, 1)).unwrap();
    let again = image.topic("a").unwrap();
    assert_ne!(again.id, first);
    assert!(again.overrides.is_empty());
    assert!(image.topic_by_id(&first).is_none());
}

/// Topics grow by CreatePartitions and never shrink.
#[test]
fn partitions_can_only_be_added() {
    let mut image = cluster(3);
    create(&mut image, topic("t", 3, 2)).unwrap();
    let cases = [
        (
            "nope",
            4,
            refused(
                ErrorCode::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ),
        ),
        (
            "t",
            3,
            refused(ErrorCode::InvalidPartitions, "Topic already has 3 partition(s)."),
        ),
        (
            "t",
            2,
            refused(
                ErrorCode::InvalidPartitions,
                "The topic t currently has 3 partition(s); 2 would not be an increase.",
            ),
        ),
        (
            "t",
            -1,
            refused(
                ErrorCode::InvalidPartitions,
                "The topic t currently has 3 partition(s); -1 would not be an increase.",
            ),
        ),
        ("t", 5, Ok(())),
    ];
    for (name, count, expected) in cases {
        assert_eq!(grow(&mut image, name, count, None), expected);
    }
    let partitions = &image.topic("t").unwrap().partitions;
    assert!(partitions.iter().map(|partition| partition.index).eq(0..5));
    assert!(partitions.iter().all(|partition| partition.replicas.len() == 2));
}

/// Assignments of added partitions: as many as are added, each with the topic's replication factor.
#[test]
fn assignments_of_added_partitions_are_checked() {
    let mut image = cluster(3);
    create(&mut image, topic("t", 1, 2)).unwrap();
    let too_few = "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.";
    assert_eq!(
        grow(&mut image, "t", 3, Some(&[&[0, 1]])),
        refused(ErrorCode::InvalidReplicaAssignment, too_few)
    );
    let uneven = "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent \
                  with previous partitions, which have 2 replica(s).";
    assert_eq!(
        grow(&mut image, "t", 2, Some(&[&[0]])),
        refused(ErrorCode::InvalidReplicaAssignment, uneven)
    );
    assert_eq!(grow(&mut image, "t", 2, Some(&[&[2, 0]])), Ok(()));
    let added = &image.topic("t").unwrap().partitions[1];
    assert_eq!(
        (added.leader, &added.isr[..]),
        (Some(BrokerId(2)), &[BrokerId(2), BrokerId(0)][..])
    );
}

/// SET and DELETE; the topic's resolved config follows.
#[test]
fn topic_configs_are_set_and_deleted() {
    let mut image = cluster(1);
    create(&mut image, configured("t", &[("flush.messages", Some("1"))])).unwrap();
    let default_ms = image.topic("t").unwrap().config.retention_ms;
    assert_eq!(
        alter(&mut image, of_topic("t"), &[("retention.ms", set("7"))], false),
        Ok(())
    );
    assert_eq!(image.topic("t").unwrap().config.retention_ms, 7);
    assert_eq!(override_of(&image, "t", "flush.messages"), Some("1".into()));
    assert_eq!(
        alter(&mut image, of_topic("t"), &[("retention.ms", ConfigOp::Delete)], false),
        Ok(())
    );
    assert_eq!(image.topic("t").unwrap().config.retention_ms, default_ms);
    assert_eq!(
        image.topic("t").unwrap().config,
        image.topic_by_id(&image.topic("t").unwrap().id).unwrap().config
    );
}

/// AlterConfigs replaces the whole set.
#[test]
fn replacing_drops_what_is_not_named() {
    let mut image = cluster(1);
    let both = [("flush.messages", Some("1")), ("retention.ms", Some("5"))];
    create(&mut image, configured("t", &both)).unwrap();
    assert_eq!(
        alter(&mut image, of_topic("t"), &[("retention.ms", set("7"))], true),
        Ok(())
    );
    assert_eq!(override_of(&image, "t", "flush.messages"), None);
    assert_eq!(override_of(&image, "t", "retention.ms"), Some("7".into()));
}

/// APPEND and SUBTRACT work on lists, from the default if nothing is set, and on nothing else.
#[test]
fn lists_are_appended_to_and_subtracted_from() {
    let mut image = cluster(1);
    create(&mut image, topic("t", 1, 1)).unwrap();
    let append = |value: &str| ConfigOp::Append(value.to_owned());
    let subtract = |value: &str| ConfigOp::Subtract(value.to_owned());
    let policy = "cleanup.policy";
    assert_eq!(
        alter(&mut image, of_topic("t"), &[(policy, append("compact,delete"))], false),
        Ok(())
    );
    assert_eq!(override_of(&image, "t", policy), Some("delete,compact".into()));
    assert_eq!(
        alter(&mut image, of_topic("t"), &[(policy, subtract("delete"))], false),
        Ok(())
    );
    assert_eq!(override_of(&image, "t", policy), Some("compact".into()));
    let cases = [(append("1"), "APPEND"), (subtract("1"), "SUBTRACT")];
    for (op, name) in cases {
        let message = format!("Can't {name} to key retention.ms because its type is not LIST.");
        assert_eq!(
            alter(&mut image, of_topic("t"), &[("retention.ms", op)], false),
            refused(ErrorCode::InvalidConfig, &message)
        );
    }
}

/// One bad key, and none of the resource's keys is set; other resources of the request are.
#[test]
fn configs_change_all_or_nothing_per_resource() {
    let mut image = cluster(1);
    create(&mut image, topic("a", 1, 1)).unwrap();
    create(&mut image, topic("b", 1, 1)).unwrap();
    let change = |topic: &str, keys: &[(&str, &str)]| ConfigChange {
        resource: of_topic(topic),
        ops: keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), set(value)))
            .collect(),
        replace: false,
    };
    let outcomes = alter_all(
        &mut image,
        vec![
            change("a", &[("retention.ms", "7"), ("no.such", "1")]),
            change("b", &[("retention.ms", "7")]),
            change("nope", &[]),
        ],
    );
    assert_eq!(
        outcomes,
        [
            refused(ErrorCode::InvalidConfig, "Unknown topic config name: no.such"),
            Ok(()),
            refused(ErrorCode::UnknownTopicOrPartition, "The topic 'nope' does not exist."),
        ]
    );
    assert_eq!(override_of(&image, "a", "retention.ms"), None);
    assert_eq!(override_of(&image, "b", "retention.ms"), Some("7".into()));
}

/// One resource twice, or one key twice, has no meaning.
#[test]
fn duplicate_resources_and_keys_are_refused() {
    let mut image = cluster(1);
    create(&mut image, topic("t", 1, 1)).unwrap();
    let change = ConfigChange {
        resource: of_topic("t"),
        ops: Vec::new(),
        replace: false,
    };
    let twice = refused(ErrorCode::InvalidRequest, "Each resource must appear at most once.");
    assert_eq!(
        alter_all(&mut image, vec![change.clone(), change]),
        [twice.clone(), twice]
    );
    let ops = [("retention.ms", set("1")), ("retention.ms", set("2"))];
    assert_eq!(
        alter(&mut image, of_topic("t"), &ops, false),
        refused(
            ErrorCode::InvalidRequest,
            "Error due to duplicate config keys : retention.ms"
        )
    );
}

/// Only what takes effect without a restart, and at the level where it may be set.
#[test]
fn broker_configs_are_held_to_their_scope() {
    let mut image = cluster(1);
    let (mine, all) = (ConfigResource::Broker(Some(ME)), ConfigResource::Broker(None));
    let cases = [
        (
            mine.clone(),
            "log.dirs",
            "/x",
            refused(
                ErrorCode::InvalidRequest,
                "Cannot update these configs dynamically: [log.dirs]",
            ),
        ),
        (
            all.clone(),
            "cordoned.log.dirs",
            "/x",
            refused(
                ErrorCode::InvalidRequest,
                "Cannot update these configs at default cluster level, broker id must be specified: [cordoned.log.dirs]",
            ),
        ),
        (
            mine.clone(),
            "ssl.keystore.location",
            "/x",
            refused(
                ErrorCode::InvalidRequest,
                "These security configs can be dynamically updated only per-listener using the listener prefix: \
                 [ssl.keystore.location]",
            ),
        ),
        (mine.clone(), "a.plugins.key", "1", Ok(())),
        (
            ConfigResource::Broker(Some(BrokerId(9))),
            "log.retention.ms",
            "1",
            refused(ErrorCode::BrokerIdNotRegistered, "No broker with id 9 found."),
        ),
        (
            all.clone(),
            "log.retention.ms",
            "x",
            refused(
                ErrorCode::InvalidRequest,
                "Invalid value x for configuration log.retention.ms: Not a number of type LONG",
            ),
        ),
        (
            all.clone(),
            "log.retention.ms",
            "0",
            refused(
                ErrorCode::InvalidRequest,
                "log.retention.ms must be -1 (keep for ever) or at least 1",
            ),
        ),
        (all, "log.retention.ms", "1000", Ok(())),
        (mine, "log.retention.ms", "2000", Ok(())),
    ];
    for (resource, key, value, expected) in cases {
        assert_eq!(
            alter(&mut image, resource, &[(key, set(value))], false),
            expected,
            "{key}"
        );
    }
}

/// A group has configs of its own, within the broker's bounds; a snapshot holds them.
#[test]
fn groups_have_configs_of_their_own() {
    let mut image = cluster(1);
    let group = ConfigResource::Group("g".to_owned());
    let key = "share.record.lock.duration.ms";
    alter(&mut image, group.clone(), &[(key, set("20000"))], false).unwrap();
    for (key, value) in [
        (key, "14999"),
        ("share.auto.offset.reset", "none"),
        ("retention.ms", "1"),
    ] {
        let (code, message) = alter(&mut image, group.clone(), &[(key, set(value))], false).unwrap_err();
        assert_eq!(code, ErrorCode::InvalidConfig, "{key}={value}: {message}");
    }
    let mut again = Image::empty(&image.cluster_id, image.broker.clone());
    for record in image.to_records() {
        again.apply(&record);
    }
    assert_eq!(again.group_configs, image.group_configs);
    let own = again.config().shares.with_group(&again.group_configs["g"]);
    assert_eq!(own.lock.as_millis(), 20_000);
    alter(&mut image, group, &[(key, ConfigOp::Delete)], false).unwrap();
    assert!(image.group_configs.is_empty());
}

/// A dynamic broker config is the default of topics: this broker's own goes before the cluster's, a topic's override
/// before both.
#[test]
fn broker_configs_are_the_defaults_of_topics() {
    let mut image = cluster(1);
    create(&mut image, topic("plain", 1, 1)).unwrap();
    create(&mut image, configured("own", &[("retention.ms", Some("5"))])).unwrap();
    let retention = |image: &Image, name: &str| image.topic(name).unwrap().config.retention_ms;
    let file_ms = retention(&image, "plain");
    let key = "log.retention.ms";
    let (mine, all) = (ConfigResource::Broker(Some(ME)), ConfigResource::Broker(None));
    alter(&mut image, all.clone(), &[(key, set("1000"))], false).unwrap();
    assert_eq!((retention(&image, "plain"), retention(&image, "own")), (1000, 5));
    alter(&mut image, mine.clone(), &[(key, set("2000"))], false).unwrap();
    assert_eq!(retention(&image, "plain"), 2000);
    create(&mut image, topic("later", 1, 1)).unwrap();
    assert_eq!(retention(&image, "later"), 2000);
    alter(&mut image, mine, &[(key, ConfigOp::Delete)], false).unwrap();
    assert_eq!(retention(&image, "plain"), 1000);
    alter(&mut image, all, &[], true).unwrap();
    assert_eq!((retention(&image, "plain"), retention(&image, "own")), (file_ms, 5));
    assert!(image.broker_configs.is_empty());
}

/// What a broker asks the image for is what was set at run time, and the file's value once that is deleted.
#[test]
fn broker_configs_are_the_brokers_own() {
    let mut image = cluster(1);
    let asked = |image: &Image| {
        let config = image.config();
        let (compaction, verifies) = (&config.compaction, config.transactions.verify_partitions);
        (compaction.backoff_ms, config.producer_id_expiration_ms, verifies)
    };
    let of_file = asked(&image);
    let keys = [
        ("log.cleaner.backoff.ms", set("7")),
        ("producer.id.expiration.ms", set("8")),
        ("transaction.partition.verification.enable", set("false")),
    ];
    let all = ConfigResource::Broker(None);
    alter(&mut image, all.clone(), &keys, false).unwrap();
    assert_eq!(asked(&image), (7, 8, false));
    alter(&mut image, all, &[], true).unwrap();
    assert_eq!(asked(&image), of_file);
}

/// A command that changes nothing needs no commit.
#[test]
fn no_change_means_no_records() {
    let mut image = cluster(1);
    create(&mut image, configured("t", &[("retention.ms", Some("5"))])).unwrap();
    let change = ConfigChange {
        resource: of_topic("t"),
        ops: vec![("retention.ms".into(), set("5"))],
        replace: false,
    };
    let command = Command::AlterConfigs {
        changes: vec![change],
        validate_only: false,
    };
    let draw = Draw {
        topic_ids: Vec::new(),
        placement: 0,
    };
    assert!(decide(&image, &live(), &command, &draw).unwrap().records.is_empty());
}

/// The last block ends before the numbers do.
#[test]
fn producer_ids_run_out_with_an_error() {
    let mut image = cluster(1);
    image.next_producer_id = i64::MAX - 10;
    let allocate = |epoch| Command::AllocateProducerIds { broker: ME, epoch };
    let refusal = run(&mut image, allocate(1)).unwrap_err();
    assert_eq!(refusal.message, "All producer ids are given out.");
    // An earlier life of the broker gets none.
    let refusal = run(&mut image, allocate(0)).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::StaleBrokerEpoch);
}
