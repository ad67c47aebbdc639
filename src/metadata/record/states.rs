//! Records out of the states that an image holds, and back.

use super::{BrokerChange, BrokerSpace, Partition, RegisterBroker};
use crate::metadata::image::{BrokerState, Endpoint, ImageEpoch, PartitionState};
use crate::model::{BrokerId, DirId, LeaderEpoch, TopicId};

impl RegisterBroker {
    pub fn state(&self) -> BrokerState {
        let endpoint = |(listener, host, port): &(String, String, u16)| Endpoint {
            listener: listener.clone(),
            host: host.clone(),
            port: *port,
        };
        BrokerState {
            id: BrokerId(self.id),
            epoch: self.epoch,
            incarnation: self.incarnation,
            rack: self.rack.clone(),
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown.map(ImageEpoch),
            log_dirs: dirs(&self.log_dirs),
            full_dirs: Vec::new(),
        }
    }
}

impl From<&BrokerState> for RegisterBroker {
    fn from(broker: &BrokerState) -> RegisterBroker {
        let endpoint = |e: &Endpoint| (e.listener.clone(), e.host.clone(), e.port);
        RegisterBroker {
            id: broker.id.0,
            epoch: broker.epoch,
            incarnation: broker.incarnation,
            rack: broker.rack.clone(),
            endpoints: broker.endpoints.iter().map(endpoint).collect(),
            fenced: broker.fenced,
            in_controlled_shutdown: broker.in_controlled_shutdown.map(|epoch| epoch.0),
            log_dirs: broker.log_dirs.iter().map(|dir| dir.0).collect(),
        }
    }
}

impl BrokerChange {
    /// The broker as it is after the change.
    pub fn changed(&self, broker: &BrokerState) -> BrokerState {
        BrokerState {
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown.map(ImageEpoch),
            log_dirs: dirs(&self.log_dirs),
            ..broker.clone()
        }
    }
}

impl From<&BrokerState> for BrokerChange {
    fn from(broker: &BrokerState) -> BrokerChange {
        BrokerChange {
            id: broker.id.0,
            epoch: broker.epoch,
            fenced: broker.fenced,
            in_controlled_shutdown: broker.in_controlled_shutdown.map(|epoch| epoch.0),
            log_dirs: broker.log_dirs.iter().map(|dir| dir.0).collect(),
        }
    }
}

impl BrokerSpace {
    /// The broker as it is after the change.
    pub fn changed(&self, broker: &BrokerState) -> BrokerState {
        BrokerState {
            full_dirs: dirs(&self.full_dirs),
            ..broker.clone()
        }
    }
}

impl From<&BrokerState> for BrokerSpace {
    fn from(broker: &BrokerState) -> BrokerSpace {
        BrokerSpace {
            id: broker.id.0,
            epoch: broker.epoch,
            full_dirs: broker.full_dirs.iter().map(|dir| dir.0).collect(),
        }
    }
}

impl Partition {
    pub fn new(topic: TopicId, state: &PartitionState) -> Partition {
        Partition {
            topic: topic.0,
            index: state.index,
            leader: state.leader.map_or(-1, |leader| leader.0),
            leader_epoch: state.leader_epoch.0,
            partition_epoch: state.partition_epoch,
            replicas: numbers(&state.replicas),
            isr: numbers(&state.isr),
            directories: state.directories.iter().map(|dir| dir.0).collect(),
            adding: numbers(&state.adding),
            removing: numbers(&state.removing),
            elr: numbers(&state.elr),
            last_known_elr: numbers(&state.last_known_elr),
            leader_recovering: state.leader_recovering,
        }
    }

    pub fn state(&self) -> PartitionState {
        PartitionState {
            index: self.index,
            leader: (self.leader >= 0).then_some(BrokerId(self.leader)),
            leader_epoch: LeaderEpoch(self.leader_epoch),
            partition_epoch: self.partition_epoch,
            replicas: brokers(&self.replicas),
            isr: brokers(&self.isr),
            directories: dirs(&self.directories),
            adding: brokers(&self.adding),
            removing: brokers(&self.removing),
            elr: brokers(&self.elr),
            last_known_elr: brokers(&self.last_known_elr),
            leader_recovering: self.leader_recovering,
        }
    }
}

fn brokers(numbers: &[i32]) -> Vec<BrokerId> {
    numbers.iter().copied().map(BrokerId).collect()
}

fn numbers(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}

fn dirs(ids: &[[u8; 16]]) -> Vec<DirId> {
    ids.iter().copied().map(DirId).collect()
}
