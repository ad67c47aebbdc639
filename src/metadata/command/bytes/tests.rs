//! Every command and every answer, there and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::metadata::command::{
    AlterPartition, AssignDirectories, ConfigChange, ConfigOp, ConfigResource, CreateTopic, CreatedTopic, DeleteTopic,
    Election, Heartbeat, IsrChange, NewPartitions, NewReplicas, NewVoter, QuorumState, Registration,
};
use crate::metadata::image::{Endpoint, ImageEpoch, PartitionState};
use crate::model::{BrokerId, DirId, LeaderEpoch, PartitionId, TopicId};

const BROKER: BrokerId = BrokerId(7);
const PARTITION: PartitionId = PartitionId {
    topic: TopicId([3; 16]),
    index: 2,
};

fn commands_of_topics() -> Vec<Command> {
    let create = CreateTopic {
        name: "orders".into(),
        partitions: -1,
        replication_factor: 3,
        assignments: BTreeMap::from([(0, vec![BROKER])]),
        configs: BTreeMap::from([("retention.ms".into(), Some("1".into())), ("x".into(), None)]),
    };
    let grow = NewPartitions {
        topic: "orders".into(),
        count: 9,
        assignments: Some(vec![vec![BROKER]]),
    };
    let ops = [
        ConfigOp::Set("a".into()),
        ConfigOp::Delete,
        ConfigOp::Append("b".into()),
        ConfigOp::Subtract("c".into()),
    ];
    let change = ConfigChange {
        resource: ConfigResource::Broker(Some(BROKER)),
        ops: ops.into_iter().map(|op| ("key".to_owned(), op)).collect(),
        replace: true,
    };
    vec![
        Command::CreateTopics {
            topics: vec![create],
            validate_only: true,
        },
        Command::DeleteTopics {
            topics: vec![DeleteTopic::Name("a".into()), DeleteTopic::Id(PARTITION.topic)],
        },
        Command::CreatePartitions {
            topics: vec![grow],
            validate_only: false,
        },
        Command::AlterConfigs {
            changes: vec![change],
            validate_only: false,
        },
    ]
}

fn commands_of_brokers() -> Vec<Command> {
    let endpoint = Endpoint {
        listener: "PLAINTEXT".into(),
        host: "node01".into(),
        port: 9092,
    };
    let registration = Registration {
        id: BROKER,
        incarnation: [5; 16],
        rack: Some("r1".into()),
        endpoints: vec![endpoint],
        log_dirs: vec![DirId([6; 16])],
        has_all_dirs: true,
        clean_epoch: -1,
    };
    let heartbeat = Heartbeat {
        id: BROKER,
        epoch: 4,
        image_epoch: ImageEpoch(9),
        want_fence: true,
        want_shutdown: false,
        offline_dirs: vec![DirId([6; 16])],
        full_dirs: vec![DirId([7; 16])],
    };
    vec![
        Command::AllocateProducerIds {
            broker: BROKER,
            epoch: 4,
        },
        Command::RegisterBroker(registration),
        Command::Heartbeat(heartbeat),
        Command::FenceSilent {
            broker: BROKER,
            epoch: 4,
        },
        Command::UnregisterBroker { broker: BROKER },
    ]
}

fn commands_of_partitions() -> Vec<Command> {
    let isr_change = IsrChange {
        partition: PARTITION,
        leader_epoch: LeaderEpoch(1),
        partition_epoch: 2,
        isr: vec![(BROKER, 4), (BrokerId(8), -1)],
        recovering: true,
    };
    let new_replicas = NewReplicas {
        topic: "orders".into(),
        index: 2,
        replicas: Some(vec![BROKER]),
    };
    vec![
        Command::AlterPartition(AlterPartition {
            broker: BROKER,
            broker_epoch: 4,
            partitions: vec![isr_change],
        }),
        Command::AssignDirectories(AssignDirectories {
            broker: BROKER,
            broker_epoch: 4,
            partitions: vec![(PARTITION, DirId([6; 16]))],
        }),
        Command::ElectLeaders {
            election: Election::Unclean,
            partitions: Some(vec![("orders".into(), 2)]),
        },
        Command::BalanceLeaders,
        Command::ElectOffline,
        Command::AlterReassignments {
            partitions: vec![new_replicas],
            allow_factor_change: true,
        },
        Command::DescribeQuorum,
        Command::RemoveVoter {
            node: BROKER,
            directory: DirId([6; 16]),
        },
        Command::AddVoter(NewVoter {
            node: BROKER,
            directory: DirId([6; 16]),
            host: "h".into(),
            port: 9093,
        }),
    ]
}

fn commands() -> Vec<Command> {
    [commands_of_topics(), commands_of_brokers(), commands_of_partitions()].concat()
}

fn answers() -> Vec<Result<Reply, CommandError>> {
    let refusal = CommandError {
        code: ErrorCode::StaleBrokerEpoch,
        message: "Expected another".into(),
    };
    let created = CreatedTopic {
        id: PARTITION.topic,
        partitions: 3,
        replication_factor: 2,
        configs: Arc::new(BTreeMap::from([("a".into(), "b".into())])),
    };
    let state = PartitionState {
        index: 2,
        leader: Some(BROKER),
        leader_epoch: LeaderEpoch(1),
        partition_epoch: 2,
        replicas: vec![BROKER],
        isr: vec![BROKER],
        directories: vec![DirId([6; 16])],
        adding: vec![BROKER],
        removing: Vec::new(),
        elr: vec![BrokerId(8)],
        last_known_elr: Vec::new(),
        leader_recovering: true,
    };
    let replies = vec![
        Reply::CreateTopics(vec![Ok(created), Err(refusal.clone())]),
        Reply::DeleteTopics(vec![Ok(("orders".into(), PARTITION.topic))]),
        Reply::CreatePartitions(vec![Ok(())]),
        Reply::AlterConfigs(vec![Err(refusal.clone())]),
        Reply::ProducerIds { first: 1000, count: 10 },
        Reply::RegisterBroker { epoch: 4 },
        Reply::Heartbeat {
            is_caught_up: true,
            is_fenced: false,
            should_shut_down: true,
        },
        Reply::FenceSilent { was_fenced: true },
        Reply::UnregisterBroker,
        Reply::AlterPartition(vec![Ok(state), Err(ErrorCode::IneligibleReplica)]),
        Reply::AssignDirectories(vec![Ok(()), Err(ErrorCode::UnknownServerError)]),
        Reply::ElectLeaders(vec![("orders".into(), 2, Err(refusal.clone()))]),
        Reply::BalanceLeaders { moved: 3, more: true },
        Reply::ElectOffline {
            elected: 1,
            more: false,
        },
        Reply::AlterReassignments(vec![Ok(())]),
        Reply::DescribeQuorum(QuorumState::alone(BROKER, 3, 9, 1)),
        Reply::RemoveVoter,
        Reply::AddVoter,
    ];
    replies.into_iter().map(Ok).chain([Err(refusal)]).collect()
}

#[test]
fn commands_and_answers_survive_the_way() {
    for command in commands() {
        let read = Command::from_bytes(&command.to_bytes()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{command:?}"));
    }
    for answer in answers() {
        let read = answer_from_bytes(&answer_to_bytes(&answer)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{answer:?}"));
    }
}

proptest! {
    /// Whatever a peer sends is a command, an answer, or an error.
    #[test]
    fn damaged_bytes_are_an_error(
        nth in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let all = commands().iter().map(Command::to_bytes).chain(answers().iter().map(answer_to_bytes)).collect::<Vec<_>>();
        let mut bytes = all[nth.index(all.len())].clone();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let _ = (Command::from_bytes(&bytes), answer_from_bytes(&bytes));
        bytes.truncate(cut.index(bytes.len()));
        let _ = (Command::from_bytes(&bytes), answer_from_bytes(&bytes));
    }
}
