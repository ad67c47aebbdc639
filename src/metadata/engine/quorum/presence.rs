//! Which nodes are connected to this one, and which have ended. A node that ends, or is killed, leaves a machine that
//! closes its connections and refuses new ones: that is known at once, long before its session is over. Both must be so:
//! where a firewall refuses a node that lives, its own connections to here go on. A node that is cut off, or whose machine
//! is gone, is refused nothing and only silent: its session says when that counts.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::Event;
use crate::model::BrokerId;
use crate::rt::{self, Tx};

pub struct Presence {
    connections: Mutex<BTreeMap<BrokerId, usize>>,
    events: Tx<Event>,
}

/// One connection of a node, while it lasts.
pub struct Present {
    presence: Arc<Presence>,
    node: BrokerId,
}

impl Presence {
    pub fn new(events: Tx<Event>) -> Arc<Presence> {
        Arc::new(Presence {
            connections: Mutex::default(),
            events,
        })
    }

    pub fn enter(self: &Arc<Self>, node: BrokerId) -> Present {
        *self.connections().entry(node).or_default() += 1;
        Present {
            presence: self.clone(),
            node,
        }
    }

    /// A call to the node's address has failed.
    pub fn note_failure(&self, node: BrokerId, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionRefused && !self.connections().contains_key(&node) {
            let _ = self.events.try_send(Event::Gone { node, at: rt::now() });
        }
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<BrokerId, usize>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut connections = self.presence.connections();
        if let Some(count) = connections.get_mut(&self.node) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::lane;

    /// The node that was said to have ended when calls to it failed so.
    fn gone(presence: &Presence, events: &mut rt::Rx<Event>, kind: io::ErrorKind) -> Option<BrokerId> {
        presence.note_failure(BrokerId(2), &kind.into());
        let mut taken = Vec::new();
        events.try_recv_burst(&mut taken, 1);
        taken.into_iter().find_map(|event| match event {
            Event::Gone { node, .. } => Some(node),
            _ => None,
        })
    }

    /// Refused where it listened, and no connection left: both at once.
    #[test]
    fn a_node_that_is_refused_or_cut_off_may_live() {
        let (sender, mut events) = lane(8);
        let presence = Presence::new(sender);
        let (first, second, other) = (
            presence.enter(BrokerId(2)),
            presence.enter(BrokerId(2)),
            presence.enter(BrokerId(3)),
        );
        drop(first);
        assert_eq!(gone(&presence, &mut events, io::ErrorKind::ConnectionRefused), None);
        drop(second);
        for not_refused in [
            io::ErrorKind::TimedOut,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::ConnectionReset,
        ] {
            assert_eq!(gone(&presence, &mut events, not_refused), None);
        }
        let ended = gone(&presence, &mut events, io::ErrorKind::ConnectionRefused);
        assert_eq!(ended, Some(BrokerId(2)));
        drop(other);
    }
}
