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
    /// The newest process, and when it came.
    process: u64,
    came: Instant,
    /// Of each process, while there are some.
    connections: BTreeMap<u64, usize>,
    /// When the last one ended, and the first call since that was refused.
    left: Instant,
    refused: Option<Instant>,
}

/// One connection of a node, while it lasts.
pub struct Present {
    presence: Arc<Presence>,
    node: BrokerId,
    process: u64,
}

impl Presence {
    pub fn new(events: Tx<Event>) -> Arc<Presence> {
        Arc::new(Presence {
            nodes: Mutex::default(),
            events,
        })
    }

    /// `process`: the number that it goes by.
    pub fn enter(self: &Arc<Self>, node: BrokerId, process: u64) -> Present {
        let mut nodes = self.nodes();
        let known = nodes.entry(node).or_default();
        if known.process != process {
            let before = std::mem::replace(&mut known.process, process);
            known.came = rt::now();
            if before != 0 && !known.connections.contains_key(&before) {
                self.tell_gone(node, known.came);
            }
        }
        *known.connections.entry(process).or_default() += 1;
        drop(nodes);
        Present {
            presence: self.clone(),
            node,
            process,
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
            self.tell_gone(node, now);
        }
    }

    fn leave(&self, node: BrokerId, process: u64) {
        let mut nodes = self.nodes();
        let Some(known) = nodes.get_mut(&node) else { return };
        if let Some(count) = known.connections.get_mut(&process) {
            *count -= 1;
            if *count > 0 {
                return;
            }
        }
        known.connections.remove(&process);
        (known.left, known.refused) = (rt::now(), None);
        if process != known.process {
            self.tell_gone(node, known.came);
        }
    }

    /// The process of whatever the node has said before.
    fn tell_gone(&self, node: BrokerId, at: Instant) {
        let _ = self.events.try_send(Event::Gone { node, at });
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<BrokerId, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.presence.leave(self.node, self.process);
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
            self.is_gone()
        }

        /// Whether it was said that a process of the node has ended.
        fn is_gone(&mut self) -> bool {
            let mut taken = Vec::new();
            self.events.try_recv_burst(&mut taken, 8);
            taken
                .iter()
                .any(|event| matches!(event, Event::Gone { node, .. } if *node == NODE))
        }
    }

    #[test]
    fn a_node_that_is_refused_and_not_connected_has_ended() {
        let mut rig = Rig::new();
        drop(rig.presence.enter(NODE, 7));
        let connections = [rig.presence.enter(NODE, 7), rig.presence.enter(NODE, 7)];
        let other = rig.presence.enter(BrokerId(3), 8);
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
        drop(rig.presence.enter(NODE, 7));
        assert!(!rig.fail(REFUSED, 100));
        drop(rig.presence.enter(NODE, 7));
        assert!(!rig.fail(REFUSED, 900), "the first since then");
        assert!(!rig.is_gone());
    }

    /// After an election a node that lives may not have come yet.
    #[test]
    fn a_node_that_was_not_here_lately_has_not_ended() {
        let mut rig = Rig::new();
        assert!(!rig.fail(REFUSED, 0) && !rig.fail(REFUSED, 1_000));
        drop(rig.presence.enter(NODE, 7));
        assert!(!rig.fail(REFUSED, 60_000) && !rig.fail(REFUSED, 61_000));
    }

    /// Whatever was said before the other one came does not count any more.
    #[test]
    fn another_process_takes_the_place_of_one_that_has_ended() {
        let mut rig = Rig::new();
        let first = rig.presence.enter(NODE, 7);
        let second = rig.presence.enter(NODE, 8);
        assert!(!rig.is_gone(), "both are connected");
        drop(first);
        assert!(rig.is_gone());
        drop(second);
        assert!(!rig.is_gone(), "it may come again");
        let _third = rig.presence.enter(NODE, 9);
        assert!(rig.is_gone());
    }
}
