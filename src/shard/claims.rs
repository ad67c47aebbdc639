//! Which partition directories are in use, across shards.
//!
//! A topic that is deleted and created again may have its new partition on another shard than the old one, and both use
//! the same directory name. The old owner gives its claim back once the directory is renamed away; until then the new
//! one waits. Touched when a log is opened or left, never on the way of a request.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

type Name = (Arc<str>, i32);

/// The names in use, shared by all shards.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(Arc<Mutex<BTreeSet<Name>>>);

/// The right to use one directory name, until dropped.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Claims,
    name: Name,
}

impl Claims {
    /// None while another life of the partition still uses the name.
    pub(super) fn take(&self, topic: &Arc<str>, index: i32) -> Option<Claim> {
        let name = (topic.clone(), index);
        let new = self.names().insert(name.clone());
        new.then(|| Claim {
            claims: self.clone(),
            name,
        })
    }

    fn names(&self) -> std::sync::MutexGuard<'_, BTreeSet<Name>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.names().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name has one user at a time.
    #[test]
    fn a_name_is_claimed_once() {
        let claims = Claims::default();
        let topic: Arc<str> = "orders".into();
        let first = claims.take(&topic, 0);
        assert!(first.is_some());
        assert!(claims.take(&topic, 0).is_none());
        assert!(claims.take(&topic, 1).is_some());
        drop(first);
        assert!(claims.take(&topic, 0).is_some());
    }
}
