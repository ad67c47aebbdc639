//! The first version of records that have grown since. These structs never change. They are still written wherever they
//! can say everything: a broker without a cluster around it keeps a log that the first release can read.

use rkyv::{Archive, Deserialize, Serialize};

/// The broker is not fenced, and its log directories are not said.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct RegisterBroker {
    pub id: i32,
    pub epoch: i64,
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    pub endpoints: Vec<(String, String, u16)>,
}

/// No reassignment, no ELR, no recovery.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Partition {
    pub topic: [u8; 16],
    pub index: i32,
    pub leader: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub directories: Vec<[u8; 16]>,
}

impl RegisterBroker {
    /// `None`: the record holds what this version cannot.
    pub fn holding(record: &super::RegisterBroker) -> Option<RegisterBroker> {
        let super::RegisterBroker {
            id,
            epoch,
            incarnation,
            rack,
            endpoints,
            fenced: false,
            in_controlled_shutdown: None,
            log_dirs,
        } = record
        else {
            return None;
        };
        log_dirs.is_empty().then(|| RegisterBroker {
            id: *id,
            epoch: *epoch,
            incarnation: *incarnation,
            rack: rack.clone(),
            endpoints: endpoints.clone(),
        })
    }
}

impl From<RegisterBroker> for super::RegisterBroker {
    fn from(older: RegisterBroker) -> super::RegisterBroker {
        super::RegisterBroker {
            id: older.id,
            epoch: older.epoch,
            incarnation: older.incarnation,
            rack: older.rack,
            endpoints: older.endpoints,
            fenced: false,
            in_controlled_shutdown: None,
            log_dirs: Vec::new(),
        }
    }
}

impl Partition {
    /// `None`: the record holds what this version cannot.
    pub fn holding(record: &super::Partition) -> Option<Partition> {
        let added = [&record.adding, &record.removing, &record.elr, &record.last_known_elr];
        let says_more = record.leader_recovering || added.iter().any(|list| !list.is_empty());
        (!says_more).then(|| Partition {
            topic: record.topic,
            index: record.index,
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            directories: record.directories.clone(),
        })
    }
}

impl From<Partition> for super::Partition {
    fn from(older: Partition) -> super::Partition {
        super::Partition {
            topic: older.topic,
            index: older.index,
            leader: older.leader,
            leader_epoch: older.leader_epoch,
            partition_epoch: older.partition_epoch,
            replicas: older.replicas,
            isr: older.isr,
            directories: older.directories,
            ..super::Partition::default()
        }
    }
}
