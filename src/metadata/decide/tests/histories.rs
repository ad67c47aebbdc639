//! Random histories of a cluster, with the records that its partitions would hold. After every step the state is one that
//! can be; and whoever is elected cleanly has every record that was acknowledged.

use proptest::prelude::*;

use super::rig::{Rig, dirs, registration};
use super::*;
use crate::metadata::command::{AssignDirectories, Election, Heartbeat, NO_CLEAN_EPOCH, NewReplicas, Registration};
use crate::metadata::image::PartitionState;
use crate::model::PartitionId;

const BROKERS: i32 = 4;
const PARTITIONS: i32 = 4;

/// What happens. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// Seconds pass in which some brokers are not heard.
    Silence {
        broker: i32,
    },
    Heartbeat {
        broker: i32,
        lag: u64,
    },
    WantFence {
        broker: i32,
    },
    WantShutdown {
        broker: i32,
    },
    Close {
        broker: i32,
    },
    FailDisk {
        broker: i32,
        disk: usize,
    },
    FillDisk {
        broker: i32,
        disk: usize,
    },
    /// The process ends, and is there again after its session.
    Restart {
        broker: i32,
        how: End,
    },
    Unregister {
        broker: i32,
    },
    Produce {
        partition: i32,
    },
    Replicate {
        partition: i32,
        broker: i32,
    },
    Expand {
        partition: i32,
        broker: i32,
    },
    Shrink {
        partition: i32,
        broker: i32,
    },
    Elect {
        partition: i32,
        unclean: bool,
    },
    Balance,
    ElectOffline,
    Reassign {
        partition: i32,
        replicas: Option<Vec<i32>>,
    },
    MinIsr {
        min: i32,
    },
}

#[derive(Clone, Copy, Debug)]
enum End {
    InOrder,
    /// What was not synced is gone: this many records of each partition.
    Crash {
        records: usize,
    },
    /// One of its disks was replaced.
    LostDisk {
        disk: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let broker = || 0..BROKERS;
    let partition = || 0..PARTITIONS;
    let end = prop_oneof![
        Just(End::InOrder),
        (0..3usize).prop_map(|records| End::Crash { records }),
        (0..2usize).prop_map(|disk| End::LostDisk { disk }),
    ];
    let replicas = proptest::sample::subsequence((0..BROKERS).collect::<Vec<_>>(), 1..=3).prop_shuffle();
    prop_oneof![
        3 => broker().prop_map(|broker| Step::Silence { broker }),
        6 => (broker(), 0..2u64).prop_map(|(broker, lag)| Step::Heartbeat { broker, lag }),
        1 => broker().prop_map(|broker| Step::WantFence { broker }),
        2 => broker().prop_map(|broker| Step::WantShutdown { broker }),
        1 => broker().prop_map(|broker| Step::Close { broker }),
        1 => (broker(), 0..2usize).prop_map(|(broker, disk)| Step::FailDisk { broker, disk }),
        1 => (broker(), 0..2usize).prop_map(|(broker, disk)| Step::FillDisk { broker, disk }),
        3 => (broker(), end).prop_map(|(broker, how)| Step::Restart { broker, how }),
        1 => broker().prop_map(|broker| Step::Unregister { broker }),
        10 => partition().prop_map(|partition| Step::Produce { partition }),
        8 => (partition(), broker()).prop_map(|(partition, broker)| Step::Replicate { partition, broker }),
        6 => (partition(), broker()).prop_map(|(partition, broker)| Step::Expand { partition, broker }),
        4 => (partition(), broker()).prop_map(|(partition, broker)| Step::Shrink { partition, broker }),
        2 => (partition(), any::<bool>()).prop_map(|(partition, unclean)| Step::Elect { partition, unclean }),
        1 => Just(Step::Balance),
        1 => Just(Step::ElectOffline),
        3 => (partition(), proptest::option::weighted(0.8, replicas))
            .prop_map(|(partition, replicas)| Step::Reassign { partition, replicas }),
        1 => (1..=3).prop_map(|min| Step::MinIsr { min }),
    ]
}

type Records = Vec<u64>;

/// The cluster, and what its replicas hold.
struct World {
    rig: Rig,
    /// Grows with every process that is started.
    life: u8,
    /// Of every broker, in their places.
    disks: BTreeMap<i32, Vec<DirId>>,
    logs: BTreeMap<(i32, i32), Records>,
    /// By the partition: what producers were told is safe.
    acknowledged: BTreeMap<i32, Records>,
    next_record: u64,
    /// Who led in which epoch.
    terms: BTreeMap<(i32, i32), Option<BrokerId>>,
}

impl World {
    fn new() -> World {
        let mut rig = Rig::new(BROKERS);
        rig.topic(
            &[&[0, 1, 2], &[1, 2, 3], &[2, 3], &[3]],
            &[("min.insync.replicas", "2")],
        );
        World {
            rig,
            life: 1,
            disks: (0..BROKERS).map(|id| (id, dirs(id))).collect(),
            logs: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            next_record: 0,
            terms: BTreeMap::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step.clone() {
            Step::Silence { broker } if self.is_unfenced(broker) => {
                self.rig.live.now_ns += 10_000_000_000;
                let others: Vec<_> = (0..BROKERS)
                    .filter(|id| *id != broker && self.is_unfenced(*id))
                    .collect();
                self.rig.pass_ms(0, &others);
            }
            Step::Heartbeat { broker, lag } => self.beat(broker, |beat| beat.image_epoch.0 -= lag),
            Step::WantFence { broker } => self.beat(broker, |beat| beat.want_fence = true),
            Step::WantShutdown { broker } => self.beat(broker, |beat| beat.want_shutdown = true),
            Step::Close { broker } => self.beat(broker, |beat| (beat.want_shutdown, beat.want_fence) = (true, true)),
            Step::FailDisk { broker, disk } => {
                let failed = self.disks[&broker][disk];
                self.beat(broker, |beat| beat.offline_dirs = vec![failed]);
            }
            Step::FillDisk { broker, disk } => {
                let full = self.disks[&broker][disk];
                self.beat(broker, |beat| beat.full_dirs = vec![full]);
            }
            Step::Restart { broker, how } => self.restart(broker, how),
            Step::Unregister { broker } => {
                let _ = self.rig.ask(Command::UnregisterBroker {
                    broker: BrokerId(broker),
                });
            }
            Step::Produce { partition } => self.produce(partition),
            Step::Replicate { partition, broker } => self.replicate(partition, broker),
            Step::Expand { partition, broker } => self.expand(partition, broker),
            Step::Shrink { partition, broker } => self.shrink(partition, broker),
            Step::Elect { partition, unclean } => self.elect(partition, unclean),
            Step::Balance => drop(self.rig.ask(Command::BalanceLeaders).unwrap()),
            Step::ElectOffline => drop(self.rig.ask(Command::ElectOffline).unwrap()),
            Step::Reassign { partition, replicas } => self.reassign(partition, replicas),
            Step::MinIsr { min } => self.rig.configure("min.insync.replicas", &min.to_string()),
            Step::Silence { .. } => {}
        }
    }

    fn is_registered(&self, id: i32) -> bool {
        self.rig.image.brokers.contains_key(&BrokerId(id))
    }

    fn is_unfenced(&self, id: i32) -> bool {
        self.is_registered(id) && !self.rig.image.brokers[&BrokerId(id)].fenced
    }

    fn beat(&mut self, id: i32, wish: impl FnOnce(&mut Heartbeat)) {
        if self.is_registered(id) {
            let mut beat = self.rig.heartbeat(id);
            wish(&mut beat);
            self.rig.beat_with(beat).unwrap();
        }
    }

    fn restart(&mut self, id: i32, how: End) {
        let last_epoch = if self.is_registered(id) {
            self.rig.epoch(id)
        } else {
            NO_CLEAN_EPOCH
        };
        let mut clean_epoch = last_epoch;
        match how {
            End::InOrder => {}
            End::Crash { records } => {
                clean_epoch = NO_CLEAN_EPOCH;
                let own = self.logs.iter_mut().filter(|((_, broker), _)| *broker == id);
                own.for_each(|(_, log)| log.truncate(log.len().saturating_sub(records)));
            }
            End::LostDisk { disk } => self.lose_disk(id, disk),
        }
        self.life += 1;
        self.rig.live.contacts.remove(&BrokerId(id));
        let asked = Registration {
            log_dirs: self.disks[&id].clone(),
            clean_epoch,
            ..registration(id, self.life)
        };
        self.rig.register_with(asked).unwrap();
        self.move_replicas(id);
    }

    fn lose_disk(&mut self, id: i32, disk: usize) {
        let lost = self.disks[&id][disk];
        for index in 0..PARTITIONS {
            if self.rig.state(index).directory_of(BrokerId(id)) == Some(lost) {
                self.logs.remove(&(index, id));
            }
        }
        let mut fresh = [self.life; 16];
        fresh[0] = 0xff;
        self.disks.get_mut(&id).unwrap()[disk] = DirId(fresh);
    }

    /// Replicas that were on a lost disk begin again on another one.
    fn move_replicas(&mut self, id: i32) {
        let disks = self.disks[&id].clone();
        let homeless = |index: &i32| {
            let directory = self.rig.state(*index).directory_of(BrokerId(id));
            directory.is_some_and(|directory| !disks.contains(&directory))
        };
        let moves = (0..PARTITIONS)
            .filter(homeless)
            .map(|index| (self.rig.partition(index), disks[0]));
        let asked = AssignDirectories {
            broker: BrokerId(id),
            broker_epoch: self.rig.epoch(id),
            partitions: moves.collect(),
        };
        self.rig.ask(Command::AssignDirectories(asked)).unwrap();
    }

    fn log(&self, index: i32, broker: BrokerId) -> &[u64] {
        self.logs.get(&(index, broker.0)).map_or(&[], Vec::as_slice)
    }

    fn produce(&mut self, index: i32) {
        if let Some(leader) = self.rig.state(index).leader {
            self.next_record += 1;
            self.logs.entry((index, leader.0)).or_default().push(self.next_record);
            self.acknowledge(index);
        }
    }

    /// The high watermark moves on, unless the ISR is too small.
    fn acknowledge(&mut self, index: i32) {
        let state = self.rig.state(index);
        let topic = self.rig.image.topic("t").unwrap();
        let Some(leader) = state.leader else { return };
        if state.isr.len() < topic.min_isr(state.replicas.len()) {
            return;
        }
        let own = self.log(index, leader);
        // As far as a follower's log is another one, it does not count: the leader would have it cut first.
        let common = |member: &BrokerId| common_len(self.log(index, *member), own);
        let safe = own[..state.isr.iter().map(common).min().unwrap_or(0)].to_vec();
        let acknowledged = self.acknowledged.entry(index).or_default();
        if safe.len() > acknowledged.len() {
            *acknowledged = safe;
        }
    }

    fn replicate(&mut self, index: i32, broker: i32) {
        let state = self.rig.state(index);
        let Some(leader) = state.leader else { return };
        if state.replicas.contains(&BrokerId(broker)) && self.is_unfenced(broker) {
            let log = self.log(index, leader).to_vec();
            self.logs.insert((index, broker), log);
            self.acknowledge(index);
        }
    }

    /// The leader takes a follower in that has all it has itself.
    fn expand(&mut self, index: i32, broker: i32) {
        let state = self.rig.state(index);
        let Some(leader) = state.leader else { return };
        let is_caught_up = self.log(index, leader) == self.log(index, BrokerId(broker));
        if self.is_registered(broker) && is_caught_up && !state.isr.contains(&BrokerId(broker)) {
            let isr: Vec<_> = state.isr.iter().map(|id| id.0).chain([broker]).collect();
            let _ = self.rig.alter(leader.0, self.rig.isr_change(index, &isr));
            self.acknowledge(index);
        }
    }

    fn shrink(&mut self, index: i32, broker: i32) {
        let state = self.rig.state(index);
        let Some(leader) = state.leader.filter(|leader| leader.0 != broker) else {
            return;
        };
        let isr: Vec<_> = state.isr.iter().map(|id| id.0).filter(|id| *id != broker).collect();
        let _ = self.rig.alter(leader.0, self.rig.isr_change(index, &isr));
        self.acknowledge(index);
    }

    fn elect(&mut self, index: i32, unclean: bool) {
        let election = if unclean {
            Election::Unclean
        } else {
            Election::Preferred
        };
        let asked = Command::ElectLeaders {
            election,
            partitions: Some(vec![("t".to_owned(), index)]),
        };
        self.rig.ask(asked).unwrap();
    }

    fn reassign(&mut self, index: i32, replicas: Option<Vec<i32>>) {
        let replicas = replicas.map(|ids| ids.into_iter().map(BrokerId).collect());
        let asked = Command::AlterReassignments {
            partitions: vec![NewReplicas {
                topic: "t".to_owned(),
                index,
                replicas,
            }],
            allow_factor_change: true,
        };
        self.rig.ask(asked).unwrap();
    }

    /// What must hold between the states before and after a step.
    fn check(&mut self, before: &Image, step: &Step) {
        for index in 0..PARTITIONS {
            let was = before.topic("t").unwrap().partition(index).unwrap().clone();
            let is = self.rig.state(index).clone();
            check_shape(&self.rig.image, &is);
            check_epochs(&was, &is);
            let leader = self.terms.entry((index, is.leader_epoch.0)).or_insert(is.leader);
            assert_eq!(*leader, is.leader, "two leaders in one epoch of partition {index}");
            if is.leader_epoch != was.leader_epoch {
                self.check_election(index, &was, &is, step);
            }
            // A replica that is dropped deletes what it had.
            self.logs
                .retain(|(of, broker), _| *of != index || is.replicas.contains(&BrokerId(*broker)));
        }
        check_restored(&self.rig.image);
    }

    fn check_election(&mut self, index: i32, was: &PartitionState, is: &PartitionState, step: &Step) {
        let Some(leader) = is.leader else { return };
        let log = self.log(index, leader).to_vec();
        let acknowledged = self.acknowledged.entry(index).or_default();
        let held_all = was.isr.contains(&leader) || was.elr.contains(&leader);
        if !is.leader_recovering || was.leader_recovering && held_all {
            assert!(
                log.starts_with(acknowledged),
                "{acknowledged:?} was acknowledged, {log:?} is left"
            );
            return;
        }
        let is_asked = matches!(step, Step::Elect { unclean: true, .. });
        let restarted = match step {
            Step::Restart { broker, .. } => Some(BrokerId(*broker)),
            _ => None,
        };
        let mut holders = was.isr.iter().chain(&was.elr);
        let is_hopeless = holders.all(|holder| Some(*holder) == restarted);
        assert!(
            is_asked || is_hopeless && was.last_known_elr == [leader],
            "an unclean election that nobody allowed: {was:?}"
        );
        acknowledged.truncate(common_len(&log, acknowledged));
    }
}

fn common_len(left: &[u64], right: &[u64]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

fn check_shape(image: &Image, state: &PartitionState) {
    let within = |list: &[BrokerId], whole: &[BrokerId]| {
        let once = list.iter().collect::<BTreeSet<_>>().len() == list.len();
        once && list.iter().all(|id| whole.contains(id))
    };
    let PartitionState { replicas, isr, elr, .. } = state;
    assert!(!replicas.is_empty() && within(replicas, replicas), "{state:?}");
    assert!(within(isr, replicas) && within(elr, replicas), "{state:?}");
    assert!(
        within(&state.adding, replicas) && within(&state.removing, replicas),
        "{state:?}"
    );
    assert!(!state.adding.iter().any(|id| state.removing.contains(id)), "{state:?}");
    assert!(!isr.iter().any(|id| elr.contains(id)), "{state:?}");
    assert_eq!(state.directories.len(), replicas.len(), "{state:?}");
    let min_isr = image.topic("t").unwrap().min_isr(replicas.len());
    assert!(isr.len() < min_isr || elr.is_empty(), "{state:?}");
    match state.leader {
        Some(leader) => {
            assert!(isr.contains(&leader) && state.last_known_elr.is_empty(), "{state:?}");
            assert!(isr.iter().all(|member| image.is_active(*member)), "{state:?}");
            let directory = state.directory_of(leader).unwrap();
            assert!(image.brokers[&leader].has_online(&directory), "{state:?}");
        }
        None => assert!(isr.is_empty() && state.last_known_elr.len() <= 1, "{state:?}"),
    }
}

fn check_epochs(was: &PartitionState, is: &PartitionState) {
    assert_eq!(was == is, was.partition_epoch == is.partition_epoch, "{was:?} {is:?}");
    assert!(is.partition_epoch >= was.partition_epoch && is.leader_epoch >= was.leader_epoch);
    let is_dropped = was.replicas.iter().any(|replica| !is.replicas.contains(replica));
    if was.leader != is.leader || is_dropped {
        assert!(is.leader_epoch > was.leader_epoch, "{was:?} {is:?}");
    }
}

/// A snapshot leads to the same image, and what is kept beside it is what a count gives.
fn check_restored(image: &Image) {
    let mut restored = Image::empty(&image.cluster_id, image.broker.clone());
    restored.apply_all(&image.to_records());
    assert_eq!(restored.to_records(), image.to_records());
    let leaderless = |image: &Image| image.derived.leaderless().iter().copied().collect::<Vec<PartitionId>>();
    assert_eq!(leaderless(&restored), leaderless(image));
    for id in (0..BROKERS).map(BrokerId) {
        assert_eq!(restored.partitions_on(id), image.partitions_on(id));
        assert_eq!(restored.leaderships_of(id), image.leaderships_of(id));
    }
}

proptest! {
    // PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1000)))]

    #[test]
    fn nothing_acknowledged_is_lost(steps in proptest::collection::vec(any_step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            let before = world.rig.image.clone();
            world.take(step);
            world.check(&before, step);
        }
    }
}
