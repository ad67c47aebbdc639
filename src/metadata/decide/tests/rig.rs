//! A cluster for tests: the image, who lives, and the control thread's part of a heartbeat.

use super::*;
use crate::metadata::command::{
    AlterPartition, Election, Heartbeat, IsrChange, NO_CLEAN_EPOCH, NewReplicas, Registration,
};
use crate::metadata::image::PartitionState;
use crate::model::{LeaderEpoch, PartitionId};

pub struct Rig {
    pub image: Image,
    pub live: Live,
}

impl Rig {
    /// Brokers 0 to `count` - 1, all active.
    pub fn new(count: i32) -> Rig {
        let mut rig = Rig {
            image: cluster(0),
            live: Live {
                now_ns: 1,
                contacts: BTreeMap::new(),
            },
        };
        for id in 0..count {
            rig.register(id, 1, NO_CLEAN_EPOCH).unwrap();
            assert_eq!(rig.beat(id), (true, false, false));
        }
        rig
    }

    pub fn ask(&mut self, command: Command) -> Result<Reply, CommandError> {
        run_with(&mut self.image, &self.live, command)
    }

    /// In this life of it.
    pub fn register(&mut self, id: i32, life: u8, clean_epoch: i64) -> Result<i64, CommandError> {
        self.register_with(Registration {
            clean_epoch,
            ..registration(id, life)
        })
    }

    pub fn register_with(&mut self, asked: Registration) -> Result<i64, CommandError> {
        let contact = Contact {
            last_ns: self.live.now_ns,
            has_ended: false,
            image_epoch: ImageEpoch(0),
            online_dirs: asked.log_dirs.clone(),
        };
        let id = asked.id;
        match self.ask(Command::RegisterBroker(asked))? {
            Reply::RegisterBroker { epoch } => {
                self.live.contacts.insert(id, contact);
                Ok(epoch)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The heartbeat of a broker that shows the newest image and wants nothing.
    pub fn heartbeat(&self, id: i32) -> Heartbeat {
        Heartbeat {
            id: BrokerId(id),
            epoch: self.epoch(id),
            image_epoch: self.image.epoch,
            want_fence: false,
            want_shutdown: false,
            offline_dirs: Vec::new(),
            full_dirs: Vec::new(),
        }
    }

    /// (is caught up, is fenced, should shut down)
    pub fn beat(&mut self, id: i32) -> (bool, bool, bool) {
        self.beat_with(self.heartbeat(id)).unwrap()
    }

    /// The same, of a broker that wants to end.
    pub fn leave(&mut self, id: i32) -> (bool, bool, bool) {
        let leaving = Heartbeat {
            want_shutdown: true,
            ..self.heartbeat(id)
        };
        self.beat_with(leaving).unwrap()
    }

    /// The same, of one that has closed its connections too.
    pub fn close(&mut self, id: i32) -> (bool, bool, bool) {
        let closed = Heartbeat {
            want_shutdown: true,
            want_fence: true,
            ..self.heartbeat(id)
        };
        self.beat_with(closed).unwrap()
    }

    pub fn beat_with(&mut self, beat: Heartbeat) -> Result<(bool, bool, bool), CommandError> {
        let (id, image_epoch, offline) = (beat.id, beat.image_epoch, beat.offline_dirs.clone());
        let Reply::Heartbeat {
            is_caught_up,
            is_fenced,
            should_shut_down,
        } = self.ask(Command::Heartbeat(beat))?
        else {
            panic!("another reply")
        };
        if let Some(contact) = self.live.contacts.get_mut(&id) {
            contact.last_ns = self.live.now_ns;
            contact.image_epoch = image_epoch;
            contact.online_dirs.retain(|directory| !offline.contains(directory));
        }
        Ok((is_caught_up, is_fenced, should_shut_down))
    }

    pub fn epoch(&self, id: i32) -> i64 {
        self.image.brokers[&BrokerId(id)].epoch
    }

    /// Time passes in which only these brokers are heard; whoever is silent for too long is fenced.
    pub fn pass_ms(&mut self, ms: u64, heard: &[i32]) {
        self.live.now_ns += ms * 1_000_000;
        for id in heard {
            self.beat(*id);
        }
        for (broker, epoch) in silent_brokers(&self.image, &self.live) {
            self.ask(Command::FenceSilent { broker, epoch }).unwrap();
        }
    }

    /// All others are heard.
    pub fn silence(&mut self, id: i32) {
        let others: Vec<_> = self.image.brokers.keys().map(|broker| broker.0).collect();
        let heard: Vec<_> = others
            .into_iter()
            .filter(|other| *other != id && self.is_active(*other))
            .collect();
        self.pass_ms(10_000, &heard);
        assert!(self.image.brokers[&BrokerId(id)].fenced);
    }

    pub fn is_active(&self, id: i32) -> bool {
        self.image.is_active(BrokerId(id))
    }

    /// A topic `t` with one partition per list of replicas. The lists may differ in length, as after reassignments.
    pub fn topic(&mut self, replicas: &[&[i32]], configs: &[(&str, &str)]) {
        let configs = configs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())));
        let asked = CreateTopic {
            configs: configs.collect(),
            ..assigned("t", &[(0, replicas[0])])
        };
        let asked = Command::CreateTopics {
            topics: vec![asked],
            validate_only: false,
        };
        match self.ask(asked) {
            Ok(Reply::CreateTopics(results)) => assert_eq!(outcome(&results[0]), Ok(())),
            other => panic!("{other:?}"),
        }
        let topic = self.partition(0).topic;
        for (index, list) in (0..).zip(replicas).skip(1) {
            let list: Vec<_> = list.iter().copied().map(BrokerId).collect();
            let state = placement::new_partition(&self.image, &self.live, index, &list);
            self.image
                .apply(&Record::Partition(record::Partition::new(topic, &state)));
        }
    }

    pub fn state(&self, index: i32) -> &PartitionState {
        self.image.topic("t").unwrap().partition(index).unwrap()
    }

    /// Of partition 0: leader, leader epoch, ISR, ELR, and who led last.
    pub fn show(&self) -> String {
        show(self.state(0))
    }

    pub fn partition(&self, index: i32) -> PartitionId {
        let topic = self.image.topic("t").unwrap().id;
        PartitionId { topic, index }
    }

    /// What the leader would ask for to have this ISR.
    pub fn isr_change(&self, index: i32, isr: &[i32]) -> IsrChange {
        let state = self.state(index);
        IsrChange {
            partition: self.partition(index),
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            isr: isr.iter().map(|id| (BrokerId(*id), self.epoch(*id))).collect(),
            recovering: false,
        }
    }

    /// The leader asks for this ISR of partition 0.
    pub fn set_isr(&mut self, isr: &[i32]) -> Result<PartitionState, ErrorCode> {
        let leader = self.state(0).leader.expect("a leader");
        self.alter(leader.0, self.isr_change(0, isr))
    }

    pub fn alter(&mut self, broker: i32, change: IsrChange) -> Result<PartitionState, ErrorCode> {
        let asked = AlterPartition {
            broker: BrokerId(broker),
            broker_epoch: self.epoch(broker),
            partitions: vec![change],
        };
        match self.ask(Command::AlterPartition(asked)) {
            Ok(Reply::AlterPartition(mut results)) => results.remove(0),
            other => panic!("{other:?}"),
        }
    }

    pub fn reassign(&mut self, replicas: Option<&[i32]>, allow_factor_change: bool) -> Outcome {
        let asked = NewReplicas {
            topic: "t".to_owned(),
            index: 0,
            replicas: replicas.map(|ids| ids.iter().copied().map(BrokerId).collect()),
        };
        let asked = Command::AlterReassignments {
            partitions: vec![asked],
            allow_factor_change,
        };
        match self.ask(asked) {
            Ok(Reply::AlterReassignments(results)) => outcome(&results[0]),
            other => panic!("{other:?}"),
        }
    }

    pub fn elect(&mut self, election: Election) -> Result<(), ErrorCode> {
        let asked = Command::ElectLeaders {
            election,
            partitions: Some(vec![("t".to_owned(), 0)]),
        };
        match self.ask(asked) {
            Ok(Reply::ElectLeaders(results)) => results[0].2.as_ref().copied().map_err(|error| error.code),
            other => panic!("{other:?}"),
        }
    }

    pub fn configure(&mut self, key: &str, value: &str) {
        alter(&mut self.image, of_topic("t"), &[(key, set(value))], false).unwrap();
    }
}

/// The two log directories of a broker.
pub fn dirs(id: i32) -> Vec<DirId> {
    let base = 10 * id as u8;
    vec![DirId([base + 1; 16]), DirId([base + 2; 16])]
}

pub fn registration(id: i32, life: u8) -> Registration {
    Registration {
        id: BrokerId(id),
        incarnation: [life; 16],
        rack: None,
        endpoints: Vec::new(),
        log_dirs: dirs(id),
        has_all_dirs: false,
        clean_epoch: NO_CLEAN_EPOCH,
    }
}

pub fn show(state: &PartitionState) -> String {
    let ids = |list: &[BrokerId]| list.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",");
    let LeaderEpoch(epoch) = state.leader_epoch;
    let mut shown = match state.leader {
        Some(leader) => format!("{}@{epoch} isr={}", leader.0, ids(&state.isr)),
        None => format!("none@{epoch} isr={}", ids(&state.isr)),
    };
    for (name, list) in [("elr", &state.elr), ("last", &state.last_known_elr)] {
        if !list.is_empty() {
            shown.push_str(&format!(" {name}={}", ids(list)));
        }
    }
    if state.leader_recovering {
        shown.push_str(" recovering");
    }
    shown
}
