//! Which nodes are connected to this one, and which of their processes have ended. A process that ends, or is killed,
//! leaves a machine that closes its connections and refuses new ones, or makes place for another process: that is known
//! at once, long before its session is over. A node that is cut off, or whose machine is gone, is only silent; one that
//! lives behind a firewall that refuses has connections of its own to here. Their sessions say when that counts.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::Event;
use crate::model::BrokerId;
use crate::rt::{self, Instant, Tx};

/// A node that lives, and whose connection has failed, makes another one meanwhile.
const REFUSED_FOR: Duration = Duration::from_millis(300);
/// What is refused first so long after the last connection has ended is refused for another reason.
const LEFT_MAX: Duration = Duration::from_secs(5);

pub struct Presence {
    nodes: Mutex<BTreeMap<BrokerId, Node>>,
    events: Tx<Event>,
}

/// A node that has been connected.
#[derive(Default)]
struct Node {
    /// The incarnation of the newest process, and when it came.
    newest: [u8; 16],
    came: Instant,
    /// Of each incarnation, while there are some.
    connections: BTreeMap<[u8; 16], usize>,
    /// When the last one ended, and the first call since that was refused.
    left: Instant,
    refused: Option<Instant>,
}

/// One connection of a node, while it lasts.
pub struct Present {
    presence: Arc<Presence>,
    node: BrokerId,
    incarnation: [u8; 16],
}

impl Presence {
    pub fn new(events: Tx<Event>) -> Arc<Presence> {
        Arc::new(Presence {
            nodes: Mutex::default(),
            events,
        })
    }

    pub fn enter(self: &Arc<Self>, node: BrokerId, incarnation: [u8; 16]) -> Present {
        let mut nodes = self.nodes();
        let known = nodes.entry(node).or_default();
        if known.newest != incarnation {
            (known.newest, known.came) = (incarnation, rt::now());
            if known.connections.is_empty() {
                self.tell_gone(node, known.came, Some(incarnation));
            }
        }
        *known.connections.entry(incarnation).or_default() += 1;
        drop(nodes);
        Present {
            presence: self.clone(),
            node,
            incarnation,
        }
    }

    /// A call to the node's address has failed.
    pub fn note_failure(&self, node: BrokerId, error: &io::Error, now: Instant) {
        let mut nodes = self.nodes();
        let absent = nodes.get_mut(&node).filter(|known| known.connections.is_empty());
        let Some(known) = absent.filter(|_| error.kind() == io::ErrorKind::ConnectionRefused) else {
            return;
        };
        let first = *known.refused.get_or_insert(now);
        if first.since(known.left) < LEFT_MAX && now.since(first) >= REFUSED_FOR {
            self.tell_gone(node, now, None);
        }
    }

    fn leave(&self, node: BrokerId, incarnation: [u8; 16]) {
        let mut nodes = self.nodes();
        let Some(known) = nodes.get_mut(&node) else { return };
        if let Some(count) = known.connections.get_mut(&incarnation) {
            *count -= 1;
            if *count > 0 {
                return;
            }
        }
        known.connections.remove(&incarnation);
        (known.left, known.refused) = (rt::now(), None);
        if incarnation != known.newest && known.connections.keys().all(|other| *other == known.newest) {
            self.tell_gone(node, known.came, Some(known.newest));
        }
    }

    fn tell_gone(&self, node: BrokerId, at: Instant, successor: Option<[u8; 16]>) {
        let _ = self.events.try_send(Event::Gone { node, at, successor });
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<BrokerId, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.presence.leave(self.node, self.incarnation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{Rx, lane};

    const NODE: BrokerId = BrokerId(2);
    const REFUSED: io::ErrorKind = io::ErrorKind::ConnectionRefused;

    struct Rig {
        presence: Arc<Presence>,
        events: Rx<Event>,
        began: Instant,
    }

    impl Rig {
        fn new() -> Rig {
            let (sender, events) = lane(8);
            Rig {
                presence: Presence::new(sender),
                events,
                began: rt::now(),
            }
        }

        /// A call fails so, so many milliseconds after the beginning.
        fn fail(&mut self, kind: io::ErrorKind, ms: u64) -> bool {
            let now = self.began.after(Duration::from_millis(ms));
            self.presence.note_failure(NODE, &kind.into(), now);
            self.told().contains(&None)
        }

        /// Since the last time: which processes of the node are said to be its only ones.
        fn told(&mut self) -> Vec<Option<[u8; 16]>> {
            let mut taken = Vec::new();
            self.events.try_recv_burst(&mut taken, 8);
            let of_node = taken.into_iter().filter_map(|event| match event {
                Event::Gone { node, successor, .. } => (node == NODE).then_some(successor),
                _ => None,
            });
            of_node.collect()
        }
    }

    #[test]
    fn a_node_that_is_refused_and_not_connected_has_ended() {
        let mut rig = Rig::new();
        drop(rig.presence.enter(NODE, [7; 16]));
        let connections = [rig.presence.enter(NODE, [7; 16]), rig.presence.enter(NODE, [7; 16])];
        let other = rig.presence.enter(BrokerId(3), [8; 16]);
        assert!(!rig.fail(REFUSED, 100), "it is connected");
        assert!(!rig.fail(REFUSED, 900), "it is connected");
        drop(connections);
        for kind in [io::ErrorKind::TimedOut, io::ErrorKind::UnexpectedEof] {
            assert!(!rig.fail(kind, 1_000) && !rig.fail(kind, 2_000), "it is not refused");
        }
        assert!(!rig.fail(REFUSED, 2_000), "it may come again");
        assert!(rig.fail(REFUSED, 2_400));
        drop(other);
    }

    #[test]
    fn a_node_that_comes_again_has_not_ended() {
        let mut rig = Rig::new();
        drop(rig.presence.enter(NODE, [7; 16]));
        assert!(!rig.fail(REFUSED, 100));
        drop(rig.presence.enter(NODE, [7; 16]));
        assert!(!rig.fail(REFUSED, 900), "the first since then");
    }

    /// After an election a node that lives may not have come yet.
    #[test]
    fn a_node_that_was_not_here_lately_has_not_ended() {
        let mut rig = Rig::new();
        assert!(!rig.fail(REFUSED, 0) && !rig.fail(REFUSED, 1_000));
        drop(rig.presence.enter(NODE, [7; 16]));
        assert!(!rig.fail(REFUSED, 60_000) && !rig.fail(REFUSED, 61_000));
    }

    /// Nothing that was said before the other one came counts any more. A node that was never here before may be known to
    /// others by an earlier process.
    #[test]
    fn another_process_takes_the_place_of_one_that_has_ended() {
        let mut rig = Rig::new();
        let first = rig.presence.enter(NODE, [7; 16]);
        assert_eq!(rig.told(), [Some([7; 16])]);
        let second = rig.presence.enter(NODE, [8; 16]);
        assert_eq!(rig.told(), [], "both are connected");
        let more = rig.presence.enter(NODE, [8; 16]);
        drop(first);
        assert_eq!(rig.told(), [Some([8; 16])]);
        drop((second, more));
        let again = rig.presence.enter(NODE, [8; 16]);
        assert_eq!(rig.told(), [], "it may come again");
        drop(again);
        let _third = rig.presence.enter(NODE, [9; 16]);
        assert_eq!(rig.told(), [Some([9; 16])]);
    }
}
