//! Which brokers hold a partition, and in which of its log directories each does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Live, PARTITIONS_PER_BROKER_MAX, refuse};
use crate::metadata::command::CommandError;
use crate::metadata::image::{Image, PartitionState};
use crate::model::{BrokerId, DirId, ErrorCode, LeaderEpoch};

/// Replica lists of the partitions `first ..` by Kafka's algorithm: leaders go round from a random start; followers stand
/// at a distance that grows each time the leaders have gone round, so that the load of a failed broker falls on all others
/// and not on its neighbour. No two replicas of a list share a rack as long as there is a rack without one. Brokers that
/// are not active are taken only where the active ones are too few, and never first.
pub fn assign(
    image: &Image,
    first: i32,
    count: usize,
    replication_factor: usize,
    draw: u64,
) -> Result<Vec<Vec<BrokerId>>, CommandError> {
    let (active, spare) = candidates(image, replication_factor)?;
    let rack = |id: &BrokerId| image.brokers.get(id).and_then(|broker| broker.rack.as_deref());
    let ring = Ring::new(active.iter().map(|id| (*id, rack(id))));
    let start = (draw % active.len() as u64) as usize;
    let first = usize::try_from(first).unwrap_or(0);
    let replicas = |index: usize| {
        let mut replicas = ring.replicas(start, index, replication_factor.min(active.len()));
        let missing = replication_factor - replicas.len();
        replicas.extend(spare.iter().cycle().skip(index % spare.len().max(1)).take(missing));
        replicas
    };
    Ok((first..first + count).map(replicas).collect())
}

/// The same over any brokers, given with their racks; at most one replica for each.
pub fn spread(brokers: &[(BrokerId, Option<&str>)], count: usize, replicas: usize, draw: u64) -> Vec<Vec<BrokerId>> {
    if brokers.is_empty() {
        return vec![Vec::new(); count];
    }
    let ring = Ring::new(brokers.iter().copied());
    let start = (draw % brokers.len() as u64) as usize;
    let replicas = replicas.min(brokers.len());
    (0..count).map(|index| ring.replicas(start, index, replicas)).collect()
}

/// The brokers that are active, and, if those are too few, the others.
fn candidates(image: &Image, replication_factor: usize) -> Result<(Vec<BrokerId>, Vec<BrokerId>), CommandError> {
    let registered = image.brokers.len();
    let (active, spare): (Vec<_>, Vec<_>) = image
        .brokers
        .keys()
        .copied()
        .partition(|broker| image.is_active(*broker));
    let why = if registered < replication_factor {
        format!(
            "The target replication factor of {replication_factor} cannot be reached because only {registered} \
             broker(s) are registered or some brokers have all their log directories cordoned."
        )
    } else if active.is_empty() {
        "All brokers are currently fenced.".to_owned()
    } else {
        return Ok((active, spare));
    };
    let message = format!("Unable to replicate the partition {replication_factor} time(s): {why}");
    refuse(ErrorCode::InvalidReplicationFactor, message)
}

/// Brokers in the order in which they lead: each stands in another rack than the one before it, as long as that can be.
struct Ring<'a> {
    brokers: Vec<(Option<&'a str>, BrokerId)>,
    racks: usize,
}

impl<'a> Ring<'a> {
    fn new(brokers: impl Iterator<Item = (BrokerId, Option<&'a str>)>) -> Ring<'a> {
        let mut racks: BTreeMap<Option<&str>, VecDeque<BrokerId>> = BTreeMap::new();
        for (broker, rack) in brokers {
            racks.entry(rack).or_default().push_back(broker);
        }
        let count = racks.values().map(VecDeque::len).sum();
        let mut ring = Vec::with_capacity(count);
        while ring.len() < count {
            let next = racks
                .iter_mut()
                .filter_map(|(rack, brokers)| Some((*rack, brokers.pop_front()?)));
            ring.extend(next);
        }
        Ring {
            brokers: ring,
            racks: racks.len(),
        }
    }

    /// `count` is at most the number of brokers.
    fn replicas(&self, start: usize, index: usize, count: usize) -> Vec<BrokerId> {
        let brokers = self.brokers.len();
        let first = (start + index) % brokers;
        let shift = (start + index / brokers) * self.racks;
        let (rack, leader) = self.brokers[first];
        let (mut replicas, mut racks) = (vec![leader], BTreeSet::from([rack]));
        let mut step = 0;
        while replicas.len() < count {
            // Goes on round: who was passed over for its rack has another chance when every rack has a replica.
            let (rack, broker) = self.brokers[(first + 1 + (shift + step) % (brokers - 1)) % brokers];
            step += 1;
            let may_share = racks.len() == self.racks;
            if (may_share || !racks.contains(&rack)) && !replicas.contains(&broker) {
                replicas.push(broker);
                racks.insert(rack);
            }
        }
        replicas
    }
}

/// One replica list of a request: registered brokers, each once.
pub fn check_list(image: &Image, replicas: &[BrokerId]) -> Result<(), CommandError> {
    let invalid = |message: String| refuse(ErrorCode::InvalidReplicaAssignment, message);
    if replicas.is_empty() {
        return invalid("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut seen = BTreeSet::new();
    for replica in replicas {
        let id = replica.0;
        if !seen.insert(replica) {
            return invalid(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
        if !image.brokers.contains_key(replica) {
            return invalid(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
    }
    Ok(())
}

/// The replica list of a new partition, and the number of replicas that the lists before it have.
pub fn check_manual(image: &Image, index: i32, replicas: &[BrokerId], expected: usize) -> Result<(), CommandError> {
    let invalid = |message: String| refuse(ErrorCode::InvalidReplicaAssignment, message);
    check_list(image, replicas)?;
    if replicas.len() != expected {
        return invalid(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
             with previous partitions, which have {expected} replica(s).",
            replicas.len()
        ));
    }
    if !replicas.iter().any(|replica| image.is_active(*replica)) {
        return invalid(format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in \
             controlled shutdown."
        ));
    }
    Ok(())
}

/// No broker gets more partitions than it can carry.
pub fn check_room(image: &Image, assignments: &[Vec<BrokerId>]) -> Result<(), CommandError> {
    for broker in image.brokers.keys() {
        let added = assignments.iter().filter(|replicas| replicas.contains(broker)).count();
        let held = image.partitions_on(*broker);
        if held + added > PARTITIONS_PER_BROKER_MAX {
            let message = format!(
                "Broker {} holds {held} partition(s); {added} more would exceed its limit of \
                 {PARTITIONS_PER_BROKER_MAX}.",
                broker.0
            );
            return refuse(ErrorCode::PolicyViolation, message);
        }
    }
    Ok(())
}

/// A partition as it begins: led by its first replica that is active, in sync wherever it is active.
pub fn new_partition(image: &Image, live: &Live, index: i32, replicas: &[BrokerId]) -> PartitionState {
    let active: Vec<_> = replicas
        .iter()
        .copied()
        .filter(|replica| image.is_active(*replica))
        .collect();
    let directory = |replica: &BrokerId| directory_for(image, live, *replica);
    PartitionState {
        index,
        leader: active.first().copied(),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        replicas: replicas.to_vec(),
        isr: if active.is_empty() { replicas.to_vec() } else { active },
        directories: replicas.iter().map(directory).collect(),
        adding: Vec::new(),
        removing: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader_recovering: false,
    }
}

/// Of the broker's log directories that take new partitions, the one that holds the fewest.
pub fn directory_for(image: &Image, live: &Live, broker: BrokerId) -> DirId {
    let registered = image.brokers.get(&broker).map(|broker| &broker.log_dirs);
    let said = live.contacts.get(&broker).map(|contact| &contact.online_dirs);
    let directories = said.filter(|said| !said.is_empty()).or(registered);
    let emptiest = directories.and_then(|dirs| emptiest(image, dirs));
    emptiest.unwrap_or(DirId::UNASSIGNED)
}

/// The one that holds the fewest partitions.
pub fn emptiest(image: &Image, directories: &[DirId]) -> Option<DirId> {
    let fewest = directories.iter().min_by_key(|dir| image.partitions_in(dir));
    fewest.copied()
}
