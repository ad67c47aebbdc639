//! Share sessions: which partitions a member of a share group reads, kept so that its requests need not name them.
//!
//! A session belongs to the connection that began it, and so does what its member has acquired: when the connection
//! closes, all of that is offered to others at once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crate::model::{ErrorCode, PartitionId};
use crate::shard::{Router, ShareAction, ShareAsk, ShareBegin};
use crate::share::Limits;

/// The epochs that begin and end a session.
const EPOCH_FIRST: i32 = 0;
const EPOCH_FINAL: i32 = -1;

/// A group and one of its members.
pub type Member = (Arc<str>, Arc<str>);

/// How many sessions the connections of one shard may have.
pub struct ShareSlots {
    free: Cell<usize>,
}

/// The sessions of one connection.
pub struct ShareSessions {
    router: Router,
    slots: Rc<ShareSlots>,
    sessions: RefCell<BTreeMap<Member, Session>>,
}

struct Session {
    /// What the next request must name.
    epoch: i32,
    partitions: Vec<PartitionId>,
    /// Where something was acquired, under these limits.
    touched: BTreeMap<PartitionId, Limits>,
}

/// What a request does with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    First,
    Running,
    Final,
}

/// What a fetch is about.
pub struct Fetching {
    pub phase: Phase,
    /// All of the session's: also what this broker does not lead, or not any more. The client names each once, and wants
    /// to hear of it until it says otherwise.
    pub partitions: Vec<PartitionId>,
    /// Those that were not in the session before.
    pub joined: Vec<PartitionId>,
}

impl ShareSlots {
    pub fn new(count: usize) -> Rc<ShareSlots> {
        Rc::new(ShareSlots { free: Cell::new(count) })
    }

    fn take(&self) -> bool {
        let free = self.free.get();
        self.free.set(free.saturating_sub(1));
        free > 0
    }

    fn give_back(&self) {
        self.free.set(self.free.get() + 1);
    }
}

impl ShareSessions {
    pub fn new(router: Router, slots: Rc<ShareSlots>) -> ShareSessions {
        ShareSessions {
            router,
            slots,
            sessions: RefCell::default(),
        }
    }

    /// Takes up a fetch: `named` join the session's partitions and `forgotten` leave them.
    pub fn fetch(
        &self,
        member: &Member,
        epoch: i32,
        named: &[PartitionId],
        forgotten: &BTreeSet<PartitionId>,
    ) -> Result<Fetching, ErrorCode> {
        if epoch == EPOCH_FIRST {
            let joined = joining(named, &[]);
            self.begin(member, &joined)?;
            return Ok(Fetching {
                phase: Phase::First,
                partitions: joined.clone(),
                joined,
            });
        }
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.get_mut(member).ok_or(ErrorCode::ShareSessionNotFound)?;
        if epoch == EPOCH_FINAL {
            return Ok(Fetching {
                phase: Phase::Final,
                partitions: Vec::new(),
                joined: Vec::new(),
            });
        }
        session.step(epoch)?;
        let joined = joining(named, &session.partitions);
        session.partitions.extend(&joined);
        // One that is named too, for what is said of its records, is forgotten all the same.
        session.partitions.retain(|partition| !forgotten.contains(partition));
        Ok(Fetching {
            phase: Phase::Running,
            partitions: session.partitions.clone(),
            joined,
        })
    }

    /// Takes up an acknowledgement: it belongs to a session that there is.
    pub fn acknowledge(&self, member: &Member, epoch: i32) -> Result<Phase, ErrorCode> {
        if epoch == EPOCH_FIRST {
            return Err(ErrorCode::InvalidShareSessionEpoch);
        }
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.get_mut(member).ok_or(ErrorCode::ShareSessionNotFound)?;
        if epoch == EPOCH_FINAL {
            return Ok(Phase::Final);
        }
        session.step(epoch)?;
        Ok(Phase::Running)
    }

    /// The member may hold records of the partition from now on. Those that were read last are read first next time after
    /// all others.
    pub fn touch(&self, member: &Member, partition: PartitionId, limits: Limits) {
        if let Some(session) = self.sessions.borrow_mut().get_mut(member) {
            session.touched.insert(partition, limits);
            session.partitions.retain(|one| *one != partition);
            session.partitions.push(partition);
        }
    }

    /// Ends the session, and offers what its member holds to others.
    pub fn end(&self, member: &Member) {
        let session = self.sessions.borrow_mut().remove(member);
        if let Some(session) = session {
            self.slots.give_back();
            self.release(member, session);
        }
    }

    fn begin(&self, member: &Member, named: &[PartitionId]) -> Result<(), ErrorCode> {
        self.end(member);
        if !self.slots.take() {
            return Err(ErrorCode::ShareSessionLimitReached);
        }
        let session = Session {
            epoch: 1,
            partitions: named.to_vec(),
            touched: BTreeMap::new(),
        };
        self.sessions.borrow_mut().insert(member.clone(), session);
        Ok(())
    }

    /// Nobody waits for the answers: the questions are on their way when this returns.
    fn release(&self, (group, member): &Member, session: Session) {
        for (partition, limits) in session.touched {
            let ask = ShareAsk {
                group: group.clone(),
                member: member.clone(),
                limits,
                begin: ShareBegin::Latest,
                action: ShareAction::Release,
            };
            drop(self.router.share(partition, ask));
        }
    }
}

impl Drop for ShareSessions {
    fn drop(&mut self) {
        for (member, session) in self.sessions.take() {
            self.slots.give_back();
            self.release(&member, session);
        }
    }
}

impl Session {
    fn step(&mut self, epoch: i32) -> Result<(), ErrorCode> {
        if epoch != self.epoch {
            return Err(ErrorCode::InvalidShareSessionEpoch);
        }
        self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        Ok(())
    }
}

/// Those that are not known, each once, in the order in which they are named.
fn joining(named: &[PartitionId], known: &[PartitionId]) -> Vec<PartitionId> {
    if named.is_empty() {
        return Vec::new();
    }
    let mut seen: BTreeSet<PartitionId> = known.iter().copied().collect();
    named.iter().copied().filter(|one| seen.insert(*one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicId;

    #[test]
    fn partitions_join_once_and_in_order() {
        let partition = |index| PartitionId {
            topic: TopicId([1; 16]),
            index,
        };
        let named = [3, 1, 3, 2, 1].map(partition);
        assert_eq!(joining(&named, &[]), [3, 1, 2].map(partition));
        assert_eq!(joining(&named, &[partition(1)]), [3, 2].map(partition));
        assert!(joining(&[], &[partition(1)]).is_empty());
    }
}
